"""How many time series a configuration makes, counted before it is put in force."""

from collections.abc import Mapping, Sequence
from typing import Self

from proxy.telemetry.registry import Alias, Counted, GaugeMode, Observed


class Tally:
    """Stands for a family: remembers which series it was asked for, and counts nothing."""

    def __init__(self, name: str, labels: Sequence[str], lines: int) -> None:
        self.name, self._lines = name, lines
        self._series: set[tuple[str, ...]] = set() if labels else {()}

    @property
    def size(self) -> int:
        """Its lines in the text of `/metrics`."""
        return self._lines * len(self._series)

    def labels(self, *values: str) -> Self:
        """One more series, if it is new."""
        self._series.add(values)
        return self

    def inc(self, amount: float = 1) -> None:
        """Nothing is counted."""

    def set(self, value: float) -> None:
        """Nothing is counted."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Nothing is counted."""

    def add(self, row: Sequence[float]) -> None:
        """Nothing is counted."""


class Census:
    """Makes families that only tell how large they are."""

    def __init__(self) -> None:
        self.tallies: list[Tally] = []

    def counter(self, name: str, text: str, labels: Sequence[str]) -> Tally:
        """A new family."""
        del text
        return self._tally(name.removesuffix("_total"), labels, 1)

    def gauge(self, name: str, text: str, labels: Sequence[str], mode: GaugeMode) -> Tally:
        """A new family."""
        del text, mode
        return self._tally(name, labels, 1)

    def histogram(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Tally:
        """A new family: a line for each bucket and +Inf, for the count and the sum."""
        del text
        return self._tally(name, labels, len(buckets) + 3)

    def note(self, counted: Counted, observed: Observed) -> None:
        """Nothing is counted."""

    def render(self, accept: str, aliases: Mapping[str, Alias]) -> tuple[bytes, str]:
        """Nothing was counted, so there is nothing to tell."""
        del accept, aliases
        return b"", ""

    def _tally(self, name: str, labels: Sequence[str], lines: int) -> Tally:
        self.tallies.append(Tally(name, labels, lines))
        return self.tallies[-1]
