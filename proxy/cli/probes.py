"""The requests with which `doctor` examines an upstream: short, few, and as the proxy itself would send them."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.cli.failure import Failure
from proxy.core.codec import dumps, loads_first
from proxy.core.errors import ProxyError
from proxy.core.upstream_error import from_payload
from proxy.settings.model import Provider
from proxy.upstream import authority
from proxy.upstream.engine import engine_of

CHAT = "/chat/completions"
QUESTION = "Is 3599 prime? Think about it, then answer with yes or no."
MOST_BYTES = 16 * 1024 * 1024
"""More of an answer is not read."""
TOOL = {
    "type": "function",
    "function": {
        "name": "is_prime",
        "description": "Tells whether a number is prime.",
        "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    },
}
_OK = 200


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back. `said` is the error's JSON or text where the answer is none."""

    status: int
    body: bytes
    first_s: float
    """Seconds until the head of the answer."""
    total_s: float
    said: object = None
    error: ProxyError | None = None
    """With the keys cut out."""


class Prober:
    """Asks one provider. Each request may take `timeout_s` seconds."""

    def __init__(self, provider: Provider, timeout_s: float) -> None:
        self._provider = provider
        self._timeout_s = timeout_s
        self._key = os.environ.get("REASONING_PROXY_KEY") if provider.pass_client_key else None
        if provider.pass_client_key and not self._key:
            raise Failure(f"provider {provider.name!r} takes the caller's key: give one in REASONING_PROXY_KEY")
        self._engine = engine_of(provider)

    async def get(self, path: str) -> Heard:
        """A GET below the provider's base URL."""
        return await self._ask("GET", path, b"", "application/json")

    async def post(self, body: Mapping[str, Any]) -> Heard:
        """A chat completion with this very body."""
        accept = "text/event-stream" if body.get("stream") else "application/json"
        return await self._ask("POST", CHAT, dumps(body), accept)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._engine.aclose()

    async def _ask(self, method: str, path: str, body: bytes, accept: str) -> Heard:
        started = time.monotonic()
        hidden = authority.secrets(self._provider, self._key)
        try:
            async with asyncio.timeout(self._timeout_s):
                head = authority.headers(self._provider, self._key, accept)
                if method == "GET":
                    del head["content-type"]
                response = await self._engine.open(path, authority.Head(head), body, method=method)
                first_s = time.monotonic() - started
                try:
                    received = b""
                    while len(received) < MOST_BYTES and (data := await response.read()):
                        received += data
                finally:
                    await response.aclose()
        except TimeoutError:
            raise Failure(
                f"{self._provider.name} gave no whole answer within {self._timeout_s:g} s (--timeout)"
            ) from None
        except ProxyError as broken:
            authority.cut_out(broken, hidden)
            raise Failure(broken.message) from None
        total_s = time.monotonic() - started
        if response.status == _OK:
            return Heard(response.status, received, first_s, total_s)
        said = _payload(received)
        error = from_payload(said, response.status)
        authority.cut_out(error, hidden)
        return Heard(response.status, received, first_s, total_s, said, error)


def brief(value: Any) -> str:
    """JSON data in one line, which is YAML as well."""
    return json.dumps(value, ensure_ascii=False)


def question(model: str, **extra: Any) -> dict[str, Any]:
    """A client's request with one short question."""
    return {"model": model, "messages": [{"role": "user", "content": QUESTION}], **extra}


def second_turn(model: str, answer: str, reasoning: str) -> dict[str, Any]:
    """The conversation goes on; the client gives back the reasoning that it got."""
    said = {"role": "assistant", "content": answer or "No.", "reasoning_content": reasoning}
    follow_up = {"role": "user", "content": "And 3607? Yes or no."}
    return {"model": model, "messages": [{"role": "user", "content": QUESTION}, said, follow_up]}


def tool_result(model: str) -> dict[str, Any]:
    """A tool's result comes back from a client that has lost the reasoning before the call."""
    call = {"id": "call_0", "type": "function", "function": {"name": "is_prime", "arguments": '{"number": 3599}'}}
    messages = [
        {"role": "user", "content": "Is 3599 prime? Use the tool."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "false"},
    ]
    return {"model": model, "messages": messages, "tools": [TOOL]}


def _payload(body: bytes) -> object:
    try:
        return loads_first(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace").strip()
