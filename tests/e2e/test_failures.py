"""Upstreams that fail, against real sockets: what the client is told, and who is tried next."""

import json
import time
from dataclasses import replace

import httpx2
import pytest

from proxy.core.dialect import Manner
from tests.support.proxied import (
    DONE,
    GOOD,
    ROLE,
    ask,
    events,
    failing_over,
    falls_silent,
    good,
    never_answers,
    never_generates,
    proxied,
    refused,
    says_nothing,
    table,
    unavailable,
)
from tests.support.scripted import Asked, Script, Wire, answer, delta, scripted
from tests.support.server import running, settings_of


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, (400, "their_code")),
        (404, (404, "their_code")),
        (422, (422, "their_code")),
        (401, (502, "upstream_auth")),
        (403, (502, "upstream_auth")),
        (429, (429, "upstream_rate_limit")),
        (500, (502, "upstream_unavailable")),
        (503, (502, "upstream_unavailable")),
        (302, (502, "upstream_protocol")),
    ],
)
def test_upstream_status_becomes_the_contracts(status: int, expected: tuple[int, str], *, stream: bool) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        error = {"message": "their words", "type": "their_type", "code": "their_code"}
        await wire.whole({"error": error}, status, location="http://127.0.0.1:9/")

    with proxied(script, route="retry: {attempts: 1}") as (_, upstream, client):
        response = ask(client, stream=stream)
    assert refused(response) == expected
    assert len(upstream.asked) == 1
    assert response.headers["content-type"] == "application/json"
    if status != 302:
        assert "their words" in response.json()["error"]["message"]


def test_throttling_keeps_its_retry_after() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "slow down"}}, 429, retry_after="17")

    with proxied(script) as (_, upstream, client):
        response = ask(client)
    assert response.headers["retry-after"] == "17"
    assert len(upstream.asked) == 1, "a second try within the wait would only be refused again"


@pytest.mark.parametrize("stream", [True, False])
def test_error_inside_a_200_is_a_real_status(*, stream: bool) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "no such thing", "code": 404}})

    with proxied(script) as (_, __, client):
        assert ask(client, stream=stream).status_code == 404


def test_error_as_first_event_after_a_role_is_a_real_status() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(ROLE)
        await wire.event({"error": {"message": "overloaded", "code": 503}})
        await wire.end()

    with proxied(script, route="retry: {attempts: 1}") as (_, __, client):
        assert refused(ask(client)) == (502, "upstream_unavailable")


def test_second_try_of_the_same_target_succeeds() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        await (unavailable if len(upstream.asked) == 1 else good)(asked, wire)

    with proxied(script) as (_, upstream, client):
        response = ask(client)
    assert response.status_code == 200
    assert response.headers["x-reasoning-proxy-attempts"] == "2"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_next_target_answers_where_the_first_fails(status: int) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "no"}}, status, retry_after="30")

    with failing_over(script, good) as (proxy, client):
        response = ask(client)
        line = proxy.requests(1)[0]
    assert response.status_code == 200
    assert response.headers["x-reasoning-proxy-target"] == "p1/big"
    assert response.headers["x-reasoning-proxy-attempts"] == "2"
    assert (line["attempts"], line["fallback"], line["provider"]) == (2, True, "p1")


@pytest.mark.parametrize("stream", [True, False])
def test_next_target_answers_where_the_first_breaks_off_before_content(*, stream: bool) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(delta({"role": "assistant"}, id="first"))
        wire.close()

    async def second(asked: Asked, wire: Wire) -> None:
        await (wire.events(*GOOD) if asked.json["stream"] else wire.whole(answer()))

    with failing_over(script, second) as (_, client):
        response = ask(client, stream=stream)
    assert response.status_code == 200
    assert "first" not in response.text
    assert "Hi" in response.text


def test_refused_request_is_not_tried_elsewhere() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "bad", "code": "bad"}}, 400)

    with failing_over(script, good) as (_, client):
        assert refused(ask(client)) == (400, "bad")


def test_last_error_decides() -> None:
    async def slow(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "slow down"}}, 429)

    with failing_over(unavailable, slow) as (_, client):
        assert refused(ask(client)) == (429, "upstream_rate_limit")


def test_unreachable_host_is_named_without_its_address_line() -> None:
    with (
        running(settings_of(table("http://127.0.0.1:9/v1"))) as proxy,
        httpx2.Client(base_url=proxy.url, verify=False) as client,
    ):
        response = ask(client)
    assert refused(response) == (502, "upstream_unavailable")
    assert "connection refused" in response.json()["error"]["message"]


def test_break_in_mid_answer_is_an_error_event_and_done() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(GOOD[1])
        await wire.gone(0.1)
        wire.close()

    with proxied(script) as (proxy, upstream, client):
        response = ask(client)
        line = proxy.requests(1)[0]
    assert response.status_code == 200
    assert len(upstream.asked) == 1, "never again after the first content"
    assert "error" in events(response.text)[-1]
    assert 'finish_reason":"' not in response.text
    assert response.text.endswith(DONE.decode())
    assert line["outcome"] == "upstream_error"


@pytest.mark.parametrize(
    ("script", "limit", "begun"),
    [
        (says_nothing, "first_byte", False),
        (never_generates, "first_token", False),
        (never_answers, "first_answer", True),
        (falls_silent, "idle", True),
        (never_answers, "total", True),
        (says_nothing, "total", False),
    ],
)
def test_each_time_limit_names_itself(script: Script, limit: str, *, begun: bool) -> None:
    options = {"provider": f"timeouts: {{{limit}: 300ms}}", "route": "retry: {attempts: 1}"}
    with proxied(script, **options) as (proxy, _, client):
        began = time.monotonic()
        response = ask(client)
        took = time.monotonic() - began
        metrics = client.get("/metrics").text
        line = proxy.requests(1)[0]
    error = events(response.text)[-1]["error"] if begun else response.json()["error"]
    assert response.status_code == (200 if begun else 504)
    assert error["code"] == "upstream_timeout"
    assert f"0.3 s (timeouts.{limit})" in error["message"]
    assert 0.25 < took < 2
    assert line["outcome"] == "timeout"
    assert f'attempts_total{{model="big",outcome="{limit}_timeout",provider="p0"}} 1.0' in metrics


