"""Self-healing against upstreams that refuse exactly as the real ones do, and what the running proxy tells of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.support.proxied import CHAT, GOOD
from tests.support.refusals import CALL, Refusal, refusal
from tests.support.scripted import Asked, Script, Upstream, Wire, answer, scripted
from tests.support.served import free_port
from tests.support.server import Running, running, settings_of

CONVERSATION = [
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": None, "reasoning_content": "Hm", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "2"},
]
Judge = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Strict:
    """An upstream that refuses what `refuses` says, the history that provokes it, and what is learnt."""

    refusal: Refusal
    refuses: Judge
    history: str
    remedy: dict[str, str]


def carries(field: str) -> Judge:
    return lambda body: any(field in message for message in body["messages"])


def lacks(field: str) -> Judge:
    return lambda body: any("tool_calls" in message and field not in message for message in body["messages"])


def strict(name: str, refuses: Judge, history: str, **remedy: str) -> Strict:
    return Strict(refusal(name), refuses, history, {"place": "message", **remedy})


DROPPED = {"action": "drop", "field": "reasoning_content"}
ADDED = {"action": "add", "field": "reasoning_content"}
STRICT = [
    strict("mistral", carries("reasoning_content"), "replay: field", **DROPPED),
    strict("cerebras", carries("reasoning_content"), "replay: field", **DROPPED),
    strict("groq", carries("reasoning_content"), "replay: passthrough", **DROPPED),
    strict("databricks", carries("reasoning_content"), "replay: field", **DROPPED),
    strict("vllm-strict", carries("reasoning_content"), "replay: field", **DROPPED),
    strict("vllm-strict-text", carries("reasoning_content"), "replay: field, backfill: space", **DROPPED),
    strict(
        "mistral-options",
        lambda body: "stream_options" in body,
        "replay: drop",
        action="drop",
        field="stream_options",
        place="body",
    ),
    strict("deepseek", lacks("reasoning_content"), "replay: drop", **ADDED),
    strict("deepseek-older", lacks("reasoning_content"), "replay: auto", **ADDED),
    strict("moonshot", lacks("reasoning_content"), "replay: drop", **ADDED),
]
each_strict = pytest.mark.parametrize("given", STRICT, ids=lambda each: each.refusal.name)


def script_of(given: Strict) -> Script:
    async def script(asked: Asked, wire: Wire) -> None:
        if given.refuses(asked.json):
            await wire.whole(given.refusal.said, given.refusal.status)
        elif asked.json.get("stream"):
            await wire.events(*GOOD)
        else:
            await wire.whole(answer())

    return script


@contextmanager
def proxied(
    script: Script, history: str, *, server: str = "{}", retry: str = "{attempts: 1}", model: str = "big"
) -> Iterator[tuple[Running, Upstream, httpx2.Client]]:
    with scripted(script) as upstream:
        table = f"""
