"""Reasoning that a client asks to leave out does not come, whatever the host makes of the wish."""

import json
from typing import Any

import pytest

from tests.support.proxied import ask, events, proxied
from tests.support.scripted import Asked, Wire, answer, delta

ASKED: list[dict[str, Any]] = [
    {"include_reasoning": False},
    {"reasoning": {"exclude": True}},
    {"reasoning_format": "hidden"},
    {"extra_body": {"google": {"thinking_config": {"include_thoughts": False}}}},
]
DETAILS = [
    {"type": "reasoning.text", "text": "Secret", "index": 0},
    {"type": "reasoning.encrypted", "data": "opaque", "index": 1},
]
USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 9,
    "total_tokens": 10,
    "completion_tokens_details": {"reasoning_tokens": 7},
}


async def deaf(asked: Asked, wire: Wire) -> None:
    """A host that shows its reasoning whatever it is told."""
    if asked.json.get("stream"):
        await wire.events(
            delta({"role": "assistant", "content": ""}),
            delta({"reasoning": "Secret", "reasoning_details": DETAILS}),
            delta({"content": "Hi"}),
            delta({}, "stop"),
            {**delta(), "choices": [], "usage": USAGE},
        )
    else:
        body = answer(reasoning="Secret", usage=USAGE)
        body["choices"][0]["message"]["reasoning_details"] = DETAILS
        await wire.whole(body)


@pytest.mark.parametrize("wish", ASKED, ids=lambda wish: next(iter(wish)))
@pytest.mark.parametrize("provider", ["", "request: {on: {}}"], ids=["words-pass", "no-word-for-it"])
def test_hidden_reasoning_does_not_come_and_is_counted(wish: dict[str, Any], provider: str) -> None:
    with proxied(deaf, provider=provider, route="render: think_tags") as (proxy, upstream, client):
        streamed = ask(client, stream_options={"include_usage": True}, **wish)
        whole = ask(client, stream=False, **wish)
        shown = ask(client)
        proxy.requests(3)
        metrics = client.get("/metrics").text
    for response in (streamed, whole):
        assert response.status_code == 200
        assert "Secret" not in response.text
        assert "think" not in response.text
        assert "opaque" in response.text, "encrypted state is not reasoning that anybody could read"
        assert response.headers.get("x-reasoning-proxy-notes") == ("hide->drop" if provider else None)
    assert "".join(each["choices"][0]["delta"].get("content") or "" for each in events(streamed.text)[:-1]) == "Hi"
    assert events(streamed.text)[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 7
    assert "<think>" in shown.text
    assert "Secret" in shown.text
    assert 'reasoning_tokens_total{model="big",provider="p0",route="m",source="reported"} 21.0' in metrics
    noted = 'request_notes_total{aspect="hide",change="changed",model="big",provider="p0"} 2.0'
    assert (noted in metrics) == bool(provider)
    words = [{key: value for key, value in asked.json.items() if key in wish} for asked in upstream.asked[:2]]
    assert words == ([{}, {}] if provider else [wish, wish])


def test_an_answer_that_passes_as_it_is_keeps_its_reasoning_and_says_so() -> None:
    with proxied(deaf, provider="request: {on: {}}", route="render: passthrough") as (_, _, client):
        response = ask(client, include_reasoning=False)
    assert "Secret" in response.text
    assert response.headers["x-reasoning-proxy-notes"] == "hide dropped"


def test_a_host_that_was_told_and_shows_it_all_the_same_is_not_believed() -> None:
    with proxied(deaf, provider="request: {on: {}, hide: {quiet: true}}") as (_, upstream, client):
        response = ask(client, stream=False, include_reasoning=False)
    assert upstream.asked[0].json["quiet"] is True
    assert response.headers.get("x-reasoning-proxy-notes") is None
    message = json.loads(response.text)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Hi", "reasoning_details": DETAILS[1:]}
