"""Who may call, how much, and what crosses from one side to the other."""

import hmac
from typing import Any

import httpx2
import pytest

from tests.support.scripted import Asked, Wire, answer
from tests.support.served import AGENT, BODY, CHAT, CLIENTS, GUEST, bearer, client_of, error_of, good, proxied

PAGE = "https://chat.example"
CORS = f"cors: {{origins: ['{PAGE}', 'http://localhost:3000'], max_age: 5m}}"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}


def marks(response: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


def test_pages_of_other_origins_get_no_answer_unless_that_is_said() -> None:
    with proxied() as (_, __, client):
        asked = client.options(CHAT, headers={"origin": PAGE, **PREFLIGHT})
        answered = client.post(CHAT, json=BODY, headers={"origin": PAGE})
    assert marks(asked) == marks(answered) == {}
    assert "vary" not in answered.headers


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/audio/speech"])
def test_page_that_is_named_may_ask_without_a_key_whether_it_may_call(path: str) -> None:
    with proxied(server=CORS, clients=CLIENTS) as (_, upstream, client):
        asked = client.options(path, headers={"origin": PAGE, **PREFLIGHT})
    assert asked.status_code == 204
    assert marks(asked) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization,x-stainless-os",
        "access-control-max-age": "300",
        "access-control-expose-headers": asked.headers["access-control-expose-headers"],
    }
    assert upstream.asked == []


def test_page_that_is_named_reads_answers_errors_and_our_headers() -> None:
    with proxied(server=CORS, clients=CLIENTS) as (_, __, client):
        page = {"origin": PAGE}
        answers = [
            client.post(CHAT, json={**BODY, "stream": s}, headers={**page, **bearer(AGENT)}) for s in (True, False)
        ]
        answers += [
            client.post(CHAT, json=BODY, headers=page),
            client.get("/v1/models", headers={**page, **bearer(GUEST)}),
        ]
        answers.append(client.get("/nowhere", headers=page))
    assert [one.status_code for one in answers] == [200, 200, 401, 200, 404]
    for one in answers:
        assert one.headers["access-control-allow-origin"] == PAGE
        assert one.headers["vary"] == "origin"
        assert "x-request-id" in one.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "https://chat.example.evil", "null", "http://chat.example"])
def test_page_that_is_not_named_may_not_read(origin: str) -> None:
    with proxied(server=CORS) as (_, __, client):
        asked = client.options(CHAT, headers={"origin": origin, **PREFLIGHT})
        answered = client.post(CHAT, json=BODY, headers={"origin": origin})
    assert marks(asked) == marks(answered) == {}
    assert answered.headers["vary"] == "origin"


def test_star_is_every_page() -> None:
    with proxied(server="cors: {origins: ['*']}") as (_, __, client):
        answered = client.post(CHAT, json=BODY, headers={"origin": "https://any.example"})
    assert answered.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answered.headers


def test_limit_in_all_holds_for_every_key_and_says_when_to_come_back() -> None:
    with proxied(server="limits: {requests_per_minute: 2}", clients=CLIENTS) as (proxy, _, client):
        answers = [client.post(CHAT, json=BODY, headers=bearer(key)) for key in (AGENT, GUEST, GUEST)]
        proxy.requests(3)
        metrics = client.get("/metrics", headers=bearer(GUEST)).text
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert error_of(answers[2])["code"] == "rate_limit_exceeded"
    assert "All clients together may send 2 requests a minute" in error_of(answers[2])["message"]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    assert 'rate_limited_total{limit="all_requests_per_minute",route="m"} 1.0' in metrics


def test_streams_in_all_are_limited_and_counted_down_also_when_a_client_leaves() -> None:

    async def script(asked: Asked, wire: Wire) -> None:
        if asked.json.get("user") == "held":
            await wire.head()
            await wire.gone()
        else:
            await good(asked, wire)

    stream = {**BODY, "stream": True}
    with proxied(script, server="limits: {concurrent_streams: 1}, heartbeat: 50ms") as (proxy, _, client):
        with client_of(proxy.url) as other, other.stream("POST", CHAT, json={**stream, "user": "held"}) as held:
            pieces = held.iter_raw()
            next(pieces)
            second = client.post(CHAT, json=stream)
            whole = client.post(CHAT, json=BODY)
        proxy.requests(3)
        after = client.post(CHAT, json=stream)
    assert (second.status_code, second.headers["retry-after"]) == (429, "1")
    assert (whole.status_code, after.status_code) == (200, 200)


CROSSING = {
    "cookie": "a=b",
    "x-forwarded-for": "1.2.3.4",
    "x-forwarded-host": "evil.example",
    "x-real-ip": "1.2.3.4",
    "forwarded": "for=1.2.3.4",
    "proxy-authorization": "Basic eA==",
    "te": "trailers",
    "upgrade": "h2c",
    "connection": "keep-alive, x-hop",
    "x-hop": "y",
    "keep-alive": "timeout=5",
    "x-any": "z",
    "openai-organization": "org",
    "origin": "https://page.example",
    "referer": "https://page.example/x",
}
OURS = {
    *("access-control-allow-origin", "cache-control", "connection", "content-length", "content-type", "date"),
    *(
        "transfer-encoding",
        "x-accel-buffering",
        "x-reasoning-proxy-attempts",
        "x-reasoning-proxy-target",
        "x-request-id",
    ),
}


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
@pytest.mark.parametrize("rendering", ["reasoning_content", "passthrough"])
def test_no_header_crosses_in_either_direction(path: str, rendering: str) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole(
            answer(),
            set_cookie="a=b",
            server="host/1",
            authorization="Bearer x",
            x_forwarded_for="10.0.0.1",
            www_authenticate="Basic",
            proxy_authenticate="Basic",
            keep_alive="timeout=60",
            location="http://inner/",
            x_ratelimit_remaining="5",
            alt_svc="h3",
            access_control_allow_origin="*",
        )

    with proxied(script) as (_, upstream, client):
        headers = {**CROSSING, **bearer("callers"), "x-api-key": "callers", "x-reasoning-render": rendering}
        response = client.post(path, json=BODY, headers=headers)
    arrived = upstream.asked[0].headers
    assert response.status_code == 200
    assert set(arrived) == {
        *("accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent")
    }
    assert arrived["authorization"] == "Bearer secret-key-0123"
    assert set(response.headers) <= OURS - {"access-control-allow-origin"}


def test_query_of_the_client_does_not_cross() -> None:
    with proxied() as (_, upstream, client):
        client.post(f"{CHAT}?api-version=evil&x=y", json=BODY)
    assert upstream.asked[0].path == "/v1/chat/completions"


def test_comparison_takes_every_key_into_account(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    with proxied(clients=CLIENTS) as (_, __, client):
        first = client.post(CHAT, json=BODY, headers=bearer(AGENT)).status_code
        of_the_first = len(compared)
        wrong = client.post(CHAT, json=BODY, headers=bearer("wrong")).status_code
    assert (first, wrong) == (200, 401)
    assert of_the_first == 2
    assert set(compared) == {(32, 32)}
    assert len(compared) == 4
