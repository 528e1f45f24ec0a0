"""C3: nothing is said twice, whichever source says it first."""

import itertools

import pytest

from proxy.core.echo import Echo

LONG = "".join(f"word {at} " for at in range(200))


def said(*turns: tuple[str, str]) -> str:
    echo = Echo()
    return "".join(echo.new(source, text) for source, text in turns)


@pytest.mark.parametrize("text", ["short", LONG])
def test_a_whole_repeated_at_the_end_is_silent(text: str) -> None:
    parts = [text[at : at + 7] for at in range(0, len(text), 7)]
    assert said(*(("field", part) for part in parts), ("details", text)) == text
    assert said(("details", text), *(("field", part) for part in parts)) == text


@pytest.mark.parametrize("text", ["short text", LONG])
def test_two_sources_in_lockstep_are_one_text_whoever_is_ahead(text: str) -> None:
    parts = [text[at : at + 3] for at in range(0, len(text), 3)]
    for leader, follower in (("field", "tags"), ("tags", "field")):
        turns = [turn for part in parts for turn in ((leader, part), (follower, part))]
        assert said(*turns) == text
    late = [("a", parts[0]), *(turn for x, y in itertools.pairwise(parts) for turn in (("a", y), ("b", x)))]
    assert said(*late) == text


def test_a_source_that_gets_ahead_adds_what_is_new() -> None:
    assert said(("a", "one "), ("b", "one two "), ("a", "two three")) == "one two three"
    assert said(("a", LONG), ("b", LONG + "end")) == LONG + "end"


def test_a_source_that_says_something_else_is_heard_in_full() -> None:
    assert said(("a", "one two"), ("b", "one "), ("b", "three")) == "one twoone three"
    assert said(("a", "one"), ("b", "x"), ("b", "one")) == "onexone"


def test_one_source_may_repeat_itself() -> None:
    assert said(("a", "ha"), ("a", "ha"), ("a", "ha")) == "hahaha"


def test_a_twin_in_the_same_delta_goes_on_from_there_alone() -> None:
    echo = Echo()
    assert echo.new("field", "one ") == "one "
    echo.same("details", "field")
    assert echo.new("details", "two") == "two"
    assert echo.new("field", "two") == ""


def test_a_twin_of_a_text_of_its_own_is_one_too() -> None:
    echo = Echo()
    assert echo.new("a", "one") + echo.new("field", "x") == "onex"
    echo.same("details", "field")
    assert echo.new("details", "one") == "one"


def test_a_leader_is_told_from_a_follower_without_taking_its_text() -> None:
    echo = Echo()
    for text in ("one ", "two"):
        assert echo.may_lead("a")
        echo.lead("a", text, len(text))
    assert Echo().may_lead("a")
    assert not echo.may_lead("b")
    assert echo.new("b", "one two") == ""
    assert echo.new("c", "x") == "x" and echo.may_lead("c")
    echo.lead("c", "y", 1)
    assert echo.new("a", "three") == "three"


def test_what_leads_need_not_be_told_once_its_beginning_is_known() -> None:
    echo = Echo()
    assert echo.hungry
    echo.lead("a", LONG, len(LONG))
    assert not echo.hungry
    echo.lead("a", "", 5)
    assert echo.new("b", LONG + "12345" + "new") == "new"


def test_what_is_kept_does_not_grow() -> None:
    echo = Echo()
    for _ in range(1000):
        echo.new("a", LONG)
        echo.lead("a", LONG, len(LONG))
    assert len(echo._head) == 256
