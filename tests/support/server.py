"""The application of some settings, running on a free port of this machine for a test."""

import asyncio
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
import uvloop

from proxy.app import create_app
from proxy.edge.listeners import bind, web_config
from proxy.edge.service import Load, Service
from proxy.settings import Settings, loads
from proxy.telemetry.logs import Log

START_S = 10.0


@dataclass
class Running:
    """A running proxy. `url` has no path."""

    url: str
    service: Service
    server: uvicorn.Server
    loop: asyncio.AbstractEventLoop
    """The one that the proxy runs in; it is in a thread of its own."""
    _log: io.StringIO

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was logged so far."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    def requests(self, count: int, seconds: float = 5.0) -> list[dict[str, Any]]:
        """The log lines of at least `count` requests, waited for."""
        until = time.monotonic() + seconds
        while True:
            found = [line for line in self.lines if line["event"] == "request"]
            if len(found) >= count or time.monotonic() > until:
                return found
            time.sleep(0.01)


def settings_of(text: str, env: dict[str, str] | None = None) -> Settings:
    """The settings of a YAML text."""
    return loads(text, "proxy.yaml", env or {})


@contextmanager
def running(settings: Settings, *, reread: Load | None = None) -> Iterator[Running]:
    """Serves these settings in a thread; `server.listen` is replaced by a free port of 127.0.0.1."""
    log = io.StringIO()
    app = create_app(settings, reread=reread, log=Log(log, as_text=False))
    bound = bind("127.0.0.1:0")
    server = uvicorn.Server(web_config(app, 1.0))
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[bound])

    thread = threading.Thread(target=uvloop.run, args=(serve(),), daemon=True)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("the proxy did not start: " + log.getvalue())
        time.sleep(0.005)
    try:
        yield Running(f"http://127.0.0.1:{bound.getsockname()[1]}", app.state.service, server, loops[0], log)
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()
