"""Our own HTTP engine: answers released before their end, connections that grow old, engines that are given up."""

import asyncio
import threading
import time

import pytest

from proxy.core.errors import UpstreamUnavailable
from proxy.settings.model import Provider
from proxy.upstream import wire
from proxy.upstream.authority import Head
from proxy.upstream.client import LibraryEngine
from proxy.upstream.engine import engine_of
from proxy.upstream.wire import WireEngine
from tests.support.answers import CHUNKED, chunked, head, whole
from tests.support.asking import LOOPS, Loop, always, ask, rest, run, until
from tests.support.peer import Host, Steps, Visit, answering

DONE = head(CHUNKED) + chunked(b"[DONE]")
END = chunked(b"")


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return LOOPS[request.param]


def timers() -> set[str]:
    """What the event loop is still to call; asyncio's own loop alone says so."""
    scheduled = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return {timer._callback.__qualname__ for timer in scheduled if not timer.cancelled()}


def test_released_answer_that_ends_soon_leaves_its_connection_for_the_next(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        for number in range(3):
            response = await engine.open("/x", Head({}), b"{}")
            assert await response.read() == b"[DONE]"
            response.release()
            response.release()
            assert engine.users == 1, "its connection is still in use"
            await until(lambda: engine.users == 0, 0.5)
            assert "Answer.abort" not in timers()
            assert len(host.requests) == number + 1
        assert len(host.visits) == 1

    run(loop, always(DONE, 0.05, END), use)


def test_released_answer_that_does_not_end_loses_its_connection_and_gives_up_its_place(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        response = await engine.open("/x", Head({}), b"{}")
        assert await response.read() == b"[DONE]"
        response.release()
        started = time.monotonic()
        assert str(await ask(engine)) == "silence"  # there is one place, and it is taken
        following = await engine.open("/x", Head({}), b"{}")
        assert 0.9 * wire.RELEASE_S < time.monotonic() - started < 1.5 * wire.RELEASE_S
        assert [connection for connection, _ in host.requests] == [0, 1]
        await following.aclose()

    run(loop, always(DONE), use, max_connections=1)


def test_release_never_ends_the_next_exchange_on_the_same_connection(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        first = await engine.open("/x", Head({}), b"{}")
        assert await first.read() == b"[DONE]"
        first.release()
        await until(lambda: engine.users == 0)
        second = await engine.open("/x", Head({}), b"{}")
        await first.aclose()
        assert await second.read() == b"slow"
        assert await rest(second) == b"and steady"
        await second.aclose()
        assert len(host.visits) == 1

    slow: Steps = [head(CHUNKED) + chunked(b"slow"), wire.RELEASE_S + 0.3, chunked(b"and steady", b"")]
    run(loop, answering([DONE, 0.05, END], slow), use)


def test_answer_that_is_closed_when_all_of_it_has_come_leaves_its_connection(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        for _ in range(3):
            response = await engine.open("/x", Head({}), b"{}")
            await response.aclose()
            await response.aclose()
            assert engine.users == 0
        assert len(host.visits) == 1

    run(loop, always(whole()), use)


def test_answer_that_is_closed_before_its_end_closes_its_connection(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        for release in (False, True):
            response = await engine.open("/x", Head({}), b"{}")
            if release:
                response.release()
            await response.aclose()
            assert engine.users == 0
            await until(lambda: host.open == 0, 0.9)

    run(loop, always(DONE), use)


def test_idle_connections_are_closed_in_time(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "KEEPALIVE_S", 0.6)

    async def use(engine: WireEngine, host: Host) -> None:
        async def one(path: str) -> None:
            assert str(await ask(engine, path)) == "200 hello"

        await asyncio.gather(*(one("/x") for _ in range(3)))
        for _ in range(4):  # one is used on and on, and stays; the others leave
            await asyncio.sleep(0.2)
            await one("/x")
        assert (len(host.visits), host.open, len(engine._idle)) == (3, 1, 1)
        await until(lambda: host.open == 0)
        assert (list(engine._idle), engine._sweep) == ([], None)
        assert "WireEngine._swept" not in timers()

    run(loop, always(0.02, whole()), use)


def test_connection_that_is_too_old_is_not_used_even_when_the_sweep_is_late(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        assert str(await ask(engine)) == "200 hello"
        monkeypatch.setattr(wire, "KEEPALIVE_S", 0.0)
        assert str(await ask(engine)) == "200 hello"
        assert [connection for connection, _ in host.requests] == [0, 1]

    run(loop, always(whole()), use)


def test_retired_engine_closes_what_is_idle_and_lets_open_answers_end(loop: Loop) -> None:
    gates = {b"/first": threading.Event(), b"/late": threading.Event()}

    def script(visit: Visit) -> None:
        while (request := visit.asked()) is not None:
            visit.follow([head(CHUNKED) + chunked(b"one")])
            for name, gate in gates.items():
                assert name not in request or gate.wait(10)
            visit.follow([chunked(b"two", b"")])

    async def use(engine: WireEngine, host: Host) -> None:
        first = await engine.open("/first", Head({}), b"{}")
        assert await first.read() == b"one"
        idle = await engine.open("/x", Head({}), b"{}")
        assert await rest(idle) == b"onetwo"
        await idle.aclose()
        assert host.open == 2
        await engine.retire()
        await until(lambda: host.open == 1)
        late = await engine.open("/late", Head({}), b"{}")  # a second try of a request that began before
        gates[b"/first"].set()
        assert await rest(first) == b"two"
        await until(lambda: host.open == 1)
        await first.aclose()
        gates[b"/late"].set()
        assert await rest(late) == b"onetwo"
        assert engine.users == 1
        await late.aclose()
        await until(lambda: host.open == 0)
        assert engine.users == 0
        assert "WireEngine._swept" not in timers()

    run(loop, script, use)


def test_closed_engine_ends_everything_at_once(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        response = await engine.open("/x", Head({}), b"{}")
        assert await response.read() == b"[DONE]"
        released = await engine.open("/x", Head({}), b"{}")
        released.release()
        waiting = [asyncio.create_task(engine.open("/x", Head({}), b"{}")) for _ in range(3)]
        await asyncio.sleep(0.02)
        await engine.aclose()
        await until(lambda: host.open == 0, 0.9)
        with pytest.raises(UpstreamUnavailable):
            await response.read()
        await response.aclose()
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, UpstreamUnavailable)
        with pytest.raises(UpstreamUnavailable, match="The connections to provider 'p' are closed"):
            await engine.open("/x", Head({}), b"{}")
        await asyncio.sleep(0.02)
        assert (len(host.visits), engine.users) == (2, 0)

    run(loop, always(DONE), use, max_connections=2)


def test_answer_that_comes_while_the_request_is_still_being_sent_is_read(loop: Loop) -> None:
    """And its connection is given up: the rest of that request would stand before the next one."""

    def script(visit: Visit) -> None:
        visit.head()
        visit.send(whole(b"too large", status="413 Content Too Large"))
        time.sleep(0.1)
        visit.gone()

    async def use(engine: WireEngine, host: Host) -> None:
        response = await engine.open("/x", Head({}), b"x" * 30_000_000)
        assert (response.status, await rest(response)) == (413, b"too large")
        await response.aclose()
        assert (engine.users, list(engine._idle)) == (0, [])
        await until(lambda: host.open == 0, 1)

    run(loop, script, use)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"])
def test_header_value_with_a_line_break_is_refused_unsent(loop: Loop, value: str) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        with pytest.raises(UpstreamUnavailable, match="header 'x-a'") as caught:
            await engine.open("/x", Head({"x-a": value}), b"{}")
        assert value not in caught.value.message
        assert (engine.users, host.visits) == (0, [])

    run(loop, always(whole()), use)


def test_only_a_provider_behind_an_http_proxy_has_the_library_s_engine() -> None:
    assert isinstance(engine_of(Provider("p", "https://x/v1")), WireEngine)
    assert isinstance(engine_of(Provider("p", "https://x/v1", proxy="http://y:3128")), LibraryEngine)


@pytest.mark.parametrize("steps", [(whole(b"all"),), (head(CHUNKED) + chunked(b"all"), 0.05, END)])
def test_answer_has_ended_once_its_last_byte_is_read(loop: Loop, steps: tuple[bytes | float, ...]) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        response = await engine.open("/x", Head({}), b"{}")
        assert not response.ended
        assert await response.read() == b"all"
        assert response.ended == (len(steps) == 1)
        assert await response.read() == b""
        assert response.ended
        await response.aclose()

    run(loop, always(*steps), use)
