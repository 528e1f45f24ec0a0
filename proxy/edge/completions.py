"""`POST /v1/…`: chat completions, and the relay of everything else whose JSON body names a model."""

import hashlib
import random
import re
from collections.abc import Callable, Coroutine, Sequence
from itertools import repeat
from typing import Any

from proxy.core.errors import MethodNotAllowed, ModelNotFound, RouteNotFound
from proxy.core.render import CANONICAL
from proxy.core.timeline import Timeline
from proxy.edge import bodies, heads, keys, origins
from proxy.edge.client_request import ClientRequest
from proxy.edge.questions import Asked, ChatQuestion, RawQuestion
from proxy.edge.service import Aim, Served, Service, State
from proxy.routing import ordered
from proxy.settings.model import Client
from proxy.telemetry.exchange import Exchange
from proxy.upstream.attempt import Candidate, Kind
from proxy.upstream.attempts import Plan
from proxy.upstream.memory import Recall

CHAT = "/chat/completions"
_STREAM, _WHOLE, _RAW = Kind.STREAM, Kind.WHOLE, Kind.RAW
_LISTS = "/models"
_RELAYED = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.:-]*)+")
"""Paths below /v1 that are passed on: no empty, dotted or encoded segment, which could leave the provider's base URL."""


class Completions:
    """Answers what is relayed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._unmatched = service.metrics.unmatched()

    def answer(self, client: ClientRequest) -> Coroutine[Any, Any, None]:
        """One request, from its head to its end."""
        service, headers = self._service, client.headers
        clock = service.clock
        started = clock()
        exchange = Exchange(heads.request_id_of(headers), started, self._unmatched, Timeline(started))
        service.tracer.begin(exchange, headers, "/v1" + client.path)
        cors = service.state.settings.server.cors
        marks = "" if cors is None else origins.fields(cors, headers.get("origin"))
        return service.relay.run(exchange, client, _Call(service, client, exchange), marks)


class _Call(Asked):
    """One request from its head to its end; once it is judged, it is the plan of its attempts."""

    __slots__ = (
        *("_client", "_exchange", "_left"),
        *("candidates", "client_key", "cooldown_s", "heartbeat_s", "kind", "path", "tries"),
    )

    def __init__(self, service: Service, client: ClientRequest, exchange: Exchange) -> None:
        self.service = service
        self.mending = None
        self.path = client.path
        self.candidates: Sequence[Candidate] = ()
        self._client = client
        self._exchange = exchange
        self._left: Callable[[], None] | None = None

    def leave(self) -> None:
        """The request has ended."""
        self.candidates = ()  # which hold this
        if self._left is not None:
            self._left()

    async def plan(self) -> Plan:
        """Reads and judges the request. Raises the error that it deserves."""
        service, headers, exchange = self.service, self._client.headers, self._exchange
        self.state = state = service.state
        settings = state.settings
        chat = self.path == CHAT
        if not chat:
            _judge_path(self.path)
        known, key = keys.identify(headers, settings.clients)
        self.client_key = key
        allowed = None
        if known is not None:
            allowed = known.routes
            exchange.key_id = state.key_ids[known.name]
            exchange.client = known.name if settings.telemetry.client_names else None
        wanted = heads.rendering_of(headers[heads.RENDER]) if heads.RENDER in headers else None
        bodies.judge_head(headers)
        server = settings.server
        if self._client.arriving:
            await bodies.arrival(self._client, server.max_request_bytes)
        data = bodies.taken(self._client, server.max_request_bytes)
        exchange.bytes_in = len(data)
        self.body = body = bodies.parse(data)
        if chat:
            bodies.judge_chat(body)
        exchange.stream = body.get("stream") is True
        served = state.served(body["model"], allowed)
        if served is None:
            raise _not_found(state, body["model"], allowed)
        route, aims = served.match.route, served.aims or service.aims(state, served)
        exchange.target = aims[0].metrics
        if known is not None or state.limited:
            self._left = service.limiter.enter(known, exchange, server.limits)
        own = None if known is None else known.render
        self.rendering = wanted or own or route.render or CANONICAL
        self.kind = kind = (_STREAM if exchange.stream else _WHOLE) if chat else _RAW
        self.recall = None
        if chat and served.keeps:
            self.recall = Recall(service.memory, _digest(known, key), body["messages"], keeps=True)
        self.candidates = _questions(served, aims, self, chat=chat)
        self.tries, self.cooldown_s = route.retry.attempts, route.retry.cooldown_s
        self.heartbeat_s = server.heartbeat_s if kind is _STREAM else 0.0
        return self


def _questions(served: Served, aims: Sequence[Aim], asked: Asked, *, chat: bool) -> Sequence[RawQuestion]:
    """The request before each target that may answer, best target first."""
    question = ChatQuestion if chat else RawQuestion
    if len(aims) == 1:
        return [question(aims[0], asked)]
    return list(map(question, _in_order(asked.service, served), repeat(asked)))


def _in_order(service: Service, served: Served) -> list[Aim]:
    order = ordered(
        served.targets,
        served.match.route.strategy,
        health=lambda one: service.health.of(one.key),
        now=service.clock(),
        draw=random.random(),  # noqa: S311 - spreads load
    )
    found = {id(aim.resolved): aim for aim in served.aims}
    return [found[id(resolved)] for resolved in order]


def _judge_path(path: str) -> None:
    """Raises the error that a path deserves which nothing can be relayed from."""
    if not _RELAYED.fullmatch(path):
        raise RouteNotFound("There is nothing at this path.")
    if path.startswith(_LISTS):
        raise MethodNotAllowed("This path takes GET.")


def _digest(known: Client | None, key: str | None) -> bytes:
    """Tells callers apart, also by keys that only the provider will judge; b"" for those without a key."""
    if known is not None:
        return known.key_sha256
    return hashlib.sha256(key.encode("latin-1")).digest() if key is not None else b""


def _not_found(state: State, model: str, allowed: tuple[str, ...] | None) -> ModelNotFound:
    near = state.table.close_names(model, allowed)
    hint = (
        f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else " GET /v1/models lists what there is."
    )
    return ModelNotFound(f"There is no model {model[:200]!r} here.{hint}", param="model")
