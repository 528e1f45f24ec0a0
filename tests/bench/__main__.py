"""`scripts/bench`: what the running proxy costs, beside other relays. docs/benchmarks.md says how to read it."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from tests.bench import kit as kits
from tests.bench import page, probe, processes
from tests.bench.answers import WrongAnswerError
from tests.bench.cells import Cell, Turn, cpu_cells
from tests.bench.extents import extent_cells
from tests.bench.idle import idle_of
from tests.bench.install import install, installed
from tests.bench.instructions import found, instructions, under_callgrind
from tests.bench.kit import Kit
from tests.bench.peers import PEERS, Peer, Running, Site, free_port
from tests.bench.results import RATIOS, Results
from tests.bench.table import text

ATTEMPTS = 3
"""Measurements that one cell in `--short` gets when its ratio is too high: a machine's hiccup is no regression."""
CELLS = [*cpu_cells(), *extent_cells()]
SHORT_PEERS = "ours,bare,nginx"
DIRECT = "direct"
"""Stands among the peers for the upstream without any."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="What the proxy costs, beside other relays.")
    parser.add_argument("--short", action="store_true", help="a few cells; fails where a ratio has become much worse")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="samples of each figure (default: 3)")
    parser.add_argument("--only", default="*", metavar="PATTERNS", help="cells to measure, such as 'paced*,first'")
    parser.add_argument(
        "--peers", metavar="NAMES", help="peers to measure, such as 'ours,nginx' (default: all there are)"
    )
    parser.add_argument("--kit", choices=("c", "python"), help="clients and upstream (default: c where it compiles)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--add", action="store_true", help="keep the samples that are in that FILE already")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, print the tables of this FILE")
    parser.add_argument("--write-docs", action="store_true", help="put tables and curves into docs/benchmarks.md")
    parser.add_argument("--write-ratios", action="store_true", help=f"make this run's ratios those of {RATIOS.name}")
    parser.add_argument("--install-peers", action="store_true", help="install the peers that the project does not need")
    parser.add_argument("--instructions", action="store_true", help="count the proxy's instructions under callgrind")
    parsed = parser.parse_args()
    if parsed.repeats < 1:
        parser.error("--repeats: at least 1")
    if parsed.add and not parsed.json:
        parser.error("--add: needs --json FILE")
    return parsed


@dataclass
class Bench:
    """One run: all peers are up at the same time, and take turns."""

    kit: Kit
    folder: Path
    peers: list[Peer]
    cells: list[Cell]
    results: Results
    short: bool
    direct: bool
    """Whether the upstream is measured without a peer too."""
    cores: tuple[int, int]
    """The one of the peers, and the one of upstream, clients and the bench itself, which has to be there already."""

    def __post_init__(self) -> None:
        self._numbers = count()
        self._running: list[Running] = []

    def run(self, repeats: int) -> None:
        with ExitStack() as stack:
            for peer in self.peers:
                self._running.append(stack.enter_context(self._started(peer, 1)))
            for number in range(repeats):
                for cell in self.cells:
                    _progress(f"bench: repeat {number + 1} of {repeats}, {cell.name}")
                    self._turns(cell, number)
            self._again_where_worse(repeats)
            _progress("")

    def count_instructions(self) -> None:
        """Instead of time, and of every cell that it knows."""
        for peer in self.peers:
            with self._started(under_callgrind(peer), 1) as running:
                for cell, counted in instructions(self.kit, running, _progress).items():
                    self.results.add(cell, peer.name, {"instructions": counted})
        _progress("")

    @contextmanager
    def _started(self, peer: Peer, workers: int) -> Iterator[Running]:
        models = tuple(dict.fromkeys(name for cell in CELLS for name in (cell.model, *cell.also)))
        folder = self.folder / f"{peer.name}-{next(self._numbers)}"
        cores = self.cores if workers > 1 else self.cores[:1]
        running = Running(peer, Site(free_port(), self.kit.url, folder, workers, models), cores)
        try:
            yield running
        finally:
            running.stop()

    def _turns(self, cell: Cell, number: int) -> None:
        # Whoever is first meets the machine as the cell before left it, so they take turns in that too.
        order = self._running if number % 2 == 0 else self._running[::-1]
        if cell.direct and self.direct:
            self._take(cell, Turn(self.kit, None, self.kit.port, None, {}, self.short, _no_peer), DIRECT)
        for running in order:
            peer = running.peer
            if cell.takes(peer):
                turn = Turn(
                    self.kit, peer, running.port, running.pid, running.asking, self.short, partial(self._started, peer)
                )
                self._check(cell, running, number)
                self._take(cell, turn, peer.name, running)

    def _check(self, cell: Cell, running: Running, number: int) -> None:
        if number == 0:
            self.kit.prepare(cell.model)
            with _told(cell, running):
                probe.check(running.port, cell.model, running.peer, running.asking)

    def _take(self, cell: Cell, turn: Turn, name: str, running: Running | None = None) -> None:
        machine, own, clock = processes.machine_busy_s(), processes.cpu_s(os.getpid()), time.monotonic()
        with _told(cell, running), self._awake(cell):
            self.results.add(cell.name, name, cell.measure(turn))
        self.results.add_points(cell.name, name, turn.points)
        wall = time.monotonic() - clock
        used = processes.machine_busy_s() - machine - (processes.cpu_s(os.getpid()) - own)
        self.results.other.append(round(max(0.0, used / processes.COUNT / wall), 4))

    def _awake(self, cell: Cell) -> AbstractContextManager[None]:
        apart = self.cores[0] != self.cores[1]  # on one core a kit that polls would starve the peer
        return self.kit.awake(self.cores[0], self.results.idle) if cell.awake and apart else nullcontext()

    def _again_where_worse(self, repeats: int) -> None:
        for _ in range(ATTEMPTS - 1 if self.short else 0):
            suspects = self.results.worse()
            for cell in self.cells:
                if cell.name in suspects:
                    self.results.drop(cell.name)
                    for number in range(repeats):
                        self._turns(cell, number)


def _no_peer(_: int) -> AbstractContextManager[Running]:
    raise RuntimeError("there is no peer to start")


@contextmanager
def _told(cell: Cell, running: Running | None) -> Iterator[None]:
    try:
        yield
    except WrongAnswerError as error:
        through = "directly" if running is None else f"through {running.peer.name}"
        raise SystemExit(f"bench: {cell.name} {through}: {error}\n{running.log if running else ''}") from error


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def _chosen_cells(asked: argparse.Namespace) -> list[Cell]:
    patterns = asked.only.split(",")
    cells = [cell for cell in CELLS if any(fnmatch(cell.name, pattern) for pattern in patterns)]
    return [cell for cell in cells if cell.short or not asked.short]


def _names(asked: argparse.Namespace) -> list[str]:
    every = [DIRECT, *(peer.name for peer in PEERS)]
    usual = "ours" if asked.instructions else SHORT_PEERS if asked.short else ",".join(every)
    names: list[str] = (asked.peers or usual).split(",")
    if unknown := set(names) - set(every):
        raise SystemExit(f"bench: no peer is called {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    return names


def _chosen_peers(names: list[str]) -> list[Peer]:
    for peer in PEERS:
        if peer.name in names and not peer.found():
            print(f"bench: {peer.name} is not on this machine, and left out", file=sys.stderr)
    return [peer for peer in PEERS if peer.name in names and peer.found()]


def measured(asked: argparse.Namespace, cells: list[Cell]) -> Results:
    kind, names, cores = asked.kit or kits.kind(), _names(asked), processes.cores()
    peers = _chosen_peers(names)
    idle = idle_of(cores[0]) if kind == "c" and cores[0] != cores[1] else "halts"
    results = Results.read(asked.json) if asked.add and asked.json.exists() else Results(kind, idle)
    if (results.kit, results.idle) != (kind, idle):
        raise SystemExit(f"bench: {asked.json} was measured another way: kit {results.kit}, idle core {results.idle}")
    _announce(asked, cells, peers, f"{kind}; an idle core of the peers {idle}")
    processes.pin(cores[1])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Kit(Path(folder) / "answers", kind) as kit:
        bench = Bench(kit, Path(folder), peers, cells, results, asked.short, DIRECT in names, cores)
        if asked.instructions:
            bench.count_instructions()
        else:
            bench.run(asked.repeats)
    return results


def _announce(asked: argparse.Namespace, cells: list[Cell], peers: list[Peer], how: str) -> None:
    whom = f"of {', '.join(peer.name for peer in peers)}; kit: {how}"
    if asked.instructions:
        print(f"bench: instructions {whom}\n", flush=True)
        return
    print(f"bench: {len(cells)} cells, {asked.repeats} times each, {whom}")
    for title in dict.fromkeys(f"  {cell.name.partition('.')[0]}: {cell.title}" for cell in cells):
        print(title)
    print(flush=True)


def main() -> int:
    asked = arguments()
    if sys.platform != "linux":
        print("bench: CPU time is read from /proc, which only Linux has", file=sys.stderr)
        return 2
    cells = _chosen_cells(asked)
    if asked.instructions and not found():
        print("bench: --instructions needs valgrind", file=sys.stderr)
        return 2
    if not cells:
        print(f"bench: no cell is called {asked.only}", file=sys.stderr)
        return 2
    if len(set(processes.cores())) == 1:
        print("bench: there is one core only; peers and bench share it, and paced figures mean little", file=sys.stderr)
    if asked.install_peers:
        return install()
    results = Results.read(asked.show) if asked.show else measured(asked, cells)
    print(text(results, CELLS))
    if results.other:
        print(f"\nother work on this machine: {median(results.other):.0%} of it, at most {max(results.other):.0%}")
    if asked.json:
        results.facts["peers"] = {**results.facts.get("peers", {}), **installed()}
        results.write(asked.json)
    if asked.write_docs:
        page.write(results, CELLS)
    if asked.write_ratios:
        results.write_ratios()
    worse = results.worse() if asked.short else {}
    for sentence in worse.values():
        print(f"bench: {sentence}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
