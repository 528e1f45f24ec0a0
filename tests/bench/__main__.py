"""`scripts/bench`: CPU time of the running proxy beside a bare relay. docs/benchmarks.md says how to read it."""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import uvloop

from tests.bench import processes
from tests.bench.answers import WrongAnswerError
from tests.bench.cells import Cell, Sample, cells, first_texts, measure
from tests.bench.peers import BARE, PEERS, Running
from tests.bench.results import RATIOS, Results
from tests.bench.upstream import Upstream

FIRST_TEXTS = 200
"""Requests for the time to the first text, in each repeat."""
ATTEMPTS = 3
"""Measurements that one cell in `--short` gets when its ratio is too high: a machine's hiccup is no regression."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="CPU time per event and per request.")
    parser.add_argument(
        "--short", action="store_true", help="under a minute; fails where a ratio has become much worse"
    )
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="samples of each figure (default: 3)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="cells to measure, such as 'paced*'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--write-ratios", action="store_true", help=f"make this run's ratios those of {RATIOS.name}")
    parsed = parser.parse_args()
    if parsed.repeats < 1:
        parser.error("--repeats: at least 1")
    return parsed


class Bench:
    """One run: all peers are up at the same time, and take turns."""

    def __init__(self, chosen: list[Cell], *, short: bool) -> None:
        self.results = Results(BARE.name)
        self._cells = chosen
        self._short = short
        self._upstream = Upstream()
        self._running: list[Running] = []

    async def run(self, repeats: int) -> None:
        await self._upstream.start()
        core, own = processes.cores()
        processes.pin(own)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
            for peer in PEERS:
                started = Running(peer, self._upstream.url, Path(folder) / peer.name, core, own)
                stack.callback(started.stop)
                self._running.append(started)
                await started.ready()
            for number in range(repeats):
                await self._repeat(number, repeats)
            await self._again_where_worse(repeats)
        await self._upstream.stop()

    async def _repeat(self, number: int, repeats: int) -> None:
        for cell in self._cells:
            _progress(f"bench: repeat {number + 1} of {repeats}, {cell.name}")
            await self._turns(cell, number)
        if not self._short:
            await self._first_texts()
        _progress("")

    async def _turns(self, cell: Cell, number: int) -> None:
        # Whoever is first meets the machine as the cell before left it, so they take turns in that too.
        order = self._running if number % 2 == 0 else self._running[::-1]
        taken: dict[str, Sample] = {}
        for peer in order:
            gc.collect()
            try:
                taken[peer.peer.name] = await measure(cell, peer, self._upstream, short=self._short)
            except WrongAnswerError as error:
                raise SystemExit(f"bench: {cell.name} through {peer.peer.name}: {error}\n{peer.log}") from error
        for peer in self._running:
            self.results.add(cell, peer.peer.name, taken[peer.peer.name])

    async def _first_texts(self) -> None:
        direct = urlsplit(self._upstream.url).port or 0
        ways = [("direct", direct, False), *((p.peer.name, p.port, p.peer.parts_tags) for p in self._running)]
        for name, port, parts_tags in ways:
            await first_texts(port, FIRST_TEXTS // 10, parts_tags=parts_tags)
            times = [seconds * 1000 for seconds in await first_texts(port, FIRST_TEXTS, parts_tags=parts_tags)]
            self.results.first_text_ms[name] = sorted([*self.results.first_text_ms.get(name, []), *times])

    async def _again_where_worse(self, repeats: int) -> None:
        if not self._short:
            return
        for _ in range(ATTEMPTS - 1):
            suspects = {sentence.partition(":")[0] for sentence in self.results.worse()}
            for cell in self._cells:
                if cell.name in suspects:
                    del self.results.samples[cell.name]
                    for number in range(repeats):
                        await self._turns(cell, number)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def main() -> int:
    asked = arguments()
    if sys.platform != "linux":
        print("bench: CPU time is read from /proc, which only Linux has", file=sys.stderr)
        return 2
    chosen = [cell for cell in cells(short=asked.short) if fnmatch(cell.name, asked.only)]
    if not chosen:
        print(f"bench: no cell is called {asked.only}", file=sys.stderr)
        return 2
    if len(set(processes.cores())) == 1:
        print("bench: there is one core only; peers and bench share it, and paced figures mean little", file=sys.stderr)
    print(f"bench: {len(chosen)} cells, {asked.repeats} times each, of {', '.join(peer.name for peer in PEERS)}")
    for shape in dict.fromkeys(cell.title for cell in chosen):
        print(f"  {shape}")
    print(flush=True)
    bench = Bench(chosen, short=asked.short)
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench.run(asked.repeats))
    results = bench.results
    print(results.table(chosen))
    print(f"\nother work on this machine: {median(results.other):.0%} of it, at most {max(results.other):.0%}")
    if asked.json:
        asked.json.write_text(json.dumps(results.as_json(), indent=2) + "\n", encoding="utf-8")
    if asked.write_ratios:
        results.write_ratios()
    worse = results.worse() if asked.short else []
    for sentence in worse:
        print(f"bench: {sentence}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
