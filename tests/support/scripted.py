"""An upstream that does on its socket exactly what a test says, byte by byte."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asked:
    """One request as it arrived. `connection` numbers the connections from 0."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    on_connection: int
    """How many requests this connection had before."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """The answering side of a connection."""

    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _chunked: bool = False

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, content_type: str = "text/event-stream", **headers: str) -> None:
        """The head of a chunked answer."""
        lines = [f"HTTP/1.1 {status} Said", f"content-type: {content_type}", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def event(self, value: Any) -> None:
        await self.chunk(b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n")

    async def events(self, *values: Any) -> None:
        """A whole stream: head, events, `[DONE]`, end."""
        await self.head()
        for value in values:
            await self.event(value)
        await self.event(b"[DONE]")
        await self.end()

    async def whole(self, value: Any, status: int = 200, **headers: str) -> None:
        """A body of known length."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        lines = [f"HTTP/1.1 {status} Said", "content-type: application/json", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {content}" for name, content in headers.items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode() + body)

    async def gone(self, seconds: float = 5.0) -> bool:
        """Waits for the other side to close; False where it does not in time."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
            return True
        return False

    def close(self) -> None:
        self.writer.close()


Script = Callable[[Asked, Wire], Awaitable[None]]


@dataclass
class Upstream:
    """A running upstream. `script` may be changed at any time."""

    url: str
    asked: list[Asked]
    script: Script
    connections: int = 0


class _Server:
    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.stopping = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, count = self.upstream.connections, 0
        self.upstream.connections += 1
        wire = Wire(writer, reader)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing() and (asked := await _request(reader, number, count)) is not None:
                    self.upstream.asked.append(asked)
                    count += 1
                    await self.upstream.script(asked, wire)
        finally:
            writer.transport.abort() if self.stopping else writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _request(reader: asyncio.StreamReader, connection: int, count: int) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body, connection, count)


@contextmanager
def scripted(script: Script) -> Iterator[Upstream]:
    """Runs an upstream in a thread for the length of a `with` block."""
    upstream = Upstream("", [], script)
    loop = asyncio.new_event_loop()
    serving = _Server(upstream)
    server = loop.run_until_complete(asyncio.start_server(serving.serve, "127.0.0.1", 0))
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        serving.stopping = True
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def delta(content: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a stream."""
    choices = [{"index": 0, "delta": content or {}, "finish_reason": finish}]
    return {"id": "up-1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices, **more}


def answer(content: str = "Hi", reasoning: str = "Hm", **more: Any) -> dict[str, Any]:
    """A whole answer."""
    message = {"role": "assistant", "content": content, "reasoning_content": reasoning}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "up-1", "object": "chat.completion", "created": 7, "model": "m", "choices": choices, **more}
