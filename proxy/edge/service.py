"""What all endpoints share: the routing table in force, and what outlives a change of it."""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from proxy.core.choice import DialectReader
from proxy.core.context import AnswerContext
from proxy.core.dialect import Dialect, Manner
from proxy.edge.limits import Limiter
from proxy.relay import Drain, Relay
from proxy.routing import Allowed, Match, ResolvedTarget, Standing, Table, permits, targets
from proxy.settings import Mistake, Settings, SettingsError
from proxy.settings.model import Target
from proxy.telemetry.logs import Log
from proxy.telemetry.metrics import Metrics, series_of
from proxy.telemetry.target import TargetMetrics
from proxy.telemetry.traces import Passing, Tracer
from proxy.upstream.engine import Engine, engine_of
from proxy.upstream.healing import Healings
from proxy.upstream.health import Healths, TargetHealth
from proxy.upstream.memory import Memory
from proxy.upstream.seen import Seen

Load = Callable[[], Settings]
MOST_SERVED = 1024
"""Model names whose route is kept; behind a wildcard they come from clients."""


@dataclass(slots=True)
class Aim:
    """A target that is asked for one model, with all that is the same for every request to it."""

    resolved: ResolvedTarget
    manner: Manner
    engine: Engine
    metrics: TargetMetrics
    health: TargetHealth
    contexts: dict[tuple[bool, bool], AnswerContext] = field(default_factory=dict)
    """(whether the target thinks, whether the client wants usage) → how the last such answer was to be read."""


@dataclass(slots=True)
class Served:
    """Who serves one model name."""

    match: Match
    targets: tuple[ResolvedTarget, ...]
    keeps: bool
    """Whether answers are kept in the reasoning memory: what one target says, the next one may be asked about."""
    aims: tuple[Aim, ...] = ()
    """The same targets, in their order, once they have been asked for."""


KEY_ID_DIGITS = 8
"""Hexadecimal: enough to tell the keys of one table apart, too few to try keys against."""


@dataclass(frozen=True, slots=True)
class State:
    """One routing table, ready for use. A request keeps the one that it began with."""

    settings: Settings
    table: Table
    engines: Mapping[str, Engine]
    """By provider name."""
    loaded: int
    """Unix time in seconds."""
    key_ids: Mapping[str, str]
    """Client's name → what stands for its key in logs."""
    limited: bool
    """Whether all requests together are limited."""
    _served: dict[str, Served] = field(default_factory=dict)
    _readers: dict[tuple[str, str, bool], DialectReader] = field(default_factory=dict)

    def reader(self, provider: str, model: str, dialect: Dialect, *, thinking: bool) -> DialectReader:
        """This dialect, in which the provider's model answers, prepared for reading."""
        key = (provider, model, thinking)
        known = self._readers.get(key)
        if known is None or known.dialect is not dialect:
            if len(self._readers) >= MOST_SERVED:
                self._readers.clear()
            known = self._readers[key] = DialectReader(dialect, thinking=thinking)
        return known

    def served(self, model: str, allowed: Allowed) -> Served | None:
        """Who serves `model`; None where nobody does, or nobody for this caller."""
        known = self._served.get(model)
        if known is not None and (allowed is None or permits(allowed, model)):
            return known
        match = self.table.match(model, allowed)
        if match is None:
            return None
        resolved = tuple(targets(match))
        keeps = any(one.target.manner_of(one.model).history.memory != "off" for one in resolved)
        if len(self._served) >= MOST_SERVED:
            self._served.clear()
        found = self._served[model] = Served(match, resolved, keeps)
        return found

    @classmethod
    def of(cls, settings: Settings, salt: bytes) -> Self:
        """Opens no connection yet."""
        used = {t.provider.name: t.provider for route in settings.routes for t in route.targets}
        engines = {name: engine_of(provider) for name, provider in used.items()}
        return cls(
            settings,
            Table(settings.routes),
            engines,
            int(time.time()),
            _key_ids(settings, salt),
            settings.server.limits.given,
        )


def refuse_too_many(settings: Settings) -> None:
    """Raises SettingsError where the routes make more time series than they may."""
    made, most = _series(settings), settings.telemetry.max_series
    if made > most:
        hint = "raise it, or have fewer routes and targets: each of them has its own series"
        message = f"the routes make {made} time series, and {most} are allowed"
        raise SettingsError([Mistake(settings.source, 0, 0, "metrics.max_series", message, hint)])


