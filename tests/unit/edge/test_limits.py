"""Limits of client keys, with a clock of our own."""

import pytest

from proxy.core.errors import RateLimited
from proxy.core.timeline import Timeline
from proxy.edge.limits import Limiter
from proxy.settings.model import Client, Limits
from proxy.telemetry.exchange import Exchange, Limit
from proxy.telemetry.metrics import Metrics


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def exchange(*, stream: bool = False) -> Exchange:
    return Exchange("id", 0.0, Metrics("1").unmatched(), Timeline(0.0), stream=stream)


def client(name: str = "a", **limits: int) -> Client:
    return Client(name, b"", limits=Limits(**limits))


def test_bucket_fills_again_with_time() -> None:
    clock = Clock()
    limiter, one = Limiter(clock), client(requests_per_minute=2)
    limiter.enter(one, exchange(), Limits())
    limiter.enter(one, exchange(), Limits())
    with pytest.raises(RateLimited) as caught:
        limiter.enter(one, refused := exchange(), Limits())
    assert caught.value.retry_after_s == pytest.approx(30)
    assert refused.limited is Limit.REQUESTS_PER_MINUTE
    clock.now += 30
    limiter.enter(one, exchange(), Limits())
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange(), Limits())


def test_idle_client_saves_up_no_more_than_a_minute() -> None:
    clock = Clock()
    limiter, one = Limiter(clock), client(requests_per_minute=2)
    limiter.enter(one, exchange(), Limits())
    clock.now += 3600
    for _ in range(2):
        limiter.enter(one, exchange(), Limits())
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange(), Limits())


def test_streams_are_counted_until_they_end_and_whole_requests_are_not() -> None:
    limiter, one = Limiter(Clock()), client(concurrent_streams=1)
    leave = limiter.enter(one, exchange(stream=True), Limits())
    limiter.enter(one, exchange(), Limits())
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange(stream=True), Limits())
    leave()
    limiter.enter(one, exchange(stream=True), Limits())


def test_clients_do_not_share_and_nobody_has_no_limit() -> None:
    limiter = Limiter(Clock())
    limiter.enter(client("a", requests_per_minute=1), exchange(), Limits())
    limiter.enter(client("b", requests_per_minute=1), exchange(), Limits())
    for _ in range(100):
        limiter.enter(None, exchange(stream=True), Limits())()


def test_limits_in_all_count_every_client_and_those_without_a_key() -> None:
    clock = Clock()
    limiter, in_all = Limiter(clock), Limits(requests_per_minute=2)
    limiter.enter(client("a"), exchange(), in_all)
    limiter.enter(None, exchange(), in_all)
    with pytest.raises(RateLimited) as caught:
        limiter.enter(client("b"), refused := exchange(), in_all)
    assert caught.value.retry_after_s == pytest.approx(30)
    assert refused.limited is Limit.ALL_REQUESTS_PER_MINUTE


def test_streams_in_all_are_counted_until_they_end() -> None:
    limiter, in_all = Limiter(Clock()), Limits(concurrent_streams=2)
    leave = limiter.enter(client("a"), exchange(stream=True), in_all)
    limiter.enter(client("b"), exchange(stream=True), in_all)
    with pytest.raises(RateLimited):
        limiter.enter(None, refused := exchange(stream=True), in_all)
    assert refused.limited is Limit.ALL_CONCURRENT_STREAMS
    leave()
    limiter.enter(None, exchange(stream=True), in_all)


def test_request_that_one_limit_refuses_is_not_counted_by_the_other() -> None:
    limiter, in_all, one = Limiter(Clock()), Limits(requests_per_minute=1), client(requests_per_minute=2)
    limiter.enter(one, exchange(), in_all)
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange(), in_all)
    limiter.enter(one, exchange(), Limits())
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange(), Limits())


def test_limit_that_a_reload_brings_or_takes_holds_at_once() -> None:
    limiter, strict = Limiter(Clock()), Limits(concurrent_streams=1)
    leave = limiter.enter(None, exchange(stream=True), strict)
    limiter.enter(None, exchange(stream=True), Limits())
    with pytest.raises(RateLimited):
        limiter.enter(None, exchange(stream=True), strict)
    leave()
    limiter.enter(None, exchange(stream=True), strict)
