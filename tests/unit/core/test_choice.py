"""One choice: what a delta says, in the order of sources of `docs/dialects.md`."""

from typing import Any

import pytest

from proxy.core.choice import Choice, DialectReader, flat_text
from proxy.core.dialect import Dialect, Tags
from tests.support.streams import call


def choice(dialect: Dialect | None = None, *, thinking: bool = True) -> Choice:
    return Choice(DialectReader(dialect or Dialect(), thinking=thinking), seed="seed")


@pytest.mark.parametrize(
    ("delta", "pieces", "plain"),
    [
        ({"reasoning_content": "a"}, [(True, "a")], True),
        ({"content": "x"}, [(False, "x")], True),
        ({"reasoning_content": "", "content": None}, [], True),
        ({"reasoning": "a"}, [(True, "a")], False),
        ({"reasoning_content": "a", "content": "x"}, [(True, "a"), (False, "x")], False),
        ({"reasoning_content": {"text": "a"}}, [(True, "a")], False),
        ({"reasoning_content": 5, "reasoning": "a"}, [(True, "a")], False),
        ({"reasoning_content": [], "content": "x"}, [(False, "x")], False),
        ({"thinking": {"budget": 1}, "content": "x"}, [(False, "x")], True),
        ({"content": 5}, [(False, "5")], False),
        ({"content": {"type": "text", "text": "x"}}, [(False, "x")], False),
        ({"content": []}, [], False),
        ({"tool_calls": {"index": 0}}, [], False),
        ({"tool_calls": None}, [], True),
        ({"tool_calls": []}, [], True),
    ],
)
def test_a_delta_says_its_pieces_and_whether_it_may_stay(
    delta: dict[str, Any], pieces: list[tuple[bool, str]], plain: bool
) -> None:
    spoken = choice().read(delta)
    assert spoken.pieces == pieces
    assert spoken.plain is plain
    assert spoken.is_same_as(delta) is plain


def test_the_dialects_order_of_fields_decides() -> None:
    dialect = Dialect(fields=("reasoning_text", "reasoning_content"))
    one = choice(dialect)
    assert one.read({"reasoning_content": "b", "reasoning_text": "a"}).pieces == [(True, "a")]
    assert one.odd == ["both_reasoning_fields"]
    spoken = choice(dialect).read({"reasoning_text": "a", "reasoning_content": {"signature": "s"}})
    assert (spoken.pieces, spoken.opaque) == ([(True, "a")], [{"signature": "s"}])


def test_the_canonical_field_is_read_though_a_dialect_does_not_name_it() -> None:
    assert choice(Dialect(fields=())).read({"reasoning_content": "a"}).pieces == [(True, "a")]
    assert choice(Dialect(fields=("reasoning",))).read({"reasoning": "a", "reasoning_content": "a"}).pieces == [
        (True, "a")
    ]


def test_parts_that_repeat_a_field_are_silent() -> None:
    delta = {
        "reasoning_content": "a",
        "content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "x"}],
    }
    one = choice()
    assert one.read(delta).pieces == [(True, "a"), (False, "x")]
    assert one.source == "reasoning_content"


def test_details_that_went_along_with_a_field_go_on_alone() -> None:
    def details(text: str) -> dict[str, Any]:
        return {"reasoning_details": [{"type": "reasoning.text", "text": text}]}

    one = choice()
    assert one.read({"reasoning": "ha", **details("ha")}).pieces == [(True, "ha")]
    assert one.read(details("ha")).pieces == [(True, "ha")]
    assert one.source == "details"


def test_an_implicit_start_depends_on_the_request() -> None:
    dialect = Dialect(tags=Tags(implicit_start="when_thinking"))
    assert choice(dialect).read({"content": "a"}).pieces == [(True, "a")]
    assert choice(dialect, thinking=False).read({"content": "a"}).pieces == [(False, "a")]


def test_a_tool_call_lets_held_text_go() -> None:
    one = choice()
    assert one.read({"content": "<thi"}).pieces == []
    assert one.undecided == "<thi"
    spoken = one.read({"tool_calls": [call(0, "a", "f", "{}")]})
    assert spoken.pieces == [(False, "<thi")] and spoken.entries
    assert one.generated


def test_the_end_lets_held_text_go_once() -> None:
    one = choice()
    one.read({"content": "<thi"})
    assert one.close(stopped=True).pieces == [(False, "<thi")]
    one.finished = "stop"
    assert one.close(stopped=True).pieces == []


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), ({"text": "a"}, "a"), ({"text": 5}, ""), ({}, ""), (None, ""), (5, ""), ([], "")]
)
def test_a_fields_text(value: Any, text: str) -> None:
    assert flat_text(value) == text
