"""The metrics of one configured target, bound: what is counted here needs no look-up of labels."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from proxy.core.errors import Outcome
from proxy.core.notes import parts
from proxy.core.timeline import Oddity, Timeline
from proxy.telemetry.exchange import AttemptOutcome, Exchange, Limit, MemoryResult, Phase, Truncation
from proxy.telemetry.registry import CounterSeries

if TYPE_CHECKING:
    from proxy.telemetry.metrics import Metrics

REPORTED = "reported"
"""The `source` of token counts: the provider's own. There is no other: text is not counted into tokens here."""


class TargetMetrics:
    """The metrics of one (route, provider, model); `model` is the target's text in the configuration."""

    def __init__(self, metrics: "Metrics", route: str, provider: str, model: str) -> None:
        self.route, self.provider, self.model = route, provider, model
        self._metrics = metrics
        all_ = metrics.families
        key, upstream = (route, provider, model), (provider, model)
        self._requests = tuple(
            {outcome: all_.requests.labels(*key, word, outcome) for outcome in Outcome} for word in ("false", "true")
        )
        self._duration = tuple(all_.duration.labels(*key, word) for word in ("false", "true"))
        self._first_chunk = all_.first_chunk.labels(*key)
        self._first_reasoning = all_.first_reasoning.labels(*key)
        self._first_answer = all_.first_answer.labels(*key)
        self._reasoning = all_.reasoning.labels(*key)
        self._reasoning_gaps = all_.gaps.labels(*key, Phase.REASONING)
        self._answer_gaps = all_.gaps.labels(*key, Phase.ANSWER)
        self._per_token = all_.per_token.labels(*key)
        self._truncated = {reason: all_.truncated.labels(*key, reason) for reason in Truncation}
        self._input = all_.input_tokens.labels(*key, REPORTED)
        self._output = all_.output_tokens.labels(*key, REPORTED)
        self._cached = all_.cached_tokens.labels(*key, REPORTED)
        self._cache_write = all_.cache_write_tokens.labels(*key, REPORTED)
        self._reasoning_tokens = all_.reasoning_tokens.labels(*key, REPORTED)
        self._request_input = all_.request_input.labels(*key)
        self._request_output = all_.request_output.labels(*key)
        self._share = all_.share.labels(*key)
        self._in_flight = all_.in_flight.labels(route)
        self._disconnects = {phase: all_.disconnects.labels(route, phase) for phase in Phase}
        self._limited = {limit: all_.limited.labels(route, limit) for limit in Limit}
        self._attempts: dict[AttemptOutcome, CounterSeries] = {}
        self._events: dict[Oddity, CounterSeries] = {}
        if provider:
            self._attempts = {outcome: all_.attempts.labels(*upstream, outcome) for outcome in AttemptOutcome}
            self._events = {kind: all_.events.labels(*upstream, kind) for kind in Oddity}

    # While a request runs.

    def opened(self) -> None:
        """A stream of this route is open."""
        self._in_flight.inc()

    def closed(self) -> None:
        """A stream of this route is no longer open."""
        self._in_flight.inc(-1.0)

    def attempt(self, outcome: AttemptOutcome, events: Mapping[str, int]) -> None:
        """A try of this target ended, having met these oddities (kind → count)."""
        self._attempts[outcome].inc()
        for kind, count in events.items():
            self._events[Oddity(kind)].inc(count)

    def retry(self, reason: AttemptOutcome) -> None:
        """This target is tried once more, after a try that ended so."""
        self._metrics.count(self._metrics.families.retries, self.provider, self.model, reason)

    def fallback(self, reason: AttemptOutcome, to: "TargetMetrics") -> None:
        """The target `to` is tried next, after a try of this one that ended so."""
        self._metrics.count(self._metrics.families.fallbacks, self.route, self.provider, to.provider, reason)

    def available(self, ok: bool, model: str | None = None) -> None:
        """The target came back, or is passed over from now on. `model`: as the provider calls it, where that differs."""
        self._metrics.available(self.provider, model or self.model, ok=ok)

    def healed(self, action: str, field: str) -> None:
        """A refused request to this target was mended; both words are of closed sets (`core/healing.py`)."""
        self._metrics.count(self._metrics.families.healings, self.provider, self.model, action, field)

    def remembered(self, result: MemoryResult, count: int) -> None:
        """So many messages of a request to this target were put back, missing, or stored."""
        if count:
            self._metrics.count(self._metrics.families.memory, self.provider, self.model, result, amount=count)

    # Once it has ended.

    def ended(self, exchange: Exchange) -> None:
        """A request ended with this target."""
        timeline, start = exchange.timeline, exchange.started
        self._requests[exchange.stream][exchange.outcome].inc()
        self._duration[exchange.stream].observe((timeline.ended or start) - start, exchange.exemplar)
        if exchange.outcome is Outcome.CLIENT_DISCONNECT:
            self._disconnects[exchange.phase].inc()
        if exchange.limited is not None:
            self._limited[exchange.limited].inc()
        if exchange.stream:
            self._times(exchange)
        if timeline.usage:
            self._tokens(exchange, timeline.usage)
        for note in exchange.notes:
            self._metrics.count(self._metrics.families.notes, self.provider, self.model, *parts(note))
        reason = exchange.truncation
        if reason is not None:
            self._truncated[reason].inc()

    def _times(self, exchange: Exchange) -> None:
        timeline, start, trace = exchange.timeline, exchange.started, exchange.exemplar
        if timeline.first_chunk is not None:
            self._first_chunk.observe(timeline.first_chunk - start, trace)
        if timeline.first_reasoning is not None:
            self._first_reasoning.observe(timeline.first_reasoning - start, trace)
            self._reasoning.observe(timeline.reasoning_s)
        if timeline.first_answer is not None:
            self._first_answer.observe(timeline.first_answer - start, trace)
        if timeline.reasoning_gaps is not None:
            self._reasoning_gaps.add(timeline.reasoning_gaps)
        if timeline.answer_gaps is not None:
            self._answer_gaps.add(timeline.answer_gaps)

    def _tokens(self, exchange: Exchange, usage: Mapping[str, Any]) -> None:
        into, out = token_count(usage, "prompt_tokens"), token_count(usage, "completion_tokens")
        self._input.inc(into)
        self._request_input.observe(into)
        self._output.inc(out)
        self._request_output.observe(out)
        details = usage.get("prompt_tokens_details")
        if details.__class__ is dict:
            if cached := token_count(details, "cached_tokens"):
                self._cached.inc(cached)
            if written := token_count(details, "cache_write_tokens"):
                self._cache_write.inc(written)
        if "cache_creation_input_tokens" in usage:
            self._cache_write.inc(token_count(usage, "cache_creation_input_tokens"))
        details = usage.get("completion_tokens_details")
        if details.__class__ is dict and out:
            reasoning = token_count(details, "reasoning_tokens")
            self._reasoning_tokens.inc(reasoning)
            self._share.observe(min(1.0, reasoning / out))
        if exchange.stream and out > 1:
            self._pace(exchange.timeline, out)

    def _pace(self, timeline: Timeline, out: int) -> None:
        if timeline.first_chunk is not None and timeline.last_content is not None:
            self._per_token.observe((timeline.last_content - timeline.first_chunk) / (out - 1))


def token_count(counts: Any, key: str) -> int:
    """A count of a usage object, or of one of its details; 0 where it is none."""
    value = counts.get(key) if counts.__class__ is dict else None
    return value if value.__class__ is int and value > 0 else 0
