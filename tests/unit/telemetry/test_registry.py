"""What we add to the Prometheus client, and that its text is what a scraper asks for."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import Histogram, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from proxy.telemetry.registry import MULTIPROCESS, Alias, Exposed, share

ROOT = Path(__file__).resolve().parents[3]
BOUNDS = (0.5, 1.0, 4.0)
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What Prometheus 2 sends."""


def of(exposed: Exposed, name: str) -> dict[str, float]:
    """The samples of a family without labels: what follows its name, and the bucket → value."""
    families = text_families(exposed.render("", {})[0].decode())
    found = (sample for family in families if family.name == name for sample in family.samples)
    return {sample.name.removeprefix(name) + sample.labels.get("le", ""): sample.value for sample in found}


def test_what_is_added_at_once_counts_as_what_is_observed_one_by_one() -> None:
    one, two = Exposed(), Exposed()
    observed, added = one.histogram("h", "x", (), BOUNDS), two.histogram("h", "x", (), BOUNDS)
    for value in (0.25, 0.5, 3.0, 9.0, 9.0):
        observed.observe(value)
    added.add((2.0, 0.0, 1.0, 2.0, 21.75))
    assert of(one, "h") == of(two, "h")
    assert of(two, "h")["_count"] == 5.0


def test_each_series_takes_additions_of_its_own() -> None:
    exposed = Exposed()
    family = exposed.histogram("h", "x", ("a",), BOUNDS)
    family.labels("p").add((0.0, 1.0, 0.0, 0.0, 0.75))
    family.labels("q").add((0.0, 0.0, 0.0, 3.0, 30.0))
    found = {
        sample.labels["a"]: sample.value
        for family_ in text_families(exposed.render("", {})[0].decode())
        for sample in family_.samples
        if sample.name == "h_sum"
    }
    assert found == {"p": 0.75, "q": 30.0}


def test_alias_shows_the_same_values_under_another_name_and_other_labels() -> None:
    exposed = Exposed()
    exposed.counter("c_total", "x", ("a", "b")).labels("1", "2").inc(3.0)
    text = exposed.render("", {"c": Alias("d", {"a": "theirs"})})[0].decode()
    assert 'c_total{a="1",b="2"} 3.0' in text
    assert 'd_total{b="2",theirs="1"} 3.0' in text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_format_is_what_the_scraper_asks_for(accept: str, content_type: str) -> None:
    text, told = Exposed().render(accept, {})
    assert told.startswith(content_type)
    assert text.endswith(b"# EOF\n") is told.startswith("application/openmetrics-text")


def test_exemplar_is_in_open_metrics() -> None:
    exposed, trace = Exposed(), "0af7651916cd43dd8448eb211c80319c"
    family = exposed.histogram("h", "x", (), BOUNDS)
    family.observe(0.25)
    family.observe(0.75, {"trace_id": trace})
    read: Callable[[str], Iterator[Metric]] = open_metrics_families
    families = read(exposed.render(PROMETHEUS, {})[0].decode())
    found = {s.labels["le"]: s.exemplar for f in families for s in f.samples if s.name == "h_bucket"}
    assert found["0.5"] is found["+Inf"] is None
    assert found["1.0"] is not None
    assert (found["1.0"].labels, found["1.0"].value) == ({"trace_id": trace}, 0.75)


def test_folder_is_emptied_of_counts_alone(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").write_bytes(b"old")
    (tmp_path / "mine").write_text("stays")
    share(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    share(tmp_path / "new")
    assert (tmp_path / "new").is_dir()


def test_a_value_is_counted_in_the_bucket_where_the_client_itself_counts_it() -> None:
    exposed, limits = Exposed(), (0.5, 1.0, 2.0)
    ours = exposed.histogram("ours", "x", ("of",), limits).labels("a")
    theirs = Histogram("theirs", "x", ("of",), registry=exposed.registry, buckets=limits).labels("a")
    for value in (-1.0, 0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 1e9, math.inf):
        ours.observe(value)
        theirs.observe(value)
    counted = [line.partition("{") for line in exposed.render("", {})[0].decode().splitlines() if "{" in line]
    assert [rest for name, _, rest in counted if name.startswith("ours")] == [
        rest for name, _, rest in counted if name.startswith("theirs")
    ]
    ours.observe(math.nan)
    assert 'ours_count{of="a"} 10.0' in exposed.render("", {})[0].decode()


def told_and_noted() -> list[list[str]]:
    """The same numbers: told the client one by one, and noted together. What is shown of each."""
    exposed = Exposed()
    total, sizes = exposed.counter("c_total", "x", ("of",)), exposed.histogram("h", "x", ("of",), BOUNDS)
    level, gaps = exposed.gauge("g", "x", ("of",), "livesum"), exposed.histogram("gaps", "x", ("of",), BOUNDS)
    for value in (-1.0, 0.0, 0.5, 0.75, 4.0, 9, math.inf):
        total.labels("a").inc(abs(value))
        sizes.labels("a").observe(value)
        exposed.note([(total.labels("b"), abs(value))], [(sizes.labels("b"), value)])
    for amount in (1.0, 1.0, -1.0):
        level.labels("a").inc(amount)
        exposed.note([(level.labels("b"), amount)], ())
    for value in (0.25, 3.0, 3.0):
        gaps.labels("a").observe(value)
    gaps.labels("b").add((1.0, 0.0, 2.0, 0.0, 6.25))
    lines = [line for line in exposed.render("", {})[0].decode().splitlines() if "{" in line]
    return [sorted(line.replace(f'of="{of}"', "") for line in lines if f'of="{of}"' in line) for of in "ab"]


def test_what_is_noted_together_counts_as_what_the_client_is_told_one_by_one() -> None:
    told, noted = told_and_noted()
    assert noted == told
    assert "h_count{} 7.0" in noted
    assert {"g{} 1.0", "gaps_sum{} 6.25"} <= set(noted)


def test_what_is_noted_together_counts_the_same_where_several_processes_count(tmp_path: Path) -> None:
    script = "import json; from tests.unit.telemetry.test_registry import told_and_noted; print(json.dumps(told_and_noted()))"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, MULTIPROCESS: str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    told, noted = json.loads(found.stdout)
    assert noted == told
    assert "h_count{} 7.0" in noted
    assert {"g{} 1.0", "gaps_sum{} 6.25"} <= set(noted)
