"""The soak's upstream: paced streams and short answers whose every byte follows from a seed, and faults on request."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import httptools

DONE = b"data: [DONE]\n\n"
FAULTS = ("reset", "close", "silent_end", "error_event", "status_500", "not_http", "html", "half_event")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def events(seed: int, count: int) -> list[bytes]:
    """The events of a healthy stream, in the canonical form, so that they leave the proxy as they are."""
    chance = random.Random(seed)
    head = {"id": f"up-{seed}", "object": "chat.completion.chunk", "created": 7, "model": "big"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for n in range(count):
        text = "".join(chance.choice("abcdefghij é漢🙂") for _ in range(chance.randrange(3, 40)))
        deltas.append({"reasoning_content" if n < count // 2 else "content": text})
    found = [_event({**head, "choices": [{"index": 0, "delta": one, "finish_reason": None}]}) for one in deltas]
    return [*found, _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}), DONE]


def whole(seed: int) -> bytes:
    """A healthy whole answer, in the canonical form."""
    message = {"role": "assistant", "reasoning_content": f"Hm {seed}.", "content": f"Answer {seed * 7919}."}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps(
        {"id": f"up-{seed}", "object": "chat.completion", "created": 7, "model": "big", "choices": choices}
    ).encode()


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(value, ensure_ascii=False).encode()


@dataclass
class Counts:
    """What the upstream has seen."""

    asked: int = 0
    completed: int = 0
    left: int = 0
    """Answers that ended because the proxy closed the connection."""
    open: set["Connection"] = field(default_factory=set)


class Connection(asyncio.Protocol):
    """One connection of the proxy. A request's `user` is `KIND SEED EVENTS PACE_MS`; what is no fault is healthy."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._body = b""
        self._answering = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._counts.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts.open.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._answering:
            self._counts.left += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        asked = json.loads(self._body)
        kind, seed, count, pace_ms = asked["user"].split()
        self._counts.asked += 1
        self._answering = True
        if kind in ("status_500", "not_http", "html"):
            self._refuse(kind)
        elif asked.get("stream"):
            pieces = events(int(seed), int(count))
            at = random.Random(int(seed)).randrange(1, max(2, int(count))) if kind in FAULTS else len(pieces)
            self._write(_HEAD)
            self._send(pieces[:at], kind, int(pace_ms) / 1000)
        else:
            body = whole(int(seed))
            self._write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )
            self._complete()

    def _refuse(self, kind: str) -> None:
        body = b"<html>no</html>" if kind == "html" else b'{"error": {"message": "no"}}'
        status = b"200 OK" if kind == "html" else b"500 No"
        if kind == "not_http":
            self._write(b"nonsense\r\n\r\n")
        else:
            self._write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        self._complete()

    def _send(self, pieces: list[bytes], kind: str, pace_s: float) -> None:
        """The next event now, the others at their pace; then the end that was asked for."""
        if pieces:
            self._write(b"%x\r\n%b\r\n" % (len(pieces[0]), pieces[0]))
            later: Callable[[], None] = partial(self._send, pieces[1:], kind, pace_s)
            self._timer = asyncio.get_running_loop().call_later(pace_s, later)
            return
        transport = self._transport
        assert transport is not None
        if kind == "half_event":
            self._write(b'9\r\ndata: {"c\r\n')
        elif kind == "error_event":
            said = b'data: {"error": {"message": "no", "code": 500}}\n\n'
            self._write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(said), said))
        elif kind not in ("reset", "close"):
            self._write(b"0\r\n\r\n")
        self._complete()
        if kind == "reset":
            transport.abort()
        elif kind in ("close", "half_event"):
            transport.close()

    def _complete(self) -> None:
        self._answering = False
        self._counts.completed += 1

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def listen(counts: Counts) -> asyncio.Server:
    """Listens on a free port of this machine."""
    return await asyncio.get_running_loop().create_server(partial(Connection, counts), "127.0.0.1", 0, backlog=2048)
