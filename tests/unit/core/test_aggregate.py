from typing import Any

import pytest
from hypothesis import given

from proxy.core.aggregate import Aggregator
from proxy.core.chunk import Chunk
from tests.support.canonical import HEAD, call, chunk, deltas, finishes, frozen, streams, usage_chunk


def aggregate(*chunks: Chunk, snapshots: bool = False) -> dict[str, Any]:
    collected = Aggregator(snapshots=snapshots)
    for one in chunks:
        collected.feed(one)
    return collected.result()


def message(*chunks: Chunk, snapshots: bool = False) -> dict[str, Any]:
    whole: dict[str, Any] = aggregate(*chunks, snapshots=snapshots)["choices"][0]["message"]
    return whole


def test_a_stream_becomes_one_whole_answer() -> None:
    body = aggregate(
        chunk({"role": "assistant", "reasoning_content": "a"}),
        chunk({"reasoning_content": "b"}),
        chunk({"content": "c"}),
        chunk({"content": "d"}),
        chunk({}, finish_reason="stop", native_finish_reason="end"),
        usage_chunk(),
    )
    assert body == {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "cd", "reasoning_content": "ab"},
                "finish_reason": "stop",
                "native_finish_reason": "end",
            }
        ],
        "usage": {"total_tokens": 3},
    }


def test_no_chunk_gives_an_answer_without_choices() -> None:
    assert aggregate() == {"object": "chat.completion", "choices": []}


@pytest.mark.parametrize(
    ("delta", "content"),
    [
        ({"reasoning_content": "a"}, ""),
        ({"content": ""}, ""),
        ({"content": None}, ""),
        ({}, ""),
        ({"tool_calls": [call(0, "{}", name="f")]}, None),
        ({"tool_calls": [call(0, "{}", name="f")], "content": ""}, None),
        ({"function_call": {"name": "f", "arguments": "{}"}, "content": None}, None),
        ({"content": [{"type": "image_url"}]}, [{"type": "image_url"}]),
    ],
)
def test_content_is_null_only_where_there_are_calls_and_no_text(delta: dict[str, Any], content: Any) -> None:
    assert message(chunk(delta))["content"] == content
    assert message(chunk(delta), chunk({"content": "x"}))["content"] == "x"


@pytest.mark.parametrize("twin", [None, ""])
def test_an_empty_reasoning_key_does_not_survive(twin: str | None) -> None:
    assert message(chunk({"content": "a", "reasoning_content": twin})) == {"role": "assistant", "content": "a"}


def test_tool_calls_are_joined_in_their_order_and_have_no_index() -> None:
    out = message(
        chunk({"tool_calls": [call(1, "", name="g"), call(0, "", name="f", extra_content={"google": {"s": "x"}})]}),
        chunk({"tool_calls": [call(0, '{"a"')]}),
        chunk({"tool_calls": [call(1, "{}"), call(0, ": 1}", extra_content=None)]}),
        chunk({"tool_calls": None}),
    )
    assert out["tool_calls"] == [
        {
            "id": "call_0",
            "type": "function",
            "function": {"name": "f", "arguments": '{"a": 1}'},
            "extra_content": {"google": {"s": "x"}},
        },
        {"id": "call_1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_an_answer_without_calls_has_no_key_for_them() -> None:
    assert "tool_calls" not in message(chunk({"content": "a", "tool_calls": None}), chunk({"tool_calls": []}))


def test_choices_are_sorted_and_independent() -> None:
    first = {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}
    body = aggregate(
        chunk({"content": "b"}, index=1),
        Chunk({**HEAD, "choices": [first]}),
        chunk({}, index=1, finish_reason="length"),
    )
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "b"]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]


def test_a_broken_stream_has_no_finish_reason() -> None:
    assert aggregate(chunk({"content": "a"}))["choices"][0]["finish_reason"] is None


def test_id_created_and_model_are_the_first_ones_other_keys_the_last_that_are_not_null() -> None:
    chunks = [chunk({}), chunk({}), chunk({}), chunk({})]
    chunks[0].data |= {"model": None, "system_fingerprint": None, "x": 1, "null": None, "usage": None}
    chunks[1].data |= {"id": "other", "created": 1, "model": "m-2", "x": {"y": 2}, "null": None}
    chunks[2].data |= {"model": "m-3", "x": None, "system_fingerprint": "fp"}
    body = aggregate(*chunks)
    assert (body["id"], body["created"], body["model"]) == (HEAD["id"], HEAD["created"], "m-2")
    assert (body["x"], body["system_fingerprint"], body["null"]) == ({"y": 2}, "fp", None)
    assert "usage" not in body


def test_unknown_keys_of_a_choice_keep_their_last_value() -> None:
    choice = aggregate(chunk({}, x=1, y=None), chunk({}, x=2, y=None), chunk({}, x=None, y=None))["choices"][0]
    assert (choice["x"], choice["y"]) == (2, None)


