"""HTTP towards one provider: the only place that knows the HTTP library.

The interface is small, so that another engine can take its place: `open` gives an `UpstreamResponse`, whose `read`
gives the body's bytes as they come out of the socket. Errors come out as the tree of `proxy.core.errors`.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2

from proxy.core.errors import UpstreamProtocol, UpstreamTimeout, UpstreamUnavailable
from proxy.settings.model import Provider
from proxy.upstream.authority import Head, Heads
from proxy.upstream.deadline import Deadlines
from proxy.upstream.decoding import Decoder, decoder_of
from proxy.upstream.tls import tls_of

KEEPALIVE_S = 3.5
"""Idle connections are dropped after this: below uvicorn's 5 s, the shortest common limit of a server."""
MOST_URLS = 64
"""Addresses kept parsed, which costs as much as sending; relayed paths come from clients."""
RELEASE_S = 1.0
"""How long the end of an answer that is already complete may take, for its connection to be used again."""


class LibraryEngine:
    """The connections to one provider's host. `users` counts its open requests."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self._base = provider.base_url
        self._url = httpx2.URL(provider.base_url)
        self._connect_s = provider.timeouts.connect_s
        tls = tls_of(provider)
        self._pooled = self._transport(provider, tls, provider.max_connections)
        self._fresh = self._transport(provider, tls, 0)
        self._query = dict(provider.query)
        self._urls: dict[str, httpx2.URL] = {}
        self._closers: set[asyncio.Task[None]] = set()
        self._retired = False
        self.users = 0
        self.heads = Heads(provider)
        self.deadlines = Deadlines(provider.name, provider.timeouts)

    @staticmethod
    def _transport(provider: Provider, verify: ssl.SSLContext, kept: int | None) -> httpx2.AsyncHTTPTransport:
        limits = httpx2.Limits(
            max_connections=provider.max_connections, max_keepalive_connections=kept, keepalive_expiry=KEEPALIVE_S
        )
        return httpx2.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits, proxy=provider.proxy)

    async def open(
        self, path: str, head: Head, body: bytes = b"", method: str = "POST", sent: Callable[[], None] | None = None
    ) -> "LibraryResponse":
        """Sends a request to `base_url` + `path` and waits for the head of its answer.

        Raises UpstreamUnavailable where the host cannot be reached or closes, UpstreamTimeout where connecting takes
        longer than `timeouts.connect`, UpstreamProtocol where the answer is no HTTP. A kept connection that the host
        closed without one byte of an answer costs nothing but one new try on a fresh connection.
        """
        del sent  # the library does not tell
        trail = _Trail()
        self.users += 1
        try:
            request = self._request(path, head, body, method, trail)
            try:
                response = await self._send(self._pooled, request)
            except _STALE as error:
                if trail.connected or (isinstance(error, httpx2.RemoteProtocolError) and not _closed(error)):
                    raise self._error(error, trail) from None
                response = await self._send(self._fresh, self._request(path, head, body, method, trail))
            return LibraryResponse(self, response)
        except httpx2.TransportError as error:
            await self._left()
            raise self._error(error, trail) from None
        except BaseException:
            await self._left()
            raise

    def _request(self, path: str, head: Head, body: bytes, method: str, trail: "_Trail") -> httpx2.Request:
        timeouts = {"connect": self._connect_s or None, "read": None, "write": None, "pool": None}
        extensions = {"timeout": timeouts, "trace": trail.mark}
        return httpx2.Request(
            method, self._url_of(path), headers=dict(head.fields), content=body, extensions=extensions
        )

    def _url_of(self, path: str) -> httpx2.URL:
        known = self._urls.get(path)
        if known is None:
            known = httpx2.URL(f"{self._base}{path}")
            if self._query:
                known = known.copy_merge_params(self._query)
            if len(self._urls) < MOST_URLS:
                self._urls[path] = known
        return known

    @staticmethod
    async def _send(transport: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
        return await transport.handle_async_request(request)

    def _error(
        self, error: httpx2.TransportError, trail: "_Trail"
    ) -> UpstreamUnavailable | UpstreamTimeout | UpstreamProtocol:
        # The library's own texts may hold an address with a key in it, so they are never passed on.
        if isinstance(error, httpx2.TimeoutException):
            return UpstreamTimeout(
                f"No connection to provider {self.name!r} within {self._connect_s:g} s (timeouts.connect)."
            )
        if isinstance(error, httpx2.ProxyError):
            return UpstreamUnavailable(f"The HTTP proxy of provider {self.name!r} refused the connection.")
        if isinstance(error, httpx2.ConnectError):
            host = self._url.host
            return UpstreamUnavailable(f"Provider {self.name!r} cannot be reached at {host}: {_reason(error)}.")
        if isinstance(error, httpx2.RemoteProtocolError) and trail.answering and not _closed(error):
            return UpstreamProtocol(f"Provider {self.name!r} does not speak HTTP.")
        return UpstreamUnavailable(f"Provider {self.name!r} closed the connection without an answer.")

    def release(self, response: "LibraryResponse") -> None:
        """Reads the rest of a complete answer in the background, so that its connection can be used again."""
        task = asyncio.get_running_loop().create_task(_finish(response))
        self._closers.add(task)
        task.add_done_callback(self._closers.discard)

    async def retire(self) -> None:
        """No new requests will come: closes the connections once the last open request has ended."""
        self._retired = True
        await self._close_if_unused()

    async def aclose(self) -> None:
        """Closes all connections now."""
        self._retired = True
        for task in self._closers:
            task.cancel()
        await asyncio.gather(*self._closers, return_exceptions=True)
        await self._pooled.aclose()
        await self._fresh.aclose()

    async def _left(self) -> None:
        self.users -= 1
        await self._close_if_unused()

    async def _close_if_unused(self) -> None:
        if self._retired and self.users == 0:
            await self._pooled.aclose()
            await self._fresh.aclose()


class LibraryResponse:
    """An answer whose head has arrived. Whoever opened it calls `aclose` or `release`, once or more."""

    def __init__(self, engine: LibraryEngine, response: httpx2.Response) -> None:
        self._engine = engine
        self._response = response
        self.status = response.status_code
        self.headers: dict[str, str] = {key.lower(): value for key, value in response.headers.items()}
        self._decoder: Decoder | None = None
        self._decoder_known = False
        self._body: AsyncIterator[bytes] | None = None
        self._closed = False
        self.ended = False

    @property
    def content_type(self) -> str:
        """As the upstream sent it; empty where it sent none."""
        return self.headers.get("content-type", "")

    async def read(self) -> bytes:
        """The next bytes of the body, b"" at its end.

        Raises UpstreamUnavailable where the connection breaks off, UpstreamProtocol where the encoding is unknown.
        """
        if self._body is None:
            self._decoder = decoder_of(self.headers.get("content-encoding", ""), self._engine.name)
            self._body = aiter(self._response.stream)  # type: ignore[arg-type]
        decoder = self._decoder
        while True:
            if decoder is not None and (rest := decoder.feed(b"")):
                return rest
            try:
                data = await anext(self._body)
            except StopAsyncIteration:
                self.ended = True
                return b""
            except httpx2.TransportError:
                message = f"Provider {self._engine.name!r} broke off in the middle of its answer."
                raise UpstreamUnavailable(message) from None
            if decoder is not None:
                data = decoder.feed(data)
            if data:
                return data

    async def hand_on(self, take: Callable[[bytes], bool]) -> None:
        """See `UpstreamResponse`."""
        while (data := await self.read()) and take(data):
            pass

    def release(self) -> None:
        """The answer is complete; the connection goes back once the upstream has ended the body too."""
        if not self._closed:
            self._engine.release(self)

    async def aclose(self) -> None:
        """Ends the request; the connection is closed unless the body was read to its end."""
        if self._closed:
            return
        self._closed = True
        body, self._body = self._body, None
        try:
            with contextlib.suppress(httpx2.TransportError):
                if body is not None:
                    await body.aclose()  # type: ignore[attr-defined]
                await self._response.stream.aclose()  # type: ignore[union-attr]
        finally:
            await self._engine._left()  # noqa: SLF001 - two halves of one thing


class _Trail:
    """How far one request came, as the HTTP library tells it."""

    __slots__ = ("answering", "connected")

    def __init__(self) -> None:
        self.connected = False
        self.answering = False

    async def mark(self, name: str, _: Mapping[str, Any]) -> None:
        if name == "connection.connect_tcp.started":
            self.connected = True
        elif name == "http11.receive_response_headers.started":
            self.answering = True


_STALE = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


def _closed(error: httpx2.RemoteProtocolError) -> bool:
    return "disconnected without sending a response" in str(error)


def _reason(error: httpx2.ConnectError) -> str:
    text = str(error).lower()
    if "certificate" in text or "ssl" in text:
        return "its TLS certificate is not accepted" if "certificate" in text else "TLS failed"
    if "name" in text or "nodename" in text or "address" in text:
        return "no such host"
    return "connection refused" if "refused" in text or "all connection attempts failed" in text else "no connection"


async def _finish(response: LibraryResponse) -> None:
    try:
        with contextlib.suppress(TimeoutError, UpstreamUnavailable, UpstreamProtocol):
            async with asyncio.timeout(RELEASE_S):
                while await response.read():
                    pass
    finally:
        await response.aclose()
