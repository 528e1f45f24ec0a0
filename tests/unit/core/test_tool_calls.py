"""C6: tool calls are told apart, numbered densely and named once."""

from typing import Any

import pytest

from proxy.core.dialect import ToolCallRules
from proxy.core.tool_calls import MAX_HELD, ToolCalls
from tests.support.streams import call

SEED = "0123456789abcdef01234567"


def put_together(fragments: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(id, name, arguments) of each call, as a client reads them."""
    calls: list[tuple[str, str, str]] = []
    for entry in fragments:
        function = entry.get("function", {})
        if entry["index"] == len(calls):
            assert entry["type"]
            calls.append((entry["id"], function["name"], function["arguments"]))
        else:
            assert "id" not in entry and "name" not in function
            known = calls[entry["index"]]
            calls[entry["index"]] = (*known[:2], known[2] + function.get("arguments", ""))
    return calls


def told(*deltas: list[Any], **rules: Any) -> list[tuple[str, str, str]]:
    calls = ToolCalls(ToolCallRules(**rules), SEED)
    return put_together([entry for delta in deltas for entry in calls.feed(delta)] + calls.close())


A, B = ("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')
CASES: list[tuple[str, list[list[Any]], list[tuple[str, str, str]]]] = [
    ("as it should be", [[call(0, "a", "f", '{"x"')], [call(0, None, None, ":1}")]], [A]),
    ("two in one delta", [[call(0, *A), call(1, *B)]], [A, B]),
    ("after an empty one", [[{}, {"id": "a"}]], [("a", "", "")]),
    ("without index", [[call(None, *A)], [call(None, *B)]], [A, B]),
    (
        "without index, in fragments",
        [[call(None, "a", "f", '{"x"')], [call(None, None, None, ":1}")], [call(None, *B)]],
        [A, B],
    ),
    (
        "without index, fragments by id",
        [[call(None, "a", "f", '{"x"')], [call(None, *B)], [call(None, "a", None, ":1}")]],
        [A, B],
    ),
    ("all index 0, other ids", [[call(0, *A)], [call(0, *B)]], [A, B]),
    (
        "all index 0, ids in turn",
        [
            [call(0, "a", "f", '{"x"')],
            [call(0, "b", "g", '{"y"')],
            [call(0, "a", None, ":1}")],
            [call(0, "b", None, ":2}")],
        ],
        [A, B],
    ),
    (
        "all index 0, no ids, a new name after whole arguments",
        [[call(0, None, "f", '{"x":1}')], [call(0, None, "g", '{"y":2}')]],
        [(f"call_{SEED}", *A[1:]), (f"call_{SEED}_1", *B[1:])],
    ),
    (
        "no index, no ids, the same name",
        [[call(None, None, "f", "{}"), call(None, None, "f", "[]")]],
        [(f"call_{SEED}", "f", "{}"), (f"call_{SEED}_1", "f", "[]")],
    ),
    (
        "no index, no ids, another name before whole arguments",
        [[call(None, None, "f", ""), call(None, None, "g", "{}")]],
        [(f"call_{SEED}", "f", ""), (f"call_{SEED}_1", "g", "{}")],
    ),
    ("a new id in every fragment", [[call(0, "a", "f", '{"x"')], [call(0, "z", None, ":1}")]], [A]),
    ("from index 1, with gaps", [[call(1, *A)], [call(5, *B)]], [A, B]),
    ("the id in every fragment", [[call(0, "a", "f", '{"x"')], [call(0, "a", "f", ":1}")]], [A]),
    ("an empty id after the first", [[call(0, "a", "f", '{"x"')], [call(0, "", None, ":1}")]], [A]),
    ("the name in every fragment", [[call(0, "a", "f", '{"x"')], [call(0, None, "f", ":1}")]], [A]),
    ("no id at all", [[call(0, None, "f", "{}")]], [(f"call_{SEED}", "f", "{}")]),
    ("a late name", [[call(0, "a", None, '{"x"')], [call(0, None, "f", ":1}")]], [A]),
    ("a late function", [[{"index": 0, "id": "a", "type": "function"}], [call(0, None, "f", '{"x":1}')]], [A]),
    ("a name that never comes", [[call(0, "a", None, "{}")]], [("a", "", "{}")]),
    ("arguments as an object", [[call(0, "a", "f", {"x": 1})]], [A]),
    (
        "later arguments as an object or null",
        [[call(0, "a", "f", None)], [call(0, None, None, {"x": 1})], [call(0, None, None, None)]],
        [A],
    ),
    (
        "brackets in strings do not end a call",
        [[call(0, "a", "f", '{"x":"}\\""')], [call(0, None, "f", "}")]],
        [("a", "f", '{"x":"}\\""}')],
    ),
    (
        "an escape cut in two",
        [[call(0, "a", "f", '{"x":"\\')], [call(0, None, "f", '"}"}')]],
        [("a", "f", '{"x":"\\"}"}')],
    ),
    ("an id alone", [[call(0, "a", "f", '{"x":1}')], [{"index": 0, "id": "a"}]], [A]),
    ("what is no fragment", [[None, 5, call(0, *A)]], [A]),
    ("an index that is none", [[call(0, *A)], [{**call(None, *B), "index": True}]], [A, B]),
    (
        "parts of wrong types",
        [[{"index": 0, "id": 5, "type": [], "function": "f"}, {"index": 0, "function": [1]}]],
        [(f"call_{SEED}", "", "")],
    ),
]


@pytest.mark.parametrize(("deltas", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_fragments_are_put_together(deltas: list[list[Any]], expected: list[tuple[str, str, str]]) -> None:
    assert told(*deltas) == expected


def test_an_entry_that_is_right_already_is_not_touched() -> None:
    calls = ToolCalls(ToolCallRules(), SEED)
    first, later = {**call(0, *A), "x": 1}, call(0, None, None, "")
    assert calls.feed([first])[0] is first
    assert calls.feed([later])[0] is later
    assert calls.close() == []


def test_unknown_keys_and_signatures_stay() -> None:
    calls = ToolCalls(ToolCallRules(), SEED)
    extra = {"google": {"thought_signature": "s"}}
    entry = {"index": 0, "function": {"name": "f", "arguments": "{", "strict": True}, "extra_content": extra}
    (sent,) = calls.feed([entry])
    assert sent["extra_content"] is extra
    assert sent["function"]["strict"] is True
    (late,) = calls.feed(
        [{**call(0, "a", "f", "x"), "extra_content": extra, "function": {"name": "f", "arguments": "x", "k": 1}}]
    )
    assert late == {"index": 0, "type": "function", "extra_content": extra, "function": {"arguments": "x", "k": 1}}


def test_another_kind_of_call_needs_no_function() -> None:
    calls = ToolCalls(ToolCallRules(), SEED)
    custom = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}
    more = {"index": 0, "custom": {"input": "y"}}
    assert calls.feed([custom])[0] is custom
    assert calls.feed([more])[0] is more


def test_arguments_that_wait_for_a_name_are_held_up_to_a_bound() -> None:
    calls = ToolCalls(ToolCallRules(), SEED)
    sent = [entry for _ in range(100) for entry in calls.feed([call(0, "a", None, "x" * 1000)])]
    assert put_together(sent) == [("a", "", "x" * 100_000)]
    assert len(sent[0]["function"]["arguments"]) == MAX_HELD // 1000 * 1000 + 1000


def test_trusted_indexes_alone_tell_calls_apart() -> None:
    assert told([call(0, *A)], [call(0, "z", None, "!")], index="trust") == [("a", "f", '{"x":1}!')]
    assert told([call(None, *A)], [call(None, *B)], index="trust") == [A, B]


class TestDummyArguments:
    """A first `{}` before the real arguments."""

    def test_it_goes_where_real_ones_follow(self) -> None:
        assert told([call(0, "a", "f", "{}")], [call(0, None, None, '{"x":1}')], drop_dummy_args=True) == [A]

    def test_it_comes_late_where_none_follow(self) -> None:
        deltas = [[call(0, "a", "f", "{}")], [call(0, None, None, "")]]
        assert told(*deltas, drop_dummy_args=True) == [("a", "f", "{}")]

    def test_by_default_it_passes(self) -> None:
        assert told([call(0, "a", "f", "{}")]) == [("a", "f", "{}")]


def test_whole_calls_get_id_type_and_text_arguments_and_no_index() -> None:
    calls = ToolCalls(ToolCallRules(), SEED)
    right = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    indexed = {**right, "index": 1}
    found = calls.whole([right, {"function": {"name": "g", "arguments": {"y": 2}}}, 5, indexed])
    assert found[0] is right
    assert found[1] == {"id": f"call_{SEED}_1", "type": "function", "function": {"name": "g", "arguments": '{"y":2}'}}
    assert found[2]["index"] == 2
    assert calls.made
