"""A kept upstream connection that is used again at once."""

import asyncio
from typing import Any

import pytest

from proxy.upstream.connection import Answer, Connection
from tests.support.asking import answered

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def resume_reading(self) -> None:
        """Reading never stopped."""

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("first_gives_up", [False, True], ids=["both wait", "the first gives up"])
def test_answer_that_is_complete_before_its_caller_wakes_leaves_the_next_one_alone(*, first_gives_up: bool) -> None:
    async def twice() -> Answer:
        wire, free = Wire(), asyncio.Event()
        connection = Connection(lambda _: None, lambda _: None)
        connection.connection_made(wire)

        async def second() -> Answer:
            await free.wait()
            return await answered(connection, b"second")

        one, two = asyncio.create_task(answered(connection, b"first")), asyncio.create_task(second())
        await asyncio.sleep(0)
        # The second task is woken before the first, in the turn of the loop in which the first answer is complete.
        free.set()
        connection.data_received(WHOLE)
        if first_gives_up:
            one.cancel()
        await asyncio.sleep(0)
        assert wire.written == [b"first", b"second"]
        connection.data_received(WHOLE)
        await asyncio.gather(one, return_exceptions=True)
        assert not wire.aborted
        async with asyncio.timeout(1):
            return await two

    assert asyncio.run(twice()).status == 200
