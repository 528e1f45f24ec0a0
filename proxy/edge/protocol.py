"""The web server's side of one client connection: uvicorn's own, and the two things that a relay needs beyond ASGI.

A relay must hear at once of a client that leaves. In ASGI that takes a task which waits in `receive`; here the
connection calls back. And the head of a response waits for the first piece of its body, as ASGI says it should, so
that both leave in one write. What is of uvicorn's inside here holds for the versions that `pyproject.toml` names.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from proxy.edge.intake import Intake

LEAVING = "reasoning_proxy.leaving"
"""Name of the ASGI extension: a function that takes what is to be called when the client leaves."""
_BODILESS = (204, 304)


class ClientConnection(Intake):
    """A client's connection. Of requests that are handled one after another, only the present one is called back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._leaving: Callable[[], None] | None = None

    def on_message_begin(self) -> None:
        """The parser has seen the first byte of a request."""
        super().on_message_begin()
        self.scope["extensions"] = {LEAVING: self.call_when_left}  # type: ignore[dict-item]

    def call_when_left(self, leaving: Callable[[], None]) -> None:
        """`leaving` is called once when the client leaves before its response is complete. For the present request."""
        if self.transport.is_closing():
            asyncio.get_running_loop().call_soon(leaving)
            return
        self._leaving = leaving
        self.flow.resume_reading()  # a connection that is not read does not tell of its end

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving()

    def on_response_complete(self) -> None:
        """The last byte of a response was written."""
        self._leaving = None
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # A HEAD has a response whose head comes alone; it, and all that is not relayed, is uvicorn's own matter.
        super()._start_asgi_task(cycle, _Response(cycle, app) if cycle.scope["method"] == "POST" else app)


class _Response:
    """One response, written as uvicorn's own `cycle` would, in fewer steps and one write less."""

    __slots__ = ("_app", "_chunked", "_cycle", "_head")

    def __init__(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._cycle = cycle
        self._app = app
        self._head = b""
        self._chunked = False

    def __call__(self, scope: Any, receive: Any, _: Any) -> Any:
        """The application, as `cycle` calls it."""
        return self._app(scope, receive, self.send)

    async def send(self, message: Any) -> None:
        """ASGI's `send`. Waits while the client takes nothing."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if message["type"] == "http.response.start":
            self._head = self._head_of(message["status"], message.get("headers", ()))
            return
        data, more = message.get("body", b""), message.get("more_body", False)
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            data = data if more else data + b"0\r\n\r\n"
        if self._head:
            data, self._head = self._head + data, b""
            cycle.response_started, cycle.waiting_for_100_continue = True, False
        cycle.transport.write(data)
        if not more:
            cycle.response_complete = True
            cycle.message_event.set()
            if not cycle.keep_alive:
                cycle.transport.close()
            cycle.on_response()

    def _head_of(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        parts = [STATUS_LINE[status]]
        breaks = 2  # of the status line, and of the empty line at the end
        self._chunked = status not in _BODILESS
        for name, value in (*self._cycle.default_headers, *headers):
            if name == b"content-length":
                self._chunked = False
            parts += (name, b": ", value, b"\r\n")
            breaks += 1
        if not self._cycle.keep_alive:
            parts.append(b"connection: close\r\n")
            breaks += 1
        if self._chunked:
            parts.append(b"transfer-encoding: chunked\r\n")
            breaks += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        if not head.count(b"\r") == head.count(b"\n") == breaks or b"\0" in head:
            raise ValueError("a header's value holds a line break")
        return head
