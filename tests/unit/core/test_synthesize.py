import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.aggregate import Aggregator
from proxy.core.render import Rendering
from proxy.core.synthesize import chunks_of
from tests.support.canonical import HEAD, deltas, rendered

BODY_HEAD = HEAD | {"object": "chat.completion"}
_texts = st.text(min_size=1, max_size=5)
_json = st.none() | st.booleans() | st.integers() | _texts | st.lists(st.integers(), max_size=2)
_unknown = st.dictionaries(
    st.sampled_from(["x_one", "x_two", "citations"]), _json | st.dictionaries(_texts, _json, max_size=2)
)
_details = st.lists(
    st.sampled_from(
        [
            {"type": "reasoning.text", "text": "a", "index": 0, "signature": "s"},
            {"type": "reasoning.text", "text": "b", "index": 0},
            {"type": "reasoning.encrypted", "data": "x", "id": None},
            "odd",
        ]
    ),
    max_size=3,
)
_calls = st.lists(
    st.builds(
        lambda name, arguments, rest: {
            "id": f"call_{name}",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
            **rest,
        },
        _texts,
        st.text(max_size=5),
        st.sampled_from([{}, {"extra_content": {"google": {"thought_signature": "s"}}}, {"x": None}]),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def _messages(draw: st.DrawFn) -> dict[str, Any]:
    optional = {
        "reasoning_content": _texts,
        "tool_calls": _calls,
        "refusal": st.none() | _texts,
        "annotations": st.none() | st.lists(st.integers(), max_size=2),
        "reasoning_details": st.none() | _details,
        "thinking_blocks": _details,
        "audio": st.none() | st.just({"id": "a", "data": "x", "transcript": "y"}),
    }
    message = draw(st.fixed_dictionaries({}, optional=optional)) | draw(_unknown)
    silent = None if message.get("tool_calls") else ""
    return {"role": "assistant", "content": draw(st.just(silent) | _texts), **message}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Whole canonical answers."""
    logprobs = st.none() | st.just({"content": [{"token": "a"}], "refusal": None})
    keys = {"finish_reason": st.sampled_from(["stop", "length", "tool_calls"]), "message": _messages()}
    optional = {"logprobs": logprobs, "native_finish_reason": _texts}
    count = draw(st.integers(0, 3))
    choices = [draw(st.fixed_dictionaries(keys, optional=optional)) | draw(_unknown) for _ in range(count)]
    return BODY_HEAD | {"choices": [{"index": at, **one} for at, one in enumerate(choices)]} | draw(_unknown)


@given(bodies())
def test_the_chunks_of_an_answer_aggregate_to_the_answer(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    collected = Aggregator()
    for one in chunks_of(body):
        collected.feed(one)
    assert collected.result() == before
    assert body == before


@given(bodies())
def test_every_chunk_is_canonical(body: dict[str, Any]) -> None:
    chunks = chunks_of(body)
    for one in chunks:
        assert one.raw is None
        assert {key: one.data[key] for key in HEAD} == HEAD
        assert len(one.data["choices"]) == min(len(body["choices"]), 1)
    for index in range(len(body["choices"])):
        told = [choice for one in chunks for choice in one.data["choices"] if choice["index"] == index]
        assert ["role" in choice["delta"] for choice in told] == [True] + [False] * (len(told) - 1)
        assert [choice["finish_reason"] is not None for choice in told] == [False] * (len(told) - 1) + [True]
        for choice in told:
            assert sum(bool(choice["delta"].get(k)) for k in ("reasoning_content", "content", "tool_calls")) <= 1


def body_of(message: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {**BODY_HEAD, "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}]}


def test_reasoning_content_and_calls_leave_in_this_order() -> None:
    calls: list[dict[str, Any]] = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "index": 7},
    ]
    message = {"role": "assistant", "tool_calls": calls, "content": "c", "reasoning_content": "r", "refusal": None}
    chunks = chunks_of(body_of(message, logprobs={"content": []}, x=1))
    assert deltas(chunks) == [
        {"role": "assistant", "reasoning_content": "r"},
        {"content": "c", "refusal": None},
        {"tool_calls": [{**calls[0], "index": 0}, {"id": "b", "index": 1}]},
    ]
    choices = [one.data["choices"][0] for one in chunks]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    assert ["logprobs" in choice for choice in choices] == [False, True, False]
    assert ["x" in choice for choice in choices] == [False, False, True]


def test_an_empty_answer_is_one_chunk_with_role_and_finish() -> None:
    messages: list[dict[str, Any] | None] = [{"content": None}, {"content": ""}, {}, None]
    for message in messages:
        (one,) = chunks_of({**BODY_HEAD, "choices": [{"message": message, "finish_reason": "stop"}]})
        assert one.data["choices"] == [
            {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
        ]


def test_a_refusal_is_a_piece_of_its_own() -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "r", "refusal": "no"}
    assert deltas(chunks_of(body_of(message))) == [{"role": "assistant", "reasoning_content": "r"}, {"refusal": "no"}]


def test_usage_is_left_to_the_caller_and_other_keys_come_once() -> None:
    body = body_of({"content": "c", "reasoning_content": "r"}) | {"usage": {"total_tokens": 1}, "x": [1]}
    chunks = chunks_of(body)
    assert not any("usage" in one.data for one in chunks)
    assert [one.data.get("x") for one in chunks] == [[1], None]


def test_an_answer_without_choices_keeps_its_other_keys() -> None:
    (one,) = chunks_of({**BODY_HEAD, "choices": [], "x": 1})
    assert one.data == {**HEAD, "choices": [], "x": 1}


@given(bodies())
def test_a_synthesized_stream_can_be_rendered(body: dict[str, Any]) -> None:
    out = rendered(Rendering("think_tags", "line", complete_tool_calls=True), *chunks_of(body))
    for choice in body["choices"]:
        content = "".join(delta.get("content") or "" for delta in deltas(out, choice["index"]))
        text = choice["message"].get("reasoning_content")
        expected = choice["message"]["content"] or ""
        assert content == (f"<think>{text}</think>{expected}" if text else expected)
