"""The metrics of one application: what is counted, and the text of `/metrics`."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from proxy.telemetry import shared
from proxy.telemetry.aliases import ALIASES
from proxy.telemetry.exchange import Exchange, MemoryResult, Stage
from proxy.telemetry.exposition import Alias, pieces
from proxy.telemetry.families import Families
from proxy.telemetry.process import Process
from proxy.telemetry.registry import Family, Registry
from proxy.telemetry.target import TargetMetrics

MULTIPROCESS = "REASONING_PROXY_METRICS_DIR"
"""Variable that holds the folder in which several processes count."""
UNMATCHED = "_unmatched"
"""The route of requests that matched none."""
TargetKey = tuple[str, str, str]
"""Route, provider and model, as the configuration has them."""


class Metrics:
    """All metrics of one application. `folder`: where several processes count together; None: this one is alone."""

    def __init__(self, version: str, *, aliases: Iterable[str] = (), folder: Path | None = None) -> None:
        self._store = None if folder is None else shared.SharedStore(folder)
        self.registry = registry = Registry(self._store)
        self.families = families = Families(registry)
        self._neighbours = None if self._store is None else shared.Neighbourhood(registry, self._store)
        self._process = Process(registry) if self._store is None else None
        self._aliases: dict[str, Alias] = {}
        for name in aliases:
            self._aliases |= ALIASES[name]
        self._targets: dict[TargetKey, TargetMetrics] = {}
        self._resting: dict[str, set[str]] = {}
        self._overheads = {stage: registry.histogram(families.overhead, stage) for stage in Stage}
        self.lag = registry.histogram(families.lag)
        self._reload_ok = registry.gauge(families.reload_ok)
        self._reload_at = registry.gauge(families.reload_at)
        self._memory = registry.gauge(families.memory_entries), registry.gauge(families.memory_bytes)
        # What leaves the memory leaves all of it, so it has no target.
        for result in (MemoryResult.EVICTED, MemoryResult.EXPIRED):
            registry.counter(families.memory, "", "", result)
        registry.gauge(families.build, version).set(1.0)
        self.unmatched()

    def target(self, route: str, provider: str, model: str) -> TargetMetrics:
        """The bound metrics of a configured target; `model` is the target's text in the configuration."""
        key = (route, provider, model)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = TargetMetrics(self, *key)
            if provider and (provider,) not in self.families.available.series:
                self.available(provider, model, ok=True)
        return found

    def unmatched(self) -> TargetMetrics:
        """Where requests are counted that reached no route."""
        return self.target(UNMATCHED, "", "")

    def count(self, family: Family, *labels: str, amount: float = 1.0) -> None:
        """Counts something that is rare enough for a look-up of its labels."""
        self.registry.counter(family, *labels).inc(amount)

    def available(self, provider: str, model: str, *, ok: bool) -> None:
        """Whether a target is asked. A provider is available while none of its targets is passed over."""
        resting = self._resting.setdefault(provider, set())
        (resting.discard if ok else resting.add)(model)
        self.registry.gauge(self.families.available, provider).set(0.0 if resting else 1.0)

    def reloaded(self, *, ok: bool) -> None:
        """The configuration was loaded, or refused."""
        self._reload_ok.set(1.0 if ok else 0.0)
        if ok:
            self._reload_at.set(time.time())

    def remembers(self, entries: int, size: int) -> None:
        """The reasoning memory holds so many messages, in so many bytes."""
        self._memory[0].set(entries)
        self._memory[1].set(size)

    def forgot(self, result: MemoryResult) -> None:
        """A message left the reasoning memory, evicted or expired."""
        self.count(self.families.memory, "", "", result)

    def ended(self, exchange: Exchange) -> None:
        """Counts a request that has ended; called once, where requests end."""
        exchange.target.ended(exchange)
        if exchange.overhead_request_s is not None:
            self._overheads[Stage.REQUEST].observe(exchange.overhead_request_s)
        if exchange.overhead_first_chunk_s is not None:
            self._overheads[Stage.FIRST_CHUNK].observe(exchange.overhead_first_chunk_s)
        if exchange.overhead_stream_s is not None:
            self._overheads[Stage.STREAM].observe(exchange.overhead_stream_s)

    @property
    def series(self) -> int:
        """Time series of the exposition, as far as they are there from the start."""
        aliases = (family for name, family in self.registry.families.items() if name in self._aliases)
        return self.registry.lines + sum(family.lines * len(family.series) for family in aliases)

    def pieces(self, *, open_metrics: bool = False) -> Iterator[str]:
        """The text of `/metrics` in pieces, each made in less than a millisecond, so that streams go on in between."""
        if self._process is not None:
            self._process.read()
        registry: Registry | None = self.registry
        if self._neighbours is not None:
            for merged in self._neighbours.merged():
                registry = merged
                yield ""
        if registry is not None:
            yield from pieces(registry, self._aliases, open_metrics=open_metrics)

    def render(self, *, open_metrics: bool = False) -> bytes:
        """The same in one."""
        return "".join(self.pieces(open_metrics=open_metrics)).encode()

    def close(self) -> None:
        """Nothing is counted any more."""
        if self._neighbours is not None and self._store is not None:
            self._neighbours.close()
            self._store.close()
