"""What reads an answer, as far as a try needs to know it: `proxy.core.stream` and `raw.py` have them."""

from typing import Protocol

from proxy.core.errors import ProxyError


class Pipeline(Protocol):
    """Upstream bytes → client bytes, for one answer that is passed on as it comes."""

    begun: bool
    done: bool
    error: ProxyError | None
    source: str | None
    """Where reasoning was seen."""

    def feed(self, data: bytes, now: float) -> bytes: ...
    def close(self, now: float, error: ProxyError | None = None) -> bytes: ...


class Collector(Protocol):
    """Upstream bytes → one body, given by `close`."""

    error: ProxyError | None
    source: str | None

    @property
    def done(self) -> bool:
        """Nothing that may still come counts."""

    def feed(self, data: bytes, now: float) -> bytes: ...
    def close(self, now: float, error: ProxyError | None = None) -> bytes: ...
