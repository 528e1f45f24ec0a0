"""A proxy with several routes and, where asked for, client keys, before one scripted upstream."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.support.scripted import Asked, Script, Upstream, Wire, answer, delta, scripted
from tests.support.server import Running, running, settings_of

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "x"}]
BODY = {"model": "m", "messages": MESSAGES}
AGENT, GUEST = "agents-own-key", "guests-own-key"
ENV = {"AGENT": AGENT, "KEY": "secret-key-0123"}
TABLE = """
version: 1
server: {SERVER}
CLIENTS
providers:
  house: {base_url: URL, api_key: {env: KEY}}
routes:
  - {model: m, targets: [house/big]}
  - {model: other, targets: [house/small], render: reasoning}
  - {model: "qwen*", targets: [{provider: house, model: "{model}"}]}
  - {model: "far/*", targets: [{provider: house, model: "{*}"}]}
"""
CLIENTS = f"""
clients:
  - {{name: agents, key: {{env: AGENT}}, render: both, limits: {{requests_per_minute: 3, concurrent_streams: 1}}}}
  - {{name: guests, key: {{sha256: {hashlib.sha256(GUEST.encode()).hexdigest()}}}, routes: [m, "qwen-b*"]}}
"""


async def good(asked: Asked, wire: Wire) -> None:
    if asked.method == "GET":
        await wire.whole({"object": "list", "data": [{"id": "qwen-a"}, {"id": "qwen-b"}, {"id": "llama"}]})
    elif asked.json.get("stream"):
        await wire.events(delta({"role": "assistant", "reasoning": "Hm"}), delta({"content": "Hi"}), delta({}, "stop"))
    else:
        await wire.whole(answer())


def text_of(url: str, *, clients: str = "", server: str = "") -> str:
    return TABLE.replace("URL", url).replace("CLIENTS", clients).replace("SERVER", server)


@contextmanager
def proxied(script: Script = good, **options: str) -> Iterator[tuple[Running, Upstream, httpx2.Client]]:
    with (
        scripted(script) as upstream,
        running(settings_of(text_of(upstream.url, **options), ENV)) as proxy,
        client_of(proxy.url) as client,
    ):
        yield proxy, upstream, client


def client_of(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, timeout=20, verify=False)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def error_of(response: httpx2.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    found: dict[str, Any] = body["error"]
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
