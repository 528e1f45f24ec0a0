"""What the attempts need of HTTP, and which engine gives it."""

from collections.abc import Callable
from typing import Protocol

from proxy.settings.model import Provider
from proxy.upstream.authority import Head, Heads
from proxy.upstream.deadline import Deadlines
from proxy.upstream.wire import WireEngine


class UpstreamResponse(Protocol):
    """An answer whose head has arrived. Whoever opened it calls `aclose` or `release`, once or more."""

    status: int
    ended: bool
    """The body has been read to its end. It may also end without this, which a further `read` tells."""

    @property
    def headers(self) -> dict[str, str]:
        """Lower-case names."""

    @property
    def content_type(self) -> str:
        """As the upstream sent it; empty where it sent none."""

    async def read(self) -> bytes:
        """The next bytes of the body, b"" at its end. Raises UpstreamUnavailable, UpstreamProtocol."""

    async def hand_on(self, take: Callable[[bytes], bool]) -> None:
        """Calls `take` with what comes, as soon as it comes, until that gives False or nothing more comes.

        What comes after that, and the end, is for `read`. Raises as `read` does; `take` raises nothing.
        """

    def release(self) -> None:
        """The answer is complete; its connection may be used again once the upstream has ended the body too."""

    async def aclose(self) -> None:
        """Ends the request; the connection is closed unless the body has come to its end."""


class Engine(Protocol):
    """The connections to one provider's host."""

    name: str
    heads: Heads
    """Of the requests to this provider."""
    deadlines: Deadlines
    """Of its open tries."""

    async def open(
        self, path: str, head: Head, body: bytes = b"", method: str = "POST", sent: Callable[[], None] | None = None
    ) -> UpstreamResponse:
        """Sends a request to the provider's `base_url` + `path` and waits for the head of its answer.

        `sent` is called when the request has left, where the engine can tell: what is done there costs no time.
        Raises UpstreamUnavailable where the host cannot be reached or closes, UpstreamTimeout where connecting takes
        longer than `timeouts.connect`, UpstreamProtocol where the answer is no HTTP. A kept connection that the host
        closed without one byte of an answer costs nothing but one new try on a fresh connection.
        """

    async def retire(self) -> None:
        """No new requests will come: closes the connections once the last open request has ended."""

    async def aclose(self) -> None:
        """Closes all connections now."""


def engine_of(provider: Provider) -> Engine:
    """The engine for a provider: our own, but the library where an HTTP proxy stands in between."""
    if not provider.proxy:
        return WireEngine(provider)
    from proxy.upstream.client import LibraryEngine  # noqa: PLC0415 - its library takes a tenth of the time to start

    return LibraryEngine(provider)
