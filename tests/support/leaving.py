"""How soon an upstream is left alone after its client has gone, in each phase of a request.

`python -m tests.support.leaving` prints a table; with `--write` it goes into `docs/resilience.md`.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.proxied import CHAT, MESSAGES
from tests.support.proxying import proxying
from tests.support.scripted import Asked, Wire, delta, scripted
from tests.support.server import running, settings_of

PAGE = Path(__file__).parents[2] / "docs" / "resilience.md"
BEGIN, END = "<!-- times from a client's leaving: scripts/chaos --leaving --write -->\n", "<!-- their end -->\n"
TIMES = 200
PATIENCE_S = 10.0
Script = Callable[[Asked, Wire], Awaitable[None]]
Serve = Callable[[str], AbstractContextManager[str]]


async def _silent(_: Asked, __: Wire) -> None:
    return


async def _head(_: Asked, wire: Wire) -> None:
    await wire.head()


async def _reasoning(_: Asked, wire: Wire) -> None:
    await wire.head()
    await wire.event(delta({"reasoning_content": "Hm."}))


async def _answering(asked: Asked, wire: Wire) -> None:
    await _reasoning(asked, wire)
    await wire.event(delta({"content": "Well, "}))


async def _half_a_body(_: Asked, wire: Wire) -> None:
    await wire.raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"id": ')


@dataclass(frozen=True)
class Phase:
    """`waits_for`: what the client must have read before it leaves; b"" is nothing."""

    name: str
    script: Script
    stream: bool = True
    path: str = CHAT
    waits_for: bytes = b""


PHASES = (
    Phase("before the upstream's head", _silent),
    Phase("after its head, before any content", _head),
    Phase("in the reasoning", _reasoning, waits_for=b"Hm."),
    Phase("in the answer", _answering, waits_for=b"Well, "),
    Phase("whole answer, before its head", _silent, stream=False),
    Phase("whole answer, in its body", _half_a_body, stream=False),
    Phase("relayed stream", _reasoning, path="/v1/responses", waits_for=b"Hm."),
)


async def leave(port: int, phase: Phase, ready: threading.Event) -> float:
    """Asks, waits for the phase, and leaves; gives the moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "m", "stream": phase.stream, "messages": MESSAGES}).encode()
    writer.write(f"POST {phase.path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    async with asyncio.timeout(PATIENCE_S):
        if phase.waits_for:
            await reader.readuntil(phase.waits_for)
        await asyncio.to_thread(ready.wait, PATIENCE_S)
        await asyncio.sleep(0.02)  # until the proxy has read what the upstream wrote
    moment = time.monotonic()
    writer.transport.abort()
    return moment


@contextmanager
def beside(config: str) -> Iterator[str]:
    """The URL of a proxy in this process: soon there, but slowed down by what else runs in it."""
    with running(settings_of(config)) as proxy:
        yield proxy.url


@contextmanager
def alone(config: str) -> Iterator[str]:
    """The URL of a proxy in a process of its own."""
    with proxying(config) as proxy:
        yield proxy.url


def measure(phase: Phase, times: int, serve: Serve) -> list[float]:
    """Seconds from each client's close to the close that the upstream saw, sorted. A missing one is an error."""
    said, gone, moment = threading.Event(), threading.Event(), [0.0]

    async def script(asked: Asked, wire: Wire) -> None:
        await phase.script(asked, wire)
        said.set()
        await wire.gone(PATIENCE_S)
        moment[0] = time.monotonic()
        gone.set()
        wire.close()

    taken = []
    table = "version: 1\nproviders: {p: {base_url: 'URL'}}\nroutes: [{model: m, targets: [p/big]}]"
    with scripted(script) as upstream, serve(table.replace("URL", upstream.url)) as url:
        port = int(url.rpartition(":")[2])
        for _ in range(times):
            said.clear()
            gone.clear()
            left = asyncio.run(leave(port, phase, said))
            if not gone.wait(PATIENCE_S):
                raise TimeoutError(f"{phase.name}: the upstream was not left alone")
            taken.append(moment[0] - left)
    return sorted(taken)


def table(times: int) -> str:
    """The lines for the page."""
    lines = ["| the client leaves | p50 | p99 | longest |", "|---|---|---|---|"]
    for phase in PHASES:
        taken = measure(phase, times, alone)
        shown = [taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.99))], taken[-1]]
        lines.append(f"| {phase.name} | " + " | ".join(f"{seconds * 1000:.1f} ms" for seconds in shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Prints the table, or writes it into the page."""
    text = table(TIMES)
    print(text)
    if "--write" in sys.argv:
        page = PAGE.read_text("utf-8")
        PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + text + page[page.index(END) :], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
