"""The upstream of the bench: prepared bytes, on one asyncio protocol. It is cheap, so that the peers are what is busy."""

import asyncio
import re
from typing import cast

from tests.bench.answers import Answer, answer

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb'"model": ?"([^"]+)"')


class Upstream:
    """All connections together. `events` counts the events sent."""

    def __init__(self) -> None:
        self.events = 0
        self.url = ""
        self.open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens on a free port of 127.0.0.1."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, loop), "127.0.0.1", 0, backlog=2048)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for transport in tuple(self.open):
            transport.abort()
        while self.open:
            await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self._upstream = upstream
        self._loop = loop
        self._got = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._upstream.open.add(self._transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._upstream.open.discard(self._transport)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._got = b""
        model = _MODEL.search(body)
        if model is None:
            self._transport.close()
            return
        self._begin(answer(model[1].decode()))

    def _begin(self, given: Answer) -> None:
        self._transport.write(given.head + given.pieces[0])
        if len(given.pieces) == 1:
            self._upstream.events += given.events
        else:
            self._upstream.events += 2
            self._later(given, 1, self._loop.time())

    def _later(self, given: Answer, position: int, started: float) -> None:
        self._timer = self._loop.call_at(started + position * given.interval_s, self._next, given, position, started)

    def _next(self, given: Answer, position: int, started: float) -> None:
        self._transport.write(given.pieces[position])
        self._upstream.events += 1
        if position + 1 < len(given.pieces):
            self._later(given, position + 1, started)
