"""What is counted, under which names and labels."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.core.errors import Outcome, RateLimited
from proxy.core.healing import FIELDS, OTHER
from proxy.core.notes import ASPECTS, CHANGES
from proxy.core.timeline import GAPS, Oddity, Timeline
from proxy.telemetry.aliases import ALIASES
from proxy.telemetry.exchange import AttemptOutcome, Exchange, Limit, MemoryResult, Phase, Stage, Truncation
from proxy.telemetry.families import LONG, PREFIX, SHARES, TINY, TOKENS
from proxy.telemetry.metrics import Metrics, series_of
from tests.support.samples import samples, total

T = {"route": "r", "provider": "p", "model": "m"}
BUCKETS = {"long": LONG, "tiny": TINY, "gap": GAPS, "tokens": TOKENS, "share": SHARES}
ENUMS = {
    "stream": {"true", "false"},
    "outcome": {*Outcome, *AttemptOutcome},
    "phase": set(Phase),
    "stage": set(Stage),
    "limit": set(Limit),
    "kind": set(Oddity),
    "reason": {*Truncation, *AttemptOutcome},
    "result": set(MemoryResult),
    "action": {"add", "drop"},
    "field": {*FIELDS, OTHER},
    "source": {"reported"},
    "aspect": set(ASPECTS),
    "change": set(CHANGES),
    "version": {"1.2.3"},
}
USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 8,
    "completion_tokens_details": {"reasoning_tokens": 4},
    "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
}


def finished(metrics: Metrics, *, stream: bool = True, **marks: Any) -> Exchange:
    timeline = Timeline(10.0)
    for name, value in marks.items():
        setattr(timeline, name, value)
    return Exchange("id", 10.0, metrics.target("r", "p", "m"), timeline, stream=stream)


def ended(exchange: Exchange, now: float = 16.0) -> None:
    exchange.timeline.end(now)
    exchange.target.ended(exchange)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return total(samples(metrics.render()), name, **labels)


def busy(*aliases: str) -> Metrics:
    """Metrics in which every family has a series."""
    metrics = Metrics("1.2.3", aliases=aliases)
    one, two = metrics.target("r", "p", "m"), metrics.target("r", "q", "n")
    one.healed("drop", "reasoning_content")
    one.retry(AttemptOutcome.HTTP_5XX)
    one.fallback(AttemptOutcome.HTTP_5XX, two)
    one.remembered(MemoryResult.HIT, 1)
    one.attempt(AttemptOutcome.OK, {"malformed_json": 2})
    exchange = finished(metrics, usage=USAGE, response_model="x")
    exchange.asked, exchange.content_read, exchange.core_s = 10.25, 12.0, 0.125
    exchange.timeline.first_sent = 12.5
    exchange.notes = ("hide->drop",)
    exchange.timeline.reasoning(11.0)
    exchange.timeline.answer(12.0)
    ended(exchange)
    metrics.lag.observe(0.0)
    metrics.reloaded(ok=True)
    return metrics


def table(repository: Path) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """The documented families: name → type, buckets, labels."""
    page = (repository / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram)(?:, (\w+))? \| ?([^|]*)\|", page, re.MULTILINE)
    split = {name: [word for word in re.split(r",\s*", labels.strip()) if word] for name, _, _, labels in rows}
    return {
        name: (kind, buckets, tuple(one for word in split[name] for one in (T if word == "T" else [word])))
        for name, kind, buckets, _ in rows
    }


def is_counter(name: str) -> bool:
    return name.removeprefix(PREFIX) + "_total" in table(Path(__file__).parents[3])


def test_every_family_is_in_the_table_of_the_page_and_the_other_way_round(repository: Path) -> None:
    ours = {}
    for family in text_string_to_metric_families(busy().render().decode()):
        name = family.name.removeprefix(PREFIX)
        bounds = tuple(sorted({float(one.labels["le"]) for one in family.samples if "le" in one.labels}))[:-1]
        buckets = next((word for word, known in BUCKETS.items() if bounds == known), "")
        labels = {frozenset(one.labels) - {"le"} for one in family.samples}
        if family.name.startswith(PREFIX):
            assert len(labels) == 1
            ours[name + "_total" * (family.type == "counter")] = (family.type, buckets, *labels)
    documented = {
        name: (kind, buckets, frozenset(labels)) for name, (kind, buckets, labels) in table(repository).items()
    }
    assert ours == documented


def test_every_label_value_is_of_a_closed_set_or_of_the_configuration() -> None:
    metrics = busy()
    found: dict[str, set[str]] = {}
    for series in samples(metrics.render()).values():
        for labels in series:
            for label, word in labels:
                found.setdefault(label, set()).add(word)
    found.pop("le")
    configured = {"route", "provider", "model", "from_provider", "to_provider"}
    assert found.keys() == configured | ENUMS.keys()
    assert {label: found[label] - ENUMS[label] for label in ENUMS} == {label: set() for label in ENUMS}


def test_every_label_value_and_alias_is_documented(repository: Path) -> None:
    page = (repository / "docs" / "metrics.md").read_text()
    words = set[str]().union(*(set(words) for label, words in ENUMS.items() if label != "version"))
    aliases = ((ours, alias.name) for ours, alias in ALIASES["otel_genai"].items())
    words |= {name + "_total" * is_counter(ours) for ours, name in aliases}
    assert [word for word in sorted(words) if f"`{word}`" not in page] == []


def test_core_names_only_oddities_that_are_counted(repository: Path) -> None:
    named: set[str] = set()
    for file in (repository / "proxy" / "core").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="odd"), attr="append"), args=[argument]):
                    assert isinstance(argument, ast.Constant), f"{file.name} counts something that is no word"
                    named.add(str(argument.value))
    assert "malformed_json" in named
    assert named <= set(Oddity)


def test_buckets_are_those_of_the_contract() -> None:
    assert [round(bound, 2) for bound in LONG] == [
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
    ]  # fmt: skip
    assert TOKENS == (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)
    text = Metrics("1").render().decode()
    bounds = re.findall(r'overhead_seconds_bucket\{le="([^"]+)",stage="stream"\}', text)
    assert [float(bound) for bound in bounds] == [*TINY, float("inf")]
    assert 'le="0.01"' in text
    assert 'le="655.36"' in text


def test_two_applications_share_nothing() -> None:
    one, two = Metrics("1"), Metrics("1")
    one.target("r", "p", "m").opened()
    two.target("r", "p", "m")
    assert (value(one, "streams_in_flight", route="r"), value(two, "streams_in_flight", route="r")) == (1.0, 0.0)
    one.target("r", "p", "m").closed()
    assert value(one, "streams_in_flight", route="r") == 0.0


def test_stream_counts_its_times_and_tokens_once() -> None:
    metrics = Metrics("1")
    marks: dict[str, Any] = {"first_chunk": 11.0, "first_reasoning": 11.0, "first_answer": 14.0, "last_content": 14.5}
    ended(finished(metrics, usage=USAGE, reasoning_s=3.0, **marks))
    found = samples(metrics.render())
    assert total(found, "requests_total", **T, stream="true", outcome="ok") == 1.0
    sums = {
        "request_duration_seconds": 6.0,
        "time_to_first_chunk_seconds": 1.0,
        "time_to_first_reasoning_seconds": 1.0,
        "time_to_first_answer_seconds": 4.0,
        "reasoning_duration_seconds": 3.0,
        "time_per_output_token_seconds": 0.5,
        "request_input_tokens": 5.0,
        "request_output_tokens": 8.0,
        "reasoning_share_ratio": 0.5,
    }
    assert {name: total(found, f"{name}_sum", **T) for name in sums} == sums
    assert {name: total(found, f"{name}_count", **T) for name in sums} == dict.fromkeys(sums, 1.0)
    kinds = ("input", "output", "cached_input", "cache_write_input", "reasoning")
    counted = [total(found, f"{kind}_tokens_total", **T, source="reported") for kind in kinds]
    assert counted == [5.0, 8.0, 2.0, 1.0, 4.0]


def test_gaps_are_told_apart_by_what_was_waited_for() -> None:
    metrics = Metrics("1")
    exchange = finished(metrics)
    for mark, now in (("reasoning", 11.0), ("reasoning", 11.03), ("reasoning", 11.06), ("answer", 13.06)):
        getattr(exchange.timeline, mark)(now)
    ended(exchange)
    assert value(metrics, "inter_chunk_seconds_count", **T, phase="reasoning") == 2.0
    assert value(metrics, "inter_chunk_seconds_bucket", **T, phase="reasoning", le="0.02") == 0.0
    assert value(metrics, "inter_chunk_seconds_bucket", **T, phase="reasoning", le="0.04") == 2.0
    assert value(metrics, "inter_chunk_seconds_sum", **T, phase="answer") == pytest.approx(2.0)


def test_each_note_is_counted_without_its_words() -> None:
    metrics = Metrics("1")
    exchange = finished(metrics)
    exchange.notes = ("effort=xhigh->high", "secret_key_of_a_client dropped", "logprobs dropped")
    ended(exchange)
    found = samples(metrics.render())
    assert total(found, "request_notes_total", provider="p", model="m", aspect="effort", change="changed") == 1
    assert total(found, "request_notes_total", provider="p", model="m", aspect="other", change="dropped") == 2
    assert b"secret_key" not in metrics.render()


def test_whole_answer_counts_tokens_but_no_time_to_first() -> None:
    metrics = Metrics("1")
    exchange = finished(metrics, stream=False, first_chunk=15.0, first_answer=15.0, last_content=15.0, usage=USAGE)
    exchange.timeline.answer(15.5)
    ended(exchange)
    names = ("time_to_first_chunk_seconds", "time_per_output_token_seconds", "inter_chunk_seconds")
    assert [value(metrics, f"{name}_count") for name in names] == [0.0, 0.0, 0.0]
    assert value(metrics, "request_output_tokens_count", **T) == 1.0


def test_reasoning_without_an_answer_is_truncated_by_something() -> None:
    metrics = Metrics("1")
    cases: list[tuple[Outcome, dict[str, Any]]] = [
        (Outcome.OK, {"finish_reason": "length"}),
        (Outcome.OK, {"finish_reason": "stop", "unclosed": True}),
        (Outcome.OK, {"finish_reason": "stop"}),
        (Outcome.OK, {"finish_reason": "length", "first_answer": 12.0}),
        (Outcome.OK, {"finish_reason": "length", "first_reasoning": None}),
        (Outcome.UPSTREAM_ERROR, {}),
        (Outcome.TIMEOUT, {}),
        (Outcome.CLIENT_DISCONNECT, {}),
    ]
    for outcome, marks in cases:
        exchange = finished(metrics, **({"first_reasoning": 11.0} | marks))
        exchange.outcome = outcome
        ended(exchange)
    counted = {reason: value(metrics, "reasoning_truncated_total", **T, reason=reason) for reason in Truncation}
    assert counted == {"length": 1.0, "unclosed_tag": 1.0, "upstream_closed": 2.0}


def test_refusal_by_a_limit_and_a_disconnect_are_counted_by_route() -> None:
    metrics = Metrics("1")
    limited = finished(metrics)
    limited.limited = Limit.CONCURRENT_STREAMS
    limited.failed(RateLimited("no"))
    gone = finished(metrics, first_reasoning=11.0)
    gone.outcome = Outcome.CLIENT_DISCONNECT
    for exchange in (limited, gone):
        ended(exchange)
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
    one.available(ok=False, model="other")
    metrics.target("s", "p", "m")
    assert value(metrics, "upstream_available", provider="p") == 0.0


def test_retries_and_fallbacks_say_why_and_where_to() -> None:
    metrics = Metrics("1")
    one, two = metrics.target("r", "p", "m"), metrics.target("r", "q", "n")
    one.retry(AttemptOutcome.HTTP_429)
    one.fallback(AttemptOutcome.CONNECT_TIMEOUT, two)
    assert value(metrics, "retries_total", provider="p", model="m", reason="http_429") == 1.0
    moved = {"route": "r", "from_provider": "p", "to_provider": "q", "reason": "connect_timeout"}
    assert value(metrics, "fallbacks_total", **moved) == 1.0


def test_overhead_has_three_stages() -> None:
    metrics = busy()
    sums = [value(metrics, "overhead_seconds_sum", stage=stage) for stage in ("request", "first_chunk", "stream")]
    assert sums == [0.25, 0.5, 0.125]


@pytest.mark.parametrize("odd", [None, "3", -1, 2.5, True, [], {}])
def test_odd_usage_counts_nothing(odd: Any) -> None:
    metrics = Metrics("1")
    usage = {"prompt_tokens": odd, "completion_tokens": odd, "prompt_tokens_details": odd}
    ended(finished(metrics, usage=usage))
    assert value(metrics, "input_tokens_total") == value(metrics, "output_tokens_total") == 0.0


def test_tokens_written_to_a_cache_are_found_where_hosts_say_them() -> None:
    metrics = Metrics("1")
    ended(finished(metrics, usage={"prompt_tokens": 9, "cache_creation_input_tokens": 6}))
    assert value(metrics, "cache_write_input_tokens_total", **T) == 6.0


@pytest.mark.parametrize("aliases", [(), ("otel_genai",)])
def test_series_are_as_many_as_said(aliases: tuple[str, ...]) -> None:
    metrics = Metrics("1", aliases=aliases)
    keys = [("r", "p", "m"), ("r", "p", "n"), ("s", "q", "m")]
    for key in keys:
        metrics.target(*key)
    lines = [line for line in metrics.render().decode().splitlines() if not line.startswith(("#", "process_"))]
    # Nothing has been loaded yet, and no timer has gone off: those have no labels, and are there from the start.
    assert len(lines) == series_of(keys, aliases)


def test_aliases_show_the_same_values_under_the_names_of_the_conventions() -> None:
    found = samples(busy("otel_genai").render())
    theirs = {"gen_ai_provider_name": "p", "gen_ai_request_model": "m", "route": "r"}
    assert total(found, "gen_ai_client_inference_usage_reasoning_output_tokens_total", **theirs) == 4.0
    assert total(found, "gen_ai_client_inference_duration_seconds_sum", **theirs) == 6.0
    for ours, alias in ALIASES["otel_genai"].items():
        name = ours.removeprefix(PREFIX)
        part = "_total" if is_counter(ours) else "_sum"
        assert total(found, name + part) == total(found, alias.name + part) > 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("aliases", [(), ("otel_genai",)])
def test_promtool_finds_nothing_wrong(aliases: tuple[str, ...]) -> None:
    metrics = Metrics("1", aliases=aliases)
    ended(finished(metrics, usage=USAGE, first_chunk=11.0))
    told = subprocess.run(["promtool", "check", "metrics"], input=metrics.render(), capture_output=True, check=False)
    assert (told.returncode, told.stdout + told.stderr) == (0, b"")
