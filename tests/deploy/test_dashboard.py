"""The dashboard: the file is what the code builds, and keeps the rules of a dashboard that others install."""

import importlib.util
import re
from typing import Any

import pytest

from tests.support.monitoring import DASHBOARD, Query, dashboard, exposed, filled, named, panels, queries, recorded

UNITS = {"reqps", "percentunit", "short", "none", "s", "ops", "bytes"}


@pytest.mark.skipif(importlib.util.find_spec("grafana_foundation_sdk") is None, reason="the SDK is not installed")
def test_the_file_is_what_the_code_builds() -> None:
    from deploy.grafana.source.dashboard import build

    assert DASHBOARD.read_text(encoding="utf-8") == build(), "run scripts/deploy-files"


def test_it_can_be_installed_next_to_others_and_only_changes_by_its_file() -> None:
    board = dashboard()
    assert (board["uid"], board["editable"]) == ("reasoning-proxy", False)
    assert board.get("id") is None


def test_the_source_of_all_data_is_a_variable() -> None:
    board = dashboard()
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "route", "provider", "model"]
    assert variables["datasource"]["query"] == "prometheus"
    sources = [panel["datasource"] for panel in panels()]
    sources += [variable["datasource"] for variable in variables.values() if variable["type"] == "query"]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_panel_has_title_description_unit_and_named_series(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert all(target["legendFormat"] for target in panel["targets"])


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    board = dashboard()["panels"]
    assert len({panel["id"] for panel in board}) == len(board)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


def test_every_row_of_panels_is_full() -> None:
    widths: dict[int, int] = {}
    for place in (panel["gridPos"] for panel in dashboard()["panels"]):
        widths[place["y"]] = widths.get(place["y"], 0) + place["w"]
    assert set(widths.values()) == {24}


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.panel)
def test_query_names_metrics_that_exist_and_follows_the_variables(query: Query) -> None:
    assert named(query.expression)
    assert named(query.expression) <= exposed() | set(recorded())
    assert 'job=~"$job"' in query.expression
    assert set(re.findall(r"\[([^\]]+)\]", query.expression)) <= {"$__rate_interval"}, "the interval is Grafana's"
    assert "$" not in filled(query.expression)


def test_names_of_series_are_labels_that_the_query_keeps() -> None:
    for panel in panels():
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = {label.strip() for by in re.findall(r" by \(([^)]*)\)", target["expr"]) for label in by.split(",")}
            assert wanted <= kept or not kept, panel["title"]
