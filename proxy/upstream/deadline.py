"""The time limits of one try, on one timer."""

import asyncio
import math
from collections.abc import Callable
from enum import StrEnum

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


def _seconds(limits: Timeouts, wait: Wait) -> float:
    if wait is Wait.FIRST_BYTE:
        return limits.first_byte_s
    if wait is Wait.FIRST_TOKEN:
        return limits.first_token_s
    if wait is Wait.FIRST_ANSWER:
        return limits.first_answer_s
    return limits.idle_s if wait is Wait.IDLE else limits.total_s


class Deadline:
    """Between `start` and `stop` the task that called `start` is cancelled when a limit is reached.

    `expired` then tells this cancellation from others, and `error` and `outcome` say which limit it was. `interrupt`
    ends the wait early with an error of the caller's.

    What happens is only noted; the timer, which goes off as often as the shortest limit, looks at what was noted.
    """

    def __init__(self, provider: str, limits: Timeouts, clock: Callable[[], float]) -> None:
        self._provider = provider
        self._limits = limits
        self._clock = clock
        self._idle = limits.idle_s or math.inf
        self._started = 0.0
        self._wait = self._next = Wait.TOTAL
        self._read_at = math.inf  # of the last read, while silence counts
        self._paused = False
        self._least = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._fired = False
        self._interruption: ProxyError | None = None

    def start(self) -> None:
        """From now on there are limits. Called in the task that they are for."""
        self._started = self._clock()
        self._task = asyncio.current_task()
        limits, never = self._limits, math.inf
        self._least = min(
            limits.first_byte_s or never,
            limits.first_token_s or never,
            limits.first_answer_s or never,
            self._idle,
            limits.total_s or never,
        )
        if self._least < never and self._task is not None:
            self._timer = self._task.get_loop().call_later(self._least, self._ring)

    def stop(self) -> None:
        """There are no limits any more."""
        self._task = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def until(self, wait: Wait) -> None:
        """From now on this is waited for, counted from the start, whatever is read."""
        self._wait = wait
        self._read_at = math.inf

    def answering(self, now: float) -> None:
        """From now on only silence and the total count. Something was just read."""
        self._wait = Wait.TOTAL
        self.read(now)

    def read(self, now: float) -> None:
        """Something was read: silence is counted from here."""
        self._read_at = now
        self._paused = False

    def pause(self) -> None:
        """Until the next `read` we do not wait for the upstream but perhaps for a slow client: only the total counts."""
        self._paused = True

    def interrupt(self, error: ProxyError) -> None:
        """Ends the wait now, with this error."""
        self._interruption = error
        self._fire()

    def expired(self) -> bool:
        """Whether the cancellation that the task has just caught was the deadline's, and no other came with it."""
        task = self._task
        return self._fired and task is not None and task.uncancel() == 0

    def _due(self) -> float:
        """When the next limit is reached; `_next` says which."""
        limits = self._limits
        self._next = Wait.TOTAL
        due = self._started + limits.total_s if limits.total_s else math.inf
        if self._paused:
            return due
        wait = self._wait
        if wait is not Wait.TOTAL and (seconds := _seconds(limits, wait)) and self._started + seconds < due:
            self._next, due = wait, self._started + seconds
        if self._read_at + self._idle < due:
            self._next, due = Wait.IDLE, self._read_at + self._idle
        return due

    def _ring(self) -> None:
        left = self._due() - self._clock()
        if left <= 0:
            self._fire()
        elif self._task is not None:
            self._timer = self._task.get_loop().call_later(min(left, self._least), self._ring)

    def _fire(self) -> None:
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()

    @property
    def error(self) -> ProxyError:
        """What the client is told of the limit that was reached."""
        if self._interruption is not None:
            return self._interruption
        seconds = _seconds(self._limits, self._next)
        return UpstreamTimeout(
            f"Provider {self._provider!r} {_WHAT[self._next]} within {seconds:g} s (timeouts.{self._next})."
        )

    @property
    def outcome(self) -> AttemptOutcome:
        """The limit that was reached, as a label."""
        return AttemptOutcome.CANCELLED if self._interruption is not None else _OUTCOMES[self._next]
