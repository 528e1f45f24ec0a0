"""Builds the dashboard. `python -m deploy.grafana.source.dashboard` prints it as JSON."""

import itertools
import json

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.source.panel import Panel
from deploy.grafana.source.rows import ROWS

UID = "reasoning-proxy"
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT, STAT_HEIGHT = 8, 4
FIRST = "reasoning_proxy_requests_total"
VARIABLES = (
    ("job", "reasoning_proxy_build_info"),
    ("route", f'{FIRST}{{job=~"$job"}}'),
    ("provider", f'{FIRST}{{job=~"$job",route=~"$route"}}'),
    ("model", f'{FIRST}{{job=~"$job",route=~"$route",provider=~"$provider"}}'),
)
"""Label → where its values are looked for."""
Builder = timeseries.Panel | stat.Panel | heatmap.Panel


def build() -> str:
    """The dashboard as JSON text."""
    board = (
        builders.Dashboard("reasoning-proxy")
        .uid(UID)
        .description("Is it healthy, is it fast, what does it cost, who is to blame, and the proxy itself.")
        .tags(["llm", "reasoning-proxy"])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for label, where in VARIABLES:
        board.with_variable(_variable(label, where))
    numbers = itertools.count(1)  # stable, so that a link to a panel stays one
    for row in ROWS:
        board.with_row(builders.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            board.with_panel(_panel(panel).id(next(numbers)))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variable(label: str, where: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(label)
        .label(label.capitalize())
        .datasource(SOURCE)
        .query(f"label_values({where}, {label})")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(dashboard.VariableOption(text="All", value="$__all", selected=True))
    )


def _panel(panel: Panel) -> Builder:
    built: Builder
    if panel.kind == "stat":
        built = _stat(panel)
    elif panel.kind == "heatmap":
        built = _heatmap(panel)
    else:
        built = _lines(panel)
    built.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    built.span(panel.width).height(STAT_HEIGHT if panel.kind == "stat" else HEIGHT)
    for name, colour in panel.colours.items():
        built.override_by_name(
            name, [dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})]
        )
    if panel.decimals is not None:
        built.decimals(panel.decimals)
    for number, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(chr(ord("A") + number))
        )
        if panel.kind == "heatmap":
            target.format(PromQueryFormat.HEATMAP)
        built.with_target(target.range())
    return built


def _lines(panel: Panel) -> timeseries.Panel:
    built = timeseries.Panel().min(0).line_width(1).show_points(common.VisibilityMode.NEVER)
    # A quantile of no requests is no number; the line goes on where there is one again.
    built.span_nulls(False)
    built.legend(
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    built.tooltip(
        common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    if panel.top is not None:
        built.max(panel.top)
    if panel.kind == "areas":
        built.fill_opacity(30).stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.kind == "steps":
        built.line_interpolation(common.LineInterpolation.STEP_AFTER)
    if panel.levels:
        built.thresholds(_levels(panel))
        built.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    return built


def _stat(panel: Panel) -> stat.Panel:
    built = stat.Panel().graph_mode(common.BigValueGraphMode.AREA).no_value("0")
    return built.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"])).thresholds(_levels(panel))


def _heatmap(panel: Panel) -> heatmap.Panel:
    built = (
        heatmap.Panel()
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
    )
    return (
        built.y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_tooltip()
    )


def _levels(panel: Panel) -> builders.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green")]
    steps += [dashboard.Threshold(value=value, color=colour) for value, colour in panel.levels]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


if __name__ == "__main__":
    print(build(), end="")
