"""What a request leaves behind goes at its end, and not when Python looks for cycles: that look holds all streams up."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.support.proxied import CHAT, GOOD, MESSAGES, ask, good, never_answers, proxied, says_nothing, unavailable
from tests.support.scripted import Asked, Script, Wire, answer

TIMES = 5


async def whole(_: Asked, wire: Wire) -> None:
    await wire.whole(answer("Hi", "Hm"))


async def ends_late(_: Asked, wire: Wire) -> None:
    await wire.head()
    for one in GOOD:
        await wire.event(one)
    await wire.event(b"[DONE]")
    await asyncio.sleep(0.05)
    await wire.end()


async def breaks_off(_: Asked, wire: Wire) -> None:
    await wire.head()
    await wire.event(GOOD[1])
    wire.close()


@contextmanager
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cycles() -> Counter[str]:
    """Objects of ours, and of the HTTP parser, that only the collector found."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        kinds = [f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage]
        return Counter(kind for kind in kinds if kind.startswith(("proxy.", "httptools.")))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()


@pytest.mark.parametrize(
    ("script", "stream"),
    [
        (good, True),
        (ends_late, True),
        (whole, False),
        (unavailable, True),
        (says_nothing, False),
        (breaks_off, True),
    ],
    ids=["stream", "end of its own", "whole", "refused", "timed out", "broken off"],
)
def test_a_request_and_its_connections_leave_no_cycles(script: Script, *, stream: bool) -> None:
    with proxied(script, provider="timeouts: {first_byte: 50ms}", route="retry: {attempts: 1}") as (proxy, _, client):
        ask(client, stream=stream)
        with uncollected():
            for _ in range(TIMES):
                with httpx2.Client(base_url=proxy.url, timeout=20) as another:
                    ask(another, stream=stream)
            proxy.requests(TIMES + 1)
            assert not cycles()


def test_a_client_that_leaves_leaves_no_cycles() -> None:
    with proxied(never_answers) as (proxy, _, __), uncollected():
        for _ in range(TIMES):
            with (
                httpx2.Client(base_url=proxy.url, timeout=20) as client,
                client.stream("POST", CHAT, json={"model": "m", "stream": True, "messages": MESSAGES}) as response,
            ):
                next(response.iter_bytes())
        proxy.requests(TIMES)
        assert not cycles()
