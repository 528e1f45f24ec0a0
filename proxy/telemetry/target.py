"""The metrics of one configured target, bound: what is counted here needs no look-up of labels."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from proxy.core.errors import Outcome
from proxy.core.notes import parts
from proxy.core.timeline import Oddity, Timeline
from proxy.telemetry.exchange import AttemptOutcome, Exchange, Limit, MemoryResult, Phase, Stage, Truncation
from proxy.telemetry.registry import CounterSeries, HistogramSeries

if TYPE_CHECKING:
    from proxy.telemetry.metrics import Metrics

_OK, _LEFT = Outcome.OK, Outcome.CLIENT_DISCONNECT
REPORTED = "reported"
"""The `source` of token counts: the provider's own. There is no other: text is not counted into tokens here."""


class TargetMetrics:
    """The metrics of one (route, provider, model); `model` is the target's text in the configuration."""

    __slots__ = (
        "_answer_gaps",
        "_attempts",
        "_cache_write",
        "_cached",
        "_disconnects",
        "_duration",
        "_events",
        "_first_answer",
        "_first_chunk",
        "_first_reasoning",
        "_input",
        "_limited",
        "_metrics",
        "_note",
        "_one_less",
        "_one_more",
        "_output",
        "_overhead_first_chunk",
        "_overhead_request",
        "_overhead_stream",
        "_per_token",
        "_reasoning",
        "_reasoning_gaps",
        "_reasoning_tokens",
        "_request_input",
        "_request_output",
        "_requests",
        "_share",
        "_truncated",
        "model",
        "provider",
        "route",
    )

    def __init__(self, metrics: "Metrics", route: str, provider: str, model: str) -> None:
        self.route, self.provider, self.model = route, provider, model
        self._metrics = metrics
        self._note = metrics.note
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
        self._overhead_request = metrics.overheads[Stage.REQUEST]
        self._overhead_first_chunk = metrics.overheads[Stage.FIRST_CHUNK]
        self._overhead_stream = metrics.overheads[Stage.STREAM]
        in_flight = all_.in_flight.labels(route)
        self._one_more, self._one_less = ((in_flight, 1.0),), ((in_flight, -1.0),)
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
        self._note(self._one_more, ())

    def closed(self) -> None:
        """A stream of this route is no longer open."""
        self._note(self._one_less, ())

    def attempt(self, outcome: AttemptOutcome, events: Mapping[str, int]) -> None:
        """A try of this target ended, having met these oddities (kind → count)."""
        self._note(((self._attempts[outcome], 1.0),), ())
        if events:
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
        """A request ended with this target; called once, where requests end."""
        timeline, start, stream, outcome = exchange.timeline, exchange.started, exchange.stream, exchange.outcome
        counted: list[tuple[CounterSeries, float]] = [(self._requests[stream][outcome], 1.0)]
        observed: list[tuple[HistogramSeries, float]] = [(self._duration[stream], (timeline.ended or start) - start)]
        if stream:
            self._times(timeline, start, observed)
        if exchange.exemplar is not None:
            for series, seconds in observed:
                series.observe(seconds, exchange.exemplar)
            observed.clear()
        if exchange.asked is not None:
            observed.append((self._overhead_request, exchange.asked - start))
        if exchange.content_read is not None and timeline.first_sent is not None:
            passed = timeline.first_sent - exchange.content_read
            passed = passed if passed > 0.0 else 0.0  # noqa: FURB136 - `max` takes 1700 instructions (callgrind)
            observed.append((self._overhead_first_chunk, passed))
        if timeline.usage:
            self._tokens(timeline.usage, counted, observed)
        if stream:
            self._stream(exchange, observed)
        if timeline.first_answer is None or outcome is not _OK:
            self._unwell(exchange, counted)
        self._note(counted, observed)
        for note in exchange.notes:
            self._metrics.count(self._metrics.families.notes, self.provider, self.model, *parts(note))

    def _times(self, timeline: Timeline, start: float, observed: list[tuple[HistogramSeries, float]]) -> None:
        """Times to first contents, which a trace may be an example of."""
        if timeline.first_chunk is not None:
            observed.append((self._first_chunk, timeline.first_chunk - start))
        if timeline.first_reasoning is not None:
            observed.append((self._first_reasoning, timeline.first_reasoning - start))
        if timeline.first_answer is not None:
            observed.append((self._first_answer, timeline.first_answer - start))

    def _stream(self, exchange: Exchange, observed: list[tuple[HistogramSeries, float]]) -> None:
        timeline = exchange.timeline
        if exchange.core_s:
            observed.append((self._overhead_stream, exchange.core_s))
        if timeline.first_reasoning is not None:
            observed.append((self._reasoning, timeline.reasoning_s))
        if timeline.reasoning_gaps is not None:
            self._reasoning_gaps.add(timeline.reasoning_gaps)
        if timeline.answer_gaps is not None:
            self._answer_gaps.add(timeline.answer_gaps)
        if timeline.usage and timeline.first_chunk is not None and timeline.last_content is not None:
            out = token_count(timeline.usage, "completion_tokens")
            if out > 1:
                observed.append((self._per_token, (timeline.last_content - timeline.first_chunk) / (out - 1)))

    def _unwell(self, exchange: Exchange, counted: list[tuple[CounterSeries, float]]) -> None:
        """What is counted of requests that ended otherwise than with an answer."""
        if exchange.outcome is _LEFT:
            counted.append((self._disconnects[exchange.phase], 1.0))
        if exchange.limited is not None:
            counted.append((self._limited[exchange.limited], 1.0))
        reason = exchange.truncation
        if reason is not None:
            counted.append((self._truncated[reason], 1.0))

    def _tokens(
        self,
        usage: Mapping[str, Any],
        counted: list[tuple[CounterSeries, float]],
        observed: list[tuple[HistogramSeries, float]],
    ) -> None:
        into, out = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if into.__class__ is not int or into < 0:
            into = 0
        if out.__class__ is not int or out < 0:
            out = 0
        counted += (self._input, into), (self._output, out)
        observed += (self._request_input, into), (self._request_output, out)
        details = usage.get("prompt_tokens_details")
        if details.__class__ is dict and details:
            if cached := token_count(details, "cached_tokens"):
                counted.append((self._cached, cached))
            if written := token_count(details, "cache_write_tokens"):
                counted.append((self._cache_write, written))
        if "cache_creation_input_tokens" in usage:
            counted.append((self._cache_write, token_count(usage, "cache_creation_input_tokens")))
        details = usage.get("completion_tokens_details")
        if details.__class__ is dict and out:
            reasoning = details.get("reasoning_tokens")
            if reasoning.__class__ is not int or reasoning < 0:
                reasoning = 0
            counted.append((self._reasoning_tokens, reasoning))
            observed.append((self._share, reasoning / out if reasoning < out else 1.0))


def token_count(counts: Any, key: str) -> int:
    """A count of a usage object, or of one of its details; 0 where it is none."""
    value = counts.get(key) if counts.__class__ is dict else None
    return value if value.__class__ is int and value > 0 else 0