def _series(settings: Settings) -> int:
    keys = ((route.model, one.provider.name, one.model) for route in settings.routes for one in route.targets)
    return series_of(keys, settings.telemetry.aliases)


def _key_ids(settings: Settings, salt: bytes) -> dict[str, str]:
    key = salt if settings.telemetry.key_salt is None else settings.telemetry.key_salt.reveal().encode()
    return {
        client.name: hmac.digest(key, client.key_sha256, "sha256").hex()[:KEY_ID_DIGITS] for client in settings.clients
    }


class Service:
    """The application's own state. `load` reads the configuration again; None where there is nothing to read.

    `salt` is that of key ids where the configuration gives none; None: a new one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: Metrics,
        log: Log,
        load: Load | None = None,
        tracer: Tracer | None = None,
        salt: bytes | None = None,
    ) -> None:
        self.clock = time.monotonic
        self.metrics = metrics
        self.log = log
        self.drain = Drain()
        self.relay = Relay(log, self.drain, self.clock)
        self.health = Healths()
        self.seen = Seen()
        self.healings = Healings(log)
        self.memory = Memory(metrics, self.clock, lambda s, then: asyncio.get_running_loop().call_later(s, then))
        self.limiter = Limiter(self.clock)
        self.spread: Callable[[], None] | None = None
        """Makes the other workers reload too; None where there are none."""
        self._load = load
        self._reloading = asyncio.Lock()
        self.tracer: Tracer = Passing() if tracer is None else tracer
        self._salt = secrets.token_bytes() if salt is None else salt
        self.state = State.of(settings, self._salt)
        self._bind(settings)
        metrics.reloaded(ok=True)
        log.event("info", "started", series=_series(settings), max_series=settings.telemetry.max_series)

    def aims(self, state: State, served: Served) -> tuple[Aim, ...]:
        """The targets of a model, ready to be asked."""
        if not served.aims:
            served.aims = tuple(self._aim(state, served.match, one) for one in served.targets)
        return served.aims

    def _aim(self, state: State, match: Match, one: ResolvedTarget) -> Aim:
        provider = one.target.provider.name
        metrics = self.metrics.target(match.route.model, provider, one.target.model)
        manner = one.target.manner_of(one.model)
        return Aim(one, manner, state.engines[provider], metrics, self.health.of(one.key))

    def _bind(self, settings: Settings) -> None:
        for route in settings.routes:
            for target in route.targets:
                metrics = self.metrics.target(route.model, target.provider.name, target.model)
                self.health.of((target.provider.name, target.model)).tell = metrics.available

    async def reload(self) -> list[str]:
        """Reads the configuration and puts it in force whole, or not at all; gives the mistakes found.

        Addresses to listen on keep their old values: they need a restart.
        """
        if self._load is None:
            return ["there is no configuration file to read again"]
        async with self._reloading:
            try:
                settings = await asyncio.to_thread(self._load)
                refuse_too_many(settings)
            except (SettingsError, OSError) as error:
                mistakes = [str(m) for m in error.mistakes] if isinstance(error, SettingsError) else [str(error)]
                self.metrics.reloaded(ok=False)
                self.log.event("error", "reload_refused", mistakes=mistakes)
                return mistakes
            old, self.state = self.state, State.of(settings, self._salt)
            self.health.forgive()
            self._bind(settings)
            self.metrics.reloaded(ok=True)
            self.log.event("info", "reloaded", routes=len(settings.routes), providers=len(settings.providers))
            for engine in old.engines.values():
                await engine.retire()
        return []

    @property
    def ready(self) -> bool:
        """Whether new requests should come here: not while draining, nor where no route has a target to ask."""
        now = self.clock()
        return not self.drain.begun and any(
            self._usable(target, now) for route in self.state.settings.routes for target in route.targets
        )

    def _usable(self, target: Target, now: float) -> bool:
        # The models of a wildcard fail one by one, and those that nobody has asked for may be well.
        if "{" in target.model:
            return True
        return self.health.of((target.provider.name, target.model)).standing(target.model, now) is not Standing.SHUT

    async def aclose(self) -> None:
        """Closes all connections to providers."""
        for engine in self.state.engines.values():
            await engine.aclose()
