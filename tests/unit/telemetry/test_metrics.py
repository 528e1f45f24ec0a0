"""The metrics' names, labels and counts."""

import re
from pathlib import Path

import pytest
from prometheus_client import Gauge

from proxy.core.errors import Outcome, RateLimited
from proxy.core.healing import FIELDS, OTHER
from proxy.core.notes import ASPECTS, CHANGES
from proxy.core.timeline import Timeline
from proxy.telemetry.exchange import AttemptOutcome, Exchange, Limit, Phase, Stage
from proxy.telemetry.metrics import LONG, TINY, MemoryResult, Metrics, tokens

TARGET = {"route", "provider", "model"}
LABELS = {
    "requests_total": TARGET | {"stream", "outcome"},
    "request_duration_seconds": TARGET | {"stream"},
    "time_to_first_chunk_seconds": TARGET,
    "time_to_first_reasoning_seconds": TARGET,
    "time_to_first_answer_seconds": TARGET,
    "reasoning_duration_seconds": TARGET,
    "input_tokens_total": TARGET | {"source"},
    "output_tokens_total": TARGET | {"source"},
    "cached_input_tokens_total": TARGET | {"source"},
    "reasoning_tokens_total": TARGET | {"source"},
    "streams_in_flight": {"route"},
    "overhead_seconds": {"stage"},
    "normalizer_events_total": {"provider", "model", "kind"},
    "upstream_attempts_total": {"provider", "model", "outcome"},
    "retries_total": {"provider", "model", "reason"},
    "fallbacks_total": {"route", "from_provider", "to_provider", "reason"},
    "upstream_available": {"provider"},
    "request_notes_total": {"provider", "model", "aspect", "change"},
    "self_heal_total": {"provider", "model", "action", "field"},
    "memory_total": {"provider", "model", "result"},
    "memory_entries": set[str](),
    "memory_bytes": set[str](),
    "client_disconnects_total": {"route", "phase"},
    "rate_limited_total": {"route", "limit"},
    "config_last_reload_successful": set[str](),
    "config_last_reload_success_timestamp_seconds": set[str](),
    "build_info": {"version"},
}


def finished(metrics: Metrics, **marks: float) -> Exchange:
    timeline = Timeline(10.0)
    exchange = Exchange("id", 10.0, metrics.target("r", "p", "m"), timeline, stream=True)
    for name, value in marks.items():
        setattr(timeline, name, value)
    return exchange


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value("reasoning_proxy_" + name, labels)


def test_families_have_the_promised_names_and_labels() -> None:
    metrics = Metrics("1.2.3")
    metrics.target("r", "p", "m").attempt(AttemptOutcome.OK, {"malformed_json": 1})
    metrics.target("r", "p", "m").healed("drop", "reasoning_content")
    noted = finished(metrics)
    noted.notes = ("hide->drop",)
    metrics.ended(noted)
    metrics.target("r", "p", "m").retry(AttemptOutcome.HTTP_5XX)
    metrics.target("r", "p", "m").fallback(AttemptOutcome.HTTP_5XX, metrics.target("r", "q", "m"))
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        if not family.name.startswith("reasoning_proxy_"):
            continue
        assert family.documentation
        name = family.name.removeprefix("reasoning_proxy_") + ("_total" if family.type == "counter" else "")
        found[name] = set().union(*(set(sample.labels) for sample in family.samples)) - {"le"}
    assert found == LABELS


def test_every_metric_and_label_value_is_documented(repository: Path) -> None:
    page = (repository / "docs" / "metrics.md").read_text()
    values = [*Outcome, *AttemptOutcome, *Phase, *Stage, *Limit, *MemoryResult, *FIELDS, OTHER, *ASPECTS, *CHANGES]
    missing = [word for word in [*LABELS, *values] if f"`{word}`" not in page]
    assert not missing


def test_buckets_are_those_of_the_contract() -> None:
    assert [round(bound, 2) for bound in LONG] == [
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
    ]  # fmt: skip
    text = Metrics("1").render().decode()
    bounds = re.findall(r'overhead_seconds_bucket\{le="([^"]+)",stage="stream"\}', text)
    assert [float(bound) for bound in bounds] == [*TINY, float("inf")]


def test_gauges_name_their_mode_so_that_no_process_id_becomes_a_label() -> None:
    metrics = Metrics("1")
    gauges = [one for one in vars(metrics).values() if isinstance(one, Gauge)]
    assert len(gauges) >= 3
    assert {gauge._multiprocess_mode for gauge in gauges} == {"livesum", "livemostrecent", "livemin"}


def test_two_applications_share_nothing() -> None:
    one, two = Metrics("1"), Metrics("1")
    one.target("r", "p", "m").opened()
    two.target("r", "p", "m")
    assert (value(one, "streams_in_flight", route="r"), value(two, "streams_in_flight", route="r")) == (1.0, 0.0)


