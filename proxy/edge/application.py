"""All paths together, as two Starlette applications: the public one, and the operator's on its own address."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from proxy.core.errors import MethodNotAllowed, RouteNotFound
from proxy.edge import answers
from proxy.edge.completions import Completions
from proxy.edge.models import Models
from proxy.edge.operations import Operations
from proxy.edge.origins import Origins
from proxy.edge.service import Service
from proxy.settings.formats import is_loopback

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def public(service: Service, lifespan: Lifespan) -> Starlette:
    """What listens on `server.listen`."""
    server = service.state.settings.server
    operations, models = Operations(service, ask_key=True), Models(service)
    alone = server.admin is None
    routes = [
        Route("/v1/models", answers.guarded(service, models.all), methods=["GET"]),
        Route("/v1/models/{name:path}", answers.guarded(service, models.one), methods=["GET"]),
        Route("/v1/{path:path}", Completions(service), methods=["POST"]),
        *operations.routes(private=alone, reload=alone and is_loopback(server.listen)),
    ]
    application = _application(service, routes, lifespan)
    application.add_middleware(Origins, service)
    return application


def admin(service: Service) -> Starlette:
    """What listens on `server.admin`."""
    return _application(service, Operations(service, ask_key=False).routes(private=True, reload=True), None)


def _application(service: Service, routes: Sequence[BaseRoute], lifespan: Lifespan | None) -> Starlette:
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        404: partial(_unknown_path, service),
        405: partial(_wrong_method, service),
    }
    application = Starlette(routes=list(routes), exception_handlers=handlers, lifespan=lifespan)
    # A redirect of a POST loses its body, and its address would come from the client's Host header.
    application.router.redirect_slashes = False
    return application


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
