"""The proxy under soak: a process of its own on a core of its own, whose memory, files and tasks can be counted.

`python -m tests.soak.process FILE COUNTS` runs it; on SIGUSR1 it writes the number of its unfinished tasks into COUNTS.
"""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.app import serve
from proxy.settings import load

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Watched:
    """A running proxy."""

    pid: int
    port: int
    counts: Path

    @property
    def rss_kib(self) -> int:
        """Resident memory in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def tasks(self) -> int:
        """Unfinished asyncio tasks, after a garbage collection."""
        self.counts.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        until = time.monotonic() + 10
        while not self.counts.exists():
            if time.monotonic() > until:
                raise TimeoutError("the proxy does not tell its tasks")
            time.sleep(0.01)
        return int(json.loads(self.counts.read_text()))


@contextmanager
def watched(upstream_port: int, port: int) -> Iterator[Watched]:
    """Runs the proxy for the length of a `with` block."""
    with tempfile.TemporaryDirectory() as folder:
        file, counts = Path(folder) / "proxy.yaml", Path(folder) / "counts"
        file.write_text(
            f"version: 1\nserver: {{listen: '127.0.0.1:{port}', heartbeat: 0s}}\n"
            f"providers: {{up: {{base_url: 'http://127.0.0.1:{upstream_port}/v1'}}}}\n"
            "routes: [{model: m, targets: [up/big], retry: {attempts: 1, cooldown: 0s}}]\n"
        )
        command = [sys.executable, "-m", "tests.soak.process", str(file), str(counts)]
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(command, stderr=log, cwd=ROOT)
        try:
            yield Watched(process.pid, port, counts)
        finally:
            process.terminate()
            process.wait(20)


def main() -> int:
    """The proxy's own process."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    counts = Path(sys.argv[2])

    def tell(*_: object) -> None:
        gc.collect()
        unfinished = sum(isinstance(one, asyncio.Task) and not one.done() for one in gc.get_objects())
        beside = counts.with_suffix(".new")
        beside.write_text(json.dumps(unfinished))
        beside.rename(counts)

    signal.signal(signal.SIGUSR1, tell)
    return serve(load(Path(sys.argv[1]), os.environ))


if __name__ == "__main__":
    sys.exit(main())
