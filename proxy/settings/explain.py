"""What a requested model resolves to, and where each value came from."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from proxy.routing.table import Allowed, Match, ResolvedTarget, Table, targets
from proxy.settings.layers import Explained, as_json, explain_object
from proxy.settings.manners import MannerLayers
from proxy.settings.model import Settings
from proxy.settings.providers import ProviderLayers
from proxy.settings.shapes import BLOCKS_OBJECT


@dataclass(frozen=True, slots=True)
class TargetExplanation:
    """One target: who is called, and how it speaks, value by value."""

    provider: str
    model: str
    """The upstream's model name."""
    weight: int
    connection: tuple[Explained, ...]
    """`base_url`, `api_key` (its reference), `timeouts.idle` and so on."""
    manner: tuple[Explained, ...]
    """The three blocks: `response.tags.pairs`, `request.default_effort` and so on."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One requested model: its route and that route's targets in order."""

    model: str
    """What a client would ask for."""
    route: str
    """The route's model or pattern."""
    origin: str
    """`FILE:LINE` of the route."""
    wildcard: str
    """What the route's first `*` stands for."""
    strategy: str
    retry: dict[str, Any]
    render: dict[str, Any] | None
    """The route's rendering; None: the client's, or the default."""
    targets: tuple[TargetExplanation, ...]

    def as_dict(self) -> dict[str, Any]:
        """The whole as JSON data."""
        return dataclasses.asdict(self)


def explain(settings: Settings, model: str, allowed: Allowed = None) -> Explanation | None:
    """The explanation of `model` for a client that may use `allowed`; None where no route serves it."""
    match = Table(settings.routes).match(model, allowed)
    if match is None:
        return None
    route = match.route
    return Explanation(
        model=model,
        route=route.model,
        origin=route.origin,
        wildcard=match.wildcard,
        strategy=route.strategy,
        retry=as_json(route.retry),
        render=as_json(route.render) if route.render else None,
        targets=_targets(match),
    )


def _targets(match: Match) -> tuple[TargetExplanation, ...]:
    return tuple(_target(resolved) for resolved in targets(match))


def _target(resolved: ResolvedTarget) -> TargetExplanation:
    manner_of = resolved.target.manner_of
    if isinstance(manner_of, MannerLayers):
        manner = manner_of.explain(resolved.model)
    else:
        manner = list(explain_object(BLOCKS_OBJECT, manner_of(resolved.model), "made in code"))
    return TargetExplanation(
        provider=resolved.target.provider.name,
        model=resolved.model,
        weight=resolved.target.weight,
        connection=tuple(manner_of.explain_connection()) if isinstance(manner_of, ProviderLayers) else (),
        manner=tuple(manner),
    )
