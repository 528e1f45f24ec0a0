"""The web server's side of one client connection: uvicorn's own, and the two things that a relay needs beyond ASGI.

A relay must hear at once of a client that leaves. In ASGI that takes a task which waits in `receive`; here the
connection calls back. And the head of a response waits for the first piece of its body, as ASGI says it should, so
that both leave in one write.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

LEAVING = "reasoning_proxy.leaving"
"""Name of the ASGI extension: a function that takes what is to be called when the client leaves."""


class _Transport(Protocol):
    """What a response does with its connection."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def is_closing(self) -> bool: ...


class ClientConnection(HttpToolsProtocol):
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
        # The response to a HEAD has no body that its head could wait for.
        if cycle.scope["method"] == "POST" and not cycle.waiting_for_100_continue:
            cycle.transport = _HeadFirst(cycle)  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)


class _HeadFirst:
    """Stands in for the transport of a response until head and first piece of the body leave together."""

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport: _Transport = cycle.transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._head = data
        else:
            self._cycle.transport = self._transport  # type: ignore[assignment]
            self._transport.write(self._head + data)

    def close(self) -> None:
        if self._head is not None:
            self._transport.write(self._head)
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
