"""A real Prometheus scrapes a real proxy under load: every alert and every panel of the dashboard finds its data."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.loaded import Loaded, loaded
from tests.support.monitoring import alerts, filled, queries, recorded, series_of_cases
from tests.support.prometheus import Prometheus, installed, prometheus
from tests.support.providing import Providing
from tests.support.scripted import scripted

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not installed(), reason="prometheus is not installed")]
LOAD_S = 5.0
PATIENCE_S = 20.0
"""Well below the minute that rates look back."""
THRESHOLD = re.compile(r"(?:>=|==|>)(?! bool) *[\d.]+(?: \* [\d.]+)?")
"""A comparison with a number, as the alerts write it."""
ABOUT_NOTHING = {"TargetAbsent"}
"""Alerts of what is not there."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loaded, Prometheus]]:
    folder = tmp_path_factory.mktemp("watched")
    with (
        scripted(Providing()) as upstream,
        loaded(folder, upstream.url) as proxy,
        prometheus(folder, [proxy.admin]) as watcher,
    ):
        watcher.wait_for('up{job="reasoning-proxy"} == 1')
        requests = proxy.load(LOAD_S)
        assert requests > 20
        watcher.wait_for(f"sum (reasoning_proxy_requests_total) >= {requests}")
        yield proxy, watcher


def always(expression: str) -> str:
    """An alert's expression with thresholds that everything passes, and with no look at yesterday."""
    wanted, unless, rest = expression.replace(" offset 1d", "").partition("unless")
    return THRESHOLD.sub(">= 0", wanted) + unless + THRESHOLD.sub(">= 0", THRESHOLD.sub("< 0", rest, count=1))


def test_every_alert_and_panel_finds_its_data_in_a_real_prometheus(watched: tuple[Loaded, Prometheus]) -> None:
    _, watcher = watched
    watcher.wait_for("job_target:reasoning_proxy_reasoned:increase1h")
    asked = {f"recorded {name}": expression for name, expression in recorded().items()}
    asked |= {f"alert {a.name}": always(a.expression) for a in alerts() if a.name not in ABOUT_NOTHING}
    asked |= {f"panel {q.panel}: {q.expression}": filled(q.expression) for q in queries()}
    until = time.monotonic() + PATIENCE_S
    empty = asked
    while (
        empty and time.monotonic() < until
    ):  # a rate has two scrapes of a series, which may have come with the last request
        empty = {name: expression for name, expression in empty.items() if not watcher.query(expression)}
        time.sleep(0.5 if empty else 0.0)
    assert not empty, "\n".join(f"{name}\n  {expression}" for name, expression in empty.items())
    assert watcher.query('absent(up{job="nobody"} == 1)')


def test_series_of_the_rules_own_cases_have_the_labels_of_real_ones(watched: tuple[Loaded, Prometheus]) -> None:
    _, watcher = watched
    wrong = []
    for name, labels in sorted(series_of_cases()):
        real = {frozenset(sample.labels) - {"__name__"} for sample in watcher.query(name)}
        wrong += [] if labels in real else [f"{name}: {sorted(labels)}, really {[sorted(found) for found in real]}"]
    assert not wrong, "\n".join(wrong)


def test_prometheus_evaluates_every_rule_without_complaint(watched: tuple[Loaded, Prometheus]) -> None:
    _, watcher = watched
    watcher.wait_for("job:reasoning_proxy_errors:ratio_rate5m")
    rules = watcher.rules()
    assert len(rules) == len(alerts()) + len(recorded())
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] == "err"] == []


def test_alerts_of_what_the_load_did_wait_for_their_time(watched: tuple[Loaded, Prometheus]) -> None:
    _, watcher = watched
    watcher.wait_for('ALERTS{alertname="ErrorBudgetFastBurn",alertstate="pending",severity="page"}')
    firing = watcher.query('ALERTS{alertstate="firing"}')
    assert firing == []


def test_promtool_finds_nothing_to_say_about_the_metrics(watched: tuple[Loaded, Prometheus], tmp_path: Path) -> None:
    proxy, _ = watched
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=proxy.metrics, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
