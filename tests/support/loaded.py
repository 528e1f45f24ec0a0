"""A proxy process with a table of many kinds of targets, and clients that keep it busy."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.support.served import CHAT, MESSAGES, bearer, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
KEY, SCARCE = "the-key-of-everybody", "the-key-with-a-limit"
READY_S = 30.0
TABLE = """
version: 1
server: {listen: '127.0.0.1:PORT', admin: '127.0.0.1:ADMIN', drain: 1s}
clients:
  - {name: everybody, key: {env: LOADED_KEY}}
  - {name: scarce, key: {env: LOADED_SCARCE}, limits: {requests_per_minute: 6}}
providers:
  house: {base_url: URL}
  far: {base_url: URL}
  gone: {base_url: 'http://127.0.0.1:9/v1'}
routes:
  - {model: r1, targets: [house/reasoner]}
  - {model: tools, targets: [house/tools]}
  - {model: "open-*", targets: [{provider: far, model: "{model}"}]}
  - {model: tags, targets: [house/tags]}
  - {model: cut, targets: [house/cut]}
  - {model: shaky, targets: [far/shaky, house/reasoner], retry: {attempts: 2, cooldown: 1s}}
  - {model: busy, targets: [far/busy, house/reasoner], retry: {attempts: 1, cooldown: 1s}}
  - {model: endless, targets: [house/endless]}
  - {model: lost, targets: [gone/none], retry: {attempts: 1, cooldown: 1s}}
"""
SHARES = {"r1": 6, "tools": 3, "open-small": 3, "tags": 3, "cut": 1, "shaky": 3, "busy": 3, "endless": 1, "lost": 4}
"""What is asked for, and how often."""


@dataclass(frozen=True)
class Loaded:
    """A running proxy process."""

    url: str
    admin: str
    """`HOST:PORT` of its operations."""
    process: subprocess.Popen[bytes]

    @property
    def metrics(self) -> str:
        return httpx2.get(f"http://{self.admin}/metrics", verify=False, timeout=20).text

    def reload(self) -> None:
        """Has the table read again."""
        httpx2.post(f"http://{self.admin}/-/reload", verify=False, timeout=20)

    def load(self, seconds: float, callers: int = 8) -> int:
        """Keeps so many callers busy for a while, each until it has asked for everything; gives how many requests ended."""
        return asyncio.run(_load(self.url, seconds, callers))


async def _load(url: str, seconds: float, callers: int) -> int:
    until = time.monotonic() + seconds
    async with httpx2.AsyncClient(base_url=url, timeout=60, verify=False) as client:
        counts = await asyncio.gather(*(_caller(client, number, until) for number in range(callers)))
    return sum(counts)


async def _caller(client: httpx2.AsyncClient, number: int, until: float) -> int:
    chance, count = random.Random(number), 0
    models = [*SHARES]
    while time.monotonic() < until or count < len(models):
        if count < len(models):  # on a slow machine chance alone would leave some out
            model = models[(number + count) % len(models)]
        else:
            model = chance.choices(models, [*SHARES.values()])[0]
        await _ask(
            client, model, stream=chance.random() < 0.8 or model == "endless", key=SCARCE if number == 0 else KEY
        )
        count += 1
        if number == 0:
            await asyncio.sleep(0.2)
    return count


async def _ask(client: httpx2.AsyncClient, model: str, *, stream: bool, key: str) -> None:
    body: dict[str, Any] = {"model": model, "messages": MESSAGES, "stream": stream}
    with suppress(httpx2.TransportError):
        async with client.stream("POST", CHAT, json=body, headers=bearer(key)) as response:
            events = 0
            async for line in response.aiter_lines():
                events += line.startswith("data: ")
                if model == "endless" and events > 5:
                    return


@contextmanager
def loaded(folder: Path, upstream: str) -> Iterator[Loaded]:
    """Runs the proxy from this checkout in a process of its own, before one upstream."""
    port, admin, file = free_port(), free_port(), folder / "loaded.yaml"
    file.write_text(TABLE.replace("PORT", str(port)).replace("ADMIN", str(admin)).replace("URL", f"'{upstream}'"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LOADED_KEY": KEY, "LOADED_SCARCE": SCARCE}
    with (folder / "loaded.log").open("w") as log:
        command = [sys.executable, "-m", "proxy.cli", "serve", "-c", str(file)]
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=log)
    try:
        until = time.monotonic() + READY_S
        while True:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"http://127.0.0.1:{admin}/readyz", verify=False, timeout=5).status_code == 200:
                    break
            assert process.poll() is None, (folder / "loaded.log").read_text()
            assert time.monotonic() < until, "the proxy is not ready"
            time.sleep(0.05)
        yield Loaded(f"http://127.0.0.1:{port}", f"127.0.0.1:{admin}", process)
    finally:
        process.terminate()
        process.wait(20)
