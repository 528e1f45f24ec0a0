"""Our own HTTP engine: its connections, their number, and what becomes of them."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import ProxyError
from proxy.settings.model import Provider, Timeouts
from proxy.upstream import wire
from proxy.upstream.authority import Head
from proxy.upstream.connection import HIGH_WATER, Connection
from proxy.upstream.wire import WireEngine, WireResponse
from tests.support.answers import CHUNKED, chunked, head, whole
from tests.support.asking import LOOPS, Loop, always, ask, rest, run, sockets, until
from tests.support.peer import Host, Visit, certificate

SOON_S = 0.1
MB = 1 << 20


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return LOOPS[request.param]


def test_caller_is_told_when_its_request_has_left(loop: Loop) -> None:
    told = threading.Event()

    def script(visit: Visit) -> None:
        while visit.asked() is not None:
            assert told.wait(5), "the caller was not told before the answer"
            told.clear()
            visit.send(whole(b"{}"))

    async def use(engine: WireEngine, host: Host) -> None:
        for _ in range(2):  # on a new connection, and on a kept one
            response = await engine.open("/x", Head({}), b"{}", sent=told.set)
            assert (response.status, await rest(response)) == (200, b"{}")
            response.release()
        assert len(host.visits) == 1

    run(loop, script, use)


def silent(visit: Visit) -> None:
    """A host that reads requests and answers none."""
    visit.gone()


def gushing(visit: Visit) -> None:
    """A host that sends 100 MB as fast as they are taken."""
    visit.asked()
    visit.send(head(f"Content-Length: {100 * MB}"))
    for _ in range(100):
        visit.send(b"x" * MB)
    visit.gone()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    try:
        return certificate(tmp_path_factory.mktemp("tls"))
    except FileNotFoundError:
        pytest.skip("TLS IS NOT TESTED: there is no openssl command to make a certificate with")


@pytest.mark.parametrize("secure", [False, True])
def test_host_is_held_back_by_a_slow_reader(loop: Loop, signed: tuple[Path, ssl.SSLContext], *, secure: bool) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        response = await engine.open("/x", Head({}), b"{}")
        await asyncio.sleep(0.5)
        blocked = host.visits[0].sent
        assert blocked < 20 * MB, "what the operating system buffers, and not much more"
        await asyncio.sleep(0.2)
        assert host.visits[0].sent == blocked
        size = most = 0
        while data := await response.read():
            most = max(most, len(data))
            size += len(data)
        assert size == 100 * MB
        assert most <= 4 * HIGH_WATER
        await response.aclose()

    run(loop, gushing, use, signed if secure else None)


def test_slow_reader_may_leave_at_any_time(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        for leave in (WireResponse.aclose, WireResponse.release):
            response = await engine.open("/x", Head({}), b"{}")
            assert isinstance(response, WireResponse)
            assert await response.read()
            await asyncio.sleep(0.05)
            if (left := leave(response)) is not None:
                await left
            await until(lambda: engine.users == 0, 1.5)

    run(loop, gushing, use)


def test_256_requests_at_once_share_256_connections_again_and_again(
    loop: Loop,
) -> None:
    together = threading.Barrier(256, timeout=20)

    def script(visit: Visit) -> None:
        while visit.asked() is not None:
            together.wait()
            visit.send(whole(b"%d" % visit.number))

    async def use(engine: WireEngine, host: Host) -> None:
        async def one() -> bytes:
            response = await engine.open("/x", Head({}), b"{}")
            body = await rest(response)
            await response.aclose()
            return body

        for _ in range(3):
            bodies = await asyncio.gather(*(one() for _ in range(256)))
            assert {int(body) for body in bodies} == set(range(256))
        assert len(host.visits) == 256

    run(loop, script, use)


def test_connections_are_no_more_than_allowed(loop: Loop) -> None:
    """Also where answers are released before their end, whose connections are in use until it comes."""

    async def use(engine: WireEngine, host: Host) -> None:
        async def one(number: int) -> None:
            response = await engine.open("/x", Head({}), b"{}")
            assert await response.read() == b"[DONE]"
            if number % 3:
                response.release()
            else:
                await response.aclose()

        await asyncio.gather(*(one(number) for number in range(40)))
        await until(lambda: engine.users == 0)
        assert len(host.requests) == 40
        # The host learns of a close a moment after it, so one connection more may seem open for each that was closed.
        assert len(engine._all) <= 4

    most = 0

    class Counted(Connection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal most
            super().connection_made(transport)
            Counted.open += 1
            most = max(most, Counted.open)

        def abort(self) -> None:
            if self._transport is not None and not self._transport.is_closing():
                Counted.open -= 1
            super().abort()

        open = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "Connection", Counted)
        run(loop, always(head(CHUNKED) + chunked(b"[DONE]"), 0.01, chunked(b"")), use, max_connections=4)
    assert most == 4


def test_places_are_given_in_the_order_in_which_they_were_asked_for(
    loop: Loop,
) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        async def one(number: int) -> None:
            assert str(await ask(engine, f"/{number}")) == "200 hello"

        await asyncio.gather(*(one(number) for number in range(30)))
        paths = [request.split(b" ")[1] for _, request in host.requests]
        assert paths == [b"/%d" % number for number in range(30)]
        assert len(host.visits) == 1

    run(loop, always(whole()), use, max_connections=1)


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=SOON_S)
    assert task.cancelled()


def test_request_can_be_cancelled_while_it_waits_for_a_place(
    loop: Loop,
) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        response = await engine.open("/x", Head({}), b"{}")
        waiting = [asyncio.create_task(engine.open("/y", Head({}), b"{}")) for _ in range(3)]
        await asyncio.sleep(0.02)
        for task in waiting[:2]:
            await cancelled(task)
        assert engine.users == 2
        await response.aclose()
        await (await waiting[2]).aclose()
        assert len(host.requests) == 2

    run(loop, always(whole()), use, max_connections=1)


def test_request_can_be_cancelled_at_the_moment_it_gets_its_place(
    loop: Loop,
) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        response = await engine.open("/x", Head({}), b"{}")
        task = asyncio.create_task(engine.open("/y", Head({}), b"{}"))
        await asyncio.sleep(0.02)
        await response.aclose()
        await cancelled(task)
        assert str(await ask(engine)) == "200 hello"

    run(loop, always(whole()), use, max_connections=1)


@pytest.mark.parametrize("secure", [False, True])
def test_request_can_be_cancelled_while_it_waits_for_the_head(
    loop: Loop, signed: tuple[Path, ssl.SSLContext], *, secure: bool
) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        task = asyncio.create_task(engine.open("/x", Head({}), b"{}"))
        await until(lambda: host.open == 1)
        await asyncio.sleep(0.05)
        await cancelled(task)
        await until(lambda: host.open == 0, SOON_S)
        assert engine.users == 0

    run(loop, silent, use, signed if secure else None)


def test_request_can_be_cancelled_in_the_handshake(loop: Loop) -> None:
    async def use(engine: WireEngine, host: Host) -> None:
        secure = WireEngine(Provider("p", host.url.replace("http:", "https:")))
        task = asyncio.create_task(secure.open("/x", Head({}), b"{}"))
        await until(lambda: host.open == 1)
        await cancelled(task)
        await until(lambda: host.open == 0, SOON_S)
        assert secure.users == 0
        await secure.aclose()

    run(loop, silent, use)


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """The URL of a host that lets nobody connect: its queue is full."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@pytest.mark.parametrize("end", ["cancel", "limit", "aclose"])
def test_request_that_waits_for_its_connection_can_be_ended(loop: Loop, end: str) -> None:
    async def main(url: str) -> None:
        before = sockets()
        engine = WireEngine(Provider("p", url, timeouts=Timeouts(connect_s=0.3), max_connections=1))
        tasks = [asyncio.create_task(engine.open("/x", Head({}), b"{}")) for _ in range(2)]
        await asyncio.sleep(0.05)
        if end == "cancel":
            await cancelled(tasks[0])
            await cancelled(tasks[1])
        elif end == "aclose":
            await engine.aclose()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, ProxyError | asyncio.CancelledError) for one in found)
        assert engine.users == 0
        await until(lambda: sockets() <= before)

    with deaf() as url, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main(url))
