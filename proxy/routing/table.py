"""Model name → route → targets with their upstream models. Pure: no clock, no randomness, no I/O."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.settings.model import Route, Target
from proxy.settings.patterns import is_pattern, literal_length, matched, overlap

Allowed = tuple[str, ...] | None
"""A client's model names and patterns; None: every model."""

TargetKey = tuple[str, str]
"""Provider's name and the model as configured: what health is kept for, and what metrics are labelled with."""

MAX_CLOSE_NAMES = 5


@dataclass(frozen=True, slots=True)
class Match:
    """The route that serves a model."""

    route: Route
    model: str
    """What the client asked for."""
    wildcard: str
    """What the route's first `*` stands for; "" for a route without one."""


@dataclass(frozen=True, slots=True)
class ResolvedTarget:
    """A target of a route, and the model it is asked for."""

    target: Target
    model: str
    """The upstream's model name, with `{model}` and `{*}` filled in."""

    @property
    def key(self) -> TargetKey:
        return self.target.provider.name, self.target.model


class Table:
    """All routes. A name beats a pattern, then the pattern with most literal characters wins, then the first in the file."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._names: dict[str, Route] = {}
        for route in self._routes:
            if not is_pattern(route.model):
                self._names.setdefault(route.model, route)
        patterns = [route for route in self._routes if is_pattern(route.model)]
        self._patterns = sorted(patterns, key=lambda route: -literal_length(route.model))

    def match(self, model: str, allowed: Allowed = None) -> Match | None:
        """The route for `model`; None where there is none, or none for this caller."""
        if not permits(allowed, model):
            return None
        named = self._names.get(model)
        if named is not None:
            return Match(named, model, "")
        for route in self._patterns:
            wildcard = matched(route.model, model)
            if wildcard is not None:
                return Match(route, model, wildcard)
        return None

    def visible(self, allowed: Allowed = None) -> tuple[Route, ...]:
        """The routes that this caller may use at least in part, in the order of the file."""
        if allowed is None:
            return self._routes
        return tuple(r for r in self._routes if any(overlap(pattern, r.model) for pattern in allowed))

    def close_names(self, model: str, allowed: Allowed = None) -> tuple[str, ...]:
        """Up to five names or patterns of this caller's routes that may have been meant, the closest first."""
        folded = {route.model.casefold(): route.model for route in reversed(self.visible(allowed))}
        # The length is the client's choice, and the comparison is quadratic in it.
        asked = model[:100].casefold()
        close = difflib.get_close_matches(asked, folded, n=MAX_CLOSE_NAMES, cutoff=0.5)
        part = [name for name in folded if asked and (asked in name or name.strip("*") in asked) and name.strip("*")]
        return tuple(folded[name] for name in dict.fromkeys([*close, *part]))[:MAX_CLOSE_NAMES]


def permits(allowed: Allowed, model: str) -> bool:
    """Whether a client with these patterns may ask for `model`."""
    return allowed is None or any(matched(pattern, model) is not None for pattern in allowed)


def targets(match: Match) -> list[ResolvedTarget]:
    """The route's targets in the order of the file, with their upstream models."""
    return [ResolvedTarget(target, _filled(target.model, match)) for target in match.route.targets]


def _filled(template: str, match: Match) -> str:
    """One pass over the template: what is filled in comes from a client and is not looked at again."""
    filled, rest = "", template
    while "{" in rest:
        head, _, tail = rest.partition("{")
        filled += head
        if tail.startswith("model}"):
            filled, rest = filled + match.model, tail.removeprefix("model}")
        elif tail.startswith("*}"):
            filled, rest = filled + match.wildcard, tail.removeprefix("*}")
        else:
            filled, rest = filled + "{", tail
    return filled + rest
