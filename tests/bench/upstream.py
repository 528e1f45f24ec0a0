"""`upstream.c` in Python, for machines without a compiler: the same command line, the same answers, the same stats.

It is never awake: an event loop sleeps, whatever `GET /awake` asks for.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_MODEL = re.compile(rb'"model": ?"([^"/]+)"')
_MARK = re.compile(rb"@@\d{13}")


@dataclass(frozen=True)
class Played:
    """A prepared answer as its file says it."""

    interval_s: float
    pieces: tuple[bytes, ...]

    @classmethod
    def read(cls, path: Path) -> "Played":
        first, lengths, data = path.read_bytes().split(b"\n", 2)
        pieces, at = [], 0
        for length in map(int, lengths.split()):
            pieces.append(data[at : at + length])
            at += length
        return cls(int(first.split()[0]) / 1e6, tuple(pieces))


@dataclass
class Upstream:
    """What all connections share."""

    folder: Path
    played: dict[str, Played] = field(default_factory=dict)
    answers: int = 0
    marks: int = 0
    open: int = 0
    left: int = 0
    left_us: int = 0
    awake: int = 0

    def answer(self, name: str) -> Played | None:
        if name not in self.played:
            try:
                self.played[name] = Played.read(self.folder / name)
            except FileNotFoundError:
                return None
        return self.played[name]

    def stats(self) -> bytes:
        names = ("answers", "marks", "open", "left", "left_us", "awake")
        return json.dumps({name: getattr(self, name) for name in names}).encode()


class Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._got = b""
        self._transport: asyncio.Transport
        self._playing: Played | None = None
        self._next = 0
        self._begun = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._upstream.open += 1

    def connection_lost(self, _: Exception | None) -> None:
        self._upstream.open -= 1
        if self._playing is not None:
            self._upstream.left += 1
            self._upstream.left_us = time.monotonic_ns() // 1000
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        missing = len(body) < int(length[1]) if length else _CHUNKED.search(head) and not body.endswith(b"0\r\n\r\n")
        if not end or missing:
            return
        self._got = b""
        self._respond(head, body)

    def _respond(self, head: bytes, body: bytes) -> None:
        model = _MODEL.search(body)
        played = self._upstream.answer(model[1].decode()) if model else None
        if head.startswith((b"GET /stats ", b"GET /awake ", b"GET /asleep ")):
            self._say(b"200 OK", self._upstream.stats())
        elif head.startswith(b"GET "):
            self._say(b"200 OK", b'{"object":"list","data":[{"id":"bench","object":"model"}]}')
        elif played is None:
            self._say(b"404 Not Found", b'{"error":{"message":"no such answer","type":"invalid_request_error"}}')
        else:
            self._playing, self._next, self._begun = played, 0, asyncio.get_running_loop().time()
            self._play()

    def _say(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)

    def _play(self) -> None:
        played, loop = self._playing, asyncio.get_running_loop()
        if played is None:
            return
        while self._next < len(played.pieces):
            due = self._begun + self._next * played.interval_s
            if due > loop.time():
                self._timer = loop.call_at(due, self._play)
                return
            self._write(played.pieces[self._next], stamped=played.interval_s > 0)
            self._next += 1
        self._upstream.answers += 1
        self._playing = None

    def _write(self, piece: bytes, *, stamped: bool) -> None:
        self._upstream.marks += piece.count(b"@@")
        if stamped:
            piece = _MARK.sub(b"@@%013d" % (time.monotonic_ns() // 1000), piece)
        self._transport.write(piece)


async def serve(folder: Path, port: int) -> None:
    upstream = Upstream(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
