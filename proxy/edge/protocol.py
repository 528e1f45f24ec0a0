"""The web server's side of one client connection: uvicorn's own, and requests that are relayed without its ASGI.

A relay must hear at once of a client that leaves, and writes the head of a response with the first piece of its body.
For both, and because ASGI costs as much as all the rest of a request's HTTP, the connection serves what is relayed as
objects of its own (`ClientRequest`); all else on the same connection is uvicorn's matter. What is of uvicorn's inside
here holds for the versions that `pyproject.toml` names.
"""

from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy.edge.client_request import ClientRequest
from proxy.edge.intake import Intake
from proxy.edge.known_head import KnownHead

_PREFIX = "/v1"
RELAYED = _PREFIX + "/"
"""Begins the paths below which every POST is relayed."""
MOST_LESSONS = 4
"""Heads that are kept on one connection, one after another: where each is another one, none comes again."""


class ClientConnection(Intake):
    """A client's connection. An application with an attribute `relayed` gets there what is to be relayed."""

    __slots__ = ("_known", "_left", "_lessons", "_relayed", "_running")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._relayed = getattr(self.app, "relayed", None)
        self._running: ClientRequest | None = None
        """Of requests that are answered one after another, the present one."""
        self._known: KnownHead | None = None
        self._lessons = MOST_LESSONS
        self._left = 0
        """Bytes of a body that are still to come and that the parser is not asked about: its head was known."""

    # What the event loop calls.

    def data_received(self, data: bytes) -> None:
        """Bytes arrive: more of a request, or a new one, whose head may be known."""
        if self._left:
            self._more(data)
            return
        before: Any = self.cycle
        if self._arriving or type(before) is not ClientRequest or not before.response_complete:
            super().data_received(data)
            return
        known = self._known
        spans = None if known is None else known.spans(data)
        if known is None or spans is None:
            super().data_received(data)
            if self._lessons:
                self._learn(data, before)
            return
        begin, self._left = spans
        request: Any = ClientRequest(self, known.path, known.headers, True)
        self.cycle = self._running = request
        if self._left == len(data) - begin:  # as most
            self._left = 0
            request.take_in(data[begin:])
            request.begin(self._relayed)
        else:
            request.headers = {**known.headers, "content-length": str(self._left)}  # who answers may refuse it at once
            self._arrives()
            self._arrived_bytes = begin
            request.begin(self._relayed)
            self._more(data[begin:])

    def _more(self, data: bytes) -> None:
        """More of a body whose head was known, and perhaps what follows it."""
        request: Any = self.cycle
        piece = data[: self._left]
        self._left -= len(piece)
        self._arrived_bytes += len(piece)
        if piece:
            request.feed(piece)
        if not self._left:
            self._arriving = False
            request.feed_end()
            if len(data) > len(piece):
                self.data_received(data[len(piece) :])

    def _learn(self, data: bytes, before: ClientRequest) -> None:
        """Keeps the head of a request that is not the first of its connection, so that it may come again."""
        request: Any = self.cycle
        if request is before or type(request) is not ClientRequest or self.pipeline or not request.keep_alive:
            return
        self._lessons -= 1
        self._known = KnownHead.of(data, request.size, request.path, request.headers) or self._known

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        if isinstance(self.cycle, ClientRequest):
            self.cycle = None  # type: ignore[assignment] # nobody else has to hear of it
        super().connection_lost(exc)
        running, self._running = self._running, None
        if running is not None:
            running.lost()

    # What the parser calls.

    def on_headers_complete(self) -> None:
        """A request's head is there."""
        self._in_head = False
        parser = self.parser
        if self._relayed is None or parser.get_method() != b"POST" or not (path := _path_of(self.url)):
            self._uvicorns()
            return
        headers = {}
        for name, value in self.headers:
            key = _key_of(name)
            if key not in headers:
                headers[key] = value.decode("latin-1")
        keep_alive = parser.should_keep_alive()
        if keep_alive and ("connection" in headers or "proxy-connection" in headers):  # else it is no 1.0
            keep_alive = parser.get_http_version() != "1.0"
        before: Any = self.cycle
        request: Any = ClientRequest(self, path, headers, keep_alive)
        self.cycle = request
        if before is None or before.response_complete:
            self._running = request
            request.begin(self._relayed)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((request, self._relayed))

    def on_body(self, body: bytes) -> None:
        """A piece of a request's body."""
        request: Any = self.cycle
        if isinstance(request, ClientRequest):
            request.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._arriving = False
        request: Any = self.cycle
        if isinstance(request, ClientRequest):
            request.feed_end()
        else:
            super().on_message_complete()

    # What requests call.

    def on_response_complete(self) -> None:
        """The last byte of a response was written."""
        self._running = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rests()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, ClientRequest):
            self._running = cycle
            cycle.begin(app)
        else:
            super()._start_asgi_task(cycle, app)

    def _uvicorns(self) -> None:
        """This request is uvicorn's: it is told what the parser has said so far."""
        url, headers = self.url, self.headers
        HttpToolsProtocol.on_message_begin(self)
        self.url = url
        for name, value in headers:
            HttpToolsProtocol.on_header(self, name, value)
        HttpToolsProtocol.on_headers_complete(self)


@lru_cache(maxsize=64)
def _key_of(name: bytes) -> str:
    return name.decode().lower()  # the parser lets nothing but ASCII pass


@lru_cache(maxsize=64)
def _path_of(url: bytes) -> str:
    """Of what is relayed, below `RELAYED`; else empty. Raises for what is no URL, as the parser's callbacks may."""
    path = httptools.parse_url(url).path.decode("ascii")
    path = unquote(path) if "%" in path else path
    return path.removeprefix(_PREFIX) if path.startswith(RELAYED) else ""
