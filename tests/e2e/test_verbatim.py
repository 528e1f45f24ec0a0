"""What passes as it is: relayed endpoints and the rendering `passthrough`."""

import json
from typing import Any

import pytest

from proxy.core.sse import EventParser
from tests.support.proxied import DONE, GOOD, MESSAGES, ask, proxied
from tests.support.scripted import Asked, Wire

KEY = "secret-key-0123"
PASSTHROUGH = {"x-reasoning-render": "passthrough"}


def data_of(body: bytes) -> list[bytes]:
    parser = EventParser()
    return [data for name, data in (*parser.feed(body), *parser.close()) if name is not None]


@pytest.mark.parametrize("cut", range(1, len(KEY)))
def test_a_key_that_a_relayed_stream_echoes_is_cut_out_also_across_reads(cut: int) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event({"a": 1})
        await wire.chunk(b'data: {"error":{"message":"bad ' + KEY[:cut].encode())
        await wire.chunk(KEY[cut:].encode() + b'"}}\n\n')
        await wire.end()

    with proxied(script, key="{env: KEY}") as (_, _, client):
        answer = client.post("/v1/completions", json={"model": "m", "stream": True, "prompt": "x"})
    assert KEY not in answer.text
    assert data_of(answer.content) == [b'{"a": 1}', b'{"error":{"message":"bad ***"}}']


def test_a_key_that_a_relayed_body_echoes_is_cut_out() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole({"echo": KEY})

    with proxied(script, key="{env: KEY}") as (_, _, client):
        assert client.post("/v1/embeddings", json={"model": "m", "input": "x"}).json() == {"echo": "***"}


@pytest.mark.parametrize("chat", [True, False])
def test_an_error_after_half_an_event_is_an_event_of_its_own(chat: bool) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        for one in GOOD[:3]:
            await wire.event(one)
        await wire.chunk(b'data: {"half":')
        wire.close()

    path = "/v1/chat/completions" if chat else "/v1/completions"
    asked = {"model": "m", "stream": True, "messages": MESSAGES}
    with proxied(script) as (_, _, client):
        answer = client.post(path, json=asked, headers=PASSTHROUGH if chat else {})
    assert answer.content.endswith(DONE)
    assert json.loads(data_of(answer.content)[-2])["error"]["code"] == "upstream_unavailable"


@pytest.mark.parametrize(("options", "sent"), [({}, None), ({"include_usage": True}, {"include_usage": True})])
def test_passthrough_asks_for_usage_only_where_the_client_does(options: dict[str, Any], sent: object) -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.events(*GOOD)

    more: dict[str, Any] = {"stream_options": options} if options else {}
    with proxied(script) as (_, upstream, client):
        assert ask(client, headers=PASSTHROUGH, **more).status_code == 200
        assert upstream.asked[0].json.get("stream_options") == sent


def test_a_whole_answer_does_not_wait_for_a_stream_that_stays_open_after_done() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        for one in (*GOOD, b"[DONE]"):
            await wire.event(one)
        await wire.gone(20)

    with proxied(script, provider="timeouts: {idle: 5s}") as (_, _, client):
        answer = ask(client, stream=False)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hi"
    assert answer.elapsed.total_seconds() < 4
