"""What a panel of the dashboard is: data that `dashboard.py` builds with Grafana's SDK."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["lines", "areas", "steps", "stat", "heatmap"]
"""`lines`: one each. `areas`: stacked, they add up. `steps`: values that jump. `stat`: one number. `heatmap`: a histogram over time."""

OF_JOB = 'job=~"$job"'
OF_ROUTE = f'{OF_JOB},route=~"$route"'
OF_PROVIDER = f'{OF_JOB},provider=~"$provider",model=~"$model"'
OF_TARGET = f'{OF_ROUTE},provider=~"$provider",model=~"$model"'
CONFIGURED = ',provider!=""'
"""Leaves out requests that reached no route."""


@dataclass(frozen=True)
class Query:
    """PromQL, and the name of its series: text with labels in double braces."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel. `unit`: Grafana's id of a unit. `width`: of 24. `levels`: (from this value on, colour), beside green.

    `colours`: name of a series → its colour, for names that say good or bad.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "lines"
    width: int = 8
    levels: tuple[tuple[float, str], ...] = ()
    decimals: int | None = None
    top: float | None = None
    colours: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A question, and the panels that answer it."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, of: str, *by: str, more: str = "") -> str:
    """Events a second of a counter, `more` being a further selector."""
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate(reasoning_proxy_{metric}{{{of}{more}}}[$__rate_interval]))"


def quantile(part: float, metric: str, of: str, *by: str, more: str = "") -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({part}, {rate(f'{metric}_bucket', of, *by, 'le', more=more)})"


def quantiles(metric: str, of: str = OF_TARGET) -> tuple[Query, ...]:
    """The median, the 95th and the 99th percentile."""
    return tuple(Query(quantile(part, metric, of), f"p{part * 100:g}") for part in (0.5, 0.95, 0.99))