def test_stream_counts_its_times_and_tokens_once() -> None:
    metrics = Metrics("1")
    exchange = finished(metrics, first_chunk=11.0, first_reasoning=11.0, first_answer=14.0, reasoning_s=3.0)
    exchange.timeline.usage = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "completion_tokens_details": {"reasoning_tokens": 4},
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    exchange.end(16.0)
    metrics.ended(exchange)
    target = {"route": "r", "provider": "p", "model": "m"}
    assert value(metrics, "requests_total", **target, stream="true", outcome="ok") == 1.0
    assert value(metrics, "request_duration_seconds_sum", **target, stream="true") == 6.0
    assert value(metrics, "time_to_first_chunk_seconds_sum", **target) == 1.0
    assert value(metrics, "time_to_first_answer_seconds_sum", **target) == 4.0
    assert value(metrics, "reasoning_duration_seconds_sum", **target) == 3.0
    counted = [
        value(metrics, f"{name}_tokens_total", **target, source="reported")
        for name in ("input", "output", "cached_input", "reasoning")
    ]
    assert counted == [5.0, 7.0, 2.0, 4.0]


def test_each_note_is_counted_without_its_words() -> None:
    metrics = Metrics("1")
    exchange = finished(metrics)
    exchange.notes = ("effort=xhigh->high", "secret_key_of_a_client dropped", "logprobs dropped")
    metrics.ended(exchange)
    where = {"provider": "p", "model": "m"}
    assert value(metrics, "request_notes_total", **where, aspect="effort", change="changed") == 1
    assert value(metrics, "request_notes_total", **where, aspect="other", change="dropped") == 2
    assert b"secret_key" not in metrics.render()


def test_whole_answer_counts_no_time_to_first() -> None:
    metrics = Metrics("1")
    exchange = finished(metrics, first_chunk=15.0, first_answer=15.0)
    exchange.stream = False
    exchange.end(16.0)
    metrics.ended(exchange)
    assert value(metrics, "time_to_first_chunk_seconds_count", route="r", provider="p", model="m") == 0.0


def test_refusal_by_a_limit_and_a_disconnect_are_counted_by_route() -> None:
    metrics = Metrics("1")
    limited = finished(metrics)
    limited.limited = Limit.CONCURRENT_STREAMS
    limited.failed(RateLimited("no"))
    gone = finished(metrics, first_reasoning=11.0)
    gone.outcome = Outcome.CLIENT_DISCONNECT
    for exchange in (limited, gone):
        exchange.end(12.0)
        metrics.ended(exchange)
    assert value(metrics, "rate_limited_total", route="r", limit="concurrent_streams") == 1.0
    assert value(metrics, "client_disconnects_total", route="r", phase="reasoning") == 1.0


def test_provider_is_available_once_none_of_its_targets_rests() -> None:
    metrics = Metrics("1")
    one, two = metrics.target("r", "p", "m"), metrics.target("r", "p", "n")
    seen = [value(metrics, "upstream_available", provider="p")]
    for target, ok in ((one, False), (two, False), (one, True), (two, True)):
        target.available(ok)
        seen.append(value(metrics, "upstream_available", provider="p"))
    assert seen == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_retries_and_fallbacks_say_why_and_where_to() -> None:
    metrics = Metrics("1")
    one, two = metrics.target("r", "p", "m"), metrics.target("r", "q", "n")
    one.retry(AttemptOutcome.HTTP_429)
    one.fallback(AttemptOutcome.CONNECT_TIMEOUT, two)
    assert value(metrics, "retries_total", provider="p", model="m", reason="http_429") == 1.0
    moved = {"route": "r", "from_provider": "p", "to_provider": "q", "reason": "connect_timeout"}
    assert value(metrics, "fallbacks_total", **moved) == 1.0


def test_overhead_has_three_stages() -> None:
    metrics = Metrics("1")
    exchange = finished(metrics, first_sent=12.5)
    exchange.asked, exchange.content_read, exchange.core_s = 10.25, 12.0, 0.125
    exchange.end(13.0)
    metrics.ended(exchange)
    sums = [value(metrics, "overhead_seconds_sum", stage=stage) for stage in ("request", "first_chunk", "stream")]
    assert sums == [0.25, 0.5, 0.125]


@pytest.mark.parametrize(
    ("usage", "count"),
    [({"a": {"b": 3}}, 3), ({"a": {"b": -1}}, 0), ({"a": {"b": "3"}}, 0), ({"a": None}, 0), ({}, 0), ({"a": 4}, 0)],
)
def test_odd_usage_counts_nothing(usage: dict[str, object], count: int) -> None:
    assert tokens(usage, "a", "b") == count