def test_log_probabilities_are_collected() -> None:
    first, second = {"content": [1], "refusal": None, "x": 1}, {"content": [2], "refusal": [3], "x": None}
    body = aggregate(
        chunk({}, logprobs=None), chunk({}, logprobs=first), chunk({}, logprobs=second), chunk({}, logprobs=None)
    )
    assert body["choices"][0]["logprobs"] == {"content": [1, 2], "refusal": [3], "x": 1}
    assert first == {"content": [1], "refusal": None, "x": 1}
    assert aggregate(chunk({}, logprobs=None))["choices"][0]["logprobs"] is None


def test_unknown_keys_of_deltas_survive() -> None:
    annotations = [{"n": 1}]
    out = message(
        chunk(
            {"refusal": "n", "audit_content": "x", "annotations": annotations, "mood": "a", "flag": {"a": 1}, "z": None}
        ),
        chunk({"refusal": "o", "audit_content": "y", "annotations": [{"n": 2}], "mood": "b", "flag": {"b": 1}}),
        chunk({"refusal": None, "mood": None, "annotations": None}),
    )
    assert out == {
        "role": "assistant",
        "content": "",
        "refusal": "no",
        "audit_content": "xy",
        "annotations": [{"n": 1}, {"n": 2}],
        "mood": "b",
        "flag": {"b": 1},
        "z": None,
    }
    assert annotations == [{"n": 1}]


def test_function_calls_and_audio_are_joined() -> None:
    out = message(
        chunk({"function_call": {"name": "f", "arguments": "{"}, "audio": {"id": "a", "transcript": "x"}}),
        chunk({"function_call": {"arguments": "}"}, "audio": {"id": None, "transcript": "y", "expires_at": 1}}),
    )
    assert out["function_call"] == {"name": "f", "arguments": "{}"}
    assert out["audio"] == {"id": "a", "transcript": "xy", "expires_at": 1}


# Opaque lists


def details(*lists: list[Any], key: str = "reasoning_details", snapshots: bool = False) -> list[Any]:
    value: list[Any] = message(*(chunk({key: one}) for one in lists), snapshots=snapshots)[key]
    return value


def text(piece: str, **entry: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": piece, **entry}


def test_pieces_of_one_text_are_joined_and_keep_the_first_signature() -> None:
    assert details(
        [text("a", index=0, signature=None, format="x")],
        [text("b", index=0, signature="")],
        [{"type": "reasoning.text", "index": 0, "signature": "s1"}],
        [text("c", index=0, signature="s2")],
        [text("d", index=0, signature=None)],
    ) == [text("abcd", index=0, signature="s1", format="x")]


def test_summaries_are_joined() -> None:
    pieces = [[{"type": "reasoning.summary", "summary": one, "id": "rs_1"}] for one in "ab"]
    assert details(*pieces) == [{"type": "reasoning.summary", "summary": "ab", "id": "rs_1"}]


def test_a_text_without_index_or_id_ends_with_its_signature() -> None:
    assert details([text("a")], [text("", signature="s")], [text("b")], [text("c")]) == [
        text("a", signature="s"),
        text("bc"),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (text("a", index=0), text("b", index=1)),
        (text("a", id="1"), text("b", id="2")),
        (text("a"), {"type": "reasoning.summary", "summary": "b"}),
        (
            {"type": "reasoning.encrypted", "data": "a", "index": 0},
            {"type": "reasoning.encrypted", "data": "b", "index": 0},
        ),
        (text("a"), {"type": "reasoning.encrypted", "data": "b"}),
        (text("a"), "odd"),
        ({"type": ["odd"]}, {"type": ["odd"]}),
        ("odd", text("b")),
    ],
)
def test_entries_of_their_own_stay_apart(first: Any, second: Any) -> None:
    assert details([first], [second]) == [first, second]


def test_entries_of_one_list_stay_apart() -> None:
    assert details([text("a", index=0), text("b", index=0)], [text("c", index=0)]) == [
        text("a", index=0),
        text("bc", index=0),
    ]


def test_blocks_are_joined_like_details() -> None:
    redacted = {"type": "redacted_thinking", "data": "x"}
    lists = [[{"type": "thinking", "thinking": one}] for one in "ab"]
    signed = [{"type": "thinking", "thinking": "", "signature": "s"}]
    out = details(*lists, signed, [redacted], key="thinking_blocks")
    assert out == [{"type": "thinking", "thinking": "ab", "signature": "s"}, redacted]


def test_of_snapshots_the_last_one_stays() -> None:
    out = details([text("a", index=0)], [text("ab", index=0)], [text("abc", index=0)], snapshots=True)
    assert out == [text("abc", index=0)]


# Properties


@given(streams())
def test_the_whole_is_what_a_client_has_that_concatenates(chunks: list[Chunk]) -> None:
    before = frozen(chunks)
    body = aggregate(*chunks)
    assert frozen(chunks) == before
    for choice in body["choices"]:
        told = deltas(chunks, choice["index"])
        for key in ("content", "reasoning_content"):
            assert (choice["message"].get(key) or "") == "".join(delta.get(key) or "" for delta in told)
        assert [choice["finish_reason"]] == finishes(chunks, choice["index"])
    assert ("usage" in body) == (not chunks[-1].data["choices"])
