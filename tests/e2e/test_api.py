"""What a client sees of the running proxy beside the answers themselves."""

import json
import re
import threading
from collections.abc import Iterator

import pytest

from tests.support.scripted import Asked, Wire, answer, delta, scripted
from tests.support.served import (
    AGENT,
    BODY,
    CHAT,
    CLIENTS,
    GUEST,
    MESSAGES,
    bearer,
    client_of,
    error_of,
    good,
    proxied,
)
from tests.support.server import running, settings_of


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[]", None),
        (b'"x"', None),
        (b"{" * 100_000, None),
        (b'{"a":' * 50_000, None),
        (b"{}", "model"),
        (b'{"model":7,"messages":[]}', "model"),
        (b'{"model":"","messages":[]}', "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":{}}', "messages"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream"),
        (b'{"model":"m","messages":[],"stream":1}', "stream"),
        (b'{"model":"m","messages":[],"stream_options":1}', "stream_options"),
    ],
)
def test_wrong_bodies_are_refused_with_their_param(content: bytes, param: str | None) -> None:
    with proxied() as (proxy, upstream, client):
        response = client.post(CHAT, content=content)
        line = proxy.requests(1)[0]
        assert not upstream.asked
    assert response.status_code == 400
    assert (error_of(response)["code"], error_of(response)["param"]) == ("invalid_request", param)
    assert (line["outcome"], line["route"]) == ("client_error", "_unmatched")


def test_all_wrong_heads_and_paths_are_errors_of_the_same_shape() -> None:
    with proxied() as (_, __, client):
        multipart = client.post("/v1/audio/transcriptions", files={"file": b"x"}, data={"model": "m"})
        encoded = client.post(CHAT, content=b"x", headers={"content-encoding": "gzip"})
        rendering = client.post(CHAT, json=BODY, headers={"x-reasoning-render": "thinktags"})
        unknown = client.get("/nope")
        slash = client.get("/livez/")
        root = client.post("/v1/", json=BODY)
        method = client.get(CHAT)
        posted = client.post("/v1/models", json=BODY)
        options = client.options(CHAT)
        head = client.head("/livez")
    assert (multipart.status_code, "JSON" in error_of(multipart)["message"]) == (400, True)
    assert (encoded.status_code, error_of(encoded)["param"]) == (400, "content-encoding")
    assert (rendering.status_code, error_of(rendering)["param"]) == (400, "X-Reasoning-Render")
    assert "think_tags" in error_of(rendering)["message"]
    for response in (unknown, slash, root):
        assert (response.status_code, error_of(response)["code"]) == (404, "not_found")
    for response in (method, posted):
        assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "POST"
    assert (options.status_code, options.headers["allow"]) == (204, "POST")
    assert (head.status_code, head.content) == (200, b"")
    assert all("x-request-id" in r.headers for r in (multipart, rendering, unknown, method, options, head))


def test_body_above_the_limit_is_413_whether_its_length_is_told_or_not() -> None:
    big = json.dumps({**BODY, "pad": "x" * 3000}).encode()

    def pieces() -> Iterator[bytes]:
        yield big[:1000]
        yield big[1000:]

    with proxied(server="max_request_bytes: 2KiB") as (_, upstream, client):
        told, untold = client.post(CHAT, content=big), client.post(CHAT, content=pieces())
        small = client.post(CHAT, json=BODY)
        assert len(upstream.asked) == 1
    for response in (told, untold):
        assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")
    assert small.status_code == 200


def test_unknown_model_names_the_close_ones() -> None:
    with proxied() as (_, __, client):
        response = client.post(CHAT, json={**BODY, "model": "othr"})
    assert response.status_code == 404
    assert (error_of(response)["code"], error_of(response)["param"]) == ("model_not_found", "model")
    assert "'other'" in error_of(response)["message"]


