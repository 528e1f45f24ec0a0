"""How late the event loop runs what is due: what everything on it waits for."""

import asyncio
import time
from collections.abc import Callable

from proxy.telemetry.registry import HistogramSeries

PERIOD_S = 0.5


class LagSampler:
    """Sets a timer twice a second and notes by how much it is late; `then` is called at each.

    uvloop's timers go by whole milliseconds: up to one of them is no lag.
    """

    def __init__(self, lag: HistogramSeries, then: Callable[[], None]) -> None:
        self._lag = lag
        self._then = then
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """From now on, on the running loop."""
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(PERIOD_S, self._sample, loop, time.monotonic() + PERIOD_S)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = time.monotonic()
        self._lag.observe(max(0.0, now - due))
        self._then()
        self._handle = loop.call_later(PERIOD_S, self._sample, loop, now + PERIOD_S)

    def stop(self) -> None:
        """No more."""
        if self._handle is not None:
            self._handle.cancel()
