"""A panel of the dashboard as SVG, with the data of its queries."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tests.deploy.preview.scale import linear, text, ticks
from tests.support.prometheus import Sample

COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#8ab8ff", "#ffb357", "#c0d8ff")
NAMED = {
    "green": "#73bf69",
    "blue": "#5794f2",
    "yellow": "#fade2a",
    "orange": "#ff9830",
    "red": "#f2495c",
    "purple": "#b877d9",
    "dark-red": "#c4162a",
    "dark-orange": "#fa6400",
    "dark-yellow": "#e0b400",
    "text": "#ccccdc",
}
"""Colours as Grafana's dark theme shows them."""
BACK, CARD, LINE, WORD, FAINT = "#111217", "#181b1f", "#2c3235", "#ccccdc", "#8e8e99"
LEFT, TOP, RIGHT, UNDER = 68, 34, 14, 50
"""Around a plot, in pixels; below it are the times and the legend."""
LEGEND_ROWS, CHARACTER, MORE = 2, 6.6, 60


@dataclass(frozen=True)
class Series:
    """A line and its name."""

    name: str
    values: list[tuple[float, float]]


@dataclass(frozen=True)
class Box:
    """Where a panel stands, in pixels, and the time it shows."""

    x: float
    y: float
    width: float
    height: float
    start: float
    end: float


def named(samples: Sequence[Sample], legend: str) -> list[Series]:
    """The samples under their legend, which may have labels in double braces."""
    return [
        Series(re.sub(r"\{\{(\w+)\}\}", lambda label: sample.labels.get(label[1], ""), legend), sample.values)  # noqa: B023 - called at once
        for sample in samples
    ]


def panel(spec: dict[str, Any], series: Sequence[Series], box: Box) -> str:
    """The panel, in a group of its own."""
    shown = sorted(series, key=lambda one: one.name)
    body = {"stat": _stat, "heatmap": _heatmap}.get(spec["type"], _plot)(spec, shown, box)
    title = _word(12, 22, spec["title"], WORD, 14, weight=600)
    card = f'<rect width="{box.width:.0f}" height="{box.height:.0f}" rx="3" fill="{CARD}" stroke="{LINE}"/>'
    return f'<g transform="translate({box.x:.1f} {box.y:.1f})">{card}{title}{body}</g>'


def row(title: str, box: Box) -> str:
    """A row's heading."""
    return f'<g transform="translate({box.x:.1f} {box.y:.1f})">{_word(4, 24, title, WORD, 17, weight=600)}</g>'


