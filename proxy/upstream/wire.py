"""HTTP/1.1 to one provider on connections of our own (`connection.py`): the usual engine.

Against the library's engine in `client.py` it saves most of a request's CPU time: figures in `docs/profile.md`.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import quote, urlencode, urlsplit

from proxy.core.errors import UpstreamProtocol, UpstreamTimeout, UpstreamUnavailable
from proxy.settings.model import Provider
from proxy.upstream.authority import Head, Heads
from proxy.upstream.connection import Answer, Break, BrokenError, Connection
from proxy.upstream.deadline import Deadlines
from proxy.upstream.decoding import Decoder, decoder_of
from proxy.upstream.tls import tls_of

KEEPALIVE_S = 3.5
"""Idle connections are dropped after this: below uvicorn's 5 s, the shortest common limit of a server."""
MOST_LINES = 64
"""First lines of requests kept as they are sent; relayed paths come from clients."""
RELEASE_S = 1.0
"""How long the end of an answer that is already complete may take, for its connection to be used again."""


class WireEngine:
    """The connections to one provider's host. `users` counts its open requests."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        url = urlsplit(provider.base_url)
        secure = url.scheme == "https"
        self._host = _ascii(url.hostname or "")
        self._port = url.port or (443 if secure else 80)
        self._secure = secure
        self._provider = provider
        # What the operator names himself is read now, so that a mistake in it is told at the start.
        self._tls: ssl.SSLContext | None = tls_of(provider) if secure and provider.tls_ca is not None else None
        self._path = quote(url.path, safe="/%:@!$&'()*+,;=~-._")
        self._query = urlencode(provider.query)
        self._connect_s = provider.timeouts.connect_s
        host = f"[{self._host}]" if ":" in self._host else self._host
        default = self._port == (443 if secure else 80)
        self._host_line = f"host: {host}\r\n" if default else f"host: {host}:{self._port}\r\n"
        self._lines: dict[tuple[str, str], bytes] = {}
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._places = asyncio.Semaphore(provider.max_connections) if provider.max_connections else None
        self._sweep: asyncio.TimerHandle | None = None
        self._retired = self._closed = False
        self.users = 0
        self.heads = Heads(provider)
        self.deadlines = Deadlines(provider.name, provider.timeouts)

    async def open(
        self, path: str, head: Head, body: bytes = b"", method: str = "POST", sent: Callable[[], None] | None = None
    ) -> "WireResponse | CodedResponse":
        """See `Engine.open`."""
        request = self._request(method, path, head, body)
        self.users += 1
        held = False
        try:
            if self._places is not None:
                await self._places.acquire()
                held = True
            connection = self._kept()
            response = WireResponse(self, connection or await self._connect())
            try:
                await response.connection.ask(request, response, sent)
            except BrokenError as error:
                if connection is None or error.kind != "closed" or response.begun:
                    raise self._error(error) from None
                # The host closed a kept connection just as we used it (RFC 9112, section 9.3.1): nobody read the request.
                response = await self._asked_anew(request)
        except BaseException:
            self.left(place=held)
            raise
        return response if b"content-encoding" not in response.fields else CodedResponse(response, self.name)

    async def _asked_anew(self, request: bytes) -> "WireResponse":
        connection = await self._connect()
        response = WireResponse(self, connection)
        try:
            await connection.ask(request, response)
        except BrokenError as error:
            raise self._error(error) from None
        return response

    def _kept(self) -> Connection | None:
        """The connection that was used last; the others may then grow old and leave."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and time.monotonic() - connection.idle_since < KEEPALIVE_S:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise self._closed_error()
        if self._secure and self._tls is None:
            self._tls = await asyncio.to_thread(tls_of, self._provider)
        try:
            async with asyncio.timeout(self._connect_s or None) as limit:
                _, connection = await loop.create_connection(
                    lambda: Connection(self._is_idle, self._gone),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except (OSError, UnicodeError) as error:
            if limit.expired():
                seconds = f"{self._connect_s:g} s (timeouts.connect)"
                raise UpstreamTimeout(f"No connection to provider {self.name!r} within {seconds}.") from None
            message = f"Provider {self.name!r} cannot be reached at {self._host}: {_reason(error)}."
            raise UpstreamUnavailable(message) from None
        if self._closed:
            connection.abort()
            raise self._closed_error()
        self._all.add(connection)
        return connection

    def _request(self, method: str, path: str, head: Head, body: bytes) -> bytes:
        first = self._lines.get((method, path)) or self._first_line(method, path)
        fields = head.written
        if fields is None:
            fields = head.written = self._written(head)
        # A request without content does not say so, unless its method has a meaning for it (RFC 9110, section 8.6).
        if body or method == "POST":
            return b"%b%bcontent-length: %d\r\n\r\n%b" % (first, fields, len(body), body)
        return b"%b%b\r\n" % (first, fields)

    def _first_line(self, method: str, path: str) -> bytes:
        where = f"{self._path}{path}"
        if self._query:
            where += f"{'&' if '?' in path else '?'}{self._query}"
        line = f"{method} {where} HTTP/1.1\r\n".encode()
        if len(self._lines) < MOST_LINES:
            self._lines[method, path] = line
        return line

    def _written(self, head: Head) -> bytes:
        lines = ["" if "host" in head.fields else self._host_line]
        for name, value in head.fields.items():
            if "\r" in value or "\n" in value or "\0" in value:
                raise UpstreamUnavailable(
                    f"The value of header {name!r} for provider {self.name!r} holds a line break."
                )
            lines.append(f"{name}: {value}\r\n")
        return "".join(lines).encode()

    def _closed_error(self) -> UpstreamUnavailable:
        return UpstreamUnavailable(f"The connections to provider {self.name!r} are closed.")

    def _error(self, error: BrokenError) -> UpstreamUnavailable | UpstreamProtocol:
        if error.kind == "protocol":
            return UpstreamProtocol(f"Provider {self.name!r} does not speak HTTP.")
        return UpstreamUnavailable(f"Provider {self.name!r} closed the connection without an answer.")

    def _is_idle(self, connection: Connection) -> None:
        if self._retired:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEEPALIVE_S, self._swept)

    def _swept(self) -> None:
        """Closes what has been idle for too long; the timer runs only while something is idle."""
        self._sweep = None
        now = time.monotonic()
        while self._idle and now - self._idle[0].idle_since >= KEEPALIVE_S:
            self._idle.popleft().close()
        if self._idle:
            left = self._idle[0].idle_since + KEEPALIVE_S - now
            self._sweep = asyncio.get_running_loop().call_later(left, self._swept)

    def _gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def left(self, *, place: bool) -> None:
        """A request has ended, which held a place where their number is limited."""
        self.users -= 1
        if place and self._places is not None:
            self._places.release()
        if self._retired and self.users == 0:
            self._close_all()

    async def retire(self) -> None:
        """See `Engine.retire`."""
        self._retired = True
        while self._idle:
            self._idle.pop().close()
        if self.users == 0:
            self._close_all()

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        self._retired = self._closed = True
        self._close_all()

    def _close_all(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in tuple(self._all):
            connection.abort()


class WireResponse(Answer):
    """See `UpstreamResponse`."""

    __slots__ = ("_engine", "_left", "_limit")

    def __init__(self, engine: WireEngine, connection: Connection) -> None:
        Answer.__init__(self, connection)
        self._engine = engine
        self._left = False
        self._limit: asyncio.TimerHandle | None = None

    @property
    def content_type(self) -> str:
        """See `UpstreamResponse.content_type`."""
        return self.fields.get(b"content-type", b"").decode("latin-1")

    def broken(self, how: Break) -> UpstreamUnavailable:
        """See `Answer.broken`."""
        del how
        return UpstreamUnavailable(f"Provider {self._engine.name!r} broke off in the middle of its answer.")

    def release(self) -> None:
        """See `UpstreamResponse.release`."""
        if self.complete:
            self._leave()
        elif not self._left and self._limit is None:
            # Until its end the answer keeps its place: otherwise the next request would need one connection too many.
            self._limit = asyncio.get_running_loop().call_later(RELEASE_S, self.abort)
            self.discard(self._leave)

    async def aclose(self) -> None:
        """See `UpstreamResponse.aclose`."""
        self.abort()
        self._leave()

    def _leave(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if not self._left:
            self._left = True
            self._engine.left(place=True)


class CodedResponse:
    """An answer whose body is encoded, which was not asked for. See `UpstreamResponse`."""

    def __init__(self, response: WireResponse, provider: str) -> None:
        self._response = response
        self._provider = provider
        self._decoder: Decoder | None = None
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.content_type
        self.release = response.release
        self.aclose = response.aclose
        self.ended = False

    async def read(self) -> bytes:
        """See `UpstreamResponse.read`."""
        if self._decoder is None:
            self._decoder = decoder_of(self.headers["content-encoding"], self._provider)
        decoder = self._decoder
        while True:
            if decoder is not None and (rest := decoder.feed(b"")):
                return rest
            data = await self._response.read()
            if decoder is None or not data:
                return data
            if data := decoder.feed(data):
                return data

    async def hand_on(self, take: Callable[[bytes], bool]) -> None:
        """See `UpstreamResponse`."""
        while (data := await self.read()) and take(data):
            pass


def _reason(error: OSError | UnicodeError) -> str:
    """Why a connection could not be made, in words that hold no address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its TLS certificate is not accepted"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "no such host"
    # The errors of several addresses come as one, with their texts joined.
    return "connection refused" if f"[Errno {errno.ECONNREFUSED}]" in str(error) else "no connection"


def _ascii(host: str) -> str:
    """A host's name as it goes into DNS, TLS and the head."""
    with contextlib.suppress(UnicodeError):  # a name that has no such form is found out when it is looked up
        return host.encode("idna").decode("ascii")
    return host
