"""A client's connection on a transport that only keeps what is written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from uvicorn.server import ServerState

from proxy.edge.client_request import ClientRequest
from proxy.edge.listeners import web_config
from proxy.edge.protocol import ClientConnection

POST = b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
Answer = Callable[[ClientRequest], Coroutine[Any, Any, None]]


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class App:
    """Says its path by ASGI, and relays as `relayed` does."""

    def __init__(self, relayed: Answer) -> None:
        self.relayed = relayed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        body = f"{scope['method']} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected(relayed: Answer) -> AsyncIterator[tuple[ClientConnection, Wire]]:
    """A connection whose requests are answered by `relayed`; lost at the end."""
    config = web_config(App(relayed), 1.0, lifespan=False)
    config.timeout_keep_alive = 0.05  # type: ignore[assignment]
    config.load()
    wire, state = Wire(), ServerState()
    connection = ClientConnection(config=config, server_state=state, app_state={})
    connection.connection_made(wire)
    try:
        yield connection, wire
        await settled()
    finally:
        connection.connection_lost(None)
        await asyncio.gather(*state.tasks, return_exceptions=True)


async def settled() -> None:
    """All that can go on without anything new has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def answered(relayed: Answer, *pieces: bytes) -> tuple[list[bytes], bool]:
    """What is written for these pieces of requests, and whether the connection was closed."""

    async def run() -> tuple[list[bytes], bool]:
        async with connected(relayed) as (connection, wire):
            for piece in pieces:
                connection.data_received(piece)
                await settled()
            return wire.written, wire.closed

    return asyncio.run(run())


async def echo(client: ClientRequest) -> None:
    """Answers with the body."""
    await client.arrival(1000)
    client.whole(200, "", client.take())
