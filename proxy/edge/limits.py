"""What one client key, and all together, may use at a time: requests per minute, and open streams."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from proxy.core.errors import RateLimited
from proxy.settings.model import Client, Limits
from proxy.telemetry.exchange import Exchange, Limit

_MINUTE_S = 60.0
_STREAM_RETRY_S = 1.0
"""How soon a caller may ask again where too many streams are open: nobody knows when one of them ends."""


@dataclass(slots=True)
class _Use:
    """What has been used of one set of limits."""

    tokens: float
    at: float
    streams: int = 0


@dataclass(frozen=True, slots=True)
class _Scope:
    """Whose limits they are, and the words for it."""

    use: _Use
    limits: Limits
    whose: str
    requests: Limit
    streams: Limit


class Limiter:
    """Counts per client name and in all; what is counted outlives a reload. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._uses: dict[str, _Use] = {}
        self._all = _Use(math.inf, clock())

    def enter(self, client: Client | None, exchange: Exchange, in_all: Limits) -> Callable[[], None]:
        """Counts a request; the result is called when it has ended. Raises RateLimited, and has then counted nothing."""
        scopes = self._scopes(client, in_all)
        if not scopes:
            return _nothing
        for scope in scopes:
            self._judge(scope, exchange)
        for scope in scopes:
            scope.use.tokens -= 1
        if not exchange.stream:
            return _nothing
        for scope in scopes:
            scope.use.streams += 1
        return lambda: _leave(scopes)

    def _scopes(self, client: Client | None, in_all: Limits) -> list[_Scope]:
        scopes = []
        if client is not None and client.limits.given:
            use = self._uses.get(client.name)
            if use is None:
                use = self._uses[client.name] = _Use(math.inf, self._clock())
            scopes.append(_Scope(use, client.limits, "This key", Limit.REQUESTS_PER_MINUTE, Limit.CONCURRENT_STREAMS))
        if in_all.given:
            whose = "All clients together"
            scopes.append(_Scope(self._all, in_all, whose, Limit.ALL_REQUESTS_PER_MINUTE, Limit.ALL_CONCURRENT_STREAMS))
        return scopes

    def _judge(self, scope: _Scope, exchange: Exchange) -> None:
        limits, use = scope.limits, scope.use
        if exchange.stream and limits.concurrent_streams is not None and use.streams >= limits.concurrent_streams:
            exchange.limited = scope.streams
            message = f"{scope.whose} may have {limits.concurrent_streams} streams open at a time."
            raise RateLimited(message, retry_after_s=_STREAM_RETRY_S)
        if limits.requests_per_minute is None:
            use.tokens = math.inf
            return
        now, per_second = self._clock(), limits.requests_per_minute / _MINUTE_S
        use.tokens = min(float(limits.requests_per_minute), use.tokens + (now - use.at) * per_second)
        use.at = now
        if use.tokens < 1:
            exchange.limited = scope.requests
            message = f"{scope.whose} may send {limits.requests_per_minute} requests a minute."
            raise RateLimited(message, retry_after_s=(1 - use.tokens) / per_second)


def _leave(scopes: list[_Scope]) -> None:
    for scope in scopes:
        scope.use.streams -= 1


def _nothing() -> None:
    return
