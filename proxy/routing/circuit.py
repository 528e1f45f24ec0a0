"""Whether a target may be asked: cooldown, circuit and retry budget. Pure: moments (monotonic seconds) and chance
(`draw`, a random number in [0, 1)) are arguments.

    closed ──a try failed──► resting ──time is up, or a try succeeds──► closed
       ▲                        │ the fifth failure in a row
       │                        ▼
       └──its answer begins── trial ◄──time is up── open ◄──the trial fails, twice as long── trial
"""

from enum import IntEnum
from typing import Final

FAILURES = 5
"""Failures in a row that open the circuit: Envoy's outlier detection, `consecutive_5xx`."""
LONGEST_S = 300.0
"""No circuit is open, and no `Retry-After` is obeyed, for longer: Envoy's `max_ejection_time`. A longer cooldown counts."""
JITTER = 0.2
"""A pause is lengthened by up to this share, so that several proxies do not come back in one moment."""
BUDGET_SHARE = 0.2
"""Second tries per request: Finagle's and Envoy's `retry_budget`, 20 %."""
BUDGET_PER_S = 3
"""Second tries a second that are allowed to targets with few requests."""
BUDGET_WINDOW_S = 10
"""Seconds over which requests and second tries are counted: Finagle's `ttl`."""
_NEVER: Final = float("-inf")


class Standing(IntEnum):
    """Whether a target may be asked, the best first."""

    READY = 0
    RESTING = 1
    """It has just failed: asked only where no other target is left."""
    SHUT = 2
    """It has failed too often, has said when to come back, or is being tried by another request."""


class _Pause(IntEnum):
    NONE = 0
    RESTING = 1
    TOLD = 2
    OPEN = 3


class Circuit:
    """What is known of the failures of one target.

    A try is known by the moment at which it began; what comes of a try that began before the present pause says nothing
    about it.
    """

    __slots__ = ("_cooldown_s", "_failures", "_openings", "_pause", "_since", "_trial", "_until")

    def __init__(self) -> None:
        self._failures = 0
        self._openings = 0
        self._pause = _Pause.NONE
        self._since = _NEVER
        self._until = _NEVER
        self._trial = _NEVER
        self._cooldown_s = 0.0

    @property
    def clear(self) -> bool:
        """Nothing bad is known: a new one would be the same."""
        return not self._failures and self._pause is _Pause.NONE

    def standing(self, now: float) -> Standing:
        """Whether it may be asked now."""
        if self._pause is _Pause.NONE:
            return Standing.READY
        if now < self._until:
            return Standing.RESTING if self._pause is _Pause.RESTING else Standing.SHUT
        # A trial that has not been decided after a cooldown does not keep others from trying.
        busy = self._pause is _Pause.OPEN and now < self._trial + self._cooldown_s
        return Standing.SHUT if busy else Standing.READY

    def rested(self, now: float) -> bool:
        """Its pause is over, and no trial is needed."""
        return self._pause in (_Pause.RESTING, _Pause.TOLD) and now >= self._until

    def back_s(self, now: float) -> float:
        """Seconds until it is no longer shut; 0 where it is not."""
        if self.standing(now) is not Standing.SHUT:
            return 0.0
        return (self._until if now < self._until else self._trial + self._cooldown_s) - now

    def enter(self, now: float) -> bool:
        """A try would begin now; False where the target is shut. One that is no longer open gets one trial at a time."""
        if self.standing(now) is Standing.SHUT:
            return False
        if self._pause is _Pause.OPEN:
            self._trial = now
        return True

    def left(self, began: float) -> None:
        """A try ended without saying anything about the target: the client went away."""
        if began == self._trial:
            self._trial = _NEVER

    def begun(self, began: float) -> None:
        """A try's answer has begun, or its request was refused: the target is there. Its failures are not forgotten."""
        if began >= self._since:
            self._pause = _Pause.NONE
            self._trial = _NEVER

    def succeeded(self, began: float) -> None:
        """A try's answer was complete."""
        if began >= self._since:
            self.begun(began)
            self._failures = self._openings = 0

    def failed(
        self, began: float, now: float, cooldown_s: float, draw: float, retry_after_s: float | None = None
    ) -> None:
        """A try failed by the target's doing. `cooldown_s` 0: it is not left alone."""
        if began < self._since or not cooldown_s:
            return
        self._failures += 1
        if self._failures < FAILURES:
            self.rest(began, now, cooldown_s, draw, retry_after_s)
            return
        longest = max(LONGEST_S, cooldown_s)
        seconds = min(cooldown_s * 2.0 ** min(self._openings, 32), longest)
        self._openings += 1
        self._enter_pause(_Pause.OPEN, now, max(seconds, min(retry_after_s or 0.0, longest)), draw)
        self._cooldown_s = cooldown_s

    def rest(
        self, began: float, now: float, cooldown_s: float, draw: float, retry_after_s: float | None = None
    ) -> None:
        """A try was turned away: the target is left alone, for as long as it said where it said so."""
        if began < self._since or not cooldown_s:
            return
        if retry_after_s is None:
            self._enter_pause(_Pause.RESTING, now, cooldown_s, draw)
        else:
            self._enter_pause(_Pause.TOLD, now, min(retry_after_s, max(LONGEST_S, cooldown_s)), draw)

    def _enter_pause(self, pause: _Pause, now: float, seconds: float, draw: float) -> None:
        if self._pause is not _Pause.RESTING or pause is not _Pause.RESTING:
            self._since = now
        self._pause = pause
        self._until = now + seconds * (1 + JITTER * draw)
        self._trial = _NEVER


class RetryBudget:
    """How many second tries one target gets, so that its outage does not double its load."""

    __slots__ = ("_asked", "_retried", "_second")

    def __init__(self) -> None:
        self._asked = [0] * BUDGET_WINDOW_S
        self._retried = [0] * BUDGET_WINDOW_S
        self._second = 0

    def asked(self, now: float) -> None:
        """A request came to this target."""
        second = int(now)
        self._asked[second % BUDGET_WINDOW_S if second == self._second else self._place(second)] += 1

    def take(self, now: float) -> bool:
        """Whether a second try may be made now; it is then counted."""
        place = self._place(int(now))
        if sum(self._retried) + 1 > BUDGET_PER_S * BUDGET_WINDOW_S + BUDGET_SHARE * sum(self._asked):
            return False
        self._retried[place] += 1
        return True

    def _place(self, second: int) -> int:
        """The slot of this second; those of seconds that have gone by since the last call are emptied."""
        for gone in range(max(self._second + 1, second - BUDGET_WINDOW_S + 1), second + 1):
            self._asked[gone % BUDGET_WINDOW_S] = self._retried[gone % BUDGET_WINDOW_S] = 0
        self._second = max(self._second, second)
        return second % BUDGET_WINDOW_S
