"""All paths together, as two Starlette applications: the public one, and the operator's on its own address."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.core.errors import InternalError, MethodNotAllowed, RouteNotFound
from proxy.edge import answers
from proxy.edge.client_request import ClientRequest
from proxy.edge.completions import Completions
from proxy.edge.models import Models
from proxy.edge.operations import Operations
from proxy.edge.origins import Origins
from proxy.edge.protocol import RELAYED
from proxy.edge.service import Service
from proxy.settings.formats import is_loopback

_Some = TypeVar("_Some", bound=Starlette)
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


class Public(Starlette):
    """What listens on `server.listen`. Its server's connections are `proxy.edge.protocol.ClientConnection`."""

    relayed: Callable[[ClientRequest], Coroutine[Any, Any, None]]
    """Answers each POST below `/v1/`, of which the paths here know only that they take no other method."""


def public(service: Service, lifespan: Lifespan) -> Public:
    """What listens on `server.listen`."""
    server = service.state.settings.server
    operations, models = Operations(service, ask_key=True), Models(service)
    alone = server.admin is None
    routes = [
        Route("/v1/models", answers.guarded(service, models.all), methods=["GET"]),
        Route("/v1/models/{name:path}", answers.guarded(service, models.one), methods=["GET"]),
        Route(RELAYED + "{path:path}", answers.guarded(service, _relayed), methods=["POST"]),
        *operations.routes(private=alone, reload=alone and is_loopback(server.listen)),
    ]
    application = Public(routes=routes, exception_handlers=_refusals(service), lifespan=lifespan)
    application.add_middleware(Origins, service)
    application.relayed = Completions(service).answer
    return _exact(application)


def admin(service: Service) -> Starlette:
    """What listens on `server.admin`."""
    routes = Operations(service, ask_key=False).routes(private=True, reload=True)
    return _exact(Starlette(routes=routes, exception_handlers=_refusals(service)))


def _refusals(service: Service) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    return {404: partial(_unknown_path, service), 405: partial(_wrong_method, service)}


def _exact(application: _Some) -> _Some:
    # A redirect of a POST loses its body, and its address would come from the client's Host header.
    application.router.redirect_slashes = False
    return application


async def _relayed(_: Request) -> Response:
    raise InternalError("Requests are relayed by the connections of this proxy's own server alone.")


async def _unknown_path(service: Service, request: Request, _: Exception) -> Response:
    async def answer(_: Request) -> Response:
        raise RouteNotFound("There is nothing at this path.")

    return await answers.guarded(service, answer)(request)


async def _wrong_method(service: Service, request: Request, error: Exception) -> Response:
    allow = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""

    async def answer(_: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": allow})
        return answers.refusal(MethodNotAllowed(f"This path takes {allow}."), {"allow": allow})

    return await answers.guarded(service, answer)(request)
