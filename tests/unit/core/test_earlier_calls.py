"""Tool calls of earlier messages: ids that a target takes, and what stands for a signature that is not there."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.dialect import CallIds, History, Signature
from proxy.core.earlier_calls import renamed, signed
from proxy.core.history import rewrite

WORD = {"extra_content": {"google": {"thought_signature": "skip"}}}
BY_CALL = Signature(call=WORD)
BY_DETAIL = Signature(detail={"type": "reasoning.encrypted", "data": "skip", "format": "f"})
NINE = CallIds(length=9, exact=True)


def call(id_: Any = "c1", **keys: Any) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}, **keys}


def message(*calls: Any, **keys: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **keys}


def test_the_first_call_of_a_message_gets_the_word_and_the_others_none() -> None:
    assert signed(message(call("a"), call("b")), BY_CALL)["tool_calls"] == [call("a", **WORD), call("b")]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"extra_content": None}, WORD),
        ({"extra_content": {}}, WORD),
        ({"extra_content": {"google": {"thought_signature": ""}}}, WORD),
        ({"extra_content": {"google": 1}}, {"extra_content": {"google": 1}}),
        ({"extra_content": {"other": 1}}, {"extra_content": {"other": 1, **WORD["extra_content"]}}),
        (
            {"extra_content": {"google": {"thought": True}}},
            {"extra_content": {"google": {"thought": True, "thought_signature": "skip"}}},
        ),
    ],
)
def test_what_the_call_has_already_stays_beside_the_word(state: dict[str, Any], expected: dict[str, Any]) -> None:
    assert signed(message(call(**state)), BY_CALL)["tool_calls"] == [call(**expected)]


def test_a_signed_call_is_the_same_object() -> None:
    given_ = message(call(extra_content={"google": {"thought_signature": "real"}}), call("b"))
    assert signed(given_, BY_CALL) is given_


def test_a_detail_with_the_id_of_the_first_call_is_added_where_none_is_like_it() -> None:
    added = {**BY_DETAIL.detail, "id": "a", "index": 0}
    assert signed(message(call("a"), call("b")), BY_DETAIL)["reasoning_details"] == [added]
    text = {"type": "reasoning.text", "text": "Hm", "format": "f"}
    other = {"type": "reasoning.encrypted", "data": "x", "format": "of another host"}
    found = signed(message(call("a"), reasoning_details=[text, other]), BY_DETAIL)["reasoning_details"]
    assert found == [text, other, {**added, "index": 2}]
    own = message(call("a"), reasoning_details=[{"type": "reasoning.encrypted", "data": "real", "format": "f"}, "odd"])
    assert signed(own, BY_DETAIL) is own


@pytest.mark.parametrize(
    "given_",
    [
        {"role": "assistant", "content": "So."},
        {"role": "assistant", "tool_calls": []},
        {"role": "assistant", "tool_calls": "odd"},
        {"role": "assistant", "tool_calls": ["odd"]},
        {"role": "user", "tool_calls": [call()]},
    ],
)
def test_what_calls_no_tool_is_not_signed(given_: dict[str, Any]) -> None:
    assert signed(given_, BY_CALL) is given_
    assert signed(given_, BY_DETAIL) is given_


def test_ids_that_are_taken_stay() -> None:
    for rules, id_ in ((NINE, "abcDEF123"), (CallIds(), "call1"), (CallIds(40, also="_-.:"), "functions.f:0")):
        given_ = message(call(id_))
        assert renamed(given_, rules) is given_
        result = {"role": "tool", "tool_call_id": id_, "content": "1"}
        assert renamed(result, rules) is result


@pytest.mark.parametrize(
    ("rules", "id_", "length"),
    [
        (NINE, "call_abcd", 9),
        (NINE, "abc", 9),
        (NINE, "abcdefghij", 9),
        (NINE, "", 9),
        (NINE, "ümlaut123", 9),
        (CallIds(40), "x" * 41, 24),
        (CallIds(64, also="_-"), "functions.f:0", 24),
        (CallIds(5), "a_b", 5),
        (CallIds(), "", 24),
        (CallIds(), "half \ud800", 24),
    ],
)
def test_other_ids_become_letters_and_digits_made_of_them(rules: CallIds, id_: str, length: int) -> None:
    calls = renamed(message(call(id_), call("other_id")), rules)["tool_calls"]
    new = calls[0]["id"]
    assert len(new) == length
    assert new.isascii()
    assert new.isalnum()
    assert calls[1]["id"] != new
    assert renamed({"role": "tool", "tool_call_id": id_}, rules) == {"role": "tool", "tool_call_id": new}


def test_ids_that_are_no_text_are_left_to_the_host() -> None:
    for given_ in (message("odd", call(None), call(5)), {"role": "tool", "tool_call_id": 5}, {"role": "user"}):
        assert renamed(given_, NINE) is given_


@given(st.lists(st.text(max_size=20), min_size=2, max_size=6), st.sampled_from([NINE, CallIds(12), CallIds(also="_")]))
def test_ids_stay_apart_and_a_second_time_changes_nothing(ids: list[str], rules: CallIds) -> None:
    once = renamed(message(*map(call, ids)), rules)
    assert renamed(once, rules) is once
    new = [each["id"] for each in once["tool_calls"]]
    assert [new.index(each) for each in new] == [ids.index(each) for each in ids]


def test_both_happen_after_the_reasoning_is_written_and_before_keys_are_stripped() -> None:
    history = History("details", backfill_signature=Signature(WORD, BY_DETAIL.detail), call_ids=NINE)
    messages = [{"role": "user", "content": "?"}, message(call("c_1"), reasoning_content="Hm"), {"role": "user"}]
    before = copy.deepcopy(messages)
    out = rewrite(messages, history, seen_field=None)[1]
    assert messages == before
    assert [each["type"] for each in out["reasoning_details"]] == ["reasoning.text", "reasoning.encrypted"]
    assert out["tool_calls"][0] == call(out["tool_calls"][0]["id"], **WORD)
    assert len(out["tool_calls"][0]["id"]) == 9
    strict = History("drop", strip_fields=("tool_calls[].extra_content",), backfill_signature=BY_CALL)
    assert rewrite(messages, strict, seen_field=None)[1] == message(call("c_1"))
