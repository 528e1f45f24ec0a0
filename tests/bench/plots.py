"""The curves of a run as SVG: no library, and readable on light and dark pages."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median

from tests.bench.results import Results

WIDTH, HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 112, 64, 52
_LABEL_GAP = 16
_STYLE = """
svg { background: #ffffff; font: 13px system-ui, sans-serif }
text { fill: #1f2328 } .soft { fill: #59636e } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #d8dee4 } .bound { stroke: #59636e; stroke-dasharray: 5 4 } .line { fill: none; stroke-width: 2 }
.c0 { --c: #0550ae } .c1 { --c: #1a7f37 } .c2 { --c: #bc4c00 } .c3 { --c: #8250df }
.c4 { --c: #bf3989 } .c5 { --c: #6e5a00 } .c6 { --c: #cf222e } .c7 { --c: #59636e }
.line, .dot { stroke: var(--c) } .dot { fill: var(--c) } .hollow { fill: #ffffff; stroke-width: 1.5 } .name { fill: var(--c) }
.first .line { stroke-width: 3 } .first .name { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 } text { fill: #e6edf3 } .soft { fill: #9198a1 } .grid { stroke: #2b3138 }
  .bound { stroke: #9198a1 } .hollow { fill: #0d1117 } .name { fill: var(--c) }
  .c0 { --c: #6cb6ff } .c1 { --c: #57c66b } .c2 { --c: #f0883e } .c3 { --c: #c297ff }
  .c4 { --c: #f778ba } .c5 { --c: #d4b73e } .c6 { --c: #ff7b72 } .c7 { --c: #9198a1 }
}
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
            dots = "".join(
                f'<circle class="dot{"" if good else " hollow"}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
                for x, y, good in places
            )
            label = _text(WIDTH - _RIGHT + 12, labels[name] + 4, name, "name")
            first = " first" if name == "ours" else ""
            parts.append(f'<g class="c{number % 8}{first}"><polyline class="line" points="{path}"/>{dots}{label}</g>')
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
    lines: dict[str, list[Point]] = {
        peer: [(n, max((size for count, size in points if count <= n), default=0.0), True) for n in range(0, 1001, 100)]
        for peer, points in results.points["open"].items()
    }
    highest = max((y for points in lines.values() for _, y, _ in points), default=1.0)
    step = next(step for step in (10, 20, 50, 100, 200, 500, 1000, 5000) if highest / step <= 8)
    top = math.ceil(highest / step) * step
    return Plot(
        "Memory by number of open streams",
        _across("open streams with an event a second", 0, 1000, range(0, 1001, 200)),
        _up("resident megabytes of all processes", 0, top, range(0, top + 1, step)),
        lines,
    )


PLOTS: dict[str, tuple[str, Callable[[Results], Plot]]] = {"delay": ("streams", delays), "memory": ("open", memory)}


def draw(results: Results, folder: Path) -> None:
    """Writes the pictures for which the run has points."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (cell, plot) in PLOTS.items():
        if results.points.get(cell):
            (folder / f"{name}.svg").write_text(plot(results).svg(), encoding="utf-8")
