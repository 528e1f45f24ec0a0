"""The pump: one request between its client and its upstream, and the one place where a request ends.

attempts ─► outlet ─► client          one task reads the upstream and writes to the client;
              ▲                       it is cancelled when the client leaves
          heartbeat
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

from proxy.core.codec import dumps
from proxy.core.errors import InternalError, Outcome, ProxyError, ShuttingDown
from proxy.telemetry.exchange import Exchange
from proxy.telemetry.logs import Log
from proxy.upstream.attempt import EVENT_STREAM, Kind
from proxy.upstream.attempts import Attempts, Plan
from proxy.upstream.raw import error_event
from proxy.upstream.sweep import Sweep

KEEP_ALIVE = b": keep-alive\n\n"
_VISIBLE = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_BOUNDARIES = (b"\n\n", b"\r\n\r\n", b"\r\r")
_WHOLE = Kind.WHOLE
_BREAKS = re.compile(r"[\r\n\0]")
_SOON_S = 0.001


class ClientGoneError(Exception):
    """The client closed its connection."""


class Flow(Protocol):
    """How fast a client takes what is sent."""

    write_paused: bool
    """More waits to be taken than should."""

    async def drain(self) -> None:
        """Waits until enough is taken, or the client is gone."""


class Client(Protocol):
    """The client's side of one request. What is written to a client that has left goes nowhere.

    `fields` are lines of a response's head, each with its line break; those of the framing are not among them.
    """

    @property
    def flow(self) -> Flow:
        """How fast it takes what is sent."""

    def watch(self) -> None:
        """From now on the request's task is cancelled when the client leaves. Raises ClientGoneError if it has left."""

    def gone(self) -> bool:
        """Whether the cancellation that the task has just caught came from the client's leaving."""

    def start(self, status: int, fields: str) -> None:
        """A response of unknown length; its head leaves with its first piece."""

    def write(self, data: bytes, last: bool) -> bool:
        """A piece of it, the last one or not, in one write. True: the client is to be waited for."""

    def whole(self, status: int, fields: str, body: bytes) -> None:
        """A whole response, in one write."""


class Call(Protocol):
    """A request that is to be judged."""

    async def plan(self) -> Plan:
        """Reads and judges it. Raises the error that it deserves."""

    def leave(self) -> None:
        """It has ended."""


