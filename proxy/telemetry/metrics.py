"""The metrics of `docs/metrics.md`: the only place that knows the Prometheus client.

Labels come from the configuration and from closed enumerations, never from a client. Children are bound once per
target, because a look-up of labels costs more than the count itself.
"""

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from proxy.core.errors import Outcome
from proxy.core.notes import parts
from proxy.telemetry.exchange import AttemptOutcome, Exchange, Limit, Phase, Stage

PREFIX = "reasoning_proxy_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNMATCHED = "_unmatched"
"""The route of requests that matched none."""
LONG = tuple(0.01 * 2**n for n in range(17))
"""Seconds: OpenTelemetry's buckets for generative clients, extended to eleven minutes for long reasoning."""
TINY = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3)
"""Seconds: what the proxy itself adds."""
TARGET = ("route", "provider", "model")
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
GaugeMode = Literal["livemostrecent", "livesum", "livemin"]
"""What several processes show together: the newest value, the sum, or the least."""


class MemoryResult(StrEnum):
    """What happened to the reasoning memory; the closed set of the `result` label of `memory_total`."""

    HIT = "hit"
    MISS = "miss"
    STORED = "stored"
    EVICTED = "evicted"
    EXPIRED = "expired"


class Metrics:
    """All metrics of one application, in a registry of its own."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._targets: dict[tuple[str, str, str], TargetMetrics] = {}
        self._families()
        self._gauge("build_info", "The running version; always 1.", ("version",)).labels(version).set(1)
        self._reload_ok = self._gauge(
            "config_last_reload_successful", "Whether the last load of the configuration succeeded (1 or 0)."
        )
        self._reload_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "Unix time of the last successful load."
        )
        if MULTIPROCESS not in os.environ:
            ProcessCollector(registry=self.registry)

    def _families(self) -> None:
        count, long = self._counter, self._histogram
        self.requests = count("requests_total", "Requests that ended.", (*TARGET, "stream", "outcome"))
        self.duration = long("request_duration_seconds", "Head parsed to last byte sent.", (*TARGET, "stream"))
        self.first_chunk = long("time_to_first_chunk_seconds", "To the first generated content of a stream.", TARGET)
        self.first_reasoning = long("time_to_first_reasoning_seconds", "To the first reasoning of a stream.", TARGET)
        self.first_answer = long(
            "time_to_first_answer_seconds", "To the first answer text or tool call of a stream.", TARGET
        )
        self.reasoning = long("reasoning_duration_seconds", "Time a stream spent in reasoning.", TARGET)
        tokens = (*TARGET, "source")
        self.input_tokens = count("input_tokens_total", "Input tokens, cached ones included.", tokens)
        self.output_tokens = count("output_tokens_total", "Output tokens, reasoning included.", tokens)
        self.cached_tokens = count("cached_input_tokens_total", "Input tokens read from a cache.", tokens)
        self.reasoning_tokens = count("reasoning_tokens_total", "Output tokens that were reasoning.", tokens)
        self.in_flight = self._gauge("streams_in_flight", "Open streams.", ("route",), mode="livesum")
        self.overhead = self._histogram("overhead_seconds", "Time added by the proxy itself.", ("stage",), TINY)
        self.events = count(
            "normalizer_events_total", "Oddities met in upstream answers.", ("provider", "model", "kind")
        )
        self.attempts = count("upstream_attempts_total", "Tries of upstream targets.", ("provider", "model", "outcome"))
        self.retries = count("retries_total", "Tries of the same target again.", ("provider", "model", "reason"))
        self.fallbacks = count(
            "fallbacks_total", "Changes to the next target.", ("route", "from_provider", "to_provider", "reason")
        )
        self.available = self._gauge(
            "upstream_available", "0 while a target of the provider cools down, else 1.", ("provider",), mode="livemin"
        )
        self.resting: dict[str, set[str]] = {}
        self.notes = count(
            "request_notes_total",
            "Wishes that a target got otherwise than asked.",
            ("provider", "model", "aspect", "change"),
        )
        self.healings = count(
            "self_heal_total", "Remedies learnt from refusals.", ("provider", "model", "action", "field")
        )
        self.memory = count("memory_total", "Uses of the reasoning memory.", ("provider", "model", "result"))
        # What leaves the memory leaves all of it, so it has no target.
        self.forgotten = {r: self.memory.labels("", "", r) for r in (MemoryResult.EVICTED, MemoryResult.EXPIRED)}
        self.memory_entries = self._gauge("memory_entries", "Messages in the reasoning memory.", mode="livesum")
        self.memory_bytes = self._gauge("memory_bytes", "Bytes of the reasoning memory.", mode="livesum")
        self.disconnects = count("client_disconnects_total", "Clients that left early.", ("route", "phase"))
        self.limited = count("rate_limited_total", "Requests refused by our own limits.", ("route", "limit"))
        self.overheads = {stage: self.overhead.labels(stage) for stage in Stage}

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...] = LONG) -> Histogram:
        return Histogram(PREFIX + name, text, labels, registry=self.registry, buckets=buckets)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = (), mode: GaugeMode = "livemostrecent") -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry, multiprocess_mode=mode)

    def target(self, route: str, provider: str, model: str) -> "TargetMetrics":
        """The bound metrics of a configured target; `model` is the target's text in the configuration."""
        key = (route, provider, model)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = TargetMetrics(self, *key)
        return found

    def unmatched(self) -> "TargetMetrics":
        """Where requests are counted that reached no route."""
        return self.target(UNMATCHED, "", "")

    def reloaded(self, *, ok: bool) -> None:
        """The configuration was loaded, or refused."""
        self._reload_ok.set(1 if ok else 0)
        if ok:
            self._reload_at.set(time.time())

    def remembers(self, entries: int, size: int) -> None:
        """The reasoning memory holds so many messages, in so many bytes."""
        self.memory_entries.set(entries)
        self.memory_bytes.set(size)

    def forgot(self, result: MemoryResult) -> None:
        """A message left the reasoning memory, evicted or expired."""
        self.forgotten[result].inc()

    def ended(self, exchange: Exchange) -> None:
        """Counts a request that has ended; called once, where requests end."""
        exchange.target.ended(exchange)
        for stage, seconds in exchange.overheads.items():
            self.overheads[stage].observe(seconds)

    def render(self) -> bytes:
        """The exposition text. Costs about 7 µs a line, so it is called in a thread."""
        folder = os.environ.get(MULTIPROCESS)
        if folder is None:
            return generate_latest(self.registry)
        _bury_dead_processes(Path(folder))
        merged = CollectorRegistry()
        MultiProcessCollector(merged, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(merged)


class TargetMetrics:
    """The metrics of one (route, provider, model), bound."""

    def __init__(self, metrics: Metrics, route: str, provider: str, model: str) -> None:
        self.route, self.provider, self.model = route, provider, model
        self._metrics = metrics
        key = (route, provider, model)
        self._requests = {
            (stream, outcome): metrics.requests.labels(*key, _word(stream), outcome)
            for stream in (False, True)
            for outcome in Outcome
        }
        self._duration = {stream: metrics.duration.labels(*key, _word(stream)) for stream in (False, True)}
        self._first_chunk = metrics.first_chunk.labels(*key)
        self._first_reasoning = metrics.first_reasoning.labels(*key)
        self._first_answer = metrics.first_answer.labels(*key)
        self._reasoning = metrics.reasoning.labels(*key)
        self._input = metrics.input_tokens.labels(*key, "reported")
        self._output = metrics.output_tokens.labels(*key, "reported")
        self._cached = metrics.cached_tokens.labels(*key, "reported")
        self._reasoning_tokens = metrics.reasoning_tokens.labels(*key, "reported")
        self._in_flight = metrics.in_flight.labels(route)
        if provider:
            metrics.available.labels(provider).set(0 if metrics.resting.get(provider) else 1)
        self._attempts = {o: metrics.attempts.labels(provider, model, o) for o in AttemptOutcome} if provider else {}
        self._disconnects = {phase: metrics.disconnects.labels(route, phase) for phase in Phase}
        self._limited = {limit: metrics.limited.labels(route, limit) for limit in Limit}

    def opened(self) -> None:
        """A stream of this route is open."""
        self._in_flight.inc()

    def closed(self) -> None:
        """A stream of this route is no longer open."""
        self._in_flight.dec()

    def attempt(self, outcome: AttemptOutcome, events: dict[str, int]) -> None:
        """A try of this target ended, having met these oddities (kind → count)."""
        self._attempts[outcome].inc()
        for kind, count in events.items():
            self._metrics.events.labels(self.provider, self.model, kind).inc(count)

    def retry(self, reason: AttemptOutcome) -> None:
        """This target is tried once more, after a try that ended so."""
        self._metrics.retries.labels(self.provider, self.model, reason).inc()

    def fallback(self, reason: AttemptOutcome, to: "TargetMetrics") -> None:
        """The target `to` is tried next, after a try of this one that ended so."""
        self._metrics.fallbacks.labels(self.route, self.provider, to.provider, reason).inc()

    def available(self, ok: bool, model: str | None = None) -> None:
        """The target came back, or is passed over from now on. `model`: as the provider calls it, where that differs."""
        resting = self._metrics.resting.setdefault(self.provider, set())
        (resting.discard if ok else resting.add)(model or self.model)
        self._metrics.available.labels(self.provider).set(0 if resting else 1)

    def healed(self, action: str, field: str) -> None:
        """A refused request to this target was mended; both words are of closed sets (`core/healing.py`)."""
        self._metrics.healings.labels(self.provider, self.model, action, field).inc()

    def remembered(self, result: MemoryResult, count: int) -> None:
        """So many messages of a request to this target were put back, missing, or stored."""
        if count:
            self._metrics.memory.labels(self.provider, self.model, result).inc(count)

    def ended(self, exchange: Exchange) -> None:
        """A request ended with this target."""
        timeline, start = exchange.timeline, exchange.started
        self._requests[exchange.stream, exchange.outcome].inc()
        self._duration[exchange.stream].observe((timeline.ended or start) - start)
        if exchange.outcome is Outcome.CLIENT_DISCONNECT:
            self._disconnects[exchange.phase].inc()
        if exchange.limited is not None:
            self._limited[exchange.limited].inc()
        if exchange.stream:
            self._times(exchange)
        if timeline.usage:
            self._tokens(timeline.usage)
        for note in exchange.notes:
            self._metrics.notes.labels(self.provider, self.model, *parts(note)).inc()

    def _times(self, exchange: Exchange) -> None:
        timeline, start = exchange.timeline, exchange.started
        if timeline.first_chunk is not None:
            self._first_chunk.observe(timeline.first_chunk - start)
        if timeline.first_reasoning is not None:
            self._first_reasoning.observe(timeline.first_reasoning - start)
            self._reasoning.observe(timeline.reasoning_s)
        if timeline.first_answer is not None:
            self._first_answer.observe(timeline.first_answer - start)

    def _tokens(self, usage: dict[str, Any]) -> None:
        self._input.inc(tokens(usage, "prompt_tokens"))
        self._output.inc(tokens(usage, "completion_tokens"))
        self._cached.inc(tokens(usage, "prompt_tokens_details", "cached_tokens"))
        self._reasoning_tokens.inc(tokens(usage, "completion_tokens_details", "reasoning_tokens"))


def tokens(usage: dict[str, Any], *path: str) -> int:
    """A token count at this path of a normalised usage object; 0 where there is none."""
    value: Any = usage
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def prepare_multiprocess(folder: Path) -> None:
    """Makes the folder that workers share, empty: process ids repeat, and a new worker must not continue an old file."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()
    os.environ[MULTIPROCESS] = str(folder)


def _bury_dead_processes(folder: Path) -> None:
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rsplit("_", 1)[1])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue


def _word(value: bool) -> str:
    return "true" if value else "false"
