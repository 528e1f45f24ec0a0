"""One timer for many that begin at different times and are due equally long after it; most end before they are."""

import asyncio
import time
from typing import Protocol


class Due(Protocol):
    """Who may be looked at."""

    def look(self) -> None:
        """The time has come. It may just have ended."""


class Sweep:
    """Calls `look` of each that was added, once, so many seconds later. Moments are those of `time.monotonic`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._young: dict[Due, float] = {}
        """Those that have not been looked at, in the order in which they began, and when that was."""
        self._awake = False
        """Whether the timer runs."""

    def add(self, one: Due, now: float) -> None:
        """It begins now. To be called in the event loop."""
        self._young[one] = now
        if not self._awake:
            self._wake(self.seconds)

    def discard(self, one: Due) -> None:
        """It has ended, and is not looked at any more."""
        self._young.pop(one, None)

    def _wake(self, seconds: float) -> None:
        self._awake = True
        asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._awake = False
        now, loop = time.monotonic(), asyncio.get_running_loop()
        due: list[Due] = []
        for one, began in self._young.items():
            left = began + self.seconds - now
            if left > 0:  # who began later is due later
                self._wake(left)
                break
            due.append(one)
        for one in due:
            del self._young[one]
            loop.call_soon(one.look)  # each for itself: what one of them raises is no other's matter
