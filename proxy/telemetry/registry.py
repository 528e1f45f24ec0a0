"""The Prometheus client, as far as we use it: where metrics are made, and the text of `/metrics`."""

import contextlib
import gc
import math
import os
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

_DOUBLE = struct.Struct("d")
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The client's own variable: the folder in which several processes count. It is read when the client is imported."""
GaugeMode = Literal["livesum", "livemin", "livemax"]
"""What the gauges of several living processes are together; counters and histograms are always summed."""


class CounterSeries(Protocol):
    """A counter, or one bound series of it."""

    def labels(self, *values: str) -> Self: ...
    def inc(self, amount: float = 1) -> None: ...


class GaugeSeries(Protocol):
    """A gauge, or one bound series of it."""

    def labels(self, *values: str) -> Self: ...
    def inc(self, amount: float = 1) -> None: ...
    def set(self, value: float) -> None: ...


class HistogramSeries(Protocol):
    """A histogram, or one bound series of it."""

    def labels(self, *values: str) -> Self: ...
    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None: ...
    def add(self, row: Sequence[float]) -> None: ...


Counted = Iterable[tuple[Any, float]]
Observed = Iterable[tuple[Any, float]]
"""What is to be noted together: bound series of the maker's own, and by how much they rise or which value they get."""


class Maker(Protocol):
    """What makes the families."""

    def counter(self, name: str, text: str, labels: Sequence[str]) -> CounterSeries: ...
    def gauge(self, name: str, text: str, labels: Sequence[str], mode: GaugeMode) -> GaugeSeries: ...
    def histogram(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> HistogramSeries: ...
    def note(self, counted: Counted, observed: Observed) -> None: ...
    def render(self, accept: str, aliases: Mapping[str, "Alias"]) -> tuple[bytes, str]: ...


class Tally(Counter):
    """A counter whose bound series count in one step."""

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        """Adds what is not negative."""
        if exemplar or not amount >= 0:
            super().inc(amount, exemplar)
        else:
            self._value.inc(amount)


class Buckets(Histogram):
    """A histogram that finds a value's bucket by bisection, and takes what was counted elsewhere.

    The second is one call for all the gaps of a stream. Only bound series are observed here.
    """

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Counts a value; no number (NaN) is in no bucket."""
        if exemplar or not amount <= math.inf:
            super().observe(amount, exemplar)
            return
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)

    def add(self, row: Sequence[float]) -> None:
        """Adds a count for each bucket (not cumulative), then the sum of the values; as `Exposed.note` does."""
        for bucket, count in compress(zip(self._buckets, row, strict=False), row):
            _rise(bucket, count)
        _rise(self._sum, row[-1])


class Exposed:
    """Families in a registry of the client, and their text."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._folder = os.environ.get(MULTIPROCESS)
        if self._folder is None:
            ProcessCollector(registry=self.registry)

    def counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        """A new family."""
        return Tally(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str], mode: GaugeMode) -> Gauge:
        """A new family."""
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode=mode)

    def histogram(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Buckets:
        """A new family."""
        return Buckets(name, text, labels, registry=self.registry, buckets=buckets)

    def note(self, counted: Counted, observed: Observed) -> None:
        """Adds to counters what is not negative, to gauges, and numbers to histograms; only ever called in one thread.

        Nothing is locked, because nobody else in this process writes, and who makes the text reads whole numbers. Several
        processes count in their files, at once.
        """
        if self._folder is not None:
            for series, amount in counted:
                _rise(series._value, amount)  # noqa: SLF001 - the client's own methods lock
            for values, amount in observed:
                _rise(values._sum, amount)  # noqa: SLF001 - the same
                _rise(values._buckets[bisect_left(values._upper_bounds, amount)], 1.0)  # noqa: SLF001 - the same
            return
        for series, amount in counted:
            series._value._value += amount  # noqa: SLF001 - the client's own methods lock
        for values, amount in observed:
            values._sum._value += amount  # noqa: SLF001 - the same
            values._buckets[bisect_left(values._upper_bounds, amount)]._value += 1.0  # noqa: SLF001 - the same

    def render(self, accept: str, aliases: Mapping[str, "Alias"]) -> tuple[bytes, str]:
        """The text that the header `Accept` asks for, and its content type. Takes milliseconds: not for the event loop."""
        registry = self.registry
        if self._folder is not None:
            _bury_the_dead(Path(self._folder))
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(accept)
        with _uncollected():
            return encode(_Aliased(registry, aliases)), content_type


def _rise(value: Any, amount: float) -> None:
    """Adds to a number, and where it stands in this process's file there too; as its `inc`, but for lock and `getpid`."""
    value._value += amount  # noqa: SLF001 - see there
    if value._multiprocess:  # noqa: SLF001
        file = value._file  # noqa: SLF001
        _DOUBLE.pack_into(file._m, file._positions[value._key], value._value)  # noqa: SLF001


class Alias:
    """Another name under which a family is shown as well. `labels`: ours → theirs, where they differ."""

    def __init__(self, name: str, labels: Mapping[str, str]) -> None:
        self.name, self._labels = name, labels

    def of(self, metric: Metric) -> Metric:
        """The same values under this name."""
        shown = Metric(self.name, metric.documentation, metric.type)
        shown.samples = [self._renamed(sample, metric.name) for sample in metric.samples]
        return shown

    def _renamed(self, sample: Sample, name: str) -> Sample:
        labels = {self._labels.get(label, label): value for label, value in sample.labels.items()}
        return sample._replace(name=self.name + sample.name.removeprefix(name), labels=labels)


class _Aliased(Collector):
    """What a registry collects, and below each family its other name."""

    def __init__(self, source: CollectorRegistry, aliases: Mapping[str, Alias]) -> None:
        self._source, self._aliases = source, aliases

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            yield metric
            if metric.name in self._aliases:
                yield self._aliases[metric.name].of(metric)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """The thousands of samples of a scrape are no garbage: a collection that looks at them holds all threads up."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def share(folder: Path) -> None:
    """Makes the folder in which several processes count, empty: process ids repeat, and no old count may go on."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()


def _bury_the_dead(folder: Path) -> None:
    """Takes the gauges of processes that are gone out of the sum."""
    for pid in _counting(folder.glob("gauge_live*_*.db")):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue


def _counting(files: Iterable[Path]) -> set[int]:
    return {int(file.stem.rsplit("_", 1)[1]) for file in files}
