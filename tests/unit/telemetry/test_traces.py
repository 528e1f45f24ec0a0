"""A caller's trace, and spans of our own."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import UpstreamUnavailable
from proxy.core.timeline import Timeline
from proxy.telemetry.exchange import AttemptOutcome, Exchange
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.traces import Passing, Tracer, context_of, tracer_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
USAGE = {"prompt_tokens": 5, "completion_tokens": 8, "completion_tokens_details": {"reasoning_tokens": 4}}


def exchange_of() -> Exchange:
    return Exchange("id-1", 10.0, Metrics("1").target("r", "p", "m"), Timeline(10.0), stream=True)


@pytest.mark.parametrize(
    ("parent", "trace_id", "sampled"),
    [
        (SAMPLED, TRACE, True),
        (f"00-{TRACE}-{PARENT}-00", TRACE, False),
        (f"00-{TRACE}-{PARENT}-03", TRACE, True),
        (f"cc-{TRACE}-{PARENT}-01-what the future brings", TRACE, True),
        (f"00-{TRACE}-{PARENT}-01-more", None, False),
        (f"ff-{TRACE}-{PARENT}-01", None, False),
        (f"00-{'0' * 32}-{PARENT}-01", None, False),
        (f"00-{TRACE}-{'0' * 16}-01", None, False),
        (f"00-{TRACE.upper()}-{PARENT}-01", None, False),
        (f"00-{TRACE}-{PARENT}", None, False),
        ("", None, False),
    ],
)
def test_traceparent_is_read_as_the_specification_says(parent: str, trace_id: str | None, sampled: bool) -> None:
    context = context_of({"traceparent": parent})
    assert (context and context.trace_id) == trace_id
    assert bool(context and context.sampled) is sampled
    exchange = exchange_of()
    Passing().begin(exchange, {"traceparent": parent}, "/v1/chat/completions")
    assert (exchange.trace_id, exchange.exemplar) == (trace_id, {"trace_id": trace_id} if sampled else None)


@given(st.text(), st.text())
def test_any_header_is_read_without_an_exception_and_only_whole_ones_go_on(parent: str, state: str) -> None:
    for given_parent in (parent, SAMPLED):
        context = context_of({"traceparent": given_parent, "tracestate": state})
        if context is not None:
            assert context.headers["traceparent"] == given_parent
            assert context.headers.get("tracestate", "").isascii()
            assert "\n" not in context.headers.get("tracestate", "")


def test_request_without_a_trace_has_none() -> None:
    exchange = exchange_of()
    Passing().begin(exchange, {}, "/v1/chat/completions")
    assert (exchange.trace, exchange.trace_id, exchange.exemplar) == (None, None, None)
    assert isinstance(tracer_of("off", "1"), Passing)


def test_trace_of_the_caller_goes_on_as_it_came() -> None:
    exchange = exchange_of()
    headers = {"traceparent": SAMPLED, "tracestate": "vendor=1"}
    Passing().begin(exchange, headers, "/v1/chat/completions")
    assert exchange.trace is not None
    assert exchange.trace.attempt(exchange, "http://h/v1") == headers
    exchange.trace.tried(exchange, AttemptOutcome.OK)
    exchange.trace.end(exchange)


class Recorded:
    """A tracer of spans that are kept."""

    def __init__(self) -> None:
        trace = pytest.importorskip("opentelemetry.sdk.trace")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        spans = pytest.importorskip("proxy.telemetry.spans")
        self._memory = memory.InMemorySpanExporter()
        provider = trace.TracerProvider()
        provider.add_span_processor(export.SimpleSpanProcessor(self._memory))
        self.tracer: Tracer = spans.Spans(provider, "1")

    @property
    def spans(self) -> Sequence[Any]:
        found: Sequence[Any] = self._memory.get_finished_spans()
        return found


def test_request_makes_one_span_and_each_try_one_below_it() -> None:
    recorded, exchange = Recorded(), exchange_of()
    recorded.tracer.begin(exchange, {"traceparent": SAMPLED}, "/v1/chat/completions")
    assert exchange.trace is not None
    assert (exchange.trace_id, exchange.exemplar) == (TRACE, {"trace_id": TRACE})
    told = []
    for outcome in (AttemptOutcome.HTTP_5XX, AttemptOutcome.OK):
        exchange.timeline = Timeline(10.0, upstream_written=10.1)
        told.append(exchange.trace.attempt(exchange, "https://host.example:8443/v1"))
        if outcome is AttemptOutcome.OK:
            for number in range(1000):
                exchange.timeline.reasoning(11.0 + number / 1000)
            exchange.timeline.answer(13.0)
            exchange.timeline.usage, exchange.timeline.finish_reason = USAGE, "stop"
            exchange.timeline.response_model = "m-1"
        exchange.trace.tried(exchange, outcome)
    exchange.trace.tried(exchange, AttemptOutcome.CANCELLED)  # no try was open
    exchange.status, exchange.attempts = 200, 2
    exchange.timeline.end(14.0)
    exchange.trace.end(exchange)
    failed, answered, request = recorded.spans
    assert [span.name for span in recorded.spans] == ["chat m", "chat m", "POST /v1/chat/completions"]
    assert [span.kind.name for span in recorded.spans] == ["CLIENT", "CLIENT", "SERVER"]
    assert {f"{span.context.trace_id:032x}" for span in recorded.spans} == {TRACE}
    assert request.parent.span_id == int(PARENT, 16)
    for span, headers in zip((failed, answered), told, strict=True):
        assert span.parent.span_id == request.context.span_id
        assert headers["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert (failed.attributes["error.type"], failed.status.status_code.name) == ("http_5xx", "ERROR")
    assert dict(answered.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "p",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "m-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": pytest.approx(0.9),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 8,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "server.address": "host.example",
        "server.port": 8443,
    }
    first, second = answered.events
    assert [first.name, second.name] == ["first_reasoning", "first_answer"]
    assert (second.timestamp - first.timestamp) / 1e9 == pytest.approx(2.0)
    assert request.attributes["reasoning_proxy.route"] == "r"
    assert request.attributes["http.response.status_code"] == 200
    assert (request.end_time - first.timestamp) / 1e9 == pytest.approx(3.0)


def test_span_of_a_failed_request_says_so_without_the_words_of_the_error() -> None:
    recorded, exchange = Recorded(), exchange_of()
    recorded.tracer.begin(exchange, {}, "/v1/embeddings")
    exchange.failed(UpstreamUnavailable("canary"))
    exchange.timeline.end(11.0)
    assert exchange.trace is not None
    exchange.trace.end(exchange)
    (span,) = recorded.spans
    assert (span.attributes["error.type"], span.status.status_code.name) == ("upstream_error", "ERROR")
    assert "canary" not in span.to_json()
    assert span.parent is None
    recorded.tracer.close()


def test_callers_decision_not_to_sample_is_kept() -> None:
    recorded, exchange = Recorded(), exchange_of()
    recorded.tracer.begin(exchange, {"traceparent": f"00-{TRACE}-{PARENT}-00"}, "/v1/chat/completions")
    assert exchange.trace is not None
    headers = exchange.trace.attempt(exchange, "http://h/v1")
    exchange.trace.tried(exchange, AttemptOutcome.OK)
    exchange.timeline.end(11.0)
    exchange.trace.end(exchange)
    assert (exchange.trace_id, exchange.exemplar) == (TRACE, None)
    assert headers["traceparent"].endswith("-00")
    assert not recorded.spans
