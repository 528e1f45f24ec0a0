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
    limiter.enter(one, exchange())
    limiter.enter(one, exchange())
    with pytest.raises(RateLimited) as caught:
        limiter.enter(one, refused := exchange())
    assert caught.value.retry_after_s == pytest.approx(30)
    assert refused.limited is Limit.REQUESTS_PER_MINUTE
    clock.now += 30
    limiter.enter(one, exchange())
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange())


def test_idle_client_saves_up_no_more_than_a_minute() -> None:
    clock = Clock()
    limiter, one = Limiter(clock), client(requests_per_minute=2)
    limiter.enter(one, exchange())
    clock.now += 3600
    for _ in range(2):
        limiter.enter(one, exchange())
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange())


def test_streams_are_counted_until_they_end_and_whole_requests_are_not() -> None:
    limiter, one = Limiter(Clock()), client(concurrent_streams=1)
    leave = limiter.enter(one, exchange(stream=True))
    limiter.enter(one, exchange())
    with pytest.raises(RateLimited):
        limiter.enter(one, exchange(stream=True))
    leave()
    limiter.enter(one, exchange(stream=True))


def test_clients_do_not_share_and_nobody_has_no_limit() -> None:
    limiter = Limiter(Clock())
    limiter.enter(client("a", requests_per_minute=1), exchange())
    limiter.enter(client("b", requests_per_minute=1), exchange())
    for _ in range(100):
        limiter.enter(None, exchange(stream=True))()
