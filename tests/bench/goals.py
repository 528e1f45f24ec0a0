"""What the project has set itself, and how far a run is from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.bench.results import Results

Measured = Callable[[Results], float | None]
Kind = Literal["must", "goal"]


@dataclass(frozen=True)
class Goal:
    """One bound. `text` has the bound with its unit; `measured` gives None where the run has no figure for it."""

    figure: str
    kind: Kind
    text: str
    measured: Measured
    bound: float
    at_least: bool = False

    def met(self, results: Results) -> bool | None:
        value = self.measured(results)
        return None if value is None else value >= self.bound if self.at_least else value <= self.bound


def _cpu(cell: str, reference: str, *, inverse: bool = False) -> Measured:
    def measured(results: Results) -> float | None:
        return results.ratio(cell, reference, "ours") if inverse else results.ratio(cell, "ours", reference)

    return measured


def _value(cell: str, figure: str) -> Measured:
    return lambda results: results.middle(cell, figure, "ours")


def _added(results: Results, cell: str, figure: str, peer: str) -> float | None:
    """What a peer adds to the same figure taken without it."""
    with_it, without = results.middle(cell, figure, peer), results.middle(cell, figure, "direct")
    return None if with_it is None or without is None else with_it - without


def _adds(cell: str, figure: str, reference: str | None = None) -> Measured:
    def measured(results: Results) -> float | None:
        ours = _added(results, cell, figure, "ours")
        if reference is None or ours is None:
            return ours
        theirs = _added(results, cell, figure, reference)
        return None if theirs is None else ours / max(theirs, 0.01)

    return measured


def _streams(results: Results) -> float | None:
    return results.ratio("streams", "ours", "litellm", "streams")


def _tags(results: Results) -> float | None:
    tags, plain = (results.middle(f"burst.{name}", "cpu_us", "ours") for name in ("think_tags", "reasoning_content"))
    return None if tags is None or plain is None else tags / plain


_WHOLE, _BURST, _PACED = "whole.reasoning_content", "burst.reasoning_content", "paced100.reasoning_content"
_REQUEST = "CPU per whole request"
_EVENT = "CPU per event, 200 in one read"
_ALONE = "CPU per event, 100 streams paced at 20 ms"
_FIRST = "added time to first text, one connection"
_DELAY = "added delay per event, 100 paced streams"
_MOST = "most 20 ms streams on one worker"
_MEMORY = "resident memory with 1,000 open streams"
_OPEN = "start to open port"
_TWO = "two workers against one, tags rendered as `reasoning`"
"""In the other shapes upstream and clients take 0.2 to 0.4 of the core that they share with a worker, in this one 0.06."""

GOALS = (
    Goal(_REQUEST, "must", "<= 10x nginx", _cpu(_WHOLE, "nginx"), 10),
    Goal(_REQUEST, "must", "<= 1/10 bare-httpx", _cpu(_WHOLE, "bare-httpx", inverse=True), 10, at_least=True),
    Goal(_REQUEST, "must", "<= 1/50 litellm", _cpu(_WHOLE, "litellm", inverse=True), 50, at_least=True),
    Goal(_REQUEST, "goal", "<= 5.5x nginx", _cpu(_WHOLE, "nginx"), 5.5),
    Goal(_REQUEST, "goal", "<= 1/10 bare", _cpu(_WHOLE, "bare", inverse=True), 10, at_least=True),
    Goal(_EVENT, "must", "<= 1/8 bare-httpx", _cpu(_BURST, "bare-httpx", inverse=True), 8, at_least=True),
    Goal(_EVENT, "must", "<= 1/3 portkey", _cpu(_BURST, "portkey", inverse=True), 3, at_least=True),
    Goal(_EVENT, "must", "<= 1/100 litellm", _cpu(_BURST, "litellm", inverse=True), 100, at_least=True),
    Goal(_EVENT, "goal", "<= 4x nginx", _cpu(_BURST, "nginx"), 4),
    Goal(_EVENT, "goal", "<= 1/8 bare", _cpu(_BURST, "bare", inverse=True), 8, at_least=True),
    Goal(_ALONE, "must", "<= 2.5x nginx", _cpu(_PACED, "nginx"), 2.5),
    Goal(_ALONE, "must", "<= 1/3 bare-httpx", _cpu(_PACED, "bare-httpx", inverse=True), 3, at_least=True),
    Goal(_ALONE, "must", "<= 1/13 litellm", _cpu(_PACED, "litellm", inverse=True), 13, at_least=True),
    Goal(_ALONE, "goal", "<= 1.6x nginx", _cpu(_PACED, "nginx"), 1.6),
    Goal(_ALONE, "goal", "<= 1/3 bare", _cpu(_PACED, "bare", inverse=True), 3, at_least=True),
    Goal(_FIRST, "must", "p50 <= 0.4 ms", _adds("first", "first_p50_ms"), 0.4),
    Goal(_FIRST, "must", "p99 <= 0.8 ms", _adds("first", "first_p99_ms"), 0.8),
    Goal(_FIRST, "goal", "p50 <= 2x nginx", _adds("first", "first_p50_ms", "nginx"), 2),
    Goal(_DELAY, "must", "p99 <= 1.5 ms", _adds(_PACED, "delay_p99_ms"), 1.5),
    Goal(_DELAY, "goal", "p99 <= 1x nginx", _adds(_PACED, "delay_p99_ms", "nginx"), 1),
    Goal(_MOST, "must", ">= 450", _value("streams", "streams"), 450, at_least=True),
    Goal(_MOST, "must", ">= 25x litellm", _streams, 25, at_least=True),
    Goal(_MOST, "goal", ">= 600", _value("streams", "streams"), 600, at_least=True),
    Goal(_MEMORY, "must", "<= 90 MB", _value("open", "rss_mb"), 90),
    Goal(_MEMORY, "goal", "<= 60 MB", _value("open", "rss_mb"), 60),
    Goal(_OPEN, "must", "<= 0.6 s", _value("start", "start_s"), 0.6),
    Goal(_OPEN, "goal", "<= 0.3 s", _value("start", "start_s"), 0.3),
    Goal(_TWO, "must", ">= 1.7x", _value("workers.rendered", "throughput_ratio"), 1.7, at_least=True),
    Goal("think tags in bursts, per event", "must", "<= 2x the field", _tags, 2),
    Goal("think tags in bursts, per event", "goal", "<= 1.4x the field", _tags, 1.4),
)


def rows(results: Results) -> list[list[str]]:
    """Figure, kind, bound, what was measured, and whether it is met; `-` where the run has no figure."""
    found = []
    for goal in GOALS:
        value, met = goal.measured(results), goal.met(results)
        said = "-" if value is None else _said(goal, value)
        found.append([goal.figure, goal.kind, goal.text, said, "-" if met is None else "yes" if met else "no"])
    return found


def _said(goal: Goal, value: float) -> str:
    digits = f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    if "1/" in goal.text:
        return f"1/{digits}"
    unit = next(
        (unit for unit in (" ms", " MB", " s") if goal.text.endswith(unit)), "x" if "x " in f"{goal.text} " else ""
    )
    return digits + unit
