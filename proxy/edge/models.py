"""`GET /v1/models`: the routes that a caller may use, wildcards by the names that the provider's own list gives."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from proxy.core.codec import loads
from proxy.core.errors import ModelNotFound, ProxyError
from proxy.edge import answers, heads, keys
from proxy.edge.service import Service, State
from proxy.routing import Allowed
from proxy.settings.model import Provider, Route, Target
from proxy.upstream import authority
from proxy.upstream.engine import Engine
from proxy.upstream.listing import names_in

ASK_S = 3.0
"""How long a provider may take to list its models; its patterns are listed where it takes longer."""
KEEP_S = 300.0
KEEP_FAILURE_S = 30.0
LIST_BYTES = 8 * 1024 * 1024


class Lists:
    """The providers' own lists of models, kept for five minutes. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Engine, float, tuple[str, ...]]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def of(self, provider: Provider, engine: Engine) -> tuple[str, ...]:
        """The names that the provider gives; empty where it cannot be asked."""
        if provider.pass_client_key:
            return ()  # such a list belongs to one caller alone
        async with self._asking.setdefault(provider.name, asyncio.Lock()):
            known = self._known.get(provider.name)
            if known is None or known[0] is not engine or known[1] <= self._clock():
                names = await _ask(provider, engine)
                until = self._clock() + (KEEP_S if names else KEEP_FAILURE_S)
                known = self._known[provider.name] = (engine, until, names)
            return known[2]


class Models:
    """The endpoints."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lists = Lists(service.clock)

    async def all(self, request: Request) -> Response:
        """All models of this caller."""
        state = self._service.state
        allowed = _allowed(request, state)
        routes = state.table.visible(allowed)
        groups = await asyncio.gather(*(self._names(state, route, allowed) for route in routes))
        owned = {name: route for route, names in zip(routes, groups, strict=True) for name in names}
        return answers.json({"object": "list", "data": [_entry(state, *item) for item in owned.items()]})

    async def one(self, request: Request) -> Response:
        """One of them; the name may hold slashes."""
        state, name = self._service.state, request.path_params["name"]
        match = state.table.match(name, _allowed(request, state))
        if match is None:
            raise ModelNotFound(f"There is no model {name[:200]!r} here. GET /v1/models lists what there is.")
        return answers.json(_entry(state, name, match.route))

    async def _names(self, state: State, route: Route, allowed: Allowed) -> list[str]:
        if "*" not in route.model:
            return [route.model] if state.table.match(route.model, allowed) is not None else []
        found: dict[str, None] = {}
        for target in route.targets:
            given = await self._lists.of(target.provider, state.engines[target.provider.name])
            found.update(dict.fromkeys(_asked_for(route, target, given)))
        names = found or _patterns(route, allowed)
        return [name for name in names if "*" in name or _leads_to(state, name, allowed, route)]


def _allowed(request: Request, state: State) -> Allowed:
    client, _ = keys.identify(heads.headers_of(request.scope), state.settings.clients)
    return None if client is None else client.routes


def _leads_to(state: State, name: str, allowed: Allowed, route: Route) -> bool:
    match = state.table.match(name, allowed)
    return match is not None and match.route is route


def _patterns(route: Route, allowed: Allowed) -> Iterable[str]:
    """What stands for a wildcard route whose models are not known: the narrower of its pattern and the caller's."""
    if allowed is None or any(pattern in ("*", route.model) for pattern in allowed):
        return [route.model]
    return [
        pattern if len(pattern) >= len(route.model) else route.model for pattern in allowed if _touch(pattern, route)
    ]


def _touch(pattern: str, route: Route) -> bool:
    head = min(pattern.partition("*")[0], route.model.partition("*")[0], key=len)
    return pattern.startswith(head) and route.model.startswith(head)


def _asked_for(route: Route, target: Target, given: Iterable[str]) -> list[str]:
    """The provider's names → what a client asks for to reach them through this route."""
    if target.model == "{model}":
        return list(given)
    head, hole, tail = target.model.partition("{*}")
    if not hole or route.model.count("*") != 1 or "{" in head + tail:
        return []
    inner = [n[len(head) : len(n) - len(tail)] for n in given if n.startswith(head) and n.endswith(tail)]
    return [route.model.replace("*", name) for name in inner if name]


def _entry(state: State, name: str, route: Route) -> dict[str, Any]:
    owner = route.targets[0].provider.name if route.targets else ""
    return {"id": name, "object": "model", "created": state.loaded, "owned_by": owner}


async def _ask(provider: Provider, engine: Engine) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(ASK_S):
            head = authority.headers(provider, None, "application/json")
            head.pop("content-type")
            response = await engine.open("/models", authority.Head(head), method="GET")
            try:
                body = b""
                while response.status == 200 and len(body) < LIST_BYTES and (data := await response.read()):  # noqa: PLR2004
                    body += data
            finally:
                await response.aclose()
        return tuple(names_in(loads(body)))
    except (TimeoutError, ProxyError, ValueError, RecursionError):
        return ()
