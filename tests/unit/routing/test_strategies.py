"""The order in which targets are tried."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routing import Health, ResolvedTarget, ordered
from proxy.settings import Provider, Target


def resolved(**weights: int) -> list[ResolvedTarget]:
    return [ResolvedTarget(Target(Provider(name, "http://h/v1"), "m", weight), "m") for name, weight in weights.items()]


def names(targets: list[ResolvedTarget]) -> str:
    return "".join(t.target.provider.name for t in targets)


def test_failover_keeps_the_order_of_the_file() -> None:
    assert names(ordered(resolved(b=1, a=5, c=0), "failover", draw=0.9)) == "bac"


def test_weighted_gives_each_target_its_share_of_first_places() -> None:
    firsts = Counter(names(ordered(resolved(a=3, b=1), "weighted", draw=i / 1000)) for i in range(1000))
    assert firsts == {"ab": 750, "ba": 250}


def test_weighted_orders_the_rest_by_their_weights_too() -> None:
    orders = Counter(names(ordered(resolved(a=1, b=1, c=2), "weighted", draw=(i + 0.5) / 1200)) for i in range(1200))
    assert orders["abc"] == pytest.approx(100, abs=2)
    assert orders["acb"] == pytest.approx(200, abs=2)
    assert orders["cab"] == pytest.approx(300, abs=2)
    assert len(orders) == 6


@given(st.floats(0, 1, exclude_max=True), st.lists(st.integers(0, 5), max_size=5))
def test_weighted_tries_every_target_once(draw: float, weights: list[int]) -> None:
    targets = resolved(**{chr(97 + i): weight for i, weight in enumerate(weights)})
    order = ordered(targets, "weighted", draw=draw)
    assert sorted(names(order)) == sorted(names(targets))
    positive = [t.target.weight > 0 for t in order]
    assert positive == sorted(positive, reverse=True)


def test_least_busy_counts_open_requests_per_weight() -> None:
    health = {("a", "m"): Health(in_flight=4), ("b", "m"): Health(in_flight=6), ("c", "m"): Health(in_flight=3)}
    assert names(ordered(resolved(a=1, b=3, c=1), "least_busy", health=health)) == "bca"
    assert names(ordered(resolved(a=1, b=3, c=1), "least_busy")) == "abc"
    assert names(ordered(resolved(a=0, b=0, c=1), "least_busy", health=health)) == "cab"


def test_fastest_measures_what_it_does_not_know_yet() -> None:
    health = {("a", "m"): Health(latency_s=2.0), ("b", "m"): Health(latency_s=0.5)}
    assert names(ordered(resolved(a=1, b=1, c=1), "fastest", health=health)) == "cba"
    assert names(ordered(resolved(a=1, b=0, c=1), "fastest", health=health)) == "cab"
