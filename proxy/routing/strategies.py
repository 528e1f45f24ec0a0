"""The order in which a route's targets are tried. Pure: chance, time and health are arguments."""

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from proxy.routing.circuit import Standing
from proxy.routing.table import ResolvedTarget
from proxy.settings.model import Strategy

MEASURE_AGAIN_S = 300.0
"""A time to the first content that is older says nothing any more: `fastest` then measures the target again."""


class Health(Protocol):
    """What is known of one target."""

    in_flight: int
    """Requests open now."""
    latency_s: float | None
    """Average seconds to the first generated content of a stream; None: not measured yet."""
    measured_at: float
    """When that was measured last, in monotonic seconds."""

    def standing(self, model: str, now: float) -> Standing:
        """Whether it may be asked for this model now."""


def ordered(
    targets: Sequence[ResolvedTarget],
    strategy: Strategy,
    *,
    health: Callable[[ResolvedTarget], Health],
    now: float,
    draw: float = 0.0,
) -> list[ResolvedTarget]:
    """`targets` in the order to try. `draw` is a random number in [0, 1), used by `weighted`; `now` monotonic seconds.

    `failover`: as in the file. `weighted`: by chance, in proportion to the weights. `least_busy`: fewest open requests
    for its weight first. `fastest`: shortest time to the first content first; a target that has not been measured, or
    not for five minutes, before all others, one request at a time. Ties keep the order of the file; a target of weight 0
    comes after all that have a weight, except under `failover`. Targets that rest come after those, then shut ones.
    """
    if len(targets) < 2:  # noqa: PLR2004 - nothing to order
        return list(targets)
    found = [(target, health(target)) for target in targets]
    if strategy == "weighted":
        order = _drawn([t for t in targets if t.target.weight > 0], draw)
        found = [(target, health(target)) for target in order] + [f for f in found if f[0].target.weight <= 0]
    elif strategy == "least_busy":
        found.sort(key=lambda one: (one[0].target.weight <= 0, one[1].in_flight / max(1, one[0].target.weight)))
    elif strategy == "fastest":
        found.sort(key=lambda one: (one[0].target.weight <= 0, _expected_s(one[1], now)))
    found.sort(key=lambda one: one[1].standing(one[0].model, now))
    return [target for target, _ in found]


def _expected_s(health: Health, now: float) -> float:
    known = health.latency_s
    fresh = known is not None and now - health.measured_at < MEASURE_AGAIN_S
    if not fresh and not health.in_flight:
        return 0.0
    return math.inf if known is None else known


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
