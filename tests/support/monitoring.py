"""What the rules and the dashboard ask for, and what the proxy has."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from proxy.telemetry.metrics import Metrics
from tests.support.samples import families

ROOT = Path(__file__).resolve().parent.parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "reasoning-proxy.json"
NAME = re.compile(r"(?<![\w:])((?:\w+:)?(?:reasoning_proxy|process)_\w+(?::\w+)?|up)(?=[\s{\[)]|$)")
"""A metric in PromQL: ours, one of the process's, a recorded one, or `up`."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
VARIABLE = re.compile(r"\$(?!__)(\w+)")


@dataclass(frozen=True)
class Alert:
    """One alert, as it stands in the file."""

    name: str
    expression: str
    severity: str
    annotations: dict[str, str]
    wait: str


@dataclass(frozen=True)
class Query:
    """One expression of a panel."""

    panel: str
    expression: str


def _rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / file).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[Alert]:
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"]["severity"], rule["annotations"], rule["for"])
        for rule in _rules("alerts.yml")
    ]


def recorded() -> dict[str, str]:
    """Name → expression of the recording rules."""
    return {rule["record"]: rule["expr"] for rule in _rules("recording.yml")}


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return board


def panels() -> list[dict[str, Any]]:
    """The panels that show something; rows are none."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    return [Query(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


def filled(expression: str, interval: str = "1m") -> str:
    """A dashboard's expression as Grafana sends it when everything is chosen."""
    return VARIABLE.sub(".*", expression.replace("$__rate_interval", interval))


def exposed() -> set[str]:
    """Every series name that `/metrics` can have."""
    return {f"{name}{suffix}" for name, kind in families(Metrics("1")) for suffix in SUFFIXES[kind]}


def named(expression: str) -> set[str]:
    """The metrics that an expression names."""
    return set(NAME.findall(expression))


def cases() -> list[dict[str, Any]]:
    """All cases of `promtool test rules`."""
    files = sorted((PROMETHEUS / "tests").glob("*.yml"))
    return [case for file in files for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]


def series_of_cases() -> set[tuple[str, frozenset[str]]]:
    """(metric, names of its labels) of the series that the cases make up; `up` is Prometheus' own."""
    found = (item["series"].partition("{") for case in cases() for item in case["input_series"])
    return {(name, frozenset(re.findall(r"(\w+)=", labels))) for name, _, labels in found if name != "up"}
