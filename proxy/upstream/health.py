"""What is known of the targets: open requests, and how soon they begin to answer. Read by the routing strategies."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from proxy.routing import Health, TargetKey

_WEIGHT = 0.2
"""Of the newest measurement in the average: about the last ten count."""


class TargetHealth:
    """One target's."""

    __slots__ = ("in_flight", "latency_s")

    def __init__(self) -> None:
        self.in_flight = 0
        self.latency_s: float | None = None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A request is open for the length of a `with` block."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def answered(self, seconds: float) -> None:
        """A request got its first generated content after this time."""
        known = self.latency_s
        self.latency_s = seconds if known is None else known + _WEIGHT * (seconds - known)


class Healths:
    """All targets'; what is known outlives a reload."""

    def __init__(self) -> None:
        self._of: dict[TargetKey, TargetHealth] = {}

    def of(self, key: TargetKey) -> TargetHealth:
        """The one of this target."""
        return self._of.setdefault(key, TargetHealth())

    def view(self) -> Mapping[TargetKey, Health]:
        """A snapshot for the routing strategies."""
        return {key: Health(one.in_flight, one.latency_s) for key, one in self._of.items()}
