"""What is measured: each peer is a program that relays chat completions from the bench's upstream.

A further peer is one more entry in `PEERS`.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes

ROOT = Path(__file__).parents[2]
START_S = 20.0
STOP_S = 10.0
_CONFIG = """\
version: 1
providers:
  bench: {{base_url: "{upstream}"}}
routes:
  - model: "*"
    targets: [{{provider: bench, model: "{{model}}"}}]
"""


def _ours(port: int, upstream: str, folder: Path) -> list[str]:
    config = folder / "proxy.yaml"
    config.write_text(_CONFIG.format(upstream=upstream), encoding="utf-8")
    return [sys.executable, "-m", "proxy.cli", "serve", "-c", str(config), "--listen", f"127.0.0.1:{port}"]


def _bare(port: int, upstream: str, _: Path) -> list[str]:
    return [sys.executable, "-m", "tests.bench.bare", str(port), upstream]


@dataclass(frozen=True)
class Peer:
    name: str
    command: Callable[[int, str, Path], list[str]]
    """(port, upstream's URL, a folder of its own) → the command that serves there."""
    parts_tags: bool
    """Whether it tells reasoning in tags from the answer; others are expected to leave the tags where they are."""


OURS = Peer("ours", _ours, parts_tags=True)
BARE = Peer("bare", _bare, parts_tags=False)
PEERS = (OURS, BARE)


class Running:
    """A started peer."""

    def __init__(self, peer: Peer, upstream: str, folder: Path, core: int, back: int) -> None:
        folder.mkdir()
        self.peer = peer
        self.port = _free_port()
        self._log = folder / "log"
        processes.pin(core)  # inherited by the child, and so in force before its first instruction
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    peer.command(self.port, upstream, folder), cwd=ROOT, stdout=log, stderr=log, env=_environment()
                )
        finally:
            processes.pin(back)

    @property
    def cpu_s(self) -> float:
        return processes.cpu_s(self._process.pid)

    @property
    def log(self) -> str:
        """The last lines that it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]

    async def ready(self) -> None:
        """Waits until it accepts connections. Raises RuntimeError with what it wrote if it does not."""
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
        raise RuntimeError(f"{self.peer.name} did not start: {self.log}")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _environment() -> dict[str, str]:
    hidden = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONTRACEMALLOC", "PYTHONWARNINGS", "COVERAGE_PROCESS_START")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
