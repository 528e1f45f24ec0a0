"""The proxy as its users run it: `reasoning-proxy serve` in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
START_S = 30.0
STOP_S = 20.0


@dataclass
class Proxy:
    """A running proxy. `url` has no path; `log` is what it wrote so far."""

    url: str
    process: subprocess.Popen[bytes]
    _log: Path

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log's JSON lines."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def stop(self) -> None:
        """Asks it to end, as a service manager would."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def proxying(config: str, env: Mapping[str, str] | None = None) -> Iterator[Proxy]:
    """Serves the YAML text `config` on a free port of 127.0.0.1. `env`: variables that it refers to."""
    address = f"127.0.0.1:{_free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder) / "proxy.yaml", Path(folder) / "log"
        file.write_text(config, "utf-8")
        command = [sys.executable, "-m", "proxy.cli", "serve", "-c", str(file), "--listen", address]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=output, stderr=output
            )
        proxy = Proxy(f"http://{address}", process, log)
        try:
            _wait_until_alive(proxy)
            yield proxy
        finally:
            proxy.stop()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_alive(proxy: Proxy) -> None:
    until = time.monotonic() + START_S
    with httpx2.Client(trust_env=False) as client:
        while True:
            try:
                if client.get(f"{proxy.url}/livez").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            if proxy.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the proxy did not start:\n" + proxy.log)
            time.sleep(0.05)
