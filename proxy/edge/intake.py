"""Connections of clients: a request whose head is too large, or that does not arrive, is cut off before it costs anything.

The web server itself has neither limit. Idle connections are closed here as well, after the web server's time for it.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy.core.codec import dumps
from proxy.core.errors import ProxyError, RequestInvalid, RequestTimeout, RequestTooLarge

MAX_HEAD_BYTES = 64 * 1024
"""Of the request line and headers together; twice what nginx takes by default."""
ARRIVAL_S = 60.0
"""How long a request may take to arrive: nginx's `client_header_timeout`."""
BYTES_PER_S = 500
"""Each so many bytes give it another second: `MinRate` of Apache's mod_reqtimeout."""
_NO_HTTP = "Invalid HTTP request received."
_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class Intake(HttpToolsProtocol):
    """One connection. Where an answer is under way, cutting off ends the connection without another one."""

    # Beside uvicorn's own: a Python object finds more than thirty attributes in its dictionary only slowly.
    __slots__ = ("_arrived_bytes", "_arriving", "_began", "_followed", "_head_bytes", "_in_head", "_timer")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._in_head = True
        self._followed = False
        self._arriving = False
        self._arrived_bytes = 0
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arrives()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._arriving:
            self._arrives()
        size = len(data)
        if self._in_head and size > (room := MAX_HEAD_BYTES - self._head_bytes):
            # Only up to the limit: what lies behind it may be the body of a request that is well.
            self.data_received(data[:room])
            if self.transport.is_closing():
                return
            if self._in_head:
                self._refuse(RequestTooLarge("The request's head is larger than 64 KiB.", status=431))
                return
            data = data[room:]
            size -= room
        self._arrived_bytes += size
        self._followed = False
        # As uvicorn's own, whose timer of idle connections is not needed beside ours.
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.logger.warning(_NO_HTTP)
            self.send_400_response(_NO_HTTP)
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        if self._in_head and not self._followed:
            self._head_bytes += size

    # What the parser calls.

    def on_message_begin(self) -> None:
        if not self._arriving:
            # It follows another one in the same read: how much of that is its own is not known, and not counted.
            self._arrives()
            self._followed = True
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers, of which there may be any number, mean nothing to us
            self.headers.append((name, value))

    # What the web server calls.

    def send_400_response(self, msg: str) -> None:
        """What was sent is no HTTP; `msg` is the web server's text for that."""
        self._refuse(RequestInvalid(msg))

    def _arrives(self) -> None:
        """A request is on its way, from now on."""
        self._arriving = self._in_head = True
        self._arrived_bytes = self._head_bytes = 0
        self._began = self.loop.time()
        if self._timer is None:
            self._check_in(ARRIVAL_S)

    def _rests(self) -> None:
        """All requests are answered, and a next one may come."""
        if not self._arriving:
            self._began = self.loop.time()
        if self._timer is None:
            self._check_in(self.timeout_keep_alive)

    def _check_in(self, seconds: float) -> None:
        # Never later than an idle connection may stay: one timer serves all that a connection waits for.
        self._timer = self.loop.call_later(min(seconds, self.timeout_keep_alive), self._check)

    def _check(self) -> None:
        """The timer runs on over the ends of requests instead of being made anew."""
        self._timer = None
        if self.transport.is_closing():
            return
        if self._arriving:
            limit = ARRIVAL_S + self._arrived_bytes / BYTES_PER_S
        elif self.cycle is None or self.cycle.response_complete:
            limit = self.timeout_keep_alive
        else:
            return  # an answer is under way, and its end sets the timer
        left = self._began + limit - self.loop.time()
        if left > 0 or self.flow.read_paused:
            self._check_in(left if left > 0 else 1.0)
        elif self._arriving and self._arrived_bytes:
            self._refuse(RequestTimeout("The request did not arrive in time."))
        else:
            self.transport.close()

    def _refuse(self, error: ProxyError) -> None:
        self._arriving = False
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = dumps(error.body())
            head = f"HTTP/1.1 {error.status} {_PHRASES[error.status]}\r\ncontent-type: application/json\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
