"""Sockets, web servers and signals."""

import asyncio
import itertools
import math
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from proxy.edge.protocol import ClientConnection
from proxy.edge.service import Service

BACKLOG = 2048
GRACE_S = 5
"""After `server.drain` has interrupted the streams, the web server waits this long for their ends to be written."""


class QuietServer(uvicorn.Server):
    """A web server that leaves signals alone, for use beside another one."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def bind(address: str, *, shared: bool = False) -> socket.socket:
    """A bound socket for `HOST:PORT`. `shared`: several processes may bind it. Raises OSError where it is taken."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family, kind, protocol, _, where = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(where)
    except OSError:
        bound.close()
        raise
    bound.set_inheritable(True)
    return bound


class Spread:
    """A bound socket that becomes a socket of its own in each process that it is sent to.

    The kernel then gives every process its share of the connections; from one socket the first that wakes takes all.
    """

    def __init__(self, bound: socket.socket) -> None:
        host, port = bound.getsockname()[:2]
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        bound.close()
        self._kept = bind(self._address, shared=True)  # gets no connections, but nobody else gets the address

    def __reduce__(self) -> tuple[Callable[[str], socket.socket], tuple[str]]:
        return partial(bind, shared=True), (self._address,)


def spread(bound: socket.socket) -> list[Any]:
    """What workers are given to listen on in place of `bound`.

    Only Linux spreads connections over the sockets of one address (socket(7), SO_REUSEPORT).
    """
    return [Spread(bound) if sys.platform == "linux" else bound]


def web_config(
    app: ASGIApp | Callable[..., object] | str, drain_s: float, *, lifespan: bool = True, workers: int = 1
) -> uvicorn.Config:
    """How every listener of ours is served."""
    return uvicorn.Config(
        app,
        loop="auto",
        http=ClientConnection,
        ws="none",
        lifespan="on" if lifespan else "off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        workers=workers,
        factory=isinstance(app, str),
        timeout_graceful_shutdown=math.ceil(drain_s) + GRACE_S,
    )


@asynccontextmanager
async def listening(app: ASGIApp, address: str, *, shared: bool) -> AsyncIterator[None]:
    """Serves `app` on `address` beside the main server, also while that one drains."""
    server = QuietServer(web_config(app, 0, lifespan=False))
    bound = bind(address, shared=shared)
    bound.listen(BACKLOG)  # a caller need not wait for the server's task
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextmanager
def signals(service: Service) -> Iterator[None]:
    """SIGTERM and SIGINT begin the drain before the web server hears of them; SIGHUP reloads.

    The second one ends the drain: open streams get their end. From the third on the web server waits for nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    heard = itertools.count(1)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: FrameType | None) -> None:
        times = next(heard)
        if times == 2:  # noqa: PLR2004 - the second
            loop.call_soon_threadsafe(service.drain.interrupt)
            return
        loop.call_soon_threadsafe(service.drain.begin, loop, service.state.settings.server.drain_s)
        then = before[signal.Signals(number)]
        if callable(then):
            then(number, frame)

    for number in before:
        signal.signal(number, stop)
    reloads: set[asyncio.Task[list[str]]] = set()
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(loop.create_task(service.reload())))
    try:
        yield
    finally:
        if hasattr(signal, "SIGHUP"):
            loop.remove_signal_handler(signal.SIGHUP)
        for number, handler in before.items():
            signal.signal(number, handler)
