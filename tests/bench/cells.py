"""What is measured, and how one measurement is taken."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from tests.bench import processes
from tests.bench.answers import DIALECTS
from tests.bench.load import Load
from tests.bench.peers import Running
from tests.bench.upstream import Upstream

INTERVAL_S = 0.02
BURST_EVENTS = 200
WHOLE_CONNECTIONS = 16
BURST_CONNECTIONS = 8
SETTLE_S = 0.5
"""Streams run this long before they are measured, so that opening them is not counted."""
FIRST_TEXT_MODEL = "paced.reasoning_content.6.2"
Shape = Literal["whole", "burst", "block", "paced"]
_MEANING = {
    "whole": f"a 1 kB answer in one body, {WHOLE_CONNECTIONS} connections",
    "burst": f"{BURST_EVENTS} events in one write, an HTTP chunk each, {BURST_CONNECTIONS} connections",
    "block": f"{BURST_EVENTS} events in one write and one HTTP chunk, {BURST_CONNECTIONS} connections",
    "paced": f"streams with an event every {INTERVAL_S * 1000:.0f} ms, each alone",
}


@dataclass(frozen=True)
class Cell:
    """One row of the table. `count`: connections, or streams that run at once."""

    shape: Shape
    dialect: str
    count: int
    short_s: float
    """How long it is measured with `--short`; 0 leaves it out."""
    full_s: float

    @property
    def name(self) -> str:
        return f"{self.shape}{self.count if self.shape == 'paced' else ''}.{self.dialect}"

    @property
    def title(self) -> str:
        """What the first half of the name means."""
        count = f"{self.count} " if self.shape == "paced" else ""
        return f"{self.name.partition('.')[0]}: {count}{_MEANING[self.shape]}"

    @property
    def unit(self) -> str:
        return "request" if self.shape == "whole" else "event"

    def model(self, seconds: float) -> str:
        """The upstream's model for a measurement of this length."""
        if self.shape != "paced":
            return f"{self.shape}.{self.dialect}.{BURST_EVENTS}.0"
        events = math.ceil((SETTLE_S + seconds + 0.5) / INTERVAL_S)
        return f"paced.{self.dialect}.{events}.{INTERVAL_S * 1000:.0f}"


@dataclass(frozen=True)
class Sample:
    """One measurement of one peer."""

    cpu_us: float
    """User and system microseconds of the peer's process tree for each unit."""
    busy: float
    """Share of one core that the peer used; near 1 in a paced cell means that it could not keep up."""
    other: float
    """Share of the machine that neither the peer nor the bench used."""


def cells(*, short: bool) -> list[Cell]:
    """All cells, or those for which `--short` has the time."""
    brief = {"whole.reasoning_content": 1.0, "burst.reasoning_content": 1.0, "burst.think_tags": 1.0}
    brief |= {"paced100.reasoning": 1.5}
    shapes: list[tuple[Shape, int, float]] = [
        ("whole", WHOLE_CONNECTIONS, 3.0),
        ("burst", BURST_CONNECTIONS, 3.0),
        ("block", BURST_CONNECTIONS, 3.0),
        ("paced", 20, 6.0),
        ("paced", 100, 4.0),
    ]
    made = [Cell(shape, dialect, count, 0.0, full) for shape, count, full in shapes for dialect in DIALECTS]
    every = [Cell(c.shape, c.dialect, c.count, brief.get(c.name, 0.0), c.full_s) for c in made]
    return [cell for cell in every if cell.short_s or not short]


async def measure(cell: Cell, peer: Running, upstream: Upstream, *, short: bool) -> Sample:
    """Runs one cell on one peer. Raises WrongAnswerError where what came through is not what was sent."""
    seconds = cell.short_s if short else cell.full_s
    load = Load(peer.port, cell.model(seconds), parts_tags=peer.peer.parts_tags)
    if cell.shape == "paced":
        return await _measure_paced(cell, load, peer, upstream, seconds)
    await load.closed_loop(cell.count, 0.2)
    before = load.answers
    sample = await _observed(peer, lambda: load.closed_loop(cell.count, seconds))
    answers = load.answers - before
    return sample(answers * (1 if cell.shape == "whole" else BURST_EVENTS))


async def _measure_paced(cell: Cell, load: Load, peer: Running, upstream: Upstream, seconds: float) -> Sample:
    streams = asyncio.create_task(load.staggered(cell.count, INTERVAL_S))
    await asyncio.sleep(SETTLE_S)
    before = upstream.events
    sample = await _observed(peer, lambda: asyncio.sleep(seconds))
    events = upstream.events - before
    await streams
    return sample(events)


async def _observed(peer: Running, work: Callable[[], Awaitable[None]]) -> Callable[[int], Sample]:
    """Does the work; gives what makes a sample of it, once the number of units is known."""
    started, machine, own, cpu = time.perf_counter(), processes.machine_busy_s(), time.process_time(), peer.cpu_s
    await work()
    cpu, own = peer.cpu_s - cpu, time.process_time() - own
    wall = time.perf_counter() - started
    other = (processes.machine_busy_s() - machine - cpu - own) / processes.COUNT / wall
    return lambda units: Sample(cpu / units * 1e6, cpu / wall, max(0.0, other))


async def first_texts(port: int, count: int, *, parts_tags: bool) -> list[float]:
    """Sorted seconds to the first text over one connection."""
    return sorted(await Load(port, FIRST_TEXT_MODEL, parts_tags=parts_tags).first_texts(count))
