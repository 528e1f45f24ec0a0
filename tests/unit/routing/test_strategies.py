"""The order in which targets are tried."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routing import ResolvedTarget, Standing, ordered
from proxy.routing.strategies import MEASURE_AGAIN_S
from proxy.settings import Provider, Target
from proxy.settings.model import Strategy


@dataclass
class Known:
    in_flight: int = 0
    latency_s: float | None = None
    measured_at: float = 0.0
    now: Standing = Standing.READY

    def standing(self, model: str, now: float) -> Standing:
        return self.now


def resolved(**weights: int) -> list[ResolvedTarget]:
    return [ResolvedTarget(Target(Provider(name, "http://h/v1"), "m", weight), "m") for name, weight in weights.items()]


def names(targets: list[ResolvedTarget]) -> str:
    return "".join(t.target.provider.name for t in targets)


def order(
    targets: list[ResolvedTarget],
    strategy: Strategy,
    health: Mapping[str, Known] | None = None,
    *,
    draw: float = 0.0,
    now: float = 0.0,
) -> str:
    known = health or {}
    return names(
        ordered(targets, strategy, health=lambda t: known.get(t.target.provider.name, Known()), now=now, draw=draw)
    )


def test_failover_keeps_the_order_of_the_file() -> None:
    assert order(resolved(b=1, a=5, c=0), "failover", draw=0.9) == "bac"


def test_weighted_gives_each_target_its_share_of_first_places() -> None:
    firsts = Counter(order(resolved(a=3, b=1), "weighted", draw=i / 1000) for i in range(1000))
    assert firsts == {"ab": 750, "ba": 250}


def test_weighted_orders_the_rest_by_their_weights_too() -> None:
    orders = Counter(order(resolved(a=1, b=1, c=2), "weighted", draw=(i + 0.5) / 1200) for i in range(1200))
    assert orders["abc"] == pytest.approx(100, abs=2)
    assert orders["acb"] == pytest.approx(200, abs=2)
    assert orders["cab"] == pytest.approx(300, abs=2)
    assert len(orders) == 6


@given(
    st.floats(0, 1, exclude_max=True),
    st.lists(st.integers(0, 5), max_size=5),
    st.sampled_from(["failover", "weighted", "least_busy", "fastest"]),
)
def test_every_strategy_tries_every_target_once(draw: float, weights: list[int], strategy: Strategy) -> None:
    targets = resolved(**{chr(97 + i): weight for i, weight in enumerate(weights)})
    found = ordered(targets, strategy, health=lambda _: Known(), now=0.0, draw=draw)
    assert sorted(names(found)) == sorted(names(targets))
    positive = [t.target.weight > 0 for t in found]
    assert strategy == "failover" or positive == sorted(positive, reverse=True)


def test_least_busy_counts_open_requests_per_weight() -> None:
    health = {"a": Known(in_flight=4), "b": Known(in_flight=6), "c": Known(in_flight=3)}
    assert order(resolved(a=1, b=3, c=1), "least_busy", health) == "bca"
    assert order(resolved(a=1, b=3, c=1), "least_busy") == "abc"
    assert order(resolved(a=0, b=0, c=1), "least_busy", health) == "cab"


def test_fastest_measures_what_it_does_not_know_yet() -> None:
    health = {"a": Known(latency_s=2.0), "b": Known(latency_s=0.5)}
    assert order(resolved(a=1, b=1, c=1), "fastest", health) == "cba"
    assert order(resolved(a=1, b=0, c=1), "fastest", health) == "cab"


def test_fastest_sends_one_request_at_a_time_to_what_it_does_not_know_yet() -> None:
    health = {"a": Known(latency_s=2.0), "b": Known(in_flight=1)}
    assert order(resolved(b=1, a=1), "fastest", health) == "ab"


def test_fastest_measures_again_what_it_has_not_asked_for_long() -> None:
    health = {"a": Known(latency_s=0.5, measured_at=MEASURE_AGAIN_S), "b": Known(latency_s=9.0)}
    assert order(resolved(a=1, b=1), "fastest", health, now=MEASURE_AGAIN_S - 1) == "ab"
    assert order(resolved(a=1, b=1), "fastest", health, now=MEASURE_AGAIN_S) == "ba"
    health["b"].in_flight = 1
    assert order(resolved(a=1, b=1), "fastest", health, now=MEASURE_AGAIN_S) == "ab"


@pytest.mark.parametrize("strategy", ["failover", "weighted", "least_busy", "fastest"])
def test_targets_that_rest_come_after_the_others_and_shut_ones_last(strategy: Strategy) -> None:
    health = {"a": Known(now=Standing.SHUT), "b": Known(now=Standing.RESTING, in_flight=1, latency_s=1.0)}
    health["c"] = Known(in_flight=9, latency_s=9.0)
    assert order(resolved(a=1, b=1, c=1), strategy, health) == "cba"
