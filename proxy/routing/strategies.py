"""The order in which a route's targets are tried. Pure: chance and health are arguments."""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.routing.table import ResolvedTarget, TargetKey
from proxy.settings.model import Strategy


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one target."""

    in_flight: int = 0
    """Requests open now."""
    latency_s: float | None = None
    """Average seconds to the first token; None: not measured yet."""


_UNKNOWN = Health()


def ordered(
    targets: Sequence[ResolvedTarget],
    strategy: Strategy,
    *,
    draw: float = 0.0,
    health: Mapping[TargetKey, Health] | None = None,
) -> list[ResolvedTarget]:
    """`targets` in the order to try. `draw` is a random number in [0, 1), used by `weighted`.

    `failover`: as in the file. `weighted`: by chance, in proportion to the weights. `least_busy`: fewest open requests
    for its weight first. `fastest`: lowest latency first, a target that was not measured yet before all others.
    Ties keep the order of the file; a target of weight 0 comes after all that have a weight, except under `failover`.
    """
    known = health or {}
    if strategy == "failover":
        return list(targets)
    weighted = [t for t in targets if t.target.weight > 0]
    spare = [t for t in targets if t.target.weight <= 0]
    if strategy == "weighted":
        return _drawn(weighted, draw) + spare
    if strategy == "least_busy":
        return sorted(weighted, key=lambda t: known.get(t.key, _UNKNOWN).in_flight / t.target.weight) + sorted(
            spare, key=lambda t: known.get(t.key, _UNKNOWN).in_flight
        )
    return sorted(weighted, key=lambda t: known.get(t.key, _UNKNOWN).latency_s or 0.0) + spare


def _drawn(targets: list[ResolvedTarget], draw: float) -> list[ResolvedTarget]:
    """A weighted order without replacement; what is left of `draw` after each pick is again uniform in [0, 1)."""
    left, order = list(targets), []
    while left:
        ends = list(itertools.accumulate(t.target.weight for t in left))
        point = draw * ends[-1]
        # Rounding may put the point on the very end of the last share.
        index = min(bisect.bisect_right(ends, point), len(left) - 1)
        picked = left.pop(index)
        order.append(picked)
        draw = min((point - (ends[index] - picked.target.weight)) / picked.target.weight, 1.0)
    return order