def test_client_keys_are_asked_for_in_either_header() -> None:
    with proxied(clients=CLIENTS) as (proxy, _, client):
        nobody, wrong = client.post(CHAT, json=BODY), client.post(CHAT, json=BODY, headers=bearer("x"))
        basic = client.post(CHAT, json=BODY, headers={"authorization": f"Basic {AGENT}"})
        good_one = client.post(CHAT, json=BODY, headers=bearer(AGENT))
        other = client.post(CHAT, json=BODY, headers={"x-api-key": GUEST})
        listing = client.get("/v1/models")
        metrics, mine = client.get("/metrics"), client.get("/metrics", headers=bearer(GUEST))
        open_ones = [client.get(path).status_code for path in ("/livez", "/readyz", "/health")]
        lines = proxy.requests(5)
    for response in (nobody, wrong, basic, listing, metrics):
        assert (response.status_code, error_of(response)["code"]) == (401, "invalid_api_key")
    assert [r.status_code for r in (good_one, other, mine)] == [200, 200, 200]
    assert open_ones == [200, 200, 200]
    told = proxy.service.state.key_ids
    assert [line.get("key_id") for line in lines] == [None, None, None, *told.values()]
    assert AGENT not in json.dumps(proxy.lines)


def test_caller_sees_and_gets_its_own_models_alone() -> None:
    with proxied(clients=CLIENTS) as (_, upstream, client):
        mine = client.get("/v1/models", headers=bearer(GUEST)).json()
        all_of_them = client.get("/v1/models", headers=bearer(AGENT)).json()
        hidden = client.get("/v1/models/other", headers=bearer(GUEST))
        refused = client.post(CHAT, json={**BODY, "model": "other"}, headers=bearer(GUEST))
        one = client.get("/v1/models/far/away", headers=bearer(AGENT)).json()
        lists = [asked for asked in upstream.asked if asked.method == "GET"]
    assert [entry["id"] for entry in mine["data"]] == ["m", "qwen-b"]
    assert [entry["id"] for entry in all_of_them["data"]] == [
        "m", "other", "qwen-a", "qwen-b", "far/qwen-a", "far/qwen-b", "far/llama",
    ]  # fmt: skip
    assert mine["object"] == "list"
    assert (one["id"], one["object"], one["owned_by"], type(one["created"])) == ("far/away", "model", "house", int)
    assert (hidden.status_code, refused.status_code) == (404, 404)
    assert "other" not in re.sub("'other' here", "", error_of(refused)["message"])
    assert len(lists) == 1, "the list is kept"
    assert (lists[0].path, lists[0].headers["authorization"]) == ("/v1/models", "Bearer secret-key-0123")


def test_wildcards_are_listed_by_their_patterns_where_the_provider_has_no_list() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": "no"}, 404)

    with proxied(script, clients=CLIENTS) as (_, __, client):
        names = [entry["id"] for entry in client.get("/v1/models", headers=bearer(AGENT)).json()["data"]]
        mine = [entry["id"] for entry in client.get("/v1/models", headers=bearer(GUEST)).json()["data"]]
    assert names == ["m", "other", "qwen*", "far/*"]
    assert mine == ["m", "qwen-b*"]


def test_wildcard_routes_fill_in_the_model() -> None:
    with proxied() as (_, upstream, client):
        first = client.post(CHAT, json={**BODY, "model": "qwen-é\r\nx: y"})
        second = client.post(CHAT, json={**BODY, "model": "far/a/b"})
    assert [asked.json["model"] for asked in upstream.asked] == ["qwen-é\r\nx: y", "a/b"]
    assert first.headers["x-reasoning-proxy-target"] == "house/qwen-%C3%A9%0D%0Ax: y"
    assert second.headers["x-reasoning-proxy-target"] == "house/a/b"


