"""Responses as the proxy's own connections write them."""

import asyncio
from typing import Any

import pytest
from uvicorn.server import ServerState

from proxy.edge.listeners import web_config
from proxy.edge.protocol import LEAVING, ClientConnection

POST = b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def resume_reading(self) -> None:
        """Reading never stopped."""


def answered(
    *messages: dict[str, Any], request: bytes = POST, leaves: bool = False
) -> tuple[list[bytes], list[str], bool]:
    """What is written for these messages, whether the application was told of the client's leaving, and the end."""
    told: list[str] = []

    async def app(scope: Any, _: Any, send: Any) -> None:
        scope["extensions"][LEAVING](lambda: told.append("left"))
        if leaves:
            await asyncio.sleep(0.01)
        for message in messages:
            await send(message)

    async def run() -> tuple[list[bytes], list[str], bool]:
        config = web_config(app, 1.0, lifespan=False)
        config.load()
        wire, state = Wire(), ServerState()
        connection = ClientConnection(config=config, server_state=state, app_state={})
        connection.connection_made(wire)
        connection.data_received(request)
        await asyncio.sleep(0)
        if leaves:
            wire.closed = True
            connection.connection_lost(None)
        await asyncio.gather(*state.tasks, return_exceptions=True)
        closed = wire.closed
        if not leaves:
            connection.connection_lost(None)
        return wire.written, told, closed

    return asyncio.run(run())


def start(status: int = 200, **headers: str) -> dict[str, Any]:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": fields}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def test_head_leaves_with_the_first_piece_and_pieces_are_chunks() -> None:
    written, told, closed = answered(start(x_a="1"), body(b"one", more=True), body(b"two", more=True), body(b""))
    assert written == [
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        b"3\r\ntwo\r\n",
        b"0\r\n\r\n",
    ]
    assert (told, closed) == ([], False)


def test_body_of_known_length_is_not_chunked_and_the_connection_ends_where_the_client_wants_it() -> None:
    request = POST.replace(b"host: x", b"connection: close")
    written, _, closed = answered(start(content_length="2"), body(b"ok"), request=request)
    assert written == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"]
    assert closed


def test_response_without_a_body_has_no_framing() -> None:
    assert answered(start(204), body(b""))[0] == [b"HTTP/1.1 204 No Content\r\n\r\n"]


@pytest.mark.parametrize("value", ["a\r\nx-b: 2", "a\nb", "a\rb", "a\0b"])
def test_line_break_in_a_header_never_leaves(value: str) -> None:
    written, _, __ = answered(start(x_a=value), body(b"one"))
    assert b"500 Internal Server Error" in written[0]
    assert b"x-a" not in b"".join(written)


def test_leaving_client_is_told_of_once_and_gets_nothing_more() -> None:
    written, told, _ = answered(start(), body(b"one"), leaves=True)
    assert (written, told) == ([], ["left"])
