"""The pump: one request between its client and its upstream, and the one place where a request ends.

attempts ─► outlet ─► client          one task reads the upstream and writes to the client;
              ▲                       it is cancelled when the client leaves
          heartbeat
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
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
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
Leaving = Callable[[Callable[[], None]], None]
"""Takes what is to be called when the client leaves."""

KEEP_ALIVE = b": keep-alive\n\n"
_VISIBLE = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_BOUNDARIES = (b"\n\n", b"\r\n\r\n", b"\r\r")


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
            loop.call_later(seconds, self.interrupt)

    def interrupt(self) -> None:
        """The time is up for all that are open."""
        for attempts in tuple(self._open):
            attempts.interrupt(ShuttingDown("The proxy is shutting down. Send the request again."))

    def entered(self, attempts: Attempts) -> None:
        """These attempts are running from now on."""
        self._open.add(attempts)

    def left(self, attempts: Attempts) -> None:
        """They no longer are."""
        self._open.discard(attempts)


class Outlet:
    """The client's side of one exchange: begins once, sends what there is in one piece, ends once."""

    def __init__(self, send: Send, exchange: Exchange, clock: Callable[[], float]) -> None:
        self._send = send
        self._exchange = exchange
        self._clock = clock
        self._started = False
        self._begun = False
        self._cut = False
        self.ended = False
        self._sending = False
        self._boundary = True
        self._sent_at = 0.0
        self._content_type = EVENT_STREAM
        self._status = 200
        self._held = b""
        self._ready = b""
        self._heartbeat: Heartbeat | None = None
        self.committed = False

    # What attempts do (the `Sink` of proxy.upstream.attempt).

    def hold(self, data: bytes) -> None:
        """Keeps bytes back until `begin`, at most one heartbeat; see there."""
        if self.committed:
            self.write(data)
        else:
            self._held += data

    def drop(self) -> None:
        """Throws away what is held back."""
        self._held = b""

    def begin(self, content_type: str, status: int = 200) -> None:
        """The response begins, with what is held back."""
        if not self._started:
            self._content_type, self._status = content_type or "application/octet-stream", status
        self._begun = True
        self._commit()

    def _commit(self) -> None:
        self.committed = True
        self._ready += self._held
        self._held = b""

    def write(self, data: bytes) -> None:
        """Sent with the next `flush`, or with the end."""
        self._ready += data

    async def flush(self) -> None:
        """Sends what was written, in one piece. Waits while the client is slower than the upstream."""
        if self._heartbeat is not None:
            await self._heartbeat.over()
        data, self._ready = self._ready, b""
        if data or (self._begun and not self._started):
            await self._out(data)

    # What the relay does.

    def beats(self, heartbeat_s: float) -> None:
        """From now on a comment is sent whenever nothing was sent for `heartbeat_s` seconds (0: never)."""
        if heartbeat_s:
            self._sent_at = self._clock()
            self._heartbeat = Heartbeat(self, heartbeat_s)

    def silent_s(self) -> float:
        """Seconds since something was sent; 0 while something is being sent."""
        return 0.0 if self._sending else self._clock() - self._sent_at

    async def beat(self) -> None:
        """Sends what says that we are still there, where something can be said."""
        if self._sending or self.ended:
            return
        if not self._begun and self._held:
            # A role alone has waited long enough. It names an answer, so from here on no other target may give it.
            self._commit()
            data, self._ready = self._ready, b""
            await self._out(data)
        elif self._boundary:
            await self._out(KEEP_ALIVE)

    async def end(self) -> None:
        """Nothing more will come: sends what is left, and ends the response."""
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        data, self._ready = self._ready, b""
        if self.ended:
            return
        self.ended = not self._cut
        await self._out(data, more=self._cut)

    def stop(self) -> None:
        """The client is gone, or has its answer: no timer is left behind."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    async def _out(self, data: bytes, *, more: bool = True) -> None:
        self._sending = True
        if not self._started:
            await self._start(self._status, [(b"content-type", self._content_type.encode("latin-1", "replace"))])
        self._boundary = data.endswith(_BOUNDARIES)
        self._exchange.bytes_out += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
        self._sending = False
        self._sent_at = self._clock()
        if self._exchange.timeline.first_sent is None and self._begun:
            self._exchange.timeline.first_sent = self._sent_at

    async def _start(self, status: int, headers: list[Header]) -> None:
        self._started = True
        self._exchange.status = status
        if self._content_type.startswith("text/event-stream"):
            headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        headers += _exchange_headers(self._exchange)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def whole(self, body: bytes, status: int = 200, extra: Sequence[Header] = ()) -> None:
        """The response in one piece: a whole answer, or an error with its real status."""
        self._content_type = "application/json"
        length = str(len(body)).encode()
        await self._start(status, [(b"content-type", b"application/json"), (b"content-length", length), *extra])
        self._exchange.bytes_out += len(body)
        self.ended = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        self._exchange.timeline.first_sent = self._clock()

    async def fail(self, error: ProxyError) -> None:
        """The request ends with this error: a real status where nothing has left yet, else an error event."""
        self._exchange.failed(error)
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        if not self._started:
            await self.whole(dumps(error.body()), error.status, _error_headers(error))
        elif self._content_type.startswith("text/event-stream"):
            self.write(error_event(error))
        else:
            # Bytes that are no event stream can only be cut off, by not completing the response.
            self._cut = True


class Heartbeat:
    """The comments of one silent stream, on one timer that is set anew only when it goes off."""

    def __init__(self, outlet: Outlet, seconds: float) -> None:
        self._outlet = outlet
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._beating: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        left = self._seconds - self._outlet.silent_s()
        if left <= 0:
            left = self._seconds
            if self._beating is None:
                self._beating = self._loop.create_task(self._beat())
        self._timer = self._loop.call_later(max(left, 0.001), self._tick)

    async def _beat(self) -> None:
        try:
            await self._outlet.beat()
        finally:
            self._beating = None

    async def over(self) -> None:
        """Waits until no comment is on its way, which takes time only where the client takes nothing."""
        if self._beating is not None:
            await self._beating

    async def stop(self) -> None:
        """No further comments."""
        self._timer.cancel()
        await self.over()

    def cancel(self) -> None:
        """No further comments, and none that is on its way."""
        self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()


class Relay:
    """Runs exchanges. `clock` gives monotonic seconds."""

    def __init__(self, metrics: Metrics, log: Log, drain: Drain, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._log = log
        self._drain = drain
        self._clock = clock

    async def run(
        self, exchange: Exchange, outlet: Outlet, leaving: Leaving, plan: Callable[[], Awaitable[Plan]]
    ) -> None:
        """One request from its head to its end. `plan` reads and judges it, and raises the error that it deserves."""
        in_flight = None
        try:
            asked = await plan()
            if exchange.stream:
                in_flight = exchange.target
                in_flight.opened()
            await self._pump(exchange, outlet, leaving, asked)
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
            outlet.stop()
            if in_flight is not None:
                in_flight.closed()
            exchange.end(self._clock())
            if exchange.trace is not None:
                exchange.trace.end(exchange)
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
            await outlet.end()

    async def _pump(self, exchange: Exchange, outlet: Outlet, leaving: Leaving, plan: Plan) -> None:
        attempts = Attempts(plan, exchange, outlet, self._clock)
        client = _Client(outlet)
        leaving(client.left)
        self._drain.entered(attempts)
        try:
            if plan.kind is Kind.WHOLE:
                await outlet.whole(await attempts.run())
            else:
                outlet.beats(plan.heartbeat_s)
                await _stream(attempts, outlet)
        except asyncio.CancelledError:
            if client.gone():
                raise ClientGoneError from None
            raise
        finally:
            self._drain.left(attempts)


async def _stream(attempts: Attempts, outlet: Outlet) -> None:
    try:
        await attempts.run()
    except ProxyError as error:
        await outlet.fail(error)
    await outlet.end()


class _Client:
    """Ends the task of a request whose client leaves."""

    __slots__ = ("_left", "_outlet", "_task")

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._left = False

    def left(self) -> None:
        # Servers also say so once the response is complete.
        if self._task is not None and not self._outlet.ended:
            self._left = True
            self._task.cancel()

    def gone(self) -> bool:
        """Whether the cancellation that the task has just caught came from the client's leaving."""
        if self._left and self._task is not None:
            while self._task.uncancel():
                pass
        return self._left


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
    if text.isascii() and text.isprintable() and "%" not in text:
        return text.encode()
    return quote(text, safe=_VISIBLE).encode()


def _error_headers(error: ProxyError) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in error.headers().items()]
