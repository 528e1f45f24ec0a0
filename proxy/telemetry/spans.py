"""Spans of OpenTelemetry: one of each request (SERVER), and below it one of each try of a target (CLIENT).

Never one of a chunk. Names of attributes are those of the conventions for generative clients; what they say are facts of
the timeline and of the configuration, and neither prompts nor answers. Where spans go and which are sampled is read by
the SDK from the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, ...).
"""

import os
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from proxy.core.errors import Outcome
from proxy.telemetry.exchange import AttemptOutcome, Exchange
from proxy.telemetry.target import token_count
from proxy.telemetry.traces import PARENT

_FAILED = (Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.INTERNAL_ERROR)
_CHAT = "/v1/chat/completions"
_PROPAGATOR = TraceContextTextMapPropagator()


def exporting(version: str) -> "Spans":
    """Sends spans by OTLP over HTTP, in batches, from a thread of its own."""
    name = os.environ.get("OTEL_SERVICE_NAME") or "reasoning-proxy"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name, SERVICE_VERSION: version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider, version)


class Spans:
    """The tracer of `traces.py` that makes spans with this provider."""

    def __init__(self, provider: TracerProvider, version: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("reasoning-proxy", version)

    def begin(self, exchange: Exchange, headers: Mapping[str, str], path: str) -> None:
        """The span of a request begins."""
        parent = _PROPAGATOR.extract(headers) if PARENT in headers else None
        # Any other path is the client's word, and would give a span name of its own to each.
        route = path if path == _CHAT else "/v1/{path}"
        attributes = {"http.request.method": "POST", "http.route": route}
        span = self._tracer.start_span(f"POST {route}", parent, SpanKind.SERVER, attributes)
        context = span.get_span_context()
        exchange.trace_id = trace.format_trace_id(context.trace_id)
        exchange.exemplar = {"trace_id": exchange.trace_id} if context.trace_flags.sampled else None
        exchange.trace = _Request(self._tracer, span, exchange.started)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


class _Request:
    def __init__(self, tracer: trace.Tracer, span: Span, started: float) -> None:
        self._tracer = tracer
        self._span = span
        self._try: Span | None = None
        # Marks are of the monotonic clock; spans want nanoseconds since 1970.
        self._offset = time.time_ns() - int(started * 1e9)

    def attempt(self, exchange: Exchange, base_url: str) -> Mapping[str, str]:
        target, url = exchange.target, urlsplit(base_url)
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": target.provider,
            "gen_ai.request.model": target.model,
            "gen_ai.request.stream": exchange.stream,
            "server.address": url.hostname or "",
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        }
        span = self._tracer.start_span(
            f"chat {target.model}", trace.set_span_in_context(self._span), SpanKind.CLIENT, attributes
        )
        self._try = span
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers, trace.set_span_in_context(span))
        return headers

    def tried(self, exchange: Exchange, outcome: AttemptOutcome) -> None:
        span, timeline, self._try = self._try, exchange.timeline, None
        if span is None:
            return
        if span.is_recording():
            for name, mark in (("first_reasoning", timeline.first_reasoning), ("first_answer", timeline.first_answer)):
                if mark is not None:
                    span.add_event(name, timestamp=_nanoseconds(mark, self._offset))
            span.set_attributes(_answer(exchange))
            if outcome not in (AttemptOutcome.OK, AttemptOutcome.CANCELLED):
                span.set_attribute("error.type", outcome.value)
                span.set_status(StatusCode.ERROR)
        span.end()

    def end(self, exchange: Exchange) -> None:
        span, target = self._span, exchange.target
        if span.is_recording():
            span.set_attribute("reasoning_proxy.route", target.route)
            span.set_attribute("reasoning_proxy.request_id", exchange.request_id)
            span.set_attribute("reasoning_proxy.outcome", exchange.outcome.value)
            span.set_attribute("reasoning_proxy.attempts", exchange.attempts)
            if exchange.status:
                span.set_attribute("http.response.status_code", exchange.status)
            if exchange.outcome in _FAILED:
                span.set_attribute("error.type", exchange.outcome.value)
                span.set_status(StatusCode.ERROR)
        span.end(_nanoseconds(exchange.timeline.ended, self._offset))


def _answer(exchange: Exchange) -> dict[str, AttributeValue]:
    """What is known of the answer of a try."""
    timeline, usage = exchange.timeline, exchange.timeline.usage or {}
    counts = {
        "gen_ai.usage.input_tokens": token_count(usage, "prompt_tokens"),
        "gen_ai.usage.output_tokens": token_count(usage, "completion_tokens"),
        "gen_ai.usage.cache_read.input_tokens": token_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        "gen_ai.usage.reasoning.output_tokens": token_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    }
    found: dict[str, AttributeValue] = {name: count for name, count in counts.items() if count}
    if timeline.finish_reason is not None:
        found["gen_ai.response.finish_reasons"] = [timeline.finish_reason]
    if exchange.response_model is not None:
        found["gen_ai.response.model"] = exchange.response_model
    if exchange.stream and timeline.first_chunk is not None and timeline.upstream_written is not None:
        found["gen_ai.response.time_to_first_chunk"] = timeline.first_chunk - timeline.upstream_written
    return found


def _nanoseconds(mark: float | None, offset: int) -> int | None:
    return None if mark is None else int(mark * 1e9) + offset
