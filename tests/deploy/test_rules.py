"""The rules: names that exist, a runbook each, a case each that fires and one that stays quiet (scripts/check-deploy runs them)."""

import re

import pytest

from tests.support.monitoring import ROOT, Alert, alerts, cases, exposed, named, recorded
from tests.support.served import proxied


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(reasoning_proxy_requests_total{a='b'}[5m])", {"reasoning_proxy_requests_total"}),
        ("absent(up{job='x'} == 1)", {"up"}),
        ("job:reasoning_proxy_errors:ratio_rate1h > 1", {"job:reasoning_proxy_errors:ratio_rate1h"}),
        ("max by (provider) (process_open_fds) / up", {"process_open_fds", "up"}),
        ("sum by (job, route) (group)", set()),
    ],
)
def test_metrics_are_found_in_promql(expression: str, expected: set[str]) -> None:
    assert named(expression) == expected


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_alert_names_metrics_that_exist_and_has_a_runbook(alert: Alert) -> None:
    assert named(alert.expression) <= exposed() | set(recorded()) | {"up"}
    assert named(alert.expression)
    assert alert.severity in {"page", "ticket"}
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    file, _, anchor = alert.annotations["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor == alert.name.lower()
    assert alert.name in headings


@pytest.mark.parametrize(("name", "expression"), recorded().items())
def test_recorded_name_is_made_of_metrics_that_exist(name: str, expression: str) -> None:
    assert named(expression) <= exposed()
    assert name in {found for alert in alerts() for found in named(alert.expression)}, "nobody asks for it"


def test_every_alert_has_a_case_that_fires_and_one_that_stays_quiet() -> None:
    tests = [test for case in cases() for test in case["alert_rule_test"]]
    fires = {test["alertname"] for test in tests if test["exp_alerts"]}
    quiet = {test["alertname"] for test in tests if not test["exp_alerts"]}
    assert fires == quiet == {alert.name for alert in alerts()}


def test_every_target_has_its_series_before_the_first_request() -> None:
    # An increase from nothing to 1 is none for Prometheus, and a route's providers are counted by these series.
    with proxied() as (_, __, client):
        text = client.get("/metrics").text
    for model in ("big", "small", "{model}", "{*}"):
        assert re.search(rf'requests_total{{[^}}]*model="{re.escape(model)}"[^}}]*outcome="ok"', text), model
        assert re.search(rf'normalizer_events_total{{[^}}]*model="{re.escape(model)}"', text), model
    assert 'reasoning_proxy_upstream_available{provider="house"} 1' in text
