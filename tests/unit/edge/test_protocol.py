"""Which requests a client's connection reads, in which order they are answered, and when it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.server import ServerState

from proxy.edge.client_request import ClientRequest
from proxy.edge.listeners import web_config
from proxy.edge.protocol import ClientConnection
from tests.support.connected import GET, POST, Wire, answered, connected, echo, settled


@pytest.mark.parametrize("name", [b"connection", b"proxy-connection"])
def test_http_1_0_is_answered_and_the_connection_ends(name: bytes) -> None:
    written, closed = answered(echo, POST.replace(b"HTTP/1.1\r\nhost: x", b"HTTP/1.0\r\n%b: keep-alive" % name))
    assert written == [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"]
    assert closed


def test_date_of_the_server_stands_in_every_head() -> None:
    async def run() -> bytes:
        async with connected(echo) as (connection, wire):
            for second in (b"1", b"2"):
                connection.server_state.default_headers = [(b"date", second)]
                connection.data_received(POST)
                await settled()
            return b"".join(wire.written)

    written = asyncio.run(run())
    assert [written.count(b"\r\ndate: %b\r\n" % second) for second in (b"1", b"2")] == [1, 1]


@pytest.mark.parametrize("pieces", [[POST[n : n + 1] for n in range(len(POST))], [POST[:-2], b"{", b"}"]])
def test_request_cut_anywhere_is_the_same_request(pieces: list[bytes]) -> None:
    assert answered(echo, *pieces) == answered(echo, POST)


def test_chunks_of_a_body_become_one() -> None:
    head = POST.partition(b"content-length")[0] + b"transfer-encoding: chunked\r\n\r\n"
    written, _ = answered(echo, head + b"1\r\na\r\n", b"2\r\nbc\r\n1", b"\r\nd\r\n0\r\n\r\n")
    assert written[0].endswith(b"\r\n\r\nabcd")


def test_path_is_decoded_and_has_no_query_and_a_repeated_header_is_its_first() -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    async def look(client: ClientRequest) -> None:
        seen.append((client.path, client.headers))
        await echo(client)

    answered(look, b"POST /v1/%61%20b?c=d HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n")
    assert seen == [("/a b", {"host": "x", "x-a": "1", "content-length": "0"})]


def test_pipelined_requests_are_answered_in_their_order_whoever_answers_them() -> None:
    many = b"".join([POST, GET, POST.replace(b"{}", b"[]"), GET.replace(b"/a", b"/b"), POST.replace(b"v1", b"v2")])
    written, closed = answered(echo, many)
    bodies = [one.partition(b"\r\n\r\n")[2] for one in b"".join(written).split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"{}", b"GET /a", b"[]", b"GET /b", b"POST /v2/x"]
    assert not closed


@pytest.mark.parametrize("first", [POST, GET])
def test_request_waits_for_the_answer_before_it(first: bytes) -> None:
    async def run() -> list[bytes]:
        may = asyncio.Event()

        async def late(client: ClientRequest) -> None:
            await may.wait()
            await echo(client)

        async with connected(late) as (connection, wire):
            connection.data_received(POST + first)
            await settled()
            assert wire.written == []
            assert not wire.reading  # what follows is not even read
            may.set()
            await settled()
            assert wire.reading
            return wire.written

    assert len(b"".join(asyncio.run(run())).split(b"HTTP/1.1 200 OK")) == 3


def test_idle_connection_is_closed_and_one_that_is_answered_is_not() -> None:
    async def run() -> list[bool]:
        may = asyncio.Event()

        async def late(client: ClientRequest) -> None:
            await may.wait()
            await echo(client)

        found = []
        async with connected(late) as (connection, wire):
            connection.data_received(POST)
            await asyncio.sleep(0.12)
            found.append(wire.closed)
            may.set()
            await settled()
            found.append(wire.closed)
            await asyncio.sleep(0.12)
            found.append(wire.closed)
        return found

    assert asyncio.run(run()) == [False, False, True]


def test_server_that_stops_closes_what_is_idle_and_ends_connections_after_their_answer() -> None:
    async def run() -> list[tuple[bool, int]]:
        may = asyncio.Event()

        async def late(client: ClientRequest) -> None:
            await may.wait()
            await echo(client)

        found = []
        async with connected(late) as (connection, wire):
            connection.data_received(POST)
            await settled()
            connection.shutdown()
            found.append((wire.closed, len(connection.tasks)))
            may.set()
            await settled()
            found.append((wire.closed, len(connection.tasks)))
            assert b"connection: close" in wire.written[0]
        return found

    assert asyncio.run(run()) == [(False, 1), (True, 0)]


async def plain(_: Any, __: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_application_that_relays_nothing_gets_every_request() -> None:
    async def run() -> bytes:
        config = web_config(plain, 1.0, lifespan=False)
        config.load()
        wire, state = Wire(), ServerState()
        connection = ClientConnection(config=config, server_state=state, app_state={})
        connection.connection_made(wire)
        connection.data_received(POST)
        await asyncio.gather(*state.tasks)
        connection.connection_lost(None)
        return b"".join(wire.written)

    assert asyncio.run(run()).endswith(b"\r\n\r\nok")
