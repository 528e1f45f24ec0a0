"""What is measured, and how one measurement is taken."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.bench import processes
from tests.bench.answers import DIALECTS, WrongAnswerError
from tests.bench.kit import PATIENCE_S, Kit, Loaded
from tests.bench.peers import Peer, Running

INTERVAL_S = 0.02
BURST_EVENTS = 200
BRIEF_EVENTS = 9
WHOLE_CONNECTIONS = 16
BURST_CONNECTIONS = 8
WARM_UP_S = 0.3
RAMP_S = 1.6
PATHS = ("reasoning_content",)
Figures = dict[str, float]


@dataclass(frozen=True)
class Turn:
    """One peer's turn in one cell. `peer` is None for the upstream asked directly."""

    kit: Kit
    peer: Peer | None
    port: int
    pid: int | None
    asking: dict[str, str]
    short: bool
    fresh: "Callable[[int], AbstractContextManager[Running]]"
    """So many workers → another process of the peer, for this turn alone."""
    points: list[tuple[float, ...]] = field(default_factory=list)
    """What a cell that draws a curve has seen."""

    def closed(self, model: str, connections: int, seconds: float) -> Loaded:
        return self.kit.closed(self.port, model, connections, seconds, **self.asking)

    def streams(self, model: str, count: int, ramp_s: float, patience_s: float = PATIENCE_S) -> Loaded:
        return self.kit.streams(self.port, model, count, ramp_s, patience_s, **self.asking)


@dataclass(frozen=True)
class Cell:
    """One row of the bench. `measure` gives figures by name; their units are in the names."""

    name: str
    title: str
    unit: str
    """What the CPU time is divided by."""
    model: str
    """The upstream's answer; checked word by word once for each peer."""
    measure: Callable[[Turn], Figures]
    short: bool = False
    """Whether `--short` has it."""
    direct: bool = False
    """Whether the upstream is measured without a peer too."""
    awake: bool = True
    """Whether neither upstream and clients nor the peer's core sleep. Not where they share that core."""
    peers: Callable[[Peer], bool] = lambda _: True
    also: tuple[str, ...] = ()
    """Further answers that are asked for."""

    @property
    def dialect(self) -> str:
        return self.model.split(".")[1]

    def takes(self, peer: Peer) -> bool:
        return self.dialect in peer.dialects and self.peers(peer)


def _observed(turn: Turn, work: Callable[[], Loaded]) -> tuple[Loaded, Callable[[int], Figures]]:
    """Does the work; gives what makes figures of it, once the number of units is known."""
    cpu, begun = _cpu_s(turn), time.perf_counter()
    loaded = work()
    cpu, wall = _cpu_s(turn) - cpu, time.perf_counter() - begun
    return loaded, lambda units: {} if turn.pid is None else {"cpu_us": cpu / units * 1e6, "busy": cpu / wall}


def _cpu_s(turn: Turn) -> float:
    return 0.0 if turn.pid is None else processes.cpu_s(turn.pid)


def _closed(shape: str, dialect: str, events: int, connections: int, *, short: bool = False) -> Cell:
    model = f"{shape}.{dialect}.{events}.0"
    whole, brief = shape == "whole", events == BRIEF_EVENTS

    def measure(turn: Turn) -> Figures:
        turn.closed(model, connections, WARM_UP_S)
        loaded, figures = _observed(turn, lambda: turn.closed(model, connections, 1.0 if turn.short else 3.0))
        found = figures(loaded.answers * (1 if whole or brief else events))
        return {**found, "answers_per_s": loaded.answers / loaded.seconds}

    name = "brief" if brief else shape
    title = {
        "whole": "a 1 kB answer in one body",
        "brief": f"streams of {events} events in one write",
        "burst": f"{events} events in one write, an HTTP chunk each",
        "block": f"{events} events in one write and one HTTP chunk",
        "each": f"{events} events, one write each, without a pause",
    }[name]
    unit = "request" if whole else "stream" if brief else "event"
    return Cell(f"{name}.{dialect}", f"{title}, {connections} connections", unit, model, measure, short=short)


def _paced(streams: int, dialect: str, *, short: bool = False, direct: bool = False) -> Cell:
    def model(events: int) -> str:
        return f"paced.{dialect}.{events}.{INTERVAL_S * 1000:.0f}"

    def measure(turn: Turn) -> Figures:
        name = model(100 if turn.short else 200)
        loaded, figures = _observed(turn, lambda: turn.streams(name, streams, 0.5 if turn.short else 1.0))
        if loaded.errors:
            raise WrongAnswerError(f"{loaded.errors} of {streams} streams: {loaded.first_error}")
        events = loaded.answers * int(name.split(".")[2])
        delays = {"delay_p50_ms": loaded.delay.p50, "delay_p99_ms": loaded.delay.p99, "first_p99_ms": loaded.first.p99}
        return {**figures(events), **delays}

    title = f"{streams} streams with an event every {INTERVAL_S * 1000:.0f} ms, each alone"
    heavy = streams > 100
    return Cell(
        f"paced{streams}.{dialect}",
        title,
        "event",
        model(100),
        measure,
        short=short,
        direct=direct,
        peers=lambda peer: not (heavy and peer.slow),
        also=(model(200),),
    )


def _first() -> Cell:
    model = f"burst.reasoning_content.{BRIEF_EVENTS}.0"

    def measure(turn: Turn) -> Figures:
        turn.closed(model, 1, WARM_UP_S)
        first = turn.closed(model, 1, 1.0 if turn.short else 3.0).first
        return {"first_p50_ms": first.p50, "first_p99_ms": first.p99}

    title = f"one connection, one stream of {BRIEF_EVENTS} events after another: time to the first text"
    return Cell("first", title, "stream", model, measure, direct=True)


def cpu_cells() -> list[Cell]:
    """CPU time, and in the paced ones the delay of each event."""
    shapes = {"whole": WHOLE_CONNECTIONS, "burst": BURST_CONNECTIONS, "block": BURST_CONNECTIONS}
    in_short = {"whole.reasoning_content", "burst.reasoning_content", "burst.think_tags"}
    closed = [
        _closed(shape, dialect, BURST_EVENTS, connections, short=f"{shape}.{dialect}" in in_short)
        for shape, connections in shapes.items()
        for dialect in DIALECTS
    ]
    return [
        *closed,
        _closed("each", "reasoning_content", BURST_EVENTS, BURST_CONNECTIONS),
        _closed("burst", "reasoning_content", BRIEF_EVENTS, BURST_CONNECTIONS),
        *(
            _paced(100, dialect, short=dialect == "reasoning_content", direct=dialect == "reasoning_content")
            for dialect in DIALECTS
        ),
        _paced(20, "reasoning_content"),
        _paced(300, "reasoning_content"),
        _first(),
    ]


def doubled_then_halved(holds: Callable[[int], bool], start: int, most: int) -> int:
    """The largest number that holds, within a twelfth: doubled until it fails, then halved in between. 0: none does."""
    low, high = 0, start
    while high <= most and holds(high):
        low, high = high, high * 2
    if low and high > most:
        return low
    while high - low > max(1, math.ceil(low / 12)):
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
