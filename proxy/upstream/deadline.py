"""The time limits of one try, on one timer."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

from proxy.core.errors import ProxyError, UpstreamTimeout
from proxy.settings.model import Timeouts
from proxy.telemetry.exchange import AttemptOutcome


class Wait(StrEnum):
    """What is waited for; the names of `timeouts` in a provider's settings."""

    FIRST_BYTE = "first_byte"
    FIRST_TOKEN = "first_token"  # noqa: S105 - a model's token
    FIRST_ANSWER = "first_answer"
    IDLE = "idle"
    TOTAL = "total"


_WHAT = {
    Wait.FIRST_BYTE: "sent nothing",
    Wait.FIRST_TOKEN: "generated nothing",
    Wait.FIRST_ANSWER: "began no answer",
    Wait.IDLE: "fell silent",
    Wait.TOTAL: "did not finish",
}
_OUTCOMES = {
    Wait.FIRST_BYTE: AttemptOutcome.FIRST_BYTE_TIMEOUT,
    Wait.FIRST_TOKEN: AttemptOutcome.FIRST_TOKEN_TIMEOUT,
    Wait.FIRST_ANSWER: AttemptOutcome.FIRST_ANSWER_TIMEOUT,
    Wait.IDLE: AttemptOutcome.IDLE_TIMEOUT,
    Wait.TOTAL: AttemptOutcome.TOTAL_TIMEOUT,
}


class Deadline:
    """An `async with` block that raises TimeoutError when a limit is reached; `error` and `outcome` then say which.

    One timer serves all limits. It is moved on each read instead of being made anew. `interrupt` ends the block early
    with an error of the caller's.
    """

    def __init__(self, provider: str, limits: Timeouts, clock: Callable[[], float]) -> None:
        self._provider = provider
        self._limits = {
            Wait.FIRST_BYTE: limits.first_byte_s,
            Wait.FIRST_TOKEN: limits.first_token_s,
            Wait.FIRST_ANSWER: limits.first_answer_s,
            Wait.IDLE: limits.idle_s,
            Wait.TOTAL: limits.total_s,
        }
        self._clock = clock
        self._started = 0.0
        self._timer = asyncio.timeout(None)
        self._fixed: tuple[float, Wait] | None = None
        self._next = Wait.TOTAL
        self._interruption: ProxyError | None = None
        self._running = False

    async def __aenter__(self) -> Self:
        self._started = self._clock()
        await self._timer.__aenter__()
        self._running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        await self._timer.__aexit__(kind, error, trace)

    def until(self, wait: Wait | None) -> None:
        """From now on this is waited for, counted from the start; None: only silence and the total count."""
        limits = [(self._started + self._limits[w], w) for w in (wait, Wait.TOTAL) if w is not None and self._limits[w]]
        self._fixed = min(limits) if limits else None
        self._arm(self._fixed)

    def read(self, now: float) -> None:
        """Something was read: silence is counted from here."""
        idle = self._limits[Wait.IDLE]
        limit = self._fixed
        if idle and (limit is None or now + idle < limit[0]):
            limit = (now + idle, Wait.IDLE)
        self._arm(limit, now)

    def pause(self) -> None:
        """We are not waiting for the upstream but for a slow client: only the total counts."""
        total = self._limits[Wait.TOTAL]
        self._arm((self._started + total, Wait.TOTAL) if total else None)

    def interrupt(self, error: ProxyError) -> None:
        """Ends the block now, with this error."""
        self._interruption = error
        if self._running and not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time())

    def _arm(self, limit: tuple[float, Wait] | None, now: float | None = None) -> None:
        if self._interruption is not None:
            return
        if limit is None:
            self._timer.reschedule(None)
            return
        at, self._next = limit
        left = at - (self._clock() if now is None else now)
        self._timer.reschedule(asyncio.get_running_loop().time() + left)

    @property
    def error(self) -> ProxyError:
        """What the client is told of the limit that was reached."""
        if self._interruption is not None:
            return self._interruption
        seconds = self._limits[self._next]
        return UpstreamTimeout(
            f"Provider {self._provider!r} {_WHAT[self._next]} within {seconds:g} s (timeouts.{self._next})."
        )

    @property
    def outcome(self) -> AttemptOutcome:
        """The limit that was reached, as a label."""
        return AttemptOutcome.CANCELLED if self._interruption is not None else _OUTCOMES[self._next]
