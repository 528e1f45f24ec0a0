"""Both text formats, read back by the official client's parsers."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from proxy.telemetry.exposition import PIECE_LINES, accepts_open_metrics, pieces
from proxy.telemetry.process import Process
from proxy.telemetry.registry import Kind, Registry

BOUNDS = (0.5, 1.0)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def filled(*words: str) -> Registry:
    registry = Registry()
    counter = registry.family("c_total", Kind.COUNTER, "Counted.", ("zone", "a"))
    gauge = registry.family("g", Kind.GAUGE, "Measured.")
    histogram = registry.family("h", Kind.HISTOGRAM, "Spread.", ("zone", "a"), bounds=BOUNDS)
    alone = registry.family("alone", Kind.HISTOGRAM, "Spread.", (), bounds=BOUNDS)
    registry.gauge(gauge).set(-2.5)
    registry.histogram(alone).observe(0.7)
    for number, word in enumerate(words):
        registry.counter(counter, word, "y").inc(number)
        registry.histogram(histogram, word, "y").observe(0.1 * number)
    return registry


@given(st.lists(WORDS, unique=True, min_size=1, max_size=4))
def test_both_formats_say_the_same_whatever_the_configuration_calls_its_things(words: list[str]) -> None:
    registry = filled(*words)
    read = []
    for parse, open_metrics in ((text_families, False), (open_metrics_families, True)):
        families = list(parse("".join(pieces(registry, {}, open_metrics=open_metrics))))
        assert {family.name: family.type for family in families} == {
            "c": "counter", "g": "gauge", "h": "histogram", "alone": "histogram"
        }  # fmt: skip
        read.append({(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples})
    assert read[0] == read[1]
    for number, word in enumerate(words):
        assert read[0]["c_total", (("a", "y"), ("zone", word))] == number
        assert read[0]["h_bucket", (("a", "y"), ("le", "+Inf"), ("zone", word))] == 1.0
        assert read[0]["h_sum", (("a", "y"), ("zone", word))] == pytest.approx(0.1 * number)
    assert read[0]["alone_bucket", (("le", "0.5"),)] == 0.0
    assert read[0]["alone_bucket", (("le", "1.0"),)] == 1.0


def test_open_metrics_carries_exemplars_and_the_text_format_none() -> None:
    registry = filled("x")
    trace = "0af7651916cd43dd8448eb211c80319c"
    registry.histogram(registry.families["alone"]).observe(0.75, trace)
    assert trace not in "".join(pieces(registry, {}, open_metrics=False))
    read: Callable[[str], Iterator[Metric]] = open_metrics_families
    families = read("".join(pieces(registry, {}, open_metrics=True)))
    found = {s.labels["le"]: s.exemplar for f in families for s in f.samples if s.name == "alone_bucket"}
    assert found["0.5"] is found["+Inf"] is None
    assert found["1.0"] is not None
    assert (found["1.0"].labels, found["1.0"].value) == ({"trace_id": trace}, 0.75)


def test_family_without_series_is_left_out() -> None:
    registry = Registry()
    registry.family("c_total", Kind.COUNTER, "x", ("a",))
    assert "".join(pieces(registry, {}, open_metrics=False)) == ""


def test_pieces_are_short_so_that_streams_go_on_in_between() -> None:
    registry = filled(*map(str, range(100)))
    found = list(pieces(registry, {}, open_metrics=False))
    assert max(piece.count("\n") for piece in found) <= PIECE_LINES + len(BOUNDS) + 5
    assert all(piece.endswith("\n") for piece in found)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=much", False),
    ],
)  # fmt: skip
def test_format_is_what_the_scraper_would_rather_have(accept: str, wanted: bool) -> None:
    assert accepts_open_metrics(accept) is wanted


def test_process_metrics_are_those_of_this_process() -> None:
    registry = Registry()
    process = Process(registry)
    process.read()
    first = registry.get_sample_value("process_cpu_seconds_total")
    while math.isclose(registry.get_sample_value("process_cpu_seconds_total") or 0, first or 0):
        sum(range(100_000))
        process.read()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resident = registry.get_sample_value("process_resident_memory_bytes") or 0
    assert resident == pytest.approx(int(status["VmRSS"].split()[0]) * 1024, rel=0.2)
    for name in ("virtual_memory_bytes", "open_fds", "max_fds", "start_time_seconds"):
        assert (registry.get_sample_value(f"process_{name}") or 0) > 0


def test_without_proc_there_is_the_processor_time_alone(tmp_path: Path) -> None:
    registry = Registry()
    Process(registry, tmp_path).read()
    assert list(registry.families) == ["process_cpu_seconds_total"]
