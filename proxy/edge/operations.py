"""Health, metrics, reload, and what was learnt."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.core.errors import ModelNotFound, NoTarget, RequestInvalid, ShuttingDown
from proxy.edge import answers, heads, keys
from proxy.edge.service import Service
from proxy.routing import ResolvedTarget, targets


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
            return answers.refusal(NoTarget("No route has a target that can be asked."))
        return answers.json({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """The exposition; made in a thread, so that the streams go on."""
        if self._ask_key:
            keys.identify(heads.headers_of(request.scope), self._service.state.settings.clients)
        self._service.health.review(self._service.clock())
        accept = request.headers.get("accept", "")
        text, content_type = await asyncio.to_thread(self._service.metrics.exposition, accept)
        return Response(text, headers={"content-type": content_type})

    async def reload(self, request: Request) -> Response:
        """Reads the configuration again."""
        del request
        mistakes = await self._service.reload()
        if mistakes:
            raise RequestInvalid("The configuration was refused and the old one stays: " + "; ".join(mistakes))
        if self._service.spread is not None:
            self._service.spread()
        return answers.json({"status": "reloaded"})

    async def explain(self, request: Request) -> Response:
        """What this process has learnt of the targets of a model since it started."""
        service, model = self._service, request.path_params["model"]
        match = service.state.table.match(model)
        if match is None:
            near = ", ".join(service.state.table.close_names(model))
            raise ModelNotFound(f"No route serves {model[:200]!r}." + (f" Close names: {near}." if near else ""))
        return answers.json(
            {
                "model": model,
                "route": match.route.model,
                "targets": [learnt(service, resolved) for resolved in targets(match)],
            }
        )

    def routes(self, *, private: bool, reload: bool) -> list[Route]:
        """Health always; `private`: readiness and metrics too; `reload`: the reload and what was learnt too."""
        paths = [("/livez", self.alive), ("/health", self.alive)]
        if private:
            paths += [("/readyz", self.ready), ("/metrics", self.metrics)]
        found = [Route(path, answers.guarded(self._service, answer), methods=["GET"]) for path, answer in paths]
        if reload:
            found.append(Route("/-/reload", answers.guarded(self._service, self.reload), methods=["POST"]))
            found.append(
                Route("/-/explain/{model:path}", answers.guarded(self._service, self.explain), methods=["GET"])
            )
        return found


def learnt(service: Service, resolved: ResolvedTarget) -> dict[str, Any]:
    """What was learnt of one target: where it sends reasoning (None: not seen yet), and the remedies of its refusals."""
    target = (resolved.target.provider.name, resolved.model)
    remedies = service.healings.remedies(*target)
    return {
        "provider": target[0],
        "model": target[1],
        "reasoning_seen_in": service.seen.source(*target),
        "self_heal": resolved.target.manner_of(resolved.model).history.self_heal,
        "remedies": [{"action": r.action, "field": r.field, "place": r.place} for r in remedies],
    }
