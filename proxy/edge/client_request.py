"""One relayed request on a client's connection: its head, its body as it arrives, and its response as it is written."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from proxy.core.codec import dumps
from proxy.core.errors import InternalError
from proxy.relay import ClientGoneError
from proxy.upstream.chunked import CRLF, HEADS, SMALL

if TYPE_CHECKING:
    from proxy.edge.protocol import ClientConnection

_BODILESS = (204, 304)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientRequest:
    """What the connection tells of a request, and what is told to its client (the `Client` of proxy.relay).

    In its connection it stands where uvicorn has a `RequestResponseCycle`, and has those names of it that are read there.
    """

    __slots__ = (
        *("_body", "_chunked", "_connection", "_head", "_left", "_most", "_transport", "_waiter", "_watched"),
        *("arriving", "disconnected", "flow", "headers", "keep_alive", "path", "response_complete", "response_started"),
        *("size", "task"),
    )

    task: asyncio.Task[None]

    def __init__(self, connection: "ClientConnection", path: str, headers: dict[str, str], keep_alive: bool) -> None:
        self._connection = connection
        self._transport = connection.transport
        self.flow: FlowControl = connection.flow
        self.path = path
        """Below `/v1`, decoded, without the query."""
        self.headers = headers
        """Lower-case name → value; of a repeated header the first."""
        self.keep_alive = keep_alive
        self.arriving = True
        """Its body is not complete yet."""
        self.size = 0
        """Bytes of the body that are there."""
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self._body: bytes | bytearray = b""
        self._most = 0
        """Bytes of a body that are waited for; with more than that it is too large."""
        self._waiter: asyncio.Future[None] | None = None
        self._watched = False
        self._left = False
        self._head = b""
        self._chunked = False

    def begin(self, answer: Callable[["ClientRequest"], Coroutine[Any, Any, None]]) -> None:
        """Its turn has come: `answer` runs in a task of its own."""
        try:
            answering = answer(self)
        except Exception as error:  # noqa: BLE001 - what the parser's callbacks raise would be told as the client's mistake
            self._broke(error)
            return
        tasks = self._connection.tasks
        self.task = task = self._connection.loop.create_task(answering)
        tasks.add(task)
        task.add_done_callback(self._over)

    # The body.

    def feed(self, data: bytes) -> None:
        """A piece of the body. Nobody reads on while much of it is there that nobody has asked for."""
        if self.response_complete:
            return
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        self.size += len(data)
        if self._waiter is None:
            if self.size > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
        elif self.size > self._most:
            self._wake()

    def take_in(self, body: bytes) -> None:
        """The whole body at once, of a request that has not begun."""
        self._body, self.size, self.arriving = body, len(body), False
        if self.size > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def feed_end(self) -> None:
        """The body is complete."""
        self.arriving = False
        if self._waiter is not None:
            self._wake()

    async def arrival(self, most: int) -> None:
        """Waits until the body is complete, has more than `most` bytes, or the client is gone."""
        if self.headers.get("expect", "").lower() == "100-continue" and not self._transport.is_closing():
            self._transport.write(_CONTINUE)
        self._most = most
        while self.arriving and self.size <= most and not self.disconnected:
            self._waiter = self._connection.loop.create_future()
            self.flow.resume_reading()
            await self._waiter
            self._waiter = None

    def take(self) -> bytes:
        """The body, once. Raises ClientGoneError where the client has left."""
        if self.disconnected:
            raise ClientGoneError
        body, self._body = bytes(self._body), b""
        return body

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The client's leaving.

    def lost(self) -> None:
        """The connection is closed."""
        self.disconnected = True
        self._wake()
        if self._watched and not self.response_complete:
            self._left = True
            self.task.cancel()

    def watch(self) -> None:
        """From now on the request's task is cancelled when the client leaves. Raises ClientGoneError if it has left."""
        if self._transport.is_closing():
            raise ClientGoneError
        self._watched = True
        if self.flow.read_paused:
            self.flow.resume_reading()  # a connection that is not read does not tell of its end

    def gone(self) -> bool:
        """Whether the cancellation that the task has just caught came from the client's leaving."""
        if self._left:
            while self.task.uncancel():
                pass
        return self._left

    # The response.

    def start(self, status: int, fields: str) -> None:
        """A response of unknown length; its head leaves with its first piece."""
        self._chunked = status not in _BODILESS
        framing = "transfer-encoding: chunked\r\n\r\n" if self._chunked else "\r\n"
        opening = _openings.of(status, self._connection.server_state.default_headers, self.keep_alive)
        self._head = f"{opening}{fields}{framing}".encode("latin-1", "replace")

    def write(self, data: bytes, last: bool = False) -> bool:
        """A piece of it, the last one or not, in one write. True: the client is to be waited for."""
        if self.disconnected:
            return False
        if self._chunked:
            if data:
                size = len(data)
                data = HEADS[size] + data + CRLF if size < SMALL else b"%x\r\n%b\r\n" % (size, data)
            if last:
                data += b"0\r\n\r\n"
        if self._head:
            self.response_started = True
            data, self._head = self._head + data, b""
        self._transport.write(data)
        if last:
            self._done()
        return self.flow.write_paused

    def whole(self, status: int, fields: str, body: bytes) -> None:
        """A whole response, in one write."""
        if self.disconnected:
            return
        opening = _openings.of(status, self._connection.server_state.default_headers, self.keep_alive)
        head = f"{opening}content-length: {len(body)}\r\n{fields}\r\n"
        self.response_started = True
        self._transport.write(head.encode("latin-1", "replace") + body)
        self._done()

    def _done(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self._transport.close()
        self._connection.on_response_complete()

    # Its end.

    def _over(self, task: asyncio.Task[None]) -> None:
        self._connection.tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._broke(error)
        elif not self.response_complete and not self.disconnected:
            self._transport.close()  # an answer that was cut off

    def _broke(self, error: BaseException) -> None:
        self._connection.logger.error("A request broke off.", exc_info=error)
        self.keep_alive = False
        if self.response_started:
            self._transport.close()
        else:
            body = dumps(InternalError("The proxy failed.").body())
            self.whole(InternalError.status, "content-type: application/json\r\n", body)


class _Openings:
    """How heads begin: the same for a second, which is how long the web server keeps one list of fields with its date."""

    __slots__ = ("_defaults", "_known")

    def __init__(self) -> None:
        self._defaults: list[tuple[bytes, bytes]] = []
        self._known: dict[int, str] = {}
        """By status, of connections that stay open; by its negative, of those that do not."""

    def of(self, status: int, defaults: list[tuple[bytes, bytes]], keep_alive: bool) -> str:
        if defaults is not self._defaults:
            self._defaults, self._known = defaults, {}
        key = status if keep_alive else -status
        if key not in self._known:
            lines = [STATUS_LINE[status], *[b"%b: %b\r\n" % field for field in defaults]]
            self._known[key] = b"".join(lines).decode("latin-1") + ("" if keep_alive else "connection: close\r\n")
        return self._known[key]


_openings = _Openings()
