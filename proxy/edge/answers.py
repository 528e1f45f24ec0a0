"""Short JSON answers of the endpoints that are not relayed."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from proxy.core.codec import dumps
from proxy.core.errors import InternalError, ProxyError
from proxy.edge import heads
from proxy.edge.service import Service

Answer = Callable[[Request], Awaitable[Response]]


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(dumps(value), status, headers, "application/json")


def refusal(error: ProxyError, headers: dict[str, str] | None = None) -> Response:
    """An error in the shape that all errors have."""
    return json(error.body(), error.status, {**error.headers(), **(headers or {})})


def guarded(service: Service, answer: Answer) -> Answer:
    """The same endpoint with a request id on its answer, and errors of ours turned into answers."""

    async def guard(request: Request) -> Response:
        request_id = heads.request_id_of(heads.headers_of(request.scope))
        try:
            response = await answer(request)
        except ProxyError as error:
            response = refusal(error)
        except Exception as error:  # noqa: BLE001 - the catch-all of the endpoints that are no relay
            service.log.event("error", "bug", request_id=request_id, exception=type(error).__name__)
            response = refusal(InternalError(f"The proxy failed. Report this with the request id {request_id}."))
        response.headers["x-request-id"] = request_id
        return response

    return guard