class Drain:
    """Whether the process is stopping. Open exchanges may finish until the time is up; then they are interrupted."""

    def __init__(self) -> None:
        self.begun = False
        self.open: set[Attempts] = set()
        """Attempts that are running."""

    def begin(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """The process is stopping; `seconds` are left for open streams."""
        if not self.begun:
            self.begun = True
            loop.call_later(seconds, self.interrupt)

    def interrupt(self) -> None:
        """The time is up for all that are open."""
        for attempts in tuple(self.open):
            attempts.interrupt(ShuttingDown("The proxy is shutting down. Send the request again."))


class Outlet:
    """The answer to one exchange: begins once, sends what there is in one piece, ends once.

    `marks` are fields that its head has besides its own.
    """

    _cut = False
    _content_type = EVENT_STREAM
    _status = 200
    _sweep: Sweep | None = None
    _timer: asyncio.TimerHandle | None = None

    # What each read needs has no default in the class: CPython 3.11 would look there first (`_Py_Specialize_LoadAttr`).
    def __init__(self, client: Client, exchange: Exchange, clock: Callable[[], float], marks: str = "") -> None:
        self._client = client
        self._exchange = exchange
        self._clock = clock
        self._marks = marks
        self.committed = False
        self._begun = self._started = self._ended = False
        self._timed = False  # the first bytes of the answer have left
        self._held = self._ready = b""
        self._last = b"\n\n"  # what was sent last
        self._sent_at = 0.0

    # What attempts do (the `Sink` of proxy.upstream.attempt).

    def hold(self, data: bytes) -> None:
        """Keeps bytes back until `begin`, at most one heartbeat; see there."""
        if self.committed:
            self._ready += data
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
        """Sent with the next `push`, or with the end."""
        self._ready += data

    def push(self, data: bytes, now: float) -> bool:
        """Sends what was written, and this, in one piece. True: the client is slower than the upstream: see `drained`."""
        if self._ready:
            data, self._ready = self._ready + data, b""
        if not data and not self._ended and (self._started or not self._begun):
            return False
        if not self._started:
            self._start()
        self._last = data
        self._exchange.bytes_out += len(data)
        slow = self._client.write(data, self._ended)
        self._sent_at = now
        if not self._timed and self._begun:
            self._timed = True
            self._exchange.timeline.first_sent = self._clock()
        return slow

    async def drained(self) -> None:
        """Waits until the client has taken enough of what was sent."""
        await self._client.flow.drain()

    # What the relay does.

    def beats(self, sweep: Sweep) -> None:
        """From now on a comment is sent whenever nothing was sent for the time of the sweep, which looks here first."""
        self._sent_at = self._clock()
        self._sweep = sweep
        sweep.add(self, self._sent_at)

    def look(self) -> None:
        """Sends a comment where it is time for one, and looks again by a timer of its own, which few streams live to see."""
        if self._sweep is None:
            return
        heartbeat_s = self._sweep.seconds
        silent_s = 0.0 if self._client.flow.write_paused else self._clock() - self._sent_at
        if silent_s >= heartbeat_s:
            silent_s = 0.0
            self.beat()
        left = max(heartbeat_s - silent_s, _SOON_S)
        self._timer = asyncio.get_running_loop().call_later(left, self.look)

    def beat(self) -> None:
        """Sends what says that we are still there, where something can be said."""
        if not self._begun and self._held:
            # A role alone has waited long enough. It names an answer, so from here on no other target may give it.
            self._commit()
        elif not self._ready and self._last.endswith(_BOUNDARIES):
            self._ready = KEEP_ALIVE
        self.push(b"", self._clock())

    def end(self) -> None:
        """Nothing more will come: sends what is left, and ends the response."""
        self.stop()
        if not self._ended:
            self._ended = not self._cut
            self.push(b"", self._clock())

    def stop(self) -> None:
        """The client is gone, or has its answer: no timer is left behind."""
        if self._sweep is not None:
            self._sweep.discard(self)
            self._sweep = None
            if self._timer is not None:
                self._timer.cancel()

    def _start(self) -> None:
        kind = self._content_type
        if _BREAKS.search(kind):
            raise ValueError("a header's value holds a line break")
        fields = f"content-type: {kind}\r\n"
        if kind.startswith("text/event-stream"):
            fields += "cache-control: no-cache\r\nx-accel-buffering: no\r\n"
        self._client.start(self._status, fields + _own_fields(self._exchange) + self._marks)
        self._started = True
        self._exchange.status = self._status

    def whole(self, body: bytes, status: int = 200, extra: str = "") -> None:
        """The response in one piece: a whole answer, or an error with its real status and `extra` fields."""
        exchange = self._exchange
        self._started = self._ended = True
        exchange.status = status
        exchange.bytes_out += len(body)
        fields = f"content-type: application/json\r\n{extra}{_own_fields(exchange)}{self._marks}"
        self._client.whole(status, fields, body)
        exchange.timeline.first_sent = self._clock()

    def fail(self, error: ProxyError) -> None:
        """The request ends with this error: a real status where nothing has left yet, else an error event."""
        self._exchange.failed(error)
        if not self._started:
            extra = "".join([f"{name}: {value}\r\n" for name, value in error.headers().items()])
            self.whole(dumps(error.body()), error.status, extra)
        elif self._content_type.startswith("text/event-stream"):
            self._ready += error_event(error)
        else:
            # Bytes that are no event stream can only be cut off, by not completing the response.
            self._cut = True
        self.end()


class Relay:
    """Runs exchanges. `clock` gives monotonic seconds."""

    def __init__(self, log: Log, drain: Drain, clock: Callable[[], float]) -> None:
        self._log = log
        self._drain = drain
        self._clock = clock
        self._heartbeats = Sweep(0.0)
        self._ended: list[Exchange] = []

    async def run(self, exchange: Exchange, client: Client, call: Call, marks: str = "") -> None:
        """One request from its head to its end, in a task of its own. `marks`: as of `Outlet`."""
        in_flight = attempts = None
        outlet = Outlet(client, exchange, self._clock, marks)
        try:
            if client.flow.write_paused:  # it asks on and on, and takes no answer
                await client.flow.drain()
            plan = await call.plan()
            if exchange.stream:
                in_flight = exchange.target
                in_flight.opened()
            client.watch()
            attempts = Attempts(plan, exchange, outlet, self._clock)
            self._drain.open.add(attempts)
            if plan.kind is _WHOLE:
                outlet.whole(await attempts.run())
            else:
                self._beats(outlet, plan.heartbeat_s)
                await attempts.run()
                outlet.end()
        except ProxyError as error:
            outlet.fail(error)
        except ClientGoneError:
            exchange.outcome = Outcome.CLIENT_DISCONNECT
        except asyncio.CancelledError:
            if not client.gone():
                exchange.outcome = Outcome.SHUTDOWN
                raise
            exchange.outcome = Outcome.CLIENT_DISCONNECT
        except Exception as error:  # noqa: BLE001 - the one catch-all
            self._bug(exchange, outlet, error)
        finally:
            outlet.stop()
            if attempts is not None:
                self._drain.open.discard(attempts)
            if in_flight is not None:
                in_flight.closed()
            call.leave()
            self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        """The one place where a request ends."""
        exchange.timeline.end(self._clock())
        if exchange.trace is not None:
            exchange.trace.end(exchange)
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._enter)
        self._ended.append(exchange)

    def _enter(self) -> None:
        """Metrics and log lines of all requests that ended in one turn of the event loop: one after another they take less."""
        ended, self._ended = self._ended, []
        try:
            for exchange in ended:
                exchange.target.ended(exchange)
        finally:
            for exchange in ended:
                self._log.request(exchange)

    def _beats(self, outlet: Outlet, heartbeat_s: float) -> None:
        if heartbeat_s:
            if heartbeat_s != self._heartbeats.seconds:
                self._heartbeats = Sweep(heartbeat_s)  # the setting was changed; streams that are open keep theirs
            outlet.beats(self._heartbeats)

    def _bug(self, exchange: Exchange, outlet: Outlet, error: Exception) -> None:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        at = None if where is None else f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}"
        self._log.event("error", "bug", request_id=exchange.request_id, exception=type(error).__name__, at=at)
        with contextlib.suppress(Exception):
            outlet.fail(InternalError(f"The proxy failed. Report this with the request id {exchange.request_id}."))


def _own_fields(exchange: Exchange) -> str:
    fields = f"x-request-id: {exchange.request_id}\r\n"
    if exchange.answering:
        fields += f"x-reasoning-proxy-target: {_visible(exchange.answering)}\r\n"
    if exchange.attempts:
        fields += f"x-reasoning-proxy-attempts: {exchange.attempts}\r\n"
    if exchange.notes:
        fields += f"x-reasoning-proxy-notes: {_visible(', '.join(exchange.notes))}\r\n"
    return fields


def _visible(text: str) -> str:
    """A header's value; what may not stand in one (a model's name can be the client's) is percent-encoded."""
    if text.isascii() and text.isprintable() and "%" not in text:
        return text
    return quote(text, safe=_VISIBLE)
