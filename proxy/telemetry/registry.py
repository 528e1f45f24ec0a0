"""Families of series, all values of which lie in one row of doubles.

Counting is an addition in that row: no lock, no look-up of labels, and no object per bucket. All of it happens on the
event loop's thread, where additions cannot meet; whoever reads does so there too, or at rest.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, overload


class Kind(StrEnum):
    """The types of the exposition formats."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(StrEnum):
    """What the gauges of several living processes are together; counters and histograms are always summed."""

    SUM = "sum"
    LEAST = "least"
    MOST = "most"


class Values(Protocol):
    """A row of doubles."""

    @overload
    def __getitem__(self, slot: int, /) -> float: ...
    @overload
    def __getitem__(self, slots: slice, /) -> Iterable[float]: ...
    def __setitem__(self, slot: int, value: float, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation whose trace was recorded."""

    trace_id: str
    value: float
    at: float
    """Unix time in seconds."""


@dataclass(slots=True)
class Family:
    """All series of one name."""

    name: str
    """Whole; of a counter with its `_total`."""
    kind: Kind
    text: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, the last of which, +Inf, is not in it."""
    merge: Merge = Merge.SUM
    series: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Label values → the first of the series' slots."""
    bound_texts: tuple[str, ...] = ()
    """The bounds as the exposition writes them, with +Inf."""

    def __post_init__(self) -> None:
        self.bound_texts = (*map(str, self.bounds), "+Inf")

    @property
    def width(self) -> int:
        """Slots of one series. A histogram has one for each bucket (not cumulative), then one for the sum."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1

    @property
    def lines(self) -> int:
        """Series of the exposition: a histogram has one for each bucket, the sum and the count."""
        return len(self.bounds) + 3 if self.kind is Kind.HISTOGRAM else 1


class Counter:
    """One bound series that only grows."""

    __slots__ = ("_values", "_slot")

    def __init__(self, values: Values, slot: int) -> None:
        self._values, self._slot = values, slot

    def inc(self, amount: float = 1.0) -> None:
        """Adds; `amount` is never negative."""
        self._values[self._slot] += amount


class Gauge:
    """One bound series that goes up and down."""

    __slots__ = ("_values", "_slot")

    def __init__(self, values: Values, slot: int) -> None:
        self._values, self._slot = values, slot

    def set(self, value: float) -> None:
        """The value now."""
        self._values[self._slot] = value

    def inc(self, amount: float = 1.0) -> None:
        """Adds; `amount` may be negative."""
        self._values[self._slot] += amount


class Histogram:
    """One bound series of buckets."""

    __slots__ = ("_values", "_slot", "_bounds", "_sum", "_exemplars")

    def __init__(self, values: Values, slot: int, bounds: tuple[float, ...], exemplars: dict[int, Exemplar]) -> None:
        self._values, self._slot, self._bounds, self._exemplars = values, slot, bounds, exemplars
        self._sum = slot + len(bounds) + 1

    def observe(self, value: float, trace_id: str | None = None) -> None:
        """Counts one value. `trace_id`: of its trace, where that was sampled."""
        values, slot = self._values, self._slot + bisect_left(self._bounds, value)
        values[slot] += 1.0
        values[self._sum] += value
        if trace_id is not None:
            self._exemplars[slot] = Exemplar(trace_id, value, time.time())

    def add(self, row: Sequence[float]) -> None:
        """Adds what was counted elsewhere: a count for each bucket, then the sum of the values."""
        values = self._values
        for place, value in enumerate(row, self._slot):
            if value:
                values[place] += value


class Store(Protocol):
    """Where the doubles lie."""

    values: Values

    def reserve(self, family: Family, labels: tuple[str, ...]) -> int:
        """Makes room for one series, all zero; gives its first slot."""


class Memory:
    """The store of a process that is alone: a list, which counts twice as fast as an array."""

    def __init__(self) -> None:
        self._row: list[float] = []
        self.values: Values = self._row

    def reserve(self, family: Family, labels: tuple[str, ...]) -> int:
        """Makes room for one series."""
        del labels
        slot = len(self._row)
        self._row.extend([0.0] * family.width)
        return slot


class Registry:
    """All families of one application."""

    def __init__(self, store: Store | None = None) -> None:
        self._store: Store = Memory() if store is None else store
        self.values = self._store.values
        self.families: dict[str, Family] = {}
        self.exemplars: dict[int, Exemplar] = {}
        """Slot of a bucket → the newest one in it."""

    def family(
        self,
        name: str,
        kind: Kind,
        text: str,
        labels: tuple[str, ...] = (),
        *,
        bounds: tuple[float, ...] = (),
        merge: Merge = Merge.SUM,
    ) -> Family:
        """A new family; its series come with their first use."""
        if name in self.families:
            raise ValueError(f"the metric {name} is there already")
        made = self.families[name] = Family(name, kind, text, labels, bounds, merge)
        return made

    def counter(self, family: Family, *labels: str) -> Counter:
        """The series of these label values, made where it is new."""
        return Counter(self.values, self.slot(family, labels))

    def gauge(self, family: Family, *labels: str) -> Gauge:
        """As `counter`."""
        return Gauge(self.values, self.slot(family, labels))

    def histogram(self, family: Family, *labels: str) -> Histogram:
        """As `counter`."""
        return Histogram(self.values, self.slot(family, labels), family.bounds, self.exemplars)

    def slot(self, family: Family, labels: tuple[str, ...]) -> int:
        """The first slot of a series, made where it is new."""
        slot = family.series.get(labels)
        if slot is None:
            if len(labels) != len(family.labels):
                raise ValueError(f"{family.name} has the labels {family.labels}, not {labels}")
            slot = family.series[labels] = self._store.reserve(family, labels)
        return slot

    def row(self, family: Family, slot: int) -> list[float]:
        """All doubles of one series."""
        return list(self.values[slot : slot + family.width])

    def get_sample_value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """One value of the exposition, by its whole name and labels; None where there is none."""
        given = dict(labels or {})
        family = self.families.get(name)
        part = ""
        if family is None:
            stem, _, part = name.rpartition("_")
            family = self.families.get(stem)
        bound = given.pop("le", None)
        if family is None or given.keys() != set(family.labels):
            return None
        slot = family.series.get(tuple(given[label] for label in family.labels))
        if slot is None:
            return None
        row = self.row(family, slot)
        if part == "bucket":
            return sum(row[: family.bound_texts.index(bound or "+Inf") + 1])
        return row[-1] if part != "count" else sum(row[:-1])

    @property
    def lines(self) -> int:
        """Series of the exposition."""
        return sum(family.lines * len(family.series) for family in self.families.values())

    def sources(self) -> Iterator[tuple[Family, tuple[str, ...], int]]:
        """Every series: family, label values, first slot."""
        for family in self.families.values():
            for labels, slot in family.series.items():
                yield family, labels, slot
