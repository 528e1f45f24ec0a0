"""The composition root: builds everything by hand, and runs it."""

import asyncio
import dataclasses
import gc
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from proxy import __version__
from proxy.edge import application
from proxy.edge.listeners import bind, listening, signals, spread, web_config
from proxy.edge.service import Load, Service, refuse_too_many
from proxy.settings import Settings, SettingsError, load
from proxy.telemetry import registry
from proxy.telemetry.lag import LagSampler
from proxy.telemetry.logs import Forward, Log
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.traces import tracer_of

SALT = "REASONING_PROXY_KEY_SALT"
"""How workers give one key the same id in their logs, where the configuration has no salt: hexadecimal digits."""
SWITCH_S = 0.0005
"""How long a thread that makes the text of `/metrics` may hold the event loop up; Python's own is 5 ms."""
COLLECTING = (700, 5, 1000)
"""When Python looks for cycles among its youngest, younger and all objects. Requests leave none, and a look at all that
800 open streams hold took 36 to 41 ms, in which none of them gets anything: so it is rare."""
CONFIG = "REASONING_PROXY_CONFIG"
LISTEN, ADMIN = "REASONING_PROXY_LISTEN", "REASONING_PROXY_ADMIN"
"""How a worker learns of the addresses given on the command line."""


def create_app(settings: Settings, *, reread: Load | None = None, log: Log | None = None) -> Starlette:
    """The application of these settings, for connections of `proxy.edge.protocol`. `reread` loads them again, if given."""
    metrics = Metrics(__version__, aliases=settings.telemetry.aliases)
    service = Service(
        settings,
        metrics=metrics,
        log=log or Log(sys.stderr),
        load=reread,
        tracer=tracer_of(settings.telemetry.traces, __version__),
        salt=bytes.fromhex(os.environ.get(SALT, "")) or None,
    )
    lag = LagSampler(metrics.lag, lambda: service.health.review(service.clock()))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, service.tracer.close)
            stack.push_async_callback(service.aclose)
            lag.start()
            stack.callback(lag.stop)
            if settings.server.admin is not None:
                await stack.enter_async_context(
                    listening(
                        application.admin(service), settings.server.admin, shared=registry.MULTIPROCESS in os.environ
                    )
                )
            with signals(service):
                yield

    app = application.public(service, lifespan)
    app.state.service = service
    return app


def serve(settings: Settings, *, workers: int = 1, source: Path | None = None) -> int:
    """Serves until a signal ends it; gives the process's exit status. `source`: the file to reload and give to workers."""
    if source is None and Path(settings.source).is_file():
        source = Path(settings.source)
    if workers > 1 and source is None:
        return _refuse("Several workers need a configuration file, which each of them reads.")
    try:
        tracer_of(settings.telemetry.traces, __version__).close()
        refuse_too_many(settings)
        bound = bind(settings.server.listen)
    except SettingsError as error:
        return _refuse(str(error))
    except ImportError as error:
        return _refuse(f"traces.export needs more packages ({error.name}): pip install 'reasoning-proxy[otel]'.")
    except OSError as error:
        return _refuse(f"Cannot listen on {settings.server.listen}: {error.strerror}.")
    _quiet_exit()
    if workers > 1 and source is not None:
        os.environ |= {CONFIG: str(source.resolve()), LISTEN: settings.server.listen}
        os.environ |= {ADMIN: settings.server.admin} if settings.server.admin else {}
        os.environ.setdefault(SALT, secrets.token_hex())
        with tempfile.TemporaryDirectory(prefix="reasoning-proxy-metrics-") as folder:
            os.environ.setdefault(registry.MULTIPROCESS, folder)
            registry.share(Path(os.environ[registry.MULTIPROCESS]))
            config = web_config("proxy.app:from_environment", settings.server.drain_s, workers=workers)
            _Workers(config, spread(bound)).run()
        return 0
    log = Log(sys.stderr)
    forward_libraries(log)
    app = create_app(settings, reread=_reread(source, settings.server.listen, settings.server.admin), log=log)
    _settle()
    server = uvicorn.Server(web_config(app, settings.server.drain_s))
    server.run(sockets=[bound])
    return 0 if server.started else 1


def from_environment() -> Starlette:
    """The application of one worker process."""
    log = Log(sys.stderr)
    forward_libraries(log)
    reread = _reread(Path(os.environ[CONFIG]), os.environ.get(LISTEN), os.environ.get(ADMIN))
    app = create_app(reread(), reread=reread, log=log)
    app.state.service.spread = lambda: os.kill(os.getppid(), signal.SIGHUP)
    _settle()
    return app


def _settle() -> None:
    """Streams are not held up: what is there from the start is never looked at for garbage, and threads take turns often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTING)
    sys.setswitchinterval(SWITCH_S)


def forward_libraries(log: Log) -> None:
    """Warnings of the web server and of asyncio become lines of our log."""
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [Forward(log)], False


class _Workers(Multiprocess):
    def handle_hup(self) -> None:
        """Every worker reloads; none is replaced, so no stream has to end."""
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def _reread(source: Path | None, listen: str | None, admin: str | None) -> Load:
    def reread() -> Settings:
        if source is None:
            raise FileNotFoundError(2, "there is no configuration file to read again")
        settings = load(source, os.environ)
        server = settings.server  # whose sockets stay where they are until the process ends
        server = dataclasses.replace(server, listen=listen or server.listen, admin=admin or server.admin)
        return dataclasses.replace(settings, server=server)

    return reread


def _quiet_exit() -> None:
    # The web server raises its signals again once it has stopped; by then there is nothing left to end.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)


def _refuse(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1