def page(width: float, height: float, body: str) -> str:
    """A whole picture."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" font-family="DejaVu Sans, sans-serif">'
    return f'{head}<rect width="100%" height="100%" fill="{BACK}"/>{body}</svg>\n'


def _plot(spec: dict[str, Any], series: Sequence[Series], box: Box) -> str:
    defaults = spec["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    layers = _stack(series) if stacked else [(one, [(at, 0.0, value) for at, value in one.values]) for one in series]
    highest = max((top for _, points in layers for _, _, top in points), default=1.0)
    top = defaults.get("max") or highest * 1.08 or 1.0
    x = linear(box.start, box.end, LEFT, box.width - RIGHT)
    y = linear(0, top, box.height - UNDER, TOP)
    out = [_grid(_ticks(top, defaults["unit"]), y, defaults["unit"], box), _times(x, box)]
    for colour, (_, points) in zip(_colours(spec, series), layers, strict=True):
        line = [(x(at), y(high)) for at, _, high in points]
        if custom.get("lineInterpolation") == "stepAfter":
            line = [corner for one, two in itertools.pairwise(line) for corner in (one, (two[0], one[1]))] + line[-1:]
        if stacked:
            below = [(x(at), y(low)) for at, low, _ in reversed(points)]
            out.append(f'<polygon points="{_path(line + below)}" fill="{colour}" fill-opacity="0.3"/>')
        out.append(f'<polyline points="{_path(line)}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
    return "".join(out) + _legend(series, _colours(spec, series), box)


def _colours(spec: dict[str, Any], series: Sequence[Series]) -> list[str]:
    """Those that the panel gives by name, else one after the other."""
    overrides = spec["fieldConfig"].get("overrides", [])
    given = {one["matcher"]["options"]: NAMED[one["properties"][0]["value"]["fixedColor"]] for one in overrides}
    return [given.get(one.name, COLOURS[number % len(COLOURS)]) for number, one in enumerate(series)]


def _stack(series: Sequence[Series]) -> list[tuple[Series, list[tuple[float, float, float]]]]:
    """Each series over those before it: (time, from, to)."""
    times = sorted({at for one in series for at, _ in one.values})
    ground, layers = dict.fromkeys(times, 0.0), []
    for one in series:
        values = dict(one.values)
        layer = [(at, ground[at], ground[at] + values.get(at, 0.0)) for at in times]
        ground = {at: high for at, _, high in layer}
        layers.append((one, layer))
    return layers


def _stat(spec: dict[str, Any], series: Sequence[Series], box: Box) -> str:
    defaults = spec["fieldConfig"]["defaults"]
    values = series[0].values if series else []
    last = values[-1][1] if values else 0.0
    steps = defaults["thresholds"]["steps"]
    colour = NAMED[[step["color"] for step in steps if step["value"] is None or last >= step["value"]][-1]]
    highest = max((value for _, value in values), default=0.0) or 1.0
    x, y = linear(box.start, box.end, 0, box.width), linear(0, highest, box.height - 2, box.height * 0.55)
    line = [(x(at), y(value)) for at, value in values]
    floor = [(box.width if line else 0, box.height), (line[0][0] if line else 0, box.height)]
    area = f'<polygon points="{_path(line + floor)}" fill="{colour}" fill-opacity="0.18"/>'
    shown = text(last, defaults["unit"])
    return (
        area
        + f'<text x="{box.width / 2:.0f}" y="{box.height * 0.62:.0f}" fill="{colour}" font-size="34" text-anchor="middle">{shown}</text>'
    )


def _heatmap(spec: dict[str, Any], series: Sequence[Series], box: Box) -> str:
    rows = sorted((float(one.name), dict(one.values)) for one in series)
    x = linear(box.start, box.end, LEFT, box.width - RIGHT)
    times = sorted({at for _, values in rows for at in values})
    cells = [
        (number, at, values.get(at, 0) - (rows[number - 1][1].get(at, 0) if number else 0))
        for number, (_, values) in enumerate(rows)
        for at in times
    ]
    used = [number for number, _, count in cells if count > 1e-9]
    if not used:
        return ""
    low, high, most = min(used), max(used) + 1, max(count for _, _, count in cells)
    y = linear(low, high, box.height - UNDER, TOP)
    wide = (box.width - LEFT - RIGHT) / max(1, len(times))
    out = [
        f'<rect x="{x(at):.1f}" y="{y(number + 1):.1f}" width="{wide:.1f}" height="{y(number) - y(number + 1) - 1:.1f}" fill="#5794f2" fill-opacity="{0.12 + 0.88 * count / most:.2f}"/>'
        for number, at, count in cells
        if count > 1e-9
    ]
    for number in range(low, high):
        out.append(
            _word(
                LEFT - 8,
                y(number + 1) + 4,
                text(rows[number][0], "s") if rows[number][0] < 1e9 else "+Inf",
                FAINT,
                11,
                anchor="end",
            )
        )
    return "".join(out) + _times(x, box)


def _ticks(top: float, unit: str) -> list[float]:
    size = 1024.0**2 if unit == "bytes" else 1.0
    return [size * value for value in ticks(top / size)]


def _grid(values: list[float], y: Any, unit: str, box: Box) -> str:
    out = []
    for value in values:
        out.append(
            f'<line x1="{LEFT}" x2="{box.width - RIGHT:.0f}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{LINE}"/>'
        )
        out.append(_word(LEFT - 8, y(value) + 4, text(value, unit), FAINT, 11, anchor="end"))
    return "".join(out)


def _times(x: Any, box: Box) -> str:
    seconds = ticks(box.end - box.start, max(2, int(box.width / 110)))
    return "".join(
        _word(
            x(box.start + one),
            box.height - UNDER + 16,
            f"{one / 60:.0f} min" if one % 60 == 0 else f"{one:.0f} s",
            FAINT,
            11,
            anchor="middle",
        )
        for one in seconds
        if one < box.end - box.start
    )


def _legend(series: Sequence[Series], colours: Sequence[str], box: Box) -> str:
    out, x, y, rows = [], float(LEFT), box.height - 20, 1
    for number, one in enumerate(series):
        wide = 22 + len(one.name) * CHARACTER
        if x + wide > box.width - RIGHT - (MORE if rows == LEGEND_ROWS else 0):
            rows += 1
            if rows > LEGEND_ROWS:
                out.append(_word(x, y, f"and {len(series) - number} more", FAINT, 11))
                break
            x, y = float(LEFT), y + 12
        out.append(f'<rect x="{x:.0f}" y="{y - 6:.0f}" width="12" height="3" fill="{colours[number]}"/>')
        out.append(_word(x + 16, y, one.name, WORD, 11))
        x += wide
    return "".join(out)


def _word(x: float, y: float, words: str, colour: str, size: int, *, anchor: str = "start", weight: int = 400) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">{escape(words)}</text>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
