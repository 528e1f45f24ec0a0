"""One connection to an upstream, fed by hand: no socket, any cut."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from proxy.upstream.connection import Answer, BrokenError, Connection
from tests.support.answers import RESET, Said
from tests.support.asking import answered
from tests.support.peer import End

REQUEST = b"POST / HTTP/1.1\r\n\r\n"


class FakeTransport(asyncio.Transport):
    """Takes everything at once; its connection is lost when the event loop comes round, as with real ones."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.written = b""
        self.unsent = 0
        self.closed_by: str | None = None
        self.paused = 0
        self.reading = True

    def write(self, data: Any) -> None:
        assert self.closed_by is None, "written to after its end"
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed_by is not None

    def pause_reading(self) -> None:
        assert self.closed_by is None, "paused after its end"
        self.paused += self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert self.closed_by is None, "resumed after its end"
        self.reading = True

    def abort(self) -> None:
        self._leave("abort")

    def close(self) -> None:
        self._leave("close")

    def _leave(self, how: str) -> None:
        if self.closed_by is None:
            self.closed_by = how
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)


class Line:
    """A connection with a fake transport, and what it told its owner."""

    def __init__(self) -> None:
        self.idle = 0
        self.gone = 0
        self.connection = Connection(self._idle, self._gone)
        self.transport = FakeTransport(self.connection)
        self.connection.connection_made(self.transport)

    def _idle(self, connection: Connection) -> None:
        assert connection is self.connection
        self.idle += 1

    def _gone(self, connection: Connection) -> None:
        assert connection is self.connection
        self.gone += 1

    async def ask(self) -> asyncio.Task[Answer]:
        asking = asyncio.create_task(answered(self.connection, REQUEST))
        await asyncio.sleep(0)
        return asking

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            if self.transport.closed_by is None:
                self.connection.data_received(piece)

    def lose(self, error: Exception | None = None) -> None:
        """The host closes, or the connection breaks."""
        if self.transport.closed_by is None:
            self.transport.closed_by = "peer"
            self.connection.connection_lost(error)


def run(use: Callable[[Line], Awaitable[None]]) -> None:
    async def main() -> None:
        line = Line()
        await use(line)
        await asyncio.sleep(0)
        assert line.gone == (line.transport.closed_by is not None)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks

    asyncio.run(main())


async def heard(asking: asyncio.Task[Answer]) -> tuple[str, dict[str, str]]:
    """(what came of a request in the words of `tests.support.answers`, its headers)"""
    try:
        answer = await asking
    except BrokenError as error:
        return error.kind, {}
    body, end = b"", ""
    try:
        while data := await answer.read():
            body += data
    except BrokenError:
        end = ", then broken"
    shown = f"x-a={answer.headers['x-a']} " if "x-a" in answer.headers else ""
    return f"{answer.status} {shown}{body.decode('latin-1')}{end}", answer.headers


def after(pieces: Sequence[bytes], end: End | None) -> tuple[str, dict[str, str], bool, int]:
    """(heard, headers, whether the connection is closed, how often it was free) after these pieces have come."""
    found: list[tuple[str, dict[str, str], bool, int]] = []

    async def use(line: Line) -> None:
        asking = await line.ask()
        line.feed(*pieces)
        if end is not None:
            line.lose(ConnectionResetError() if end is RESET else None)
        async with asyncio.timeout(5):
            words, headers = await heard(asking)
        found.append((words, headers, line.transport.closed_by is not None, line.idle))
        line.connection.abort()

    run(use)
    return found[0]


def bytes_of(said: Said) -> tuple[bytes, End | None]:
    """(all that the host sends, how it then ends the connection)"""
    data = b"".join(step for step in said.steps if isinstance(step, bytes))
    last = said.steps[-1]
    return data, last if isinstance(last, End) else None


def meaning(pieces: Sequence[bytes], end: End | None) -> tuple[str, dict[str, str], bool]:
    """All of `after` that does not depend on whether surplus bytes come with the answer or after it."""
    return after(pieces, end)[:3]
