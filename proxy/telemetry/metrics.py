"""The metrics of one application: what is counted, and the text of `/metrics`."""

import time
from collections.abc import Iterable

from proxy.telemetry.aliases import ALIASES
from proxy.telemetry.census import Census
from proxy.telemetry.exchange import MemoryResult, Stage
from proxy.telemetry.families import Families
from proxy.telemetry.registry import Alias, CounterSeries, Exposed, Maker
from proxy.telemetry.target import TargetMetrics

UNMATCHED = "_unmatched"
"""The route of requests that matched none."""
TargetKey = tuple[str, str, str]
"""Route, provider and model, as the configuration has them."""


class Metrics:
    """All metrics of one application. `aliases`: words of `ALIASES`; `maker`: what makes the families."""

    def __init__(self, version: str, *, aliases: Iterable[str] = (), maker: Maker | None = None) -> None:
        self._maker = maker or Exposed()
        self.note = self._maker.note
        self.families = families = Families(self._maker)
        self._aliases: dict[str, Alias] = {}
        for name in aliases:
            self._aliases |= ALIASES[name]
        self._targets: dict[TargetKey, TargetMetrics] = {}
        self._resting: dict[str, set[str]] = {}
        self.overheads = {stage: families.overhead.labels(stage) for stage in Stage}
        self.lag = families.lag
        # What leaves the memory leaves all of it, so it has no target.
        for result in (MemoryResult.EVICTED, MemoryResult.EXPIRED):
            families.memory.labels("", "", result)
        families.build.labels(version).set(1.0)
        self.unmatched()

    def target(self, route: str, provider: str, model: str) -> TargetMetrics:
        """The bound metrics of a configured target; `model` is the target's text in the configuration."""
        key = (route, provider, model)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = TargetMetrics(self, *key)
            if provider and provider not in self._resting:
                self.available(provider, model, ok=True)
        return found

    def unmatched(self) -> TargetMetrics:
        """Where requests are counted that reached no route."""
        return self.target(UNMATCHED, "", "")

    def count(self, family: CounterSeries, *labels: str, amount: float = 1.0) -> None:
        """Counts something that is rare enough for a look-up of its labels."""
        family.labels(*labels).inc(amount)

    def available(self, provider: str, model: str, *, ok: bool) -> None:
        """Whether a target is asked. A provider is available while none of its targets is passed over."""
        resting = self._resting.setdefault(provider, set())
        (resting.discard if ok else resting.add)(model)
        self.families.available.labels(provider).set(0.0 if resting else 1.0)

    def reloaded(self, *, ok: bool) -> None:
        """The configuration was loaded, or refused."""
        self.families.reload_ok.set(1.0 if ok else 0.0)
        if ok:
            self.families.reload_at.set(time.time())

    def remembers(self, entries: int, size: int) -> None:
        """The reasoning memory holds so many messages, in so many bytes."""
        self.families.memory_entries.set(entries)
        self.families.memory_bytes.set(size)

    def forgot(self, result: MemoryResult) -> None:
        """A message left the reasoning memory, evicted or expired."""
        self.count(self.families.memory, "", "", result)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The text of `/metrics` that an `Accept` header asks for, and its content type.

        Takes milliseconds, so it is called in a thread.
        """
        return self._maker.render(accept, self._aliases)

    def render(self) -> bytes:
        """The text for those that ask for no format."""
        return self.exposition("")[0]


def series_of(targets: Iterable[TargetKey], aliases: Iterable[str] = ()) -> int:
    """Time series that these targets make, as far as they are there from the start; those of the process aside."""
    census = Census()
    metrics = Metrics("", aliases=aliases, maker=census)
    for key in targets:
        metrics.target(*key)
    names = {name for word in aliases for name in ALIASES[word]}
    return sum(tally.size * (2 if tally.name in names else 1) for tally in census.tallies)
