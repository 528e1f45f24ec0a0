"""The cells that are about a whole process: how many streams, how much memory, how soon, what it does when clients misbehave."""

import json
import time
from collections.abc import Callable

from tests.bench import probe, processes
from tests.bench.cells import INTERVAL_S, RAMP_S, WHOLE_CONNECTIONS, Cell, Figures, Turn, doubled_then_halved
from tests.bench.kit import Loaded
from tests.bench.peers import Peer

OPEN_STREAMS = 1000
_OPEN_RAMP_S = 6.0
_DELAY_MS = 50.0
_FIRST_MS = 500.0
"""An overloaded proxy may read several events at once, keep delays short and starve new requests: so both bounds."""
_PACED = f"paced.reasoning_content.200.{INTERVAL_S * 1000:.0f}"
_LASTING = f"paced.reasoning_content.400.{INTERVAL_S * 1000:.0f}"
_OPEN = "paced.reasoning_content.20.1000"
"""An event a second, so many that all streams are still open when the last one opens."""
_WHOLE = "whole.reasoning_content.200.0"
_BRIEF = "burst.reasoning_content.9.0"
_WORK = (
    ("whole", "1 kB answers in one body", _WHOLE, None),
    ("brief", "streams of 9 events in one write", _BRIEF, None),
    ("burst", "200 events in one write", "burst.reasoning_content.200.0", None),
    ("tags", "200 events in one write, with cut tags", "burst.think_tags.200.0", None),
    ("rendered", "the same, each parsed and rendered as `reasoning`", "burst.think_tags.200.0", "reasoning"),
)
"""Name, what it is, model, and the rendering that is asked for where it is another than the proxy's own."""
_LONG = "burst.reasoning_content.100000.0"
"""27 MB."""


def _most_streams(turn: Turn) -> Figures:
    def holds(count: int) -> bool:
        loaded = turn.streams(_PACED, count, RAMP_S, 15.0)
        turn.points.append((count, loaded.delay.p99, loaded.first.p99))
        good = not loaded.errors and loaded.delay.p99 < _DELAY_MS and loaded.first.p99 < _FIRST_MS
        if not good:
            time.sleep(2)  # until what was given up is gone
        return good

    start = 16 if turn.peer is not None and turn.peer.slow else 128
    holds(start // 4)  # for the curve
    return {"streams": doubled_then_halved(holds, start, 4096)}


def _start(turn: Turn) -> Figures:
    with turn.fresh(1) as running:
        time.sleep(0.5)
        return {"start_s": running.start_s, "rss_mb": processes.rss_mb(running.pid)}


def _open_streams(turn: Turn) -> Figures:
    with turn.fresh(1) as running:
        time.sleep(0.5)
        idle = processes.rss_mb(running.pid)
        turn.points.append((0, idle))
        asking = turn.kit.opening(running.port, _OPEN, OPEN_STREAMS, _OPEN_RAMP_S, 60.0, **running.asking)
        while asking.poll() is None:
            opened = turn.kit.stats()["open"] - 1  # without the one that asks
            turn.points.append((opened, processes.rss_mb(running.pid)))
            time.sleep(0.2)
        assert asking.stdout is not None
        loaded = Loaded.of(json.loads(asking.stdout.read()))
        asking.stdout.close()
    highest = max(size for _, size in turn.points)
    spent = {
        "rss_mb": highest,
        "kb_per_stream": (highest - idle) / OPEN_STREAMS * 1000,
        "delay_p99_ms": loaded.delay.p99,
    }
    return {**spent, "errors": loaded.errors}


def _two_workers(model: str, rendering: str | None) -> Callable[[Turn], Figures]:
    def measure(turn: Turn) -> Figures:
        rates = []
        for workers in (1, 2):
            with turn.fresh(workers) as running:
                asking = running.asking if rendering is None else {**running.asking, "x-reasoning-render": rendering}
                for seconds in (1.0, 3.0):  # the first warms up
                    spent = turn.kit.cpu_s()
                    loaded = turn.kit.closed(running.port, model, 2 * WHOLE_CONNECTIONS, seconds, **asking)
                    spent = (turn.kit.cpu_s() - spent) / loaded.seconds
                rates.append(loaded.answers / loaded.seconds)
        return {"throughput_ratio": rates[1] / rates[0], "answers_per_s": rates[1], "kit_busy": spent}

    return measure


def _slow_reader(turn: Turn) -> Figures:
    with turn.fresh(1) as running:
        turn.kit.closed(running.port, _BRIEF, 1, 0.5, **running.asking)
        before = processes.rss_mb(running.pid)
        reader = probe.SlowReader(turn.kit, running.port, _LONG, running.asking)
        highest = before
        for _ in range(30):
            time.sleep(0.1)
            highest = max(highest, processes.rss_mb(running.pid))
        reader.read()
    return {"growth_mb": highest - before}


def _leave(turn: Turn) -> Figures:
    times = []
    for _ in range(20):
        times.append(probe.leave(turn.kit, turn.port, _LASTING, turn.asking))
        if times[-1] >= probe.LEFT_WITHIN_S * 1000:
            break
    return {"close_p50_ms": sorted(times)[len(times) // 2], "close_max_ms": max(times)}


def _scales(peer: Peer) -> bool:
    return peer.name in {"ours", "nginx"}


def extent_cells() -> list[Cell]:
    bounds = f"p99 delay < {_DELAY_MS:.0f} ms and p99 first text < {_FIRST_MS:.0f} ms"
    streams = f"most streams of 200 events, one every {INTERVAL_S * 1000:.0f} ms, with {bounds}"
    many = f"{OPEN_STREAMS} open streams with an event a second"
    slow = "a reader that takes nothing of a stream of 100,000 events (27 MB) for 3 s"
    leave = "a client leaves: until the upstream's connection is closed"
    workers = "two workers on two cores against one"
    return [
        Cell("streams", streams, "", _BRIEF, _most_streams, direct=True, also=(_PACED,)),
        Cell("start", "start until the port is open, and memory then", "", _BRIEF, _start, awake=False),
        Cell("open", many, "", _BRIEF, _open_streams, also=(_OPEN,)),
        *(
            Cell(
                f"workers.{name}",
                f"{workers}: {what}",
                "",
                model,
                _two_workers(model, form),
                peers=_scales,
                awake=False,
            )
            for name, what, model, form in _WORK
        ),
        Cell("slow", slow, "", _BRIEF, _slow_reader, also=(_LONG,), awake=False),
        Cell("leave", leave, "", _BRIEF, _leave, also=(_LASTING,), awake=False),
    ]
