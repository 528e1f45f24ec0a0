"""C2: one delta says one thing, and keeps what else came with it."""

from typing import Any

import pytest

from proxy.core.choice import DialectReader, Spoken
from proxy.core.chunk import Chunk
from proxy.core.deltas import choice_objects, deltas, message, own_delta, says_more, without_text
from proxy.core.dialect import Dialect

READER = DialectReader(Dialect(), thinking=True)
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_several_kinds_become_several_deltas_in_their_order() -> None:
    spoken = Spoken(pieces=[(True, "a"), (True, "b"), (False, "c")], entries=[CALL])
    made = deltas({"content": "x", "reasoning": "y", "z": 1, "tool_calls": [CALL]}, spoken, READER, role="assistant")
    assert made == [{"role": "assistant", "reasoning_content": "ab", "z": 1}, {"content": "c"}, {"tool_calls": [CALL]}]


@pytest.mark.parametrize(
    ("given", "spoken", "expected"),
    [
        (
            {"content": None, "reasoning": "y", "reasoning_content": "y"},
            Spoken(pieces=[(True, "y")]),
            {"content": None, "reasoning_content": "y"},
        ),
        (
            {"reasoning_content": "", "content": "x"},
            Spoken(pieces=[(False, "x")]),
            {"reasoning_content": "", "content": "x"},
        ),
        ({"reasoning": None, "role": "assistant"}, Spoken(), {}),
        ({"content": [], "tool_calls": [], "reasoning_content": 5}, Spoken(), {"tool_calls": []}),
        ({"content": "", "tool_calls": {}, "function_call": {}}, Spoken(), {"content": ""}),
        ({"function_call": {"name": "f"}}, Spoken(), {"function_call": {"name": "f"}}),
        ({"thinking": {"budget": 1}}, Spoken(), {"thinking": {"budget": 1}}),
        ({"content": [1]}, Spoken(others=[1]), {"content_parts": [1]}),
        ({"content": [1]}, Spoken(opaque=[{"s": 1}]), {"reasoning_details": [{"s": 1}]}),
        ({"reasoning_details": [{"a": 1}]}, Spoken(opaque=[{"s": 1}]), {"reasoning_details": [{"a": 1}, {"s": 1}]}),
        ({"reasoning_details": "odd"}, Spoken(opaque=[{"s": 1}]), {"reasoning_details": [{"s": 1}]}),
    ],
)
def test_aliases_leave_and_the_rest_stays(given: dict[str, Any], spoken: Spoken, expected: dict[str, Any]) -> None:
    assert deltas(given, spoken, READER, role=None) == [expected]


def test_a_whole_message_has_all_kinds_at_once() -> None:
    spoken = Spoken(pieces=[(True, "a"), (False, "b"), (False, "c")], entries=[CALL])
    assert message({"content": "x", "z": 1}, spoken, READER) == {
        "z": 1,
        "reasoning_content": "a",
        "content": "bc",
        "tool_calls": [CALL],
    }
    assert message({"content": ""}, Spoken(), READER) == {"content": ""}
    assert message({"content": None}, Spoken(), READER) == {"content": None}
    assert message({}, Spoken(), READER) == {"content": None}


@pytest.mark.parametrize(
    ("choice", "generated", "delta", "same"),
    [
        ({"delta": {"content": "x"}}, False, {"content": "x"}, True),
        ({"delta": {"content": "x"}, "message": {"content": "xx"}}, False, {"content": "x"}, False),
        ({"delta": {"content": "x"}, "usage": {}}, False, {"content": "x"}, False),
        ({"delta": {"function_call": {}}}, False, {"function_call": {}}, False),
        ({"message": {"content": "x"}}, False, {"content": "x"}, False),
        ({"message": {"content": "x"}}, True, {}, False),
        ({"messages": [{"content": "w"}, {"content": "x"}]}, False, {"content": "x"}, False),
        ({"messages": []}, False, {}, False),
        ({"delta": None}, False, {}, False),
        ({"delta": [], "message": 5}, False, {}, False),
    ],
)
def test_the_delta_comes_first_and_a_message_only_where_nothing_was_said(
    choice: dict[str, Any], generated: bool, delta: dict[str, Any], same: bool
) -> None:
    assert own_delta(choice, generated=generated) == (delta, same)


def test_log_probabilities_go_with_the_text_and_the_finish_with_the_last() -> None:
    given = {"index": "?", "delta": {}, "logprobs": {"content": []}, "seed": 7, "finish_reason": "eos"}
    first, second, third = choice_objects(given, 1, [{"reasoning_content": "a"}, {"content": "b"}, {}], "stop", "eos")
    assert first == {"index": 1, "seed": 7, "delta": {"reasoning_content": "a"}, "finish_reason": None}
    assert second == {"index": 1, "delta": {"content": "b"}, "finish_reason": None, "logprobs": {"content": []}}
    assert third == {"index": 1, "delta": {}, "finish_reason": "stop", "native_finish_reason": "eos"}


def test_the_upstreams_own_native_reason_stays() -> None:
    (one,) = choice_objects({"native_finish_reason": "STOP", "logprobs": None}, 0, [{}], "stop", "eos")
    assert one["native_finish_reason"] == "STOP"
    assert one["logprobs"] is None
    (plain,) = choice_objects({}, 0, [{}], "stop", None)
    assert "native_finish_reason" not in plain


@pytest.mark.parametrize(
    ("choice", "delta", "more"),
    [
        ({"index": 0, "logprobs": {"x": 1}}, {"role": "a", "content": "", "reasoning_content": ""}, False),
        ({}, {"refusal": "no"}, True),
        ({}, {"refusal": "", "audio": None}, False),
        ({"content_filter": {"x": 1}}, {}, True),
    ],
)
def test_a_choice_without_text_may_still_say_something(
    choice: dict[str, Any], delta: dict[str, Any], more: bool
) -> None:
    assert says_more(choice, delta, READER) is more


def test_of_events_that_were_a_delimiter_only_what_else_they_carry_stays() -> None:
    def event(**more: Any) -> Chunk:
        return Chunk({"choices": [{"index": 0, "delta": {"content": "<think>", **more.pop("delta", {})}}], **more})

    kept = without_text([event(), event(x=1), event(delta={"audio": {"id": 1}})], READER)
    assert [one.data for one in kept] == [
        {"choices": [{"index": 0, "delta": {}}], "x": 1},
        {"choices": [{"index": 0, "delta": {"audio": {"id": 1}}}]},
    ]
