"""Health, metrics and reload."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.core.errors import NoTarget, RequestInvalid, ShuttingDown
from proxy.edge import answers, heads, keys
from proxy.edge.service import Service
from proxy.telemetry.metrics import CONTENT_TYPE


class Operations:
    """The endpoints of an operator. `ask_key`: whether `/metrics` asks for a client key where there are any."""

    def __init__(self, service: Service, *, ask_key: bool) -> None:
        self._service = service
        self._ask_key = ask_key

    async def alive(self, request: Request) -> Response:
        """The process answers."""
        del request
        return answers.json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """New requests may come here."""
        del request
        if self._service.drain.begun:
            return answers.refusal(ShuttingDown("The proxy is shutting down."))
        if not self._service.ready:
            return answers.refusal(NoTarget("No route has a target."))
        return answers.json({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """The exposition; made in a thread, because it takes long enough to hold up every stream."""
        if self._ask_key:
            keys.identify(heads.headers_of(request.scope), self._service.state.settings.clients)
        text = await asyncio.to_thread(self._service.metrics.render)
        return Response(text, media_type=CONTENT_TYPE)

    async def reload(self, request: Request) -> Response:
        """Reads the configuration again."""
        del request
        mistakes = await self._service.reload()
        if mistakes:
            raise RequestInvalid("The configuration was refused and the old one stays: " + "; ".join(mistakes))
        if self._service.spread is not None:
            self._service.spread()
        return answers.json({"status": "reloaded"})

    def routes(self, *, private: bool, reload: bool) -> list[Route]:
        """Health always; `private`: readiness and metrics too; `reload`: the reload too."""
        paths = [("/livez", self.alive), ("/health", self.alive)]
        if private:
            paths += [("/readyz", self.ready), ("/metrics", self.metrics)]
        found = [Route(path, answers.guarded(self._service, answer), methods=["GET"]) for path, answer in paths]
        if reload:
            found.append(Route("/-/reload", answers.guarded(self._service, self.reload), methods=["POST"]))
        return found
