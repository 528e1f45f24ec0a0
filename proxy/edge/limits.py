"""What one client key may use at a time: requests per minute, and open streams."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from proxy.core.errors import RateLimited
from proxy.settings.model import Client
from proxy.telemetry.exchange import Exchange, Limit

_MINUTE_S = 60.0
_STREAM_RETRY_S = 1.0
"""How soon a caller may ask again that has too many streams open: nobody knows when one of them ends."""


@dataclass(slots=True)
class _Use:
    tokens: float
    at: float
    streams: int = 0


class Limiter:
    """Counts per client name; what is counted outlives a reload. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._uses: dict[str, _Use] = {}

    def enter(self, client: Client | None, exchange: Exchange) -> Callable[[], None]:
        """Counts a request; the result is called when it has ended. Raises RateLimited."""
        if client is None:
            return _nothing
        use = self._uses.setdefault(client.name, _Use(math.inf, self._clock()))
        limits = client.limits
        if exchange.stream and limits.concurrent_streams is not None and use.streams >= limits.concurrent_streams:
            exchange.limited = Limit.CONCURRENT_STREAMS
            message = f"This key may have {limits.concurrent_streams} streams open at a time."
            raise RateLimited(message, retry_after_s=_STREAM_RETRY_S)
        if limits.requests_per_minute is not None:
            self._take(use, limits.requests_per_minute, exchange)
        if not exchange.stream:
            return _nothing
        use.streams += 1
        return lambda: _leave(use)

    def _take(self, use: _Use, per_minute: int, exchange: Exchange) -> None:
        now, per_second = self._clock(), per_minute / _MINUTE_S
        use.tokens = min(float(per_minute), use.tokens + (now - use.at) * per_second)
        use.at = now
        if use.tokens < 1:
            exchange.limited = Limit.REQUESTS_PER_MINUTE
            wait = (1 - use.tokens) / per_second
            raise RateLimited(f"This key may send {per_minute} requests a minute.", retry_after_s=wait)
        use.tokens -= 1


def _leave(use: _Use) -> None:
    use.streams -= 1


def _nothing() -> None:
    return
