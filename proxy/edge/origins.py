"""Cross-origin requests of web pages (the Fetch standard's CORS protocol): refused unless `server.cors` names the page."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.edge.service import Service
from proxy.settings.model import Cors

_METHODS = b"GET, POST"
_EXPOSED = b"retry-after, x-request-id, x-reasoning-proxy-target, x-reasoning-proxy-attempts, x-reasoning-proxy-notes"


class Origins:
    """An ASGI application around another one. With no `server.cors` it does nothing: a browser then gives a page no answer."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answers what a browser asks before a request, and marks the answers that its page may read."""
        cors = self._service.state.settings.server.cors
        if cors is None or scope["type"] != "http":
            return self._app(scope, receive, send)
        return self._marked(cors, scope, receive, send)

    async def _marked(self, cors: Cors, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        marks = _marks(cors, headers.get(b"origin"))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _preflight(cors, marks, headers.get(b"access-control-request-headers"), send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *marks]
            await send(message)

        await self._app(scope, receive, marked)


def fields(cors: Cors, origin: str | None) -> str:
    """What marks an answer, as lines of its head; `origin` is the header of that name."""
    found = _marks(cors, None if origin is None else origin.encode("latin-1"))
    return "".join([f"{name.decode()}: {value.decode('latin-1')}\r\n" for name, value in found])


def _marks(cors: Cors, origin: bytes | None) -> list[tuple[bytes, bytes]]:
    """What tells a browser that this page may read the answer; a cache must keep the pages apart."""
    everybody = "*" in cors.origins
    marks = [] if everybody else [(b"vary", b"origin")]
    if origin is not None and (everybody or origin.decode("latin-1") in cors.origins):
        marks += [
            (b"access-control-allow-origin", b"*" if everybody else origin),
            (b"access-control-expose-headers", _EXPOSED),
        ]
    return marks


async def _preflight(cors: Cors, marks: list[tuple[bytes, bytes]], asked: bytes | None, send: Send) -> None:
    if any(name == b"access-control-allow-origin" for name, _ in marks):
        marks.append((b"access-control-allow-methods", _METHODS))
        marks.append((b"access-control-max-age", str(int(cors.max_age_s)).encode()))
        if asked is not None:
            # Client libraries add headers of their own, and none of them reaches a provider.
            marks.append((b"access-control-allow-headers", asked))
    await send({"type": "http.response.start", "status": 204, "headers": marks})
    await send({"type": "http.response.body", "body": b""})
