"""One relayed request: its body, its client's leaving, and its response as it is written."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from proxy.edge.client_request import ClientRequest
from proxy.relay import ClientGoneError
from tests.support.connected import POST, Answer, answered, connected, echo, settled


def sending(*steps: Callable[[ClientRequest], object]) -> Answer:
    async def answer(client: ClientRequest) -> None:
        for step in steps:
            step(client)

    return answer


def start(status: int = 200, fields: str = "") -> Callable[[ClientRequest], object]:
    return lambda client: client.start(status, fields)


def piece(data: bytes) -> Callable[[ClientRequest], object]:
    return lambda client: client.write(data)


def end(data: bytes) -> Callable[[ClientRequest], object]:
    return lambda client: client.write(data, last=True)


def test_head_leaves_with_the_first_piece_and_pieces_are_chunks() -> None:
    steps = (start(fields="x-a: 1\r\n"), piece(b"one"), piece(b"two"), end(b""))
    assert answered(sending(*steps), POST) == (
        [
            b"HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
            b"3\r\ntwo\r\n",
            b"0\r\n\r\n",
        ],
        False,
    )


def test_response_of_one_piece_is_one_write() -> None:
    written, _ = answered(sending(start(), end(b"one")), POST)
    assert written == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"]


def test_piece_without_a_byte_does_not_end_the_response() -> None:
    written, _ = answered(sending(start(), piece(b""), end(b"x")), POST)
    assert written == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n0\r\n\r\n"]


def test_body_of_known_length_is_not_chunked_and_the_connection_ends_where_the_client_wants_it() -> None:
    written, closed = answered(echo, POST.replace(b"host: x", b"connection: close"))
    assert written == [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"]
    assert closed


def test_response_without_a_body_has_no_framing() -> None:
    assert answered(sending(start(204), end(b"")), POST)[0] == [b"HTTP/1.1 204 No Content\r\n\r\n"]


def test_body_is_asked_for_once_where_the_client_waits_for_that() -> None:
    head, body = POST.replace(b"host", b"expect: 100-Continue\r\nhost")[:-2], b"{}"
    written, _ = answered(echo, head, body)
    assert written[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert written[1].startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(written) == 2


def test_refusal_needs_no_body() -> None:
    written, _ = answered(sending(lambda client: client.whole(401, "", b"no")), POST[:-2], POST[-2:], POST)
    assert [data[:12] for data in written] == [b"HTTP/1.1 401"] * 2


def test_body_that_nobody_has_asked_for_is_not_read_on() -> None:
    async def run() -> None:
        may = asyncio.Event()

        async def late(client: ClientRequest) -> None:
            await may.wait()
            await client.arrival(10 * HIGH_WATER_LIMIT)
            client.whole(200, "", b"%d" % len(client.take()))

        async with connected(late) as (connection, wire):
            size = 2 * HIGH_WATER_LIMIT
            connection.data_received(POST.replace(b"h: 2\r\n\r\n{}", b"h: %d\r\n\r\n" % size))
            await settled()
            connection.data_received(b" " * (HIGH_WATER_LIMIT + 1))
            assert not wire.reading
            may.set()
            await settled()
            assert wire.reading
            connection.data_received(b" " * (HIGH_WATER_LIMIT - 1))
            await settled()
            assert wire.written[0].endswith(b"\r\n\r\n%d" % size)

    asyncio.run(run())


def test_body_larger_than_what_is_waited_for_ends_the_waiting() -> None:
    async def judge(client: ClientRequest) -> None:
        await client.arrival(3)
        client.whole(413 if client.size > 3 else 200, "", b"")

    head = POST.replace(b"h: 2\r\n\r\n{}", b"h: 6\r\n\r\n")
    assert answered(judge, head, b"ab", b"cd")[0][0].startswith(b"HTTP/1.1 413 ")


def test_client_that_takes_nothing_is_waited_for() -> None:
    async def run() -> None:
        said: list[bool] = []

        async def answer(client: ClientRequest) -> None:
            client.start(200, "")
            said.append(client.write(b"one"))
            await asyncio.sleep(0)
            said.append(client.write(b"two"))
            await client.flow.drain()
            client.write(b"three", last=True)

        async with connected(answer) as (connection, wire):
            connection.data_received(POST)
            await asyncio.sleep(0)
            connection.pause_writing()
            await settled()
            assert said == [False, True]
            assert b"three" not in wire.written[-1]
            connection.resume_writing()
            await settled()
            assert b"three" in wire.written[-1]

    asyncio.run(run())


@pytest.mark.parametrize("watched", [True, False])
def test_leaving_client_is_told_of_once_and_gets_nothing_more(watched: bool) -> None:
    async def run() -> list[str]:
        told: list[str] = []

        async def answer(client: ClientRequest) -> None:
            if watched:
                client.watch()
            try:
                client.start(200, "")
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                told.append("left" if client.gone() else "cancelled")
            client.write(b"one")
            client.write(b"two", last=True)
            with contextlib.suppress(ClientGoneError):
                client.take()
                told.append("took")

        async with connected(answer) as (connection, wire):
            connection.data_received(POST)
            await asyncio.sleep(0)
            wire.closed = True
            connection.connection_lost(None)
            await asyncio.sleep(0.02)
            assert wire.written == []
        return told

    assert asyncio.run(run()) == (["left"] if watched else [])


def test_client_that_leaves_before_its_body_is_there_ends_the_waiting() -> None:
    async def run() -> bool:
        gone = asyncio.Event()

        async def answer(client: ClientRequest) -> None:
            try:
                await echo(client)
            except ClientGoneError:
                gone.set()

        async with connected(answer) as (connection, wire):
            connection.data_received(POST[:-1])
            await settled()
            wire.closed = True
            connection.connection_lost(None)
            await settled()
            return gone.is_set()

    assert asyncio.run(run())


def test_request_whose_connection_is_being_closed_is_not_worked_on() -> None:
    async def answer(client: ClientRequest) -> None:
        with contextlib.suppress(ClientGoneError):
            client.watch()
            client.whole(200, "", b"")

    async def run() -> list[bytes]:
        async with connected(answer) as (connection, wire):
            connection.data_received(POST)
            wire.closed = True
            await settled()
            return wire.written

    assert asyncio.run(run()) == []


async def fails(client: ClientRequest) -> None:
    await client.arrival(2)
    raise LookupError("secret")


def fails_at_once(client: ClientRequest) -> Coroutine[Any, Any, None]:
    raise LookupError(client.path)


async def is_cancelled(client: ClientRequest) -> None:
    client.task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("answer", [fails, fails_at_once, is_cancelled])
def test_failure_is_a_500_of_ours_and_ends_the_connection(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    written, closed = answered(answer, POST)
    assert written[0].startswith(b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n")
    assert b'"code":"internal_error"' in written[0]
    assert b"secret" not in written[0]
    assert closed
    assert [record.message for record in caplog.records] == ["A request broke off."]


async def fails_later(client: ClientRequest) -> None:
    client.start(200, "")
    client.write(b"one")
    raise LookupError


@pytest.mark.parametrize("answer", [sending(start(), piece(b"one")), fails_later])
def test_answer_that_is_not_completed_is_cut_off(answer: Answer) -> None:
    written, closed = answered(answer, POST)
    assert written == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"]
    assert closed
