"""Pieces of an answer that are handed on as they come, instead of being read by a task."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from proxy.core.errors import UpstreamUnavailable
from proxy.settings.model import Provider
from proxy.upstream.authority import Head
from proxy.upstream.engine import UpstreamResponse
from proxy.upstream.wire import WireResponse
from tests.support.answers import CHUNKED, chunked, head
from tests.support.asking import WAYS, always, until
from tests.support.peer import Script, Visit, peer

PIECES: list[bytes | float] = [
    head(CHUNKED) + chunked(b"one"),
    0.05,
    chunked(b"two"),
    0.05,
    chunked(b"three"),
    0.05,
    chunked(b"four", b""),
]
Use = Callable[[UpstreamResponse], Awaitable[None]]


class Everything(list[bytes]):
    """Takes all there is."""

    def __call__(self, data: bytes) -> bool:
        self.append(data)
        return True


def broken(visit: Visit) -> None:
    visit.asked()
    visit.follow(PIECES[:3])


def opened(way: str, script: Script, use: Use) -> None:
    kind, loop = WAYS[way]

    async def main(url: str) -> None:
        engine = kind(Provider("p", url))
        try:
            response = await engine.open("/x", Head({}), b"{}")
            assert await response.read() == b"one"
            await use(response)
            await response.aclose()
        finally:
            await engine.aclose()

    with peer(script) as host, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main(host.url))


@pytest.mark.parametrize("way", WAYS)
def test_pieces_are_handed_on_until_one_is_the_last_that_is_wanted(way: str) -> None:
    async def use(response: UpstreamResponse) -> None:
        taken: list[bytes] = []

        def take(data: bytes) -> bool:
            taken.append(data)
            return data != b"three"

        await response.hand_on(take)
        assert taken == [b"two", b"three"]
        assert await response.read() == b"four"
        assert await response.read() == b""
        await response.hand_on(take)
        assert taken == [b"two", b"three"], "there is nothing more to hand on"

    opened(way, always(*PIECES), use)


@pytest.mark.parametrize("way", WAYS)
def test_end_is_for_whoever_reads_and_a_break_is_told(way: str) -> None:
    async def ends(response: UpstreamResponse) -> None:
        taken = Everything()
        await response.hand_on(taken)
        assert taken == [b"two", b"three", b"four"]
        assert await response.read() == b""

    async def breaks(response: UpstreamResponse) -> None:
        async def all_of_it() -> None:
            await response.hand_on(Everything())
            await response.read()

        with pytest.raises(UpstreamUnavailable, match="broke off"):
            await all_of_it()

    opened(way, always(*PIECES), ends)
    opened(way, broken, breaks)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "library"])
def test_what_comes_to_a_cancelled_task_is_kept_for_whoever_reads(way: str) -> None:
    async def use(response: UpstreamResponse) -> None:
        taken = Everything()
        task = asyncio.create_task(response.hand_on(taken))
        await until(lambda: taken == [b"two"])
        task.cancel()
        assert isinstance(response, WireResponse)
        response.add(b"meanwhile ")  # before the task has heard of it
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.07)
        assert taken == [b"two"]
        assert (await response.read()).startswith(b"meanwhile three")

    opened(way, always(*PIECES), use)
