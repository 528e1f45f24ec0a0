"""`python -m tests.soak [--short]`: many streams and requests, some of them faulty; is anything lost, altered or left open?"""

import argparse
import asyncio
import os
import socket
import sys
import time
from dataclasses import dataclass, field

import uvloop

from tests.soak.load import Asking, Result, keep_asking
from tests.soak.process import Watched, watched
from tests.soak.upstream import Counts, listen

SETTLE_S = 6.0
"""After the last request: idle connections to the upstream are kept for 3.5 s."""
FLAT_SHARE = 0.05
"""Memory may grow by so much of itself from the end of the warm-up to the end of the run."""


@dataclass
class Run:
    """One of the two runs, and what came of it."""

    name: str
    at_once: int
    total: int
    asking: Asking
    result: Result = field(default_factory=Result)
    samples: list[tuple[float, int]] = field(default_factory=list)
    """(seconds, resident KiB)."""
    took_s: float = 0.0

    async def run(self, proxy: Watched, first_seed: int) -> None:
        """All requests, with the proxy's memory looked at meanwhile."""
        began = time.monotonic()
        sampler = asyncio.create_task(self._sample(proxy, began))
        await keep_asking(self.asking, self.result, at_once=self.at_once, total=self.total, first_seed=first_seed)
        self.took_s = time.monotonic() - began
        sampler.cancel()

    async def _sample(self, proxy: Watched, began: float) -> None:
        while True:
            self.samples.append((time.monotonic() - began, proxy.rss_kib))
            await asyncio.sleep(0.25)

    def slope(self) -> tuple[float, float, float]:
        """(KiB a minute by least squares, MiB at the end of the warm-up, MiB at the end) over the last two thirds."""
        kept = self.samples[len(self.samples) // 3 :]
        mean_t, mean_m = (sum(sample[axis] for sample in kept) / len(kept) for axis in (0, 1))
        spread = sum((t - mean_t) ** 2 for t, _ in kept) or 1.0
        per_s = sum((t - mean_t) * (m - mean_m) for t, m in kept) / spread
        fifth = max(1, len(kept) // 5)
        first, last = (sum(m for _, m in part) / len(part) / 1024 for part in (kept[:fifth], kept[-fifth:]))
        return per_s * 60, first, last

    def report(self) -> list[str]:
        """What is wrong; the figures are printed."""
        one, (per_minute, first, last) = self.result, self.slope()
        print(f"{self.name}: {self.total} requests, {self.at_once} at once, {self.took_s:.0f} s")
        print(f"  healthy {one.healthy} ({one.events} events compared): {one.lost} lost, {one.altered} altered")
        print(f"  faulty {one.faulty} {dict(one.kinds)}: {len(one.untold)} not told; clients that left: {one.left}")
        print(
            f"  memory after warm-up {first:.1f} MiB, at the end {last:.1f} MiB, slope {per_minute:+.0f} KiB a minute"
        )
        wrong = []
        if one.lost or one.altered:
            wrong.append(f"{self.name}: {one.lost} healthy answers lost, {one.altered} altered")
        if one.untold:
            wrong.append(f"{self.name}: faults that were not told: {one.untold[:3]}")
        if last > first * (1 + FLAT_SHARE):
            wrong.append(f"{self.name}: memory grew from {first:.1f} to {last:.1f} MiB")
        return wrong


async def soak(runs: list[Run], proxy: Watched, counts: Counts) -> list[str]:
    """Runs them one after the other; what is wrong."""
    await _wait_until_open(proxy.port)
    # One request of each kind, so that what is made once is there when the counting begins.
    for run in runs:
        await keep_asking(run.asking, Result(), at_once=2, total=4, first_seed=1)
    await asyncio.sleep(SETTLE_S)
    files, tasks, wrong = proxy.files, proxy.tasks(), []
    for number, run in enumerate(runs, 1):
        await run.run(proxy, number * 1_000_000)
        wrong += run.report()
    await asyncio.sleep(SETTLE_S)
    files_left, tasks_left, open_ones = proxy.files - files, proxy.tasks() - tasks, len(counts.open)
    print(f"left open: {files_left} files, {tasks_left} tasks, {open_ones} connections to the upstream")
    print(f"the upstream was asked {counts.asked} times: {counts.completed} answers, {counts.left} left by the proxy")
    if files_left > 0 or tasks_left > 0 or open_ones:
        wrong.append("something was left open")
    if counts.asked != counts.completed + counts.left:
        wrong.append("the upstream still answers requests that have ended")
    return wrong


async def _wait_until_open(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def main(arguments: argparse.Namespace) -> int:
    """Both runs against one proxy; 0 where nothing is wrong."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    counts = Counts()
    server = await listen(counts)
    paced = Asking(port, stream=True, count=60, pace_ms=arguments.pace_ms, faults=0.05, leaving=0.05)
    runs = [
        Run("paced streams", arguments.streams, arguments.total_streams, paced),
        Run("short requests", 32, arguments.requests // 2, Asking(port, stream=False)),
        Run("short streams", 32, arguments.requests // 2, Asking(port, stream=True, count=5, faults=0.02)),
    ]
    with watched(server.sockets[0].getsockname()[1], port) as proxy:
        wrong = await soak(runs, proxy, counts)
    server.close()
    print("\n".join(wrong) or "nothing lost, nothing altered, nothing left open")
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--short", action="store_true", help="under a minute")
    short = "--short" in sys.argv
    for name, small, large in (
        ("--streams", 100, 500),
        ("--total-streams", 300, 7500),
        ("--pace-ms", 40, 120),
        ("--requests", 2000, 20000),
    ):
        parser.add_argument(name, type=int, default=small if short else large)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(uvloop.run(main(_arguments())))
