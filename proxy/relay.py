"""The pump: one request between its client and its upstream, and the one place where a request ends.

attempts ─► outlet ─► client          one task reads the upstream, one writes to the client,
              ▲                       one waits for the client to leave
          heartbeat
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any
from urllib.parse import quote

from proxy.core.codec import dumps
from proxy.core.errors import InternalError, Outcome, ProxyError, ShuttingDown
from proxy.telemetry.exchange import Exchange
from proxy.telemetry.logs import Log
from proxy.telemetry.metrics import Metrics
from proxy.upstream.attempt import EVENT_STREAM, Kind
from proxy.upstream.attempts import Attempts, Plan
from proxy.upstream.raw import error_event

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

KEEP_ALIVE = b": keep-alive\n\n"
_VISIBLE = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
HIGH_WATER = 256 * 1024
"""Bytes waiting for a slow client, above which the upstream is not read."""


class ClientGoneError(Exception):
    """The client closed its connection."""


class Drain:
    """Whether the process is stopping. Open exchanges may finish until the time is up; then they are interrupted."""

    def __init__(self) -> None:
        self.begun = False
        self._open: set[Attempts] = set()

    def begin(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """The process is stopping; `seconds` are left for open streams."""
        if not self.begun:
            self.begun = True
            loop.call_later(seconds, self._interrupt)

    def _interrupt(self) -> None:
        for attempts in tuple(self._open):
            attempts.interrupt(ShuttingDown("The proxy is shutting down. Send the request again."))

    @contextlib.contextmanager
    def knows(self, attempts: Attempts) -> Iterator[None]:
        """These attempts are running for the length of a `with` block."""
        self._open.add(attempts)
        try:
            yield
        finally:
            self._open.discard(attempts)


class Outlet:
    """The client's side of one exchange: begins once, sends what there is in one piece, ends once."""

    def __init__(self, send: Send, exchange: Exchange, clock: Callable[[], float]) -> None:
        self._send = send
        self._exchange = exchange
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._started = False
        self._begun = False
        self._closed = False
        self._cut = False
        self.ended = False
        self._beat = False
        self._boundary = True
        self._sent_at = self._loop.time()
        self._content_type = EVENT_STREAM
        self._status = 200
        self._held = bytearray()
        self._ready = bytearray()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._heartbeat_s = 0.0
        self._beat_handle: asyncio.TimerHandle | None = None
        self.committed = False
        self.full = False

    # What attempts do (the `Sink` of proxy.upstream.attempt).

    def hold(self, data: bytes) -> None:
        """Keeps bytes back until `begin`, at most one heartbeat; see there."""
        if self.committed:
            self.write(data)
        else:
            self._held += data

    def drop(self) -> None:
        """Throws away what is held back."""
        self._held.clear()

    def begin(self, content_type: str, status: int = 200) -> None:
        """The response begins, with what is held back."""
        if not self._started:
            self._content_type, self._status = content_type or "application/octet-stream", status
        self._begun = self.committed = True
        self._ready += self._held
        self._held.clear()
        self._wake.set()

    def write(self, data: bytes) -> None:
        """Sent together with all else that is there when the upstream has nothing more at hand."""
        self._ready += data
        if len(self._ready) > HIGH_WATER:
            self.full = True
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Waits until the client has taken what is waiting."""
        if self.full:
            await self._room.wait()

    # What the relay does.

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._wake.set()

    async def run(self, heartbeat_s: float) -> None:
        """Writes until closed; sends a comment whenever nothing was sent for `heartbeat_s` seconds (0: never)."""
        if heartbeat_s:
            self._heartbeat_s = heartbeat_s
            self._sent_at = self._loop.time()
            self._beat_handle = self._loop.call_later(heartbeat_s, self._tick)
        try:
            while not self._closed:
                await self._wake.wait()
                self._wake.clear()
                await self._flush()
            await self._flush()
            if self._started and not self._cut and not self.ended:
                self.ended = True
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if self._beat_handle is not None:
                self._beat_handle.cancel()

    def _tick(self) -> None:
        left = self._sent_at + self._heartbeat_s - self._loop.time()
        if left <= 0:
            self._beat = True
            self._wake.set()
            left = self._heartbeat_s
        self._beat_handle = self._loop.call_later(max(left, 0.001), self._tick)

    async def _flush(self) -> None:
        if self.ended:
            return
        beat, self._beat = self._beat, False
        if beat and not self._begun and self._held:
            # A role alone has waited long enough. It names an answer, so from here on no other target may give it.
            self.committed = True
            self._ready += self._held
            self._held.clear()
        data = bytes(self._ready)
        self._ready.clear()
        if beat and not data and self._boundary:
            await self._out(KEEP_ALIVE)
        elif data or (self._begun and not self._started):
            self._boundary = data.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
            await self._out(data)
            timeline = self._exchange.timeline
            if timeline.first_sent is None:
                timeline.first_sent = self._clock()
        self.full = False
        self._room.set()

    async def _out(self, data: bytes) -> None:
        if not self._started:
            await self._start(self._status, [(b"content-type", self._content_type.encode("latin-1", "replace"))])
        self._sent_at = self._loop.time()
        self._exchange.bytes_out += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _start(self, status: int, headers: list[Header]) -> None:
        self._started = True
        self._exchange.status = status
        if self._content_type.startswith("text/event-stream"):
            headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        headers += _exchange_headers(self._exchange)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def whole(self, body: bytes, status: int = 200, extra: list[Header] | None = None) -> None:
        """The response in one piece: a whole answer, or an error with its real status."""
        self._content_type = "application/json"
        length = str(len(body)).encode()
        await self._start(status, [(b"content-type", b"application/json"), (b"content-length", length), *(extra or [])])
        self._exchange.bytes_out += len(body)
        self.ended = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        self._exchange.timeline.first_sent = self._clock()

    async def fail(self, error: ProxyError) -> None:
        """The request ends with this error: a real status where nothing has left yet, else an error event."""
        self._exchange.failed(error)
        if not self._started:
            await self.whole(dumps(error.body()), error.status, _error_headers(error))
        elif self._content_type.startswith("text/event-stream"):
            self.write(error_event(error))
        else:
            # Bytes that are no event stream can only be cut off, by not completing the response.
            self._cut = True


class Relay:
    """Runs exchanges. `clock` gives monotonic seconds."""

    def __init__(self, metrics: Metrics, log: Log, drain: Drain, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._log = log
        self._drain = drain
        self._clock = clock

    async def run(
        self, exchange: Exchange, receive: Receive, outlet: Outlet, plan: Callable[[], Awaitable[Plan]]
    ) -> None:
        """One request from its head to its end. `plan` reads and judges it, and raises the error that it deserves."""
        in_flight = None
        try:
            asked = await plan()
            if exchange.stream:
                in_flight = exchange.target
                in_flight.opened()
            await self._pump(exchange, receive, outlet, asked)
        except ProxyError as error:
            await outlet.fail(error)
        except ClientGoneError:
            exchange.outcome = Outcome.CLIENT_DISCONNECT
        except asyncio.CancelledError:
            exchange.outcome = Outcome.SHUTDOWN
            raise
        except Exception as error:  # noqa: BLE001 - the one catch-all
            await self._bug(exchange, outlet, error)
        finally:
            if in_flight is not None:
                in_flight.closed()
            exchange.end(self._clock())
            self._metrics.ended(exchange)
            self._log.request(exchange)

    async def _bug(self, exchange: Exchange, outlet: Outlet, error: Exception) -> None:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        at = None if where is None else f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}"
        self._log.event("error", "bug", request_id=exchange.request_id, exception=type(error).__name__, at=at)
        with contextlib.suppress(Exception):
            await outlet.fail(
                InternalError(f"The proxy failed. Report this with the request id {exchange.request_id}.")
            )

    async def _pump(self, exchange: Exchange, receive: Receive, outlet: Outlet, plan: Plan) -> None:
        attempts = Attempts(plan, exchange, outlet, self._clock)
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(_watch(receive, outlet))
                with self._drain.knows(attempts):
                    if plan.kind is Kind.WHOLE:
                        await _answer(attempts, outlet)
                    else:
                        await _stream(attempts, outlet, group, plan.heartbeat_s)
                watcher.cancel()
        except BaseExceptionGroup as several:
            raise _first(several) from None


async def _answer(attempts: Attempts, outlet: Outlet) -> None:
    try:
        body = await attempts.run()
    except ProxyError as error:
        await outlet.fail(error)
    else:
        await outlet.whole(body)


async def _stream(attempts: Attempts, outlet: Outlet, group: asyncio.TaskGroup, heartbeat_s: float) -> None:
    writer = group.create_task(outlet.run(heartbeat_s))
    try:
        await attempts.run()
    except ProxyError as error:
        await outlet.fail(error)
    outlet.close()
    await writer


async def _watch(receive: Receive, outlet: Outlet) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    # Servers also say so once the response is complete.
    if not outlet.ended:
        raise ClientGoneError


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    for error in several.exceptions:
        if isinstance(error, ClientGoneError):
            return error
    return several.exceptions[0]


def _exchange_headers(exchange: Exchange) -> list[Header]:
    headers = [(b"x-request-id", exchange.request_id.encode())]
    if exchange.answering:
        headers.append((b"x-reasoning-proxy-target", _visible(exchange.answering)))
    if exchange.attempts:
        headers.append((b"x-reasoning-proxy-attempts", str(exchange.attempts).encode()))
    if exchange.notes:
        headers.append((b"x-reasoning-proxy-notes", _visible(", ".join(exchange.notes))))
    return headers


def _visible(text: str) -> bytes:
    """A header's value; what may not stand in one (a model's name can be the client's) is percent-encoded."""
    return quote(text, safe=_VISIBLE).encode()


def _error_headers(error: ProxyError) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in error.headers().items()]
