"""What a running proxy has learnt of the targets of a model, asked over HTTP."""

import argparse
import os
from typing import Any
from urllib.parse import quote

import httpx2

from proxy import __version__
from proxy.cli import configuration
from proxy.cli.address import url_of
from proxy.cli.failure import Failure
from proxy.core.codec import loads
from proxy.settings.formats import carries_in_header, is_loopback

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 10.0


def place(args: argparse.Namespace) -> str:
    """Where the proxy's operations are: `--url`, else the variable, else what the configuration says, else the default."""
    given = args.url or os.environ.get("REASONING_PROXY_URL")
    if given:
        return str(given).rstrip("/").removesuffix("/v1")
    path = configuration.locate(args.config)
    if path is None:
        return DEFAULT_URL
    server = configuration.read(path).server
    return url_of(server.admin or server.listen)


def learnt(url: str, model: str) -> dict[str, Any]:
    """The answer of `GET /-/explain/MODEL`. Raises Failure."""
    key = os.environ.get("REASONING_PROXY_KEY", "")
    if not carries_in_header(key):
        raise Failure("the key in REASONING_PROXY_KEY holds characters that no header can carry")
    headers = {"user-agent": f"reasoning-proxy/{__version__}"} | ({"authorization": f"Bearer {key}"} if key else {})
    try:
        base = httpx2.URL(url)
        # A proxy of the environment cannot reach this machine's own loopback addresses.
        with httpx2.Client(headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(f"{base.host}:0")) as client:
            response = client.get(f"{url}/-/explain/{quote(model, safe='/')}")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Failure(
            f"cannot ask {url} ({error or type(error).__name__}): say where the proxy's operations are with --url"
        ) from error
    return _read(response, url)


def _read(response: httpx2.Response, url: str) -> dict[str, Any]:
    try:
        answer = loads(response.content)
    except ValueError:
        answer = None
    if response.status_code == httpx2.codes.OK and isinstance(answer, dict) and isinstance(answer.get("targets"), list):
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        raise Failure(f"{url} answers {response.status_code}, and not as this proxy does")
    if error.get("code") == "not_found":
        raise Failure(
            f"{url} shows no operations: ask the address of server.admin, or a proxy without one that listens on a "
            "loopback address"
        )
    raise Failure(f"{url} answers {response.status_code}: {error.get('message')}")
