"""An upstream on a loopback socket that serves the bodies a test gives it, in the pieces that the test says.

Each piece is a write of its own. A reader that is slower than the writer finds several at once; `pace_s` gives it time
to read them one by one. `tests.support.scripted` is for answers that need a program.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import uvloop

WAIT_S = 10.0
"""No gate is waited for longer than this."""
_POLL_S = 0.002


class Gate:
    """A place in a body at which the upstream waits until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def open(self) -> None:
        self._opened.set()

    async def pass_through(self) -> None:
        self.reached.set()
        until = time.monotonic() + WAIT_S
        while not self._opened.is_set():
            if time.monotonic() > until:
                raise TimeoutError("the test did not open the gate")
            await asyncio.sleep(_POLL_S)


@dataclass(frozen=True)
class Pause:
    """Seconds of silence."""

    seconds: float


Piece = bytes | Gate | Pause
Framing = Literal["chunked", "length", "close"]
"""How the end of a body is told: a last chunk, a length, or the end of the connection."""
Ending = Literal["complete", "close", "reset"]
"""`complete`: the body ends as its framing says. `close`, `reset`: the connection ends in the middle of the body."""


@dataclass(frozen=True)
class Reply:
    """What is answered to one request. `before`: passed through before the head is sent. `pace_s`: between two pieces."""

    pieces: Sequence[Piece]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    framing: Framing = "chunked"
    ending: Ending = "complete"
    before: Gate | None = None
    pace_s: float = 0.0

    @classmethod
    def of_json(cls, value: Any, status: int = 200, **headers: str) -> "Reply":
        """A JSON body of known length."""
        head = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return cls([value if isinstance(value, bytes) else json.dumps(value).encode()], status, head, "length")

    @classmethod
    def of_events(cls, *payloads: Any, done: bool = True, **options: Any) -> "Reply":
        """An event stream, each event a piece; gates and pauses stay what they are."""
        return cls(events(*payloads, done=done), **options)


def events(*payloads: Any, done: bool = True) -> list[Piece]:
    """Payloads as `data:` events; bytes are taken as they are, everything else as JSON."""
    pieces: list[Piece] = []
    for payload in payloads:
        if isinstance(payload, Gate | Pause):
            pieces.append(payload)
        else:
            text = payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()
            pieces.append(b"data: " + text + b"\n\n")
    return [*pieces, b"data: [DONE]\n\n"] if done else pieces


@dataclass
class Asked:
    """One request as it arrived. `left`: the client closed its connection before the answer was complete."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    left: threading.Event = field(default_factory=threading.Event)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answering = Callable[[Asked], Reply]


class Upstream:
    """`asked` are the requests so far. `answering` gives the reply to each, and may be replaced at any time."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: list[Asked] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """A base URL for a provider."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> asyncio.Server:
        """Listens in the running loop."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        early = b""
        try:
            # a cancelled task of a stream server is reported as an error by asyncio of 3.11
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while (asked := await _request(reader, early)) is not None:
                    self.asked.append(asked)
                    early = await _answer(self.answering(asked), asked, reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


async def _request(reader: asyncio.StreamReader, early: bytes) -> Asked | None:
    try:
        head = early + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


async def _answer(reply: Reply, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Sends the reply, unless the client leaves. Gives what the client sent meanwhile, at most one byte."""
    sending = asyncio.create_task(_send(reply, writer))
    watching = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
        early = b""
        if watching.done():
            early = b"" if watching.exception() else watching.result()
            if not early and not sending.done():
                asked.left.set()
                raise ConnectionAbortedError
        await sending
        return early
    finally:
        for task in (sending, watching):
            task.cancel()
        await asyncio.gather(sending, watching, return_exceptions=True)


async def _send(reply: Reply, writer: asyncio.StreamWriter) -> None:
    if reply.before is not None:
        await reply.before.pass_through()
    lines = [f"HTTP/1.1 {reply.status} Answer", *(f"{name}: {value}" for name, value in reply.headers.items())]
    if reply.framing == "chunked":
        lines.append("transfer-encoding: chunked")
    elif reply.framing == "length":
        lines.append(f"content-length: {sum(len(piece) for piece in reply.pieces if isinstance(piece, bytes))}")
    else:
        lines.append("connection: close")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await writer.drain()
    for piece in reply.pieces:
        if isinstance(piece, Gate):
            await piece.pass_through()
        elif isinstance(piece, Pause):
            await asyncio.sleep(piece.seconds)
        elif piece:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.framing == "chunked" else piece)
            await writer.drain()
            await asyncio.sleep(reply.pace_s)
    if reply.ending == "reset":
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, for zero seconds: closing sends RST (socket(7))
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        raise ConnectionAbortedError
    if reply.ending == "close" or reply.framing == "close":
        raise ConnectionAbortedError
    if reply.framing == "chunked":
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@contextmanager
def serving(answering: Answering) -> Iterator[Upstream]:
    """Runs an upstream in a thread of its own for the length of a `with` block."""
    with event_loop() as loop:
        upstream = Upstream(answering)
        server = asyncio.run_coroutine_threadsafe(upstream.start(), loop).result(WAIT_S)
        try:
            yield upstream
        finally:
            asyncio.run_coroutine_threadsafe(upstream.stop(server), loop).result(WAIT_S)


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()
