"""The official SDK asks for each rendering with the header `X-Reasoning-Render`, streamed and whole."""

from typing import Any

import httpx2
import pytest
from openai import OpenAI

from tests.contract.conftest import World
from tests.support.scripted import answer, delta
from tests.support.upstream import Reply

ASK: Any = [{"role": "user", "content": "?"}]
PLAIN = Reply.of_events(
    delta({"role": "assistant", "content": "<think>59 ti"}),
    delta({"content": "mes 61.</think>"}),
    delta({"content": "No."}),
    delta({}, "stop"),
)
WHOLE = Reply.of_json(answer("No.", "59 times 61."))
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "59 times 61."}]}
CALLS = [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a'}}]

Part = Any
"""A delta or a message of the SDK, with the fields that its types do not know."""


def field(parts: list[Part], name: str) -> str:
    return "".join(getattr(part, name, None) or "" for part in parts)


def fields(parts: list[Part]) -> dict[str, str]:
    """The texts under all names that are there."""
    names = ("reasoning_content", "reasoning", "content")
    return {name: text for name in names if (text := field(parts, name))}


def answers(world: World, client: OpenAI, rendering: str, reply: Reply) -> list[list[Part]]:
    """The deltas of the streamed answer, and the one message of the whole answer."""
    model, head = world.model(reply), {"X-Reasoning-Render": rendering}
    stream = client.chat.completions.create(model=model, messages=ASK, stream=True, extra_headers=head)
    deltas = [choice.delta for chunk in stream for choice in chunk.choices]
    whole = client.chat.completions.create(model=model, messages=ASK, extra_headers=head)
    return [deltas, [whole.choices[0].message]]


@pytest.mark.parametrize(
    ("rendering", "expected"),
    [
        ("reasoning_content", {"reasoning_content": "59 times 61.", "content": "No."}),
        ("reasoning", {"reasoning": "59 times 61.", "content": "No."}),
        ("both", {"reasoning_content": "59 times 61.", "reasoning": "59 times 61.", "content": "No."}),
        ("think_tags", {"content": "<think>59 times 61.</think>No."}),
        ("drop", {"content": "No."}),
    ],
)
@pytest.mark.parametrize("reply", [PLAIN, WHOLE], ids=["from a stream", "from a body"])
def test_text_is_where_the_rendering_puts_it(
    world: World, client: OpenAI, rendering: str, expected: dict[str, str], reply: Reply
) -> None:
    for parts in answers(world, client, rendering, reply):
        assert fields(parts) == expected


@pytest.mark.parametrize("reply", [PLAIN, WHOLE], ids=["from a stream", "from a body"])
def test_details_hold_the_reasoning_as_a_list(world: World, client: OpenAI, reply: Reply) -> None:
    for parts in answers(world, client, "details", reply):
        entries = [entry for part in parts for entry in getattr(part, "reasoning_details", None) or []]
        assert "".join(entry["text"] for entry in entries) == "59 times 61."
        assert {entry["type"] for entry in entries} == {"reasoning.text"}
        assert fields(parts) == {"content": "No."}


@pytest.mark.parametrize("reply", [PLAIN, WHOLE], ids=["from a stream", "from a body"])
def test_content_parts_are_lists(world: World, client: OpenAI, reply: Reply) -> None:
    for parts in answers(world, client, "content_parts", reply):
        items = [item for part in parts if isinstance(part.content, list) for item in part.content]
        kinds = [item["type"] for item in items]
        assert kinds == sorted(kinds, reverse=True), "thinking, then text"
        reasoning = "".join(text["text"] for item in items for text in item.get("thinking", []))
        assert (reasoning, "".join(item.get("text", "") for item in items)) == ("59 times 61.", "No.")


def test_tags_are_deltas_of_their_own_and_closed_before_tool_calls(world: World, client: OpenAI) -> None:
    reply = Reply.of_events(
        delta({"role": "assistant", "reasoning": "Look."}), delta({"tool_calls": CALLS}), delta({}, "tool_calls")
    )
    deltas, _ = answers(world, client, "think_tags", reply)
    said = [part.content or "call" for part in deltas if part.content or part.tool_calls]
    assert said == ["<think>", "Look.", "</think>", "call"]


def test_steps_and_whole_calls_are_options(world: World, client: OpenAI) -> None:
    rest = [{"index": 0, "function": {"arguments": '":1}'}}]
    reply = Reply.of_events(
        delta({"role": "assistant", "reasoning": "One.\nTw"}),
        delta({"reasoning": "o.\nThr"}),
        delta({"reasoning": "ee."}),
        delta({"tool_calls": CALLS}),
        delta({"tool_calls": rest}),
        delta({}, "tool_calls"),
    )
    deltas, _ = answers(world, client, "reasoning_content; steps=line; tool_calls=complete", reply)
    assert [text for part in deltas if (text := field([part], "reasoning_content"))] == ["One.\n", "Two.\n", "Three."]
    assert [c.function.arguments for part in deltas for c in part.tool_calls or []] == ['{"a":1}']


def test_passthrough_is_the_upstreams_bytes(world: World) -> None:
    body = b'data:{"choices":[{"delta":{"reasoning":"x","content":""}}]}\r\n\r\n: hm\r\n\r\ndata: [DONE]\r\n\r\n'
    message = b'{"message":{"reasoning":"x", "content":"y"},"finish_reason":"eos"}'
    whole = b'{ "choices" : [' + message + b"] }"
    for reply, stream, bytes_sent in (
        (Reply([body[:30], body[30:]]), True, body),
        (Reply.of_json(whole), False, whole),
    ):
        asked = {"model": world.model(reply), "messages": ASK, "stream": stream}
        head = {"x-reasoning-render": "passthrough"}
        got = httpx2.post(f"{world.url}/chat/completions", json=asked, headers=head, trust_env=False)
        assert (got.status_code, got.content) == (200, bytes_sent)


def test_reasoning_is_found_in_the_official_delta_as_an_extra_field(world: World, client: OpenAI) -> None:
    stream = client.chat.completions.create(model=world.model(PLAIN), messages=ASK, stream=True)
    extras = [choice.delta.model_extra or {} for chunk in stream for choice in chunk.choices]
    assert {key for extra in extras for key in extra} == {"reasoning_content"}
