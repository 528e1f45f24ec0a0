"""The time limits of a target where no stream is asked for, and the one on connecting."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.support.proxied import (
    GOOD,
    MESSAGES,
    ask,
    events,
    failing_over,
    falls_silent,
    good,
    never_generates,
    proxied,
    refused,
    says_nothing,
    table,
)
from tests.support.scripted import Asked, Script, Wire, answer
from tests.support.server import running, settings_of

ONCE = "retry: {attempts: 1}"


@contextmanager
def deaf() -> Iterator[str]:
    """The URL of a host whose connections are never made: its queue is full, and nobody takes them out of it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{address[1]}/v1"
        finally:
            for one in waiting:
                one.close()


@pytest.mark.parametrize("stream", [True, False])
def test_connection_that_is_not_made_in_time_says_so(*, stream: bool) -> None:
    with (
        deaf() as url,
        running(settings_of(table(url, provider="timeouts: {connect: 300ms}", route=ONCE))) as proxy,
        httpx2.Client(base_url=proxy.url, timeout=20, verify=False) as client,
    ):
        began = time.monotonic()
        response = ask(client, stream=stream)
        took = time.monotonic() - began
        proxy.requests(1)
        metrics = client.get("/metrics").text
    assert refused(response) == (504, "upstream_timeout")
    assert "0.3 s (timeouts.connect)" in response.json()["error"]["message"]
    assert 0.25 < took < 2
    assert 'attempts_total{model="big",outcome="connect_timeout",provider="p0"} 1.0' in metrics


async def begins_a_body(_: Asked, wire: Wire) -> None:
    await wire.head(content_type="application/json")
    await wire.chunk(b'{"id": ')
    await wire.gone()


async def drips(_: Asked, wire: Wire) -> None:
    await wire.head(content_type="application/json")
    while not await wire.gone(0.05):
        await wire.chunk(b" ")


@pytest.mark.parametrize(
    ("script", "limit"),
    [
        (says_nothing, "first_byte"),
        (begins_a_body, "idle"),
        (drips, "total"),
        (says_nothing, "total"),
    ],
)
def test_whole_answer_has_its_limits_too(script: Script, limit: str) -> None:
    with proxied(script, provider=f"timeouts: {{{limit}: 300ms}}", route=ONCE) as (proxy, _, client):
        began = time.monotonic()
        response = ask(client, stream=False)
        took = time.monotonic() - began
        line = proxy.requests(1)[0]
        metrics = client.get("/metrics").text
    assert refused(response) == (504, "upstream_timeout")
    assert f"0.3 s (timeouts.{limit})" in response.json()["error"]["message"]
    assert 0.25 < took < 2
    assert line["outcome"] == "timeout"
    assert f'attempts_total{{model="big",outcome="{limit}_timeout",provider="p0"}} 1.0' in metrics


@pytest.mark.parametrize(("script", "limit"), [(says_nothing, "first_byte"), (falls_silent, "idle")])
def test_relayed_answer_has_its_limits_too(script: Script, limit: str) -> None:
    with proxied(script, provider=f"timeouts: {{{limit}: 300ms}}", route=ONCE) as (proxy, _, client):
        response = client.post("/v1/responses", json={"model": "m", "stream": True, "input": MESSAGES})
        line = proxy.requests(1)[0]
        metrics = client.get("/metrics").text
    error = response.json()["error"] if limit == "first_byte" else events(response.text)[-1]["error"]
    assert error["code"] == "upstream_timeout"
    assert line["outcome"] == "timeout"
    assert f'outcome="{limit}_timeout",provider="p0"}} 1.0' in metrics


@pytest.mark.parametrize("script", [says_nothing, never_generates])
def test_next_target_answers_where_the_first_is_too_slow(script: Script) -> None:
    with failing_over(script, good, provider="timeouts: {first_byte: 300ms, first_token: 300ms}") as (_, client):
        response = ask(client)
    assert response.headers["x-reasoning-proxy-target"] == "p1/big"
    assert "Hi" in response.text


def test_reasoning_counts_as_a_first_token_and_as_no_answer() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(GOOD[1])
        await wire.gone(0.6)
        for event in (*GOOD[2:], b"[DONE]"):
            await wire.event(event)
        await wire.end()

    with proxied(script, provider="timeouts: {first_token: 300ms, first_answer: 5s}") as (_, __, client):
        assert "Hi" in ask(client).text
    with proxied(script, provider="timeouts: {first_answer: 300ms}") as (_, __, client):
        assert "timeouts.first_answer" in ask(client).text


def test_no_limit_is_no_limit() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.gone(0.4)
        await wire.whole(answer())

    none = "timeouts: {connect: 0s, first_byte: 0s, first_token: 0s, first_answer: 0s, idle: 0s, total: 0s}"
    with proxied(script, provider=none) as (_, __, client):
        assert ask(client, stream=False).status_code == 200
