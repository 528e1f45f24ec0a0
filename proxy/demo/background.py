"""An ASGI application served from a thread of this process, on a loopback port."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from proxy.edge.listeners import bind
from proxy.edge.protocol import ClientConnection

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0


def silence() -> None:
    """Keeps the loggers of servers quiet, in this whole process: a command that is interrupted ends without their traces."""
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def server(app: ASGIApp, *, lifespan: bool) -> uvicorn.Server:
    """A server that cuts open answers short when it stops."""
    config = uvicorn.Config(
        app,
        http=ClientConnection,
        loop="auto",
        ws="none",
        lifespan="on" if lifespan else "off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@contextmanager
def serving(app: ASGIApp, *, lifespan: bool = False) -> Iterator[str]:
    """Serves `app` for the length of a `with` block; gives its address, such as `http://127.0.0.1:40123`."""
    bound = bind("127.0.0.1:0")
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    runner = server(app, lifespan=lifespan)
    thread = threading.Thread(target=_run, args=(runner, bound), name=address, daemon=True)
    thread.start()
    try:
        _wait_until_started(runner, thread)
        yield address
    finally:
        runner.should_exit = True
        thread.join(STOP_TIMEOUT_S)
        bound.close()


def _run(runner: uvicorn.Server, bound: socket.socket) -> None:
    # uvicorn ends the process where an application cannot start; here that ends the thread alone, in silence.
    with suppress(SystemExit):
        runner.run(sockets=[bound])


def _wait_until_started(runner: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not runner.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the embedded server did not start")
        time.sleep(0.005)
