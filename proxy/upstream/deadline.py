"""The time limits of tries: notes that are made as things happen, and timers that look at them now and then."""

import asyncio
import math
import time
from enum import StrEnum

from proxy.core.errors import ProxyError, UpstreamTimeout
from proxy.settings.model import Timeouts
from proxy.telemetry.exchange import AttemptOutcome
from proxy.upstream.sweep import Sweep


class Wait(StrEnum):
    """What is waited for; the names of `timeouts` in a provider's settings."""

    FIRST_BYTE = "first_byte"
    FIRST_TOKEN = "first_token"  # noqa: S105 - a model's token
    FIRST_ANSWER = "first_answer"
    IDLE = "idle"
    TOTAL = "total"


FIRST_BYTE, FIRST_TOKEN, FIRST_ANSWER, _IDLE, _TOTAL = Wait
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


class Deadlines:
    """The limits of all open tries of one provider, which are the same for each.

    What happens to a try is only noted by its `Deadline`. It is looked at when the shortest limit has passed: first
    by one timer for all, then by a timer of its own, which few live to see.
    """

    def __init__(self, provider: str, limits: Timeouts) -> None:
        never = math.inf
        self.provider = provider
        self.limits = limits
        self.idle = limits.idle_s or never
        self.least = min(
            limits.first_byte_s or never,
            limits.first_token_s or never,
            limits.first_answer_s or never,
            self.idle,
            limits.total_s or never,
        )
        """Seconds from the beginning of a try to the first look at it, and at most from each look to the next."""
        self.sweep = Sweep(self.least)
        """Looks at each once `least` has passed."""


class Deadline:
    """Between `start` and `stop` the task that called `start` is cancelled when a limit is reached.

    `expired` then tells this cancellation from others, and `error` and `outcome` say which limit it was. `interrupt`
    ends the wait early with an error of the caller's. Moments are those of `time.monotonic`.
    """

    started = 0.0
    paused = False
    """We do not wait for the upstream but perhaps for a slow client: only the total counts."""
    _next = _TOTAL
    _timer: asyncio.TimerHandle | None = None
    _task: asyncio.Task[object] | None = None
    _fired = False
    _interruption: ProxyError | None = None

    def __init__(self, shared: Deadlines) -> None:
        self._shared = shared
        self.wait = FIRST_BYTE
        """What is waited for, counted from the start, beside the end of silence."""
        self.read_at = math.inf
        """When something was read last, while silence counts. Noted at each read, so not as a default of the class."""

    def start(self, now: float) -> None:
        """From now on there are limits, first of all that of the first byte. Called in the task that they are for."""
        shared = self._shared
        self.started = now
        self._task = task = asyncio.current_task()
        if shared.least < math.inf and task is not None:
            shared.sweep.add(self, now)

    def stop(self) -> None:
        """There are no limits any more."""
        self._task = None
        self._shared.sweep.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answering(self, now: float) -> None:
        """From now on only silence and the total count. Something was just read."""
        self.wait = _TOTAL
        self.read_at = now

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
        limits = self._shared.limits
        self._next = _TOTAL
        due = self.started + limits.total_s if limits.total_s else math.inf
        if self.paused:
            return due
        wait = self.wait
        if wait is not _TOTAL and (seconds := _seconds(limits, wait)) and self.started + seconds < due:
            self._next, due = wait, self.started + seconds
        if self.read_at + self._shared.idle < due:
            self._next, due = _IDLE, self.read_at + self._shared.idle
        return due

    def look(self) -> None:
        """Ends the wait where a limit has been reached, else looks again later."""
        left = self._due() - time.monotonic()
        if left <= 0:
            self._fire()
        elif self._task is not None:
            self._timer = self._task.get_loop().call_later(min(left, self._shared.least), self.look)

    def _fire(self) -> None:
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()

    @property
    def error(self) -> ProxyError:
        """What the client is told of the limit that was reached."""
        if self._interruption is not None:
            return self._interruption
        seconds = _seconds(self._shared.limits, self._next)
        return UpstreamTimeout(
            f"Provider {self._shared.provider!r} {_WHAT[self._next]} within {seconds:g} s (timeouts.{self._next})."
        )

    @property
    def outcome(self) -> AttemptOutcome:
        """The limit that was reached, as a label."""
        return AttemptOutcome.CANCELLED if self._interruption is not None else _OUTCOMES[self._next]