version: 1
server: {server}
providers: {{house: {{base_url: "{upstream.url}", history: {{{history}}}}}}}
routes: [{{model: "m*", targets: [{{provider: house, model: "{model}"}}], retry: {retry}}}]
"""
        with (
            running(settings_of(table)) as proxy,
            httpx2.Client(base_url=proxy.url, timeout=20, verify=False) as client,
        ):
            yield proxy, upstream, client


def ask(client: httpx2.Client, *, stream: bool = True, model: str = "m", **more: Any) -> httpx2.Response:
    return client.post(CHAT, json={"model": model, "stream": stream, "messages": CONVERSATION, **more})


def attempts(response: httpx2.Response) -> str:
    return str(response.headers["x-reasoning-proxy-attempts"])


def self_healed(proxy: Running) -> list[dict[str, Any]]:
    return [line for line in proxy.lines if line["event"] == "self_healed"]


def streams(given: Strict) -> list[bool]:
    return [True] if given.remedy["place"] == "body" else [True, False]


@each_strict
def test_without_self_healing_the_client_sees_the_refusal(given: Strict) -> None:
    with proxied(script_of(given), given.history) as (proxy, upstream, client):
        refused = [ask(client, stream=stream) for stream in streams(given)]
        assert not self_healed(proxy)
        assert [response.status_code for response in refused] == [given.refusal.status] * len(refused)
        assert len(upstream.asked) == len(refused)


@each_strict
def test_with_self_healing_it_passes_and_the_next_request_needs_one_attempt(given: Strict) -> None:
    for stream in streams(given):
        with proxied(script_of(given), given.history + ", self_heal: true") as (proxy, upstream, client):
            first, second = ask(client, stream=stream), ask(client, stream=stream)
            metrics = client.get("/metrics").text
            learnt = client.get("/-/explain/m").json()["targets"][0]
            lines = self_healed(proxy)
        assert (first.status_code, second.status_code) == (200, 200)
        assert "Hi" in first.text and "Hi" in second.text
        assert (attempts(first), attempts(second)) == ("2", "1")
        assert len(upstream.asked) == 3
        label = f'action="{given.remedy["action"]}",field="{given.remedy["field"]}",model="big",provider="house"'
        assert f"reasoning_proxy_self_heal_total{{{label}}} 1.0" in metrics
        assert [{key: line[key] for key in given.remedy} for line in lines] == [given.remedy]
        assert learnt["remedies"] == [given.remedy]
        assert learnt["self_heal"] is True


def test_what_is_missing_goes_back_as_the_client_sent_it() -> None:
    given = next(each for each in STRICT if each.refusal.name == "deepseek")
    with proxied(script_of(given), "replay: drop, self_heal: true") as (_, upstream, client):
        ask(client)
    assert upstream.asked[1].json["messages"][1]["reasoning_content"] == "Hm"


def test_only_the_field_that_was_named_changes() -> None:
    given = STRICT[0]
    with proxied(script_of(given), given.history + ", self_heal: true") as (_, upstream, client):
        ask(client, seed=7, stop=["x"])
    before, after = upstream.asked[0].json, upstream.asked[1].json
    del before["messages"][1]["reasoning_content"]
    assert before == after


def test_a_healed_try_that_is_refused_again_gives_the_first_refusal_and_is_forgotten() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        first, again = refusal("groq"), refusal("deepseek")
        given = first if carries("reasoning_content")(asked.json) else again
        await wire.whole(given.said, given.status)

    with proxied(script, "replay: field, self_heal: true") as (proxy, upstream, client):
        answers = [ask(client, stream=stream) for stream in (True, False)]
        learnt = client.get("/-/explain/m").json()["targets"][0]["remedies"]
        metrics = client.get("/metrics").text
    assert [response.json()["error"]["message"] for response in answers] == [
        refusal("groq").said["error"]["message"]
    ] * 2
    assert learnt == self_healed(proxy) == []
    assert "self_heal_total{" not in metrics
    assert len(upstream.asked) == 4


def test_healing_is_beside_the_tries_of_a_target_and_they_stay_healed() -> None:
    failures = iter([True, False])

    async def script(asked: Asked, wire: Wire) -> None:
        if carries("reasoning_content")(asked.json):
            await wire.whole(refusal("mistral").said, 422)
        elif next(failures, False):
            await wire.whole({"error": {"message": "busy"}}, 503)
        else:
            await wire.events(*GOOD)

    history = "replay: field, self_heal: true"
    with proxied(script, history, retry="{attempts: 2}") as (proxy, upstream, client):
        response = ask(client)
        lines = self_healed(proxy)
    assert (response.status_code, attempts(response)) == (200, "3")
    assert ["reasoning_content" in asked.json["messages"][1] for asked in upstream.asked] == [True, False, False]
    assert len(lines) == 1


def test_a_refusal_inside_a_stream_before_content_is_mended_too() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        if lacks("reasoning_content")(asked.json):
            await wire.events(GOOD[0], {"error": {**refusal("deepseek").said["error"], "code": 400}})
        else:
            await wire.events(*GOOD)

    with proxied(script, "replay: drop, self_heal: true") as (_, __, client):
        first, second = ask(client), ask(client)
    assert (first.status_code, attempts(first), attempts(second)) == (200, "2", "1")


def test_what_was_learnt_of_one_model_says_nothing_of_another() -> None:
    given = STRICT[0]
    history = given.history + ", self_heal: true"
    with proxied(script_of(given), history, model="{model}") as (proxy, _, client):
        tries = [attempts(ask(client, model=model)) for model in ("m-one", "m-two", "m-one")]
        learnt = [client.get(f"/-/explain/{model}").json()["targets"][0] for model in ("m-one", "m-three")]
        lines = self_healed(proxy)
    assert tries == ["2", "2", "1"]
    assert [(target["model"], len(target["remedies"])) for target in learnt] == [("m-one", 1), ("m-three", 0)]
    assert [line["model"] for line in lines] == ["{model}", "{model}"]


def test_a_key_of_the_clients_own_is_dropped_with_a_note_and_named_nowhere() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        if "canary" in asked.json:
            await wire.whole({"error": {"message": "Unrecognized request argument supplied: canary"}}, 400)
        else:
            await wire.events(*GOOD)

    with proxied(script, "self_heal: true") as (proxy, _, client):
        response = ask(client, canary=1)
        told = client.get("/metrics").text + str(proxy.lines)
    assert response.headers["x-reasoning-proxy-notes"] == "canary dropped"
    assert "canary" not in told
    assert 'field="other"' in told


def test_other_endpoints_are_never_mended() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "Unrecognized request argument supplied: thinking"}}, 400)

    with proxied(script, "self_heal: true") as (_, upstream, client):
        response = client.post("/v1/embeddings", json={"model": "m", "thinking": 1})
    assert (response.status_code, len(upstream.asked)) == (400, 1)


def test_what_was_learnt_is_shown_where_the_operations_are() -> None:
    port = free_port()
    given = STRICT[0]
    admin_of = f"{{admin: '127.0.0.1:{port}'}}"
    with proxied(script_of(given), "replay: auto, self_heal: true", server=admin_of) as (_, __, client):
        ask(client)
        public = client.get("/-/explain/m")
        admin = httpx2.get(f"http://127.0.0.1:{port}/-/explain/m-x/y", verify=False)
        unknown = httpx2.get(f"http://127.0.0.1:{port}/-/explain/x", verify=False)
    assert public.status_code == 404
    assert admin.json() == {
        "model": "m-x/y",
        "route": "m*",
        "targets": [
            {
                "provider": "house",
                "model": "big",
                "reasoning_seen_in": "reasoning",
                "self_heal": True,
                "remedies": [],
            }
        ],
    }
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


def test_what_was_learnt_is_not_shown_on_an_address_that_others_reach() -> None:
    with proxied(script_of(STRICT[0]), "self_heal: true", server="{listen: '0.0.0.0:8080', open: true}") as (
        _,
        __,
        client,
    ):
        assert client.get("/-/explain/m").status_code == 404
