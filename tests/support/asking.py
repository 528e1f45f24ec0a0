"""Both HTTP engines, asked by a test; and our own alone, of which nothing may be left."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from proxy.core.errors import ProxyError, UpstreamProtocol
from proxy.settings.model import Provider
from proxy.upstream.authority import Head
from proxy.upstream.client import LibraryEngine
from proxy.upstream.connection import Answer, Connection
from proxy.upstream.engine import Engine, UpstreamResponse
from proxy.upstream.wire import WireEngine
from tests.support.peer import Host, Script, Visit, peer

PATIENCE_S = 0.7
"""An engine that has nothing to say for so long waits for more."""
Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: dict[str, Loop] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Use = Callable[[WireEngine, Host], Awaitable[None]]
WAYS: dict[str, tuple[Callable[[Provider], Engine], Loop]] = {
    "library": (LibraryEngine, asyncio.new_event_loop),
    "own": (WireEngine, asyncio.new_event_loop),
    "own on uvloop": (WireEngine, uvloop.new_event_loop),
}


@dataclass
class Heard:
    """What came of one request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failed: str = ""
    message: str = ""

    def __str__(self) -> str:
        if not self.status:
            return self.failed
        shown = f"x-a={self.headers['x-a']} " if "x-a" in self.headers else ""
        return f"{self.status} {shown}{self.body.decode()}{self.failed and f', then {self.failed}'}"


@dataclass
class Taking:
    """Takes two pieces."""

    heard: Heard
    taken: int = 0

    def take(self, data: bytes) -> bool:
        self.heard.body += data
        self.taken += 1
        return self.taken < 2


async def ask(engine: Engine, path: str = "/x", headers: dict[str, str] | None = None, method: str = "POST") -> Heard:
    """Sends a request and takes the whole answer: a read, two pieces that are handed on, and so forth."""
    heard = Heard()
    body = b"{}" if method == "POST" else b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            response = await engine.open(path, Head(headers or {}), body, method)
            heard.status, heard.headers = response.status, response.headers
            try:
                while data := await response.read():
                    heard.body += data
                    await response.hand_on(Taking(heard).take)
            finally:
                await response.aclose()
    except ProxyError as error:
        words = ("undecodable", "broken") if heard.status else ("protocol", "closed")
        heard.failed = words[0 if isinstance(error, UpstreamProtocol) else 1]
        heard.message = error.message
    except TimeoutError:
        heard.failed = "silence"
    return heard


def sockets() -> int:
    """How many this process has open; the event loop has other files of its own."""
    found = 0
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            found += str(link.readlink()).startswith("socket:")
    return found


async def until(what: Callable[[], bool], seconds: float = 2.0) -> None:
    """Waits until something holds; fails where it does not in time."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.002)


def run(
    loop: Loop,
    script: Script,
    use: Use,
    tls: tuple[Path, ssl.SSLContext] | None = None,
    **more: Any,
) -> None:
    """Runs `use`; nothing may be left of the engine after its end."""

    async def main(host: Host) -> None:
        before = sockets()
        engine = WireEngine(Provider("p", host.url, tls_ca=tls and tls[0], **more))
        try:
            await use(engine, host)
        finally:
            await engine.aclose()
        await until(lambda: not engine._all and host.open == 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (engine.users, engine._sweep, list(engine._idle)) == (0, None, [])
        await until(lambda: sockets() <= before)

    with peer(script, tls=tls and tls[1]) as host, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main(host))


async def answered(connection: Connection, request: bytes) -> Answer:
    """The answer to a request, once its head is there."""
    answer = Answer(connection)
    await connection.ask(request, answer)
    return answer


async def rest(response: UpstreamResponse) -> bytes:
    body = b""
    while data := await response.read():
        body += data
    return body


def always(*steps: bytes | float) -> Script:
    """A host that answers every request so."""

    def script(visit: Visit) -> None:
        while visit.asked() is not None:
            visit.follow(steps)

    return script