def test_rendering_is_the_requests_then_the_keys_then_the_routes() -> None:
    with proxied(clients=CLIENTS) as (_, __, client):
        message = [
            client.post(CHAT, json={**BODY, "model": model}, headers=headers).json()["choices"][0]["message"]
            for model, headers in (
                ("other", {**bearer(AGENT), "x-reasoning-render": "drop"}),
                ("other", bearer(AGENT)),
                ("m", bearer(GUEST)),
            )
        ]
    with proxied() as (_, __, client):
        message.append(client.post(CHAT, json={**BODY, "model": "other"}).json()["choices"][0]["message"])
    keys = [sorted(key for key in one if key.startswith("reasoning")) for one in message]
    assert keys == [[], ["reasoning", "reasoning_content"], ["reasoning_content"], ["reasoning"]]


def test_requests_per_minute_and_open_streams_are_limited() -> None:
    release = threading.Event()

    async def script(asked: Asked, wire: Wire) -> None:
        if asked.json.get("stream"):
            await wire.head()
            await wire.event(delta({"content": "Hi"}))
            while not release.is_set() and not await wire.gone(0.05):
                pass
        await good(asked, wire)

    stream = {**BODY, "stream": True}
    with proxied(script, clients=CLIENTS) as (proxy, _, client):
        with client.stream("POST", CHAT, json=stream, headers=bearer(AGENT)) as first:
            pieces = first.iter_raw()  # kept: a forgotten one closes the stream
            next(pieces)
            second = client.post(CHAT, json=stream, headers=bearer(AGENT))
            whole = client.post(CHAT, json=BODY, headers=bearer(AGENT))
        release.set()
        proxy.requests(3)
        third = client.post(CHAT, json=stream, headers=bearer(AGENT))
        fourth = client.post(CHAT, json=BODY, headers=bearer(AGENT))
        guest = client.post(CHAT, json=BODY, headers=bearer(GUEST))
        metrics = client.get("/metrics", headers=bearer(GUEST)).text
    assert (second.status_code, error_of(second)["code"]) == (429, "rate_limit_exceeded")
    assert int(second.headers["retry-after"]) >= 1
    assert (whole.status_code, third.status_code) == (200, 200)
    assert (fourth.status_code, int(fourth.headers["retry-after"])) == (429, 20)
    assert guest.status_code == 200
    assert 'reasoning_proxy_rate_limited_total{limit="concurrent_streams",route="m"} 1.0' in metrics
    assert 'reasoning_proxy_rate_limited_total{limit="requests_per_minute",route="m"} 1.0' in metrics


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 129, False), ("", False)])
def test_request_id_is_the_callers_if_it_is_sane(given: str, *, kept: bool) -> None:
    with proxied() as (proxy, _, client):
        found = client.post(CHAT, json=BODY, headers={"x-request-id": given}).headers["x-request-id"]
        assert proxy.requests(1)[0]["request_id"] == found
    assert (found == given) is kept
    assert found


def test_notes_tell_what_could_not_be_expressed() -> None:
    with (
        scripted(good) as upstream,
        running(
            settings_of(
                f"version: 1\nproviders:\n  h:\n    base_url: {upstream.url}\n"
                "    request: {effort: {field: reasoning_effort, levels: [low, high]}}\n"
                "routes: [{model: m, targets: [h/b]}]"
            )
        ) as proxy,
        client_of(proxy.url) as client,
    ):
        response = client.post(CHAT, json={**BODY, "reasoning_effort": "xhigh"})
    assert response.headers["x-reasoning-proxy-notes"] == "effort=xhigh->high"
    assert upstream.asked[0].json["reasoning_effort"] == "high"


def test_where_reasoning_was_seen_it_goes_back() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        await wire.whole(
            {**answer(), "choices": [{"message": {"content": "Hi", "reasoning": "Hm"}, "finish_reason": "stop"}]}
        )

    history = [*MESSAGES, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}, *MESSAGES]
    with proxied(script) as (_, upstream, client):
        for _ in range(2):
            client.post(CHAT, json={**BODY, "messages": history})
        sent = [asked.json["messages"][1] for asked in upstream.asked]
    assert sent == [{"role": "assistant", "content": "Hi"}, {"role": "assistant", "content": "Hi", "reasoning": "Hm"}]
