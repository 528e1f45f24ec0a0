"""Every metric of ours: name, type, labels, buckets. `docs/metrics.md` has the same table for people; a test compares.

Labels come from the configuration and from closed enumerations, never from a client.
"""

from proxy.core.timeline import GAPS
from proxy.telemetry.registry import CounterSeries, GaugeMode, GaugeSeries, HistogramSeries, Maker

PREFIX = "reasoning_proxy_"
LONG = tuple(0.01 * 2**n for n in range(17))
"""Seconds: OpenTelemetry's buckets for generative clients, extended to eleven minutes for long reasoning."""
TINY = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3)
"""Seconds: what the proxy itself adds."""
TOKENS = tuple(4.0**n for n in range(10))
"""Token counts of one request, to a quarter of a million: OpenTelemetry's buckets, as far as models go."""
SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
TARGET = ("route", "provider", "model")
_UPSTREAM = ("provider", "model")


class Families:
    """All families. What bears labels is bound with `labels(...)`; see there for their order."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._requests()
        self._tokens()
        self._upstreams()
        self._proxy()

    def _requests(self) -> None:
        count, times = self._counter, self._histogram
        self.requests = count("requests_total", "Requests that ended.", (*TARGET, "stream", "outcome"))
        self.duration = times("request_duration_seconds", "Head parsed to last byte sent.", (*TARGET, "stream"))
        self.first_chunk = times("time_to_first_chunk_seconds", "To the first generated content of a stream.", TARGET)
        self.first_reasoning = times("time_to_first_reasoning_seconds", "To the first reasoning of a stream.", TARGET)
        self.first_answer = times(
            "time_to_first_answer_seconds", "To the first answer text or tool call of a stream.", TARGET
        )
        self.reasoning = times("reasoning_duration_seconds", "Time a stream spent in reasoning.", TARGET)
        self.gaps = times(
            "inter_chunk_seconds", "Between two reads that brought generated content.", (*TARGET, "phase"), GAPS
        )
        self.per_token = times(
            "time_per_output_token_seconds", "First to last content of a stream, per further token.", TARGET, GAPS
        )
        self.truncated = count(
            "reasoning_truncated_total", "Requests whose reasoning ended without an answer.", (*TARGET, "reason")
        )
        self.in_flight = self._gauge("streams_in_flight", "Open streams.", ("route",))
        self.disconnects = count("client_disconnects_total", "Clients that left early.", ("route", "phase"))
        self.limited = count("rate_limited_total", "Requests refused by our own limits.", ("route", "limit"))

    def _tokens(self) -> None:
        count, sizes, labels = self._counter, self._histogram, (*TARGET, "source")
        self.input_tokens = count("input_tokens_total", "Input tokens, cached ones included.", labels)
        self.output_tokens = count("output_tokens_total", "Output tokens, reasoning included.", labels)
        self.cached_tokens = count("cached_input_tokens_total", "Input tokens read from a cache.", labels)
        self.cache_write_tokens = count("cache_write_input_tokens_total", "Input tokens written to a cache.", labels)
        self.reasoning_tokens = count("reasoning_tokens_total", "Output tokens that were reasoning.", labels)
        self.request_input = sizes("request_input_tokens", "Input tokens of one request.", TARGET, TOKENS)
        self.request_output = sizes("request_output_tokens", "Output tokens of one request.", TARGET, TOKENS)
        self.share = sizes("reasoning_share_ratio", "Reasoning among the output tokens of a request.", TARGET, SHARES)

    def _upstreams(self) -> None:
        count = self._counter
        self.attempts = count("upstream_attempts_total", "Tries of upstream targets.", (*_UPSTREAM, "outcome"))
        self.retries = count("retries_total", "Tries of the same target again.", (*_UPSTREAM, "reason"))
        self.fallbacks = count(
            "fallbacks_total", "Changes to the next target.", ("route", "from_provider", "to_provider", "reason")
        )
        self.available = self._gauge(
            "upstream_available", "0 while a target of the provider cools down, else 1.", ("provider",), "livemin"
        )
        self.events = count("normalizer_events_total", "Oddities met in upstream answers.", (*_UPSTREAM, "kind"))
        self.notes = count(
            "request_notes_total", "Wishes that a target got otherwise than asked.", (*_UPSTREAM, "aspect", "change")
        )
        self.healings = count("self_heal_total", "Remedies learnt from refusals.", (*_UPSTREAM, "action", "field"))
        self.memory = count("memory_total", "Uses of the reasoning memory.", (*_UPSTREAM, "result"))
        self.memory_entries = self._gauge("memory_entries", "Messages in the reasoning memory.")
        self.memory_bytes = self._gauge("memory_bytes", "Bytes of the reasoning memory.")

    def _proxy(self) -> None:
        self.overhead = self._histogram("overhead_seconds", "Time added by the proxy itself.", ("stage",), TINY)
        self.lag = self._histogram("event_loop_lag_seconds", "How late the event loop runs a timer.", (), TINY)
        self.build = self._gauge("build_info", "The running version; always 1.", ("version",), "livemax")
        self.reload_ok = self._gauge(
            "config_last_reload_successful",
            "Whether the last load of the configuration succeeded (1 or 0).",
            mode="livemin",
        )
        self.reload_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "Unix time of the last successful load.", mode="livemin"
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> CounterSeries:
        return self._maker.counter(PREFIX + name, text, labels)

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...] = LONG
    ) -> HistogramSeries:
        return self._maker.histogram(PREFIX + name, text, labels, buckets)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = (), mode: GaugeMode = "livesum") -> GaugeSeries:
        return self._maker.gauge(PREFIX + name, text, labels, mode)
