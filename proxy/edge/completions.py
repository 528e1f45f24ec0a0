"""`POST /v1/…`: chat completions, and the relay of everything else whose JSON body names a model."""

import dataclasses
import hashlib
import random
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from proxy.core.codec import dumps
from proxy.core.errors import MethodNotAllowed, ModelNotFound, RouteNotFound
from proxy.core.render import Rendering
from proxy.core.request import prepare
from proxy.core.stream import AnswerContext, StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from proxy.edge import bodies, heads, keys, origins
from proxy.edge.client_request import ClientRequest
from proxy.edge.service import Aim, Served, Service, State
from proxy.routing import ResolvedTarget, ordered
from proxy.telemetry.exchange import Exchange
from proxy.upstream.attempt import EVENT_STREAM, Candidate, Kind, Question
from proxy.upstream.attempts import Plan
from proxy.upstream.healing import Mending
from proxy.upstream.memory import Recall
from proxy.upstream.raw import RawPipeline
from proxy.upstream.seen import Seen

CHAT = "/chat/completions"
_LISTS = "/models"
_RELAYED = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.:-]*)+")
"""Paths below /v1 that are passed on: no empty, dotted or encoded segment, which could leave the provider's base URL."""


class Completions:
    """Answers what is relayed."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self, client: ClientRequest) -> Coroutine[Any, Any, None]:
        """One request, from its head to its end."""
        service, headers = self._service, client.headers
        started = service.clock()
        exchange = Exchange(heads.request_id_of(headers), started, service.metrics.unmatched(), Timeline(started))
        service.tracer.begin(exchange, headers, "/v1" + client.path)
        cors = service.state.settings.server.cors
        marks = "" if cors is None else origins.fields(cors, headers.get("origin"))
        return service.relay.run(exchange, client, _Call(service, client, exchange), marks)


@dataclass(slots=True)
class _Asked:
    """A judged request, as it is before any target is asked."""

    body: dict[str, Any]
    kind: Kind
    rendering: Rendering
    byte_path: bool
    recall: Recall | None
    """None: the body is not ours to understand."""
    mending: Mending | None = None
    """Of the target that is asked now."""

    def settle(self) -> None:
        """No further target will be asked: of a long conversation nothing stays for the length of its answer."""
        self.body = {}
        if self.mending is not None:
            self.mending.sent = {}
        if self.recall is not None:
            self.recall.settle()


class _Call:
    """One request on its way to a plan."""

    __slots__ = ("_client", "_exchange", "_left", "_path", "_service")

    def __init__(self, service: Service, client: ClientRequest, exchange: Exchange) -> None:
        self._service = service
        self._client = client
        self._path = client.path
        self._exchange = exchange
        self._left: Callable[[], None] | None = None

    def leave(self) -> None:
        """The request has ended."""
        if self._left is not None:
            self._left()

    async def plan(self) -> Plan:
        """Reads and judges the request. Raises the error that it deserves."""
        service, headers, exchange = self._service, self._client.headers, self._exchange
        state = service.state
        chat = self._path == CHAT
        if not chat and not _RELAYED.fullmatch(self._path):
            raise RouteNotFound("There is nothing at this path.")
        if self._path.startswith(_LISTS):
            raise MethodNotAllowed("This path takes GET.")
        caller = keys.identify(headers, state.settings.clients)
        if caller.client is not None:
            exchange.key_id = state.key_ids[caller.client.name]
            exchange.client = caller.client.name if state.settings.telemetry.client_names else None
        wanted = heads.rendering_of(headers)
        data = await bodies.read(self._client, state.settings.server.max_request_bytes)
        exchange.bytes_in = len(data)
        body = bodies.parse(data)
        if chat:
            bodies.judge_chat(body)
        exchange.stream = body.get("stream") is True
        served = state.served(body["model"], caller.allowed)
        if served is None:
            raise _not_found(state, body["model"], caller.allowed)
        match, aims = served.match, service.aims(state, served)
        exchange.target = aims[0].metrics
        self._left = service.limiter.enter(caller.client, exchange, state.settings.server.limits)
        own = caller.client.render if caller.client is not None else None
        rendering = wanted or own or match.route.render or Rendering()
        kind = (Kind.STREAM if exchange.stream else Kind.WHOLE) if chat else Kind.RAW
        return Plan(
            self._path,
            kind,
            self._candidates(state, served, caller, body, kind, rendering),
            match.route.retry.attempts,
            match.route.retry.cooldown_s,
            state.settings.server.heartbeat_s if kind is Kind.STREAM else 0.0,
            caller.key,
        )

    def _candidates(
        self, state: State, served: Served, caller: keys.Caller, body: dict[str, Any], kind: Kind, rendering: Rendering
    ) -> list[Candidate]:
        service, match = self._service, served.match
        recall = None
        if kind is not Kind.RAW:
            digest = _digest(caller) if served.keeps else b""
            recall = Recall(service.memory, digest, body["messages"], keeps=served.keeps)
        asked = _Asked(body, kind, rendering, state.settings.server.byte_path, recall)
        aims = served.aims
        if len(aims) == 1:
            return [self._candidate(state, aims[0], asked)]
        order = ordered(
            served.targets,
            match.route.strategy,
            health=lambda one: service.health.of(one.key),
            now=service.clock(),
            draw=random.random(),  # noqa: S311 - spreads load
        )
        found = {id(aim.resolved): aim for aim in aims}
        return [self._candidate(state, found[id(resolved)], asked) for resolved in order]

    def _candidate(self, state: State, aim: Aim, asked: _Asked) -> Candidate:
        service, resolved = self._service, aim.resolved
        provider, model, mending = resolved.target.provider, resolved.model, None
        if aim.manner.history.self_heal and asked.kind is not Kind.RAW:
            mending = Mending(service.healings, provider.name, model, aim.manner, aim.metrics)
        ask = _asking(state, aim, asked, service.seen, mending)
        return Candidate(provider, model, aim.engine, aim.metrics, ask, aim.health, mending)


def _digest(caller: keys.Caller) -> bytes:
    """Tells callers apart, also by keys that only the provider will judge; b"" for those without a key."""
    if caller.client is not None:
        return caller.client.key_sha256
    return hashlib.sha256(caller.key.encode("latin-1")).digest() if caller.key is not None else b""


def _asking(state: State, aim: Aim, asked: _Asked, seen: Seen, mending: Mending | None) -> Callable[[], Question]:
    recall = asked.recall
    if recall is None:
        return lambda: _raw_question(aim.resolved, asked)
    return lambda: _chat_question(state, aim, asked, recall, seen, mending)


def _chat_question(
    state: State,
    aim: Aim,
    asked: _Asked,
    recall: Recall,
    seen: Seen,
    mending: Mending | None,
) -> Question:
    provider, model, metrics = aim.resolved.target.provider.name, aim.resolved.model, aim.metrics
    manner = aim.manner if mending is None else mending.manner
    body, whole = asked.body, asked.kind is Kind.WHOLE
    messages = recall.messages(manner.history, metrics)
    if messages is not body["messages"]:
        body = {**body, "messages": messages}
    verbatim = asked.rendering.form == "passthrough"
    prepared = prepare(body, manner, model=model, seen_field=seen.source(provider, model), verbatim=verbatim)
    asked.mending = mending
    if mending is not None:
        mending.sent = prepared.body
    context = AnswerContext(
        dialect=manner.response,
        rendering=dataclasses.replace(asked.rendering, form="drop") if prepared.hide else asked.rendering,
        model=model,
        fallback_id="chatcmpl-" + heads.digits(),
        created=int(time.time()),
        thinking=prepared.reasoning,
        include_usage=bodies.wants_usage(body),
        keep=recall.keeper(metrics),
        byte_path=asked.byte_path,
        reader=state.reader(provider, model, manner.response, thinking=prepared.reasoning),
    )
    return Question(
        dumps(prepared.body),
        prepared.notes,
        stream=None if whole else lambda timeline, _: StreamPipeline(context, timeline),
        whole=(lambda timeline: WholePipeline(context, timeline)) if whole else None,
        content_type=None if verbatim else EVENT_STREAM,
        learn=lambda source: seen.learn(provider, model, source),
        settle=asked.settle,
    )


def _raw_question(resolved: ResolvedTarget, asked: _Asked) -> Question:
    return Question(
        dumps({**asked.body, "model": resolved.model}),
        (),
        stream=lambda timeline, response: RawPipeline(
            timeline, event_stream=response.content_type.startswith("text/event-stream")
        ),
        content_type=None,
        settle=asked.settle,
    )


def _not_found(state: State, model: str, allowed: tuple[str, ...] | None) -> ModelNotFound:
    near = state.table.close_names(model, allowed)
    hint = (
        f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else " GET /v1/models lists what there is."
    )
    return ModelNotFound(f"There is no model {model[:200]!r} here.{hint}", param="model")
