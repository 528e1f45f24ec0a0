"""The curves of a run as SVG: no library, and readable on light and dark pages."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median

from tests.bench.extents import OPEN_STREAMS
from tests.bench.results import Results

WIDTH, HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 112, 64, 52
_LABEL_GAP = 16
_LIGHT = ("#0550ae", "#1a7f37", "#bc4c00", "#8250df", "#bf3989", "#6e5a00", "#cf222e", "#59636e")
_DARK = ("#6cb6ff", "#57c66b", "#f0883e", "#c297ff", "#f778ba", "#d4b73e", "#ff7b72", "#9198a1")


def _colours(page: str, text: str, soft: str, grid: str, lines: Sequence[str]) -> str:
    # Colours are written out: not every program that shows SVG knows CSS variables.
    rules = [
        f".page, .hollow {{ fill: {page} }} text {{ fill: {text} }} .soft {{ fill: {soft} }}",
        f".grid {{ stroke: {grid} }} .bound {{ stroke: {soft} }}",
        *(f".line{n}, .dot{n} {{ stroke: {c} }} .name{n}, .dot{n} {{ fill: {c} }}" for n, c in enumerate(lines)),
        f".dot.hollow {{ fill: {page} }}",
    ]
    return "\n".join(rules)


_STYLE = f"""
svg {{ font: 13px system-ui, sans-serif }}
.title {{ font-size: 15px; font-weight: 600 }} .bound {{ stroke-dasharray: 5 4 }}
.line {{ fill: none; stroke-width: 2 }} .dot {{ stroke-width: 1.5 }} .own {{ stroke-width: 3; font-weight: 600 }}
{_colours("#ffffff", "#1f2328", "#59636e", "#d8dee4", _LIGHT)}
@media (prefers-color-scheme: dark) {{
{_colours("#0d1117", "#e6edf3", "#9198a1", "#2b3138", _DARK)}
}}
"""
Point = tuple[float, float, bool]
"""x, y, and whether it is within the bounds (drawn full)."""


@dataclass(frozen=True)
class Axis:
    """Values onto pixels. `low` and `high` are the ends, `ticks` what is written."""

    name: str
    low: float
    high: float
    ticks: tuple[float, ...]
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        share = self._scaled(min(max(value, self.low), self.high)) - self._scaled(self.low)
        return self.start + share / (self._scaled(self.high) - self._scaled(self.low)) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def _across(name: str, low: float, high: float, ticks: Sequence[float], *, logarithmic: bool = False) -> Axis:
    return Axis(name, low, high, tuple(ticks), _LEFT, WIDTH - _RIGHT, logarithmic)


def _up(name: str, low: float, high: float, ticks: Sequence[float], *, logarithmic: bool = False) -> Axis:
    return Axis(name, low, high, tuple(ticks), HEIGHT - _BOTTOM, _TOP, logarithmic)


@dataclass(frozen=True)
class Plot:
    """One picture: a line for each peer, its name at its end."""

    title: str
    x: Axis
    y: Axis
    lines: dict[str, list[Point]]
    bound: tuple[float, str] | None = None
    """A value of `y` with a dashed line, and what it says."""

    def svg(self) -> str:
        """The whole file."""
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
                f'role="img" aria-label="{escape(self.title)}">'
            ),
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
            _text(_LEFT, 26, self.title, "title"),
            _text(_LEFT, 46, self.y.name, "soft"),
            _text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 12, self.x.name, "soft", "middle"),
            *self._grid(),
            *self._lines(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _grid(self) -> list[str]:
        left, right, bottom = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM
        parts = []
        for tick in self.y.ticks:
            at = self.y.at(tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(_text(left - 8, at + 4, f"{tick:,g}", "soft", "end"))
        for tick in self.x.ticks:
            parts.append(_text(self.x.at(tick), bottom + 18, f"{tick:,g}", "soft", "middle"))
        if self.bound is not None:
            at = self.y.at(self.bound[0])
            parts.append(f'<line class="bound" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(_text(left + 4, at - 6, self.bound[1], "soft"))
        return parts

    def _lines(self) -> list[str]:
        parts = []
        ends = {name: self.y.at(points[-1][1]) for name, points in self.lines.items()}
        labels = apart(ends, _LABEL_GAP, _TOP, HEIGHT - _BOTTOM)
        for number, (name, points) in enumerate(self.lines.items()):
            places = [(self.x.at(x), self.y.at(y), good) for x, y, good in points]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
            colour, own = number % len(_LIGHT), " own" if name == "ours" else ""
            parts.append(f'<polyline class="line line{colour}{own}" points="{path}"/>')
            parts += [
                f'<circle class="dot dot{colour}{"" if good else " hollow"}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
                for x, y, good in places
            ]
            parts.append(_text(places[-1][0] + 9, labels[name] + 4, name, f"name name{colour}{own}"))
        return parts


def apart(wanted: dict[str, float], gap: float, low: float, high: float) -> dict[str, float]:
    """The same positions in the same order, moved so that they are at least `gap` apart, between `low` and `high`."""
    placed: dict[str, float] = {}
    last = low - gap
    for name, at in sorted(wanted.items(), key=lambda item: item[1]):
        placed[name] = last = max(at, last + gap)
    above = high + gap
    for name, at in reversed(placed.items()):
        placed[name] = above = min(at, above - gap)
    return placed


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def delays(results: Results) -> Plot:
    """p99 of the delay against the number of streams; hollow where a bound of the `streams` cell is broken."""
    lines = {}
    for peer, points in results.points["streams"].items():
        counts = sorted({count for count, _, _ in points})
        middles = [(count, *_middle(points, count)) for count in counts]
        lines[peer] = [
            (count, max(delay, 0.02), delay < 50 and first < 500) for count, delay, first in middles if delay
        ]
    most = max((x for points in lines.values() for x, _, _ in points), default=16)
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500, 1000, 2000, 4000) if tick <= most * 1.1]
    return Plot(
        "Delay of an event, p99, by number of streams",
        _across("streams with an event every 20 ms, on one core", 10, most * 1.1, ticks, logarithmic=True),
        _up("milliseconds from the upstream's write to the client's read", 0.1, 10_000, _POWERS, logarithmic=True),
        lines,
        (50, "held below 50 ms"),
    )


_POWERS = (0.1, 1, 10, 100, 1000, 10_000)


def _middle(points: list[list[float]], count: float) -> tuple[float, float]:
    same = [(delay, first) for number, delay, first in points if number == count]
    return median(delay for delay, _ in same), median(first for _, first in same)


def memory(results: Results) -> Plot:
    """The highest resident memory with at most so many open streams."""
    lines = {peer: _rising(points) for peer, points in results.points["open"].items()}
    highest = max((y for points in lines.values() for _, y, _ in points), default=1.0)
    step = next(step for step in (10, 20, 50, 100, 200, 500, 1000, 5000) if highest / step <= 8)
    top = math.ceil(highest / step) * step
    return Plot(
        "Memory by number of open streams",
        _across("open streams with an event a second", 0, 1000, range(0, 1001, 200)),
        _up("resident megabytes of all processes", 0, top, range(0, top + 1, step)),
        lines,
    )


def _rising(points: list[list[float]]) -> list[Point]:
    """Every hundred streams: the highest memory until so many were open for the first time, in any of the runs."""
    highest: dict[int, float] = {}
    seen, most = 0.0, -1.0
    for count, size in points:
        if count == 0:
            seen, most = size, -1.0  # another run begins
        if count < most:
            continue  # they are closing, and what was taken is not given back
        seen, most = max(seen, size), count
        step = min(math.ceil(count / 100) * 100, OPEN_STREAMS)
        highest[step] = max(highest.get(step, 0.0), seen)
    return [(step, size, True) for step, size in sorted(highest.items())]


PLOTS: dict[str, tuple[str, Callable[[Results], Plot]]] = {"delay": ("streams", delays), "memory": ("open", memory)}


def draw(results: Results, folder: Path) -> None:
    """Writes the pictures for which the run has points."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (cell, plot) in PLOTS.items():
        if results.points.get(cell):
            (folder / f"{name}.svg").write_text(plot(results).svg(), encoding="utf-8")