def test_unseen_thinking_is_not_silence() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(ROLE)
        await wire.gone(0.5)
        for event in (*GOOD[1:], b"[DONE]"):
            await wire.event(event)
        await wire.end()

    with proxied(script, provider="timeouts: {idle: 200ms}") as (_, __, client):
        assert "Hi" in ask(client).text


def test_stale_connection_costs_one_silent_new_try() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        if asked.on_connection:
            wire.close()
        else:
            await wire.whole(answer())

    with proxied(script, route="retry: {attempts: 1}") as (_, upstream, client):
        answers = [ask(client, stream=False) for _ in range(4)]
    assert [response.status_code for response in answers] == [200] * 4
    assert {response.headers["x-reasoning-proxy-attempts"] for response in answers} == {"1"}
    assert any(asked.on_connection for asked in upstream.asked), "a kept connection was really tried"


def test_fresh_connection_that_closes_is_not_tried_silently() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        wire.close()

    with proxied(script, route="retry: {attempts: 1}") as (_, upstream, client):
        assert refused(ask(client)) == (502, "upstream_unavailable")
    assert len(upstream.asked) == 1


def test_key_echoed_by_the_upstream_is_cut_out() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        leak = {
            "error": {"message": f"bad key {asked.headers['authorization']}", "code": asked.headers["authorization"]}
        }
        if asked.json["stream"]:
            await wire.head()
            await wire.event(GOOD[1])
            await wire.event(leak)
            await wire.end()
        else:
            await wire.whole(leak, 400)

    with proxied(script, key="{env: KEY}") as (proxy, upstream, client):
        whole, stream = ask(client, stream=False), ask(client)
        proxy.requests(2)
        said = whole.text + stream.text + client.get("/metrics").text + json.dumps(proxy.lines)
    assert upstream.asked[0].headers["authorization"] == "Bearer secret-key-0123"
    assert "secret-key-0123" not in said
    assert "***" in whole.text
    assert "***" in stream.text


def test_fall_over_still_works_behind_a_heartbeat() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.gone(0.4)
        await wire.whole({"error": {"message": "busy"}}, 503)

    with failing_over(script, good, server="{heartbeat: 100ms}") as (_, client):
        response = ask(client)
    assert response.text.startswith(": keep-alive\n\n")
    assert "Hi" in response.text
    assert "error" not in response.text


def test_failure_behind_a_heartbeat_is_an_error_event() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.gone(0.4)
        await wire.whole({"error": {"message": "busy"}}, 503)

    with proxied(script, server="{heartbeat: 100ms}", route="retry: {attempts: 1}") as (proxy, __, client):
        response = ask(client)
        line = proxy.requests(1)[0]
    assert response.status_code == 200
    assert events(response.text)[0]["error"]["message"] == "busy"
    assert response.text.endswith(DONE.decode())
    assert line["outcome"] == "upstream_error"


@pytest.mark.parametrize("stream", [True, False])
def test_bug_of_ours_is_a_500_that_tells_nothing_but_its_request_id(*, stream: bool) -> None:
    def broken(_: str) -> Manner:
        raise LookupError("secret")

    with scripted(good) as upstream:
        settings = settings_of(table(upstream.url))
        route = settings.routes[0]
        wrong = replace(route, targets=(replace(route.targets[0], manner_of=broken),))
        with (
            running(replace(settings, routes=(wrong,))) as proxy,
            httpx2.Client(base_url=proxy.url, verify=False) as client,
        ):
            response = ask(client, stream=stream)
            line = proxy.requests(1)[0]
            (bug,) = [one for one in proxy.lines if one["event"] == "bug"]
            assert client.get("/livez").status_code == 200
    assert refused(response) == (500, "internal_error")
    assert line["request_id"] in response.json()["error"]["message"]
    assert (line["outcome"], line["attempts"]) == ("internal_error", 0)
    assert (bug["exception"], bug["request_id"]) == ("LookupError", line["request_id"])
    assert "secret" not in response.text + json.dumps(proxy.lines)


@pytest.mark.parametrize(
    ("given", "told"),
    [("Fri, 01 Jan 2100 00:00:00 GMT", True), ("Sat, 01 Jan 2000 00:00:00 GMT", True), ("soon", False), ("inf", False)],
)
def test_retry_after_may_be_a_date(given: str, *, told: bool) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "slow down"}}, 429, retry_after=given)

    with proxied(script, route="retry: {attempts: 1}") as (_, __, client):
        response = ask(client)
    assert ("retry-after" in response.headers) is told
    assert int(response.headers.get("retry-after", "1")) >= 1


def test_error_pages_and_broken_error_bodies_still_have_a_message() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        if asked.json["stream"]:
            await wire.whole(b"<html><body>Bad gateway</body></html>", 502)
        else:
            await wire.raw(b"HTTP/1.1 400 Said\r\ncontent-length: 500\r\n\r\nplain words")
            wire.close()

    with proxied(script, route="retry: {attempts: 1}") as (_, __, client):
        page, broken = ask(client), ask(client, stream=False)
    assert (page.status_code, page.json()["error"]["message"]) == (502, "the provider answered with status 502")
    assert (broken.status_code, broken.json()["error"]["message"]) == (400, "plain words")
