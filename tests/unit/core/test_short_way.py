"""Deltas that take the short way through the normalizer leave as the long way would send them."""

from typing import Any

import pytest

from proxy.core.dialect import Dialect
from tests.support.streams import body, chunk, context, stream, text

ROLE = {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("delta", "left"),
    [
        ({"reasoning": "b"}, {"reasoning_content": "b"}),
        ({"role": "assistant", "content": "", "reasoning": "b"}, {"content": "", "reasoning_content": "b"}),
        ({"content": None, "reasoning": "b", "reasoning_content": None}, {"content": None, "reasoning_content": "b"}),
    ],
)
def test_a_renamed_field_leaves_like_the_first_one(delta: dict[str, Any], left: dict[str, Any]) -> None:
    answer = stream(body(chunk(ROLE), chunk({"reasoning": "a"}), chunk(delta), *text("x")[1:]))
    assert [one for one in answer.deltas if one.get("reasoning_content") == "b"] == [left]
    assert (answer.reasoning, answer.content) == ("ab", "x")


def test_a_role_in_every_chunk_goes_from_the_answer_too() -> None:
    answer = stream(
        body(chunk(ROLE), *(chunk({"role": "assistant", "content": one}) for one in "xyz"), chunk({}, "stop"))
    )
    assert [one for one in answer.deltas if one.get("content")] == [{"content": one} for one in "xyz"]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": "b", "content": "x"},
        {"reasoning": "b", "thinking": "b"},
        {"thinking": "b"},
        {"reasoning": {"text": "b"}},
        {"role": "assistant", "reasoning": "b", "content": [{"type": "text", "text": "x"}]},
    ],
)
def test_what_is_more_than_a_rename_takes_the_long_way(delta: dict[str, Any]) -> None:
    answer = stream(body(chunk(ROLE), chunk({"reasoning": "a"}), chunk(delta), chunk({}, "stop")))
    assert answer.reasoning == "ab"
    assert answer.content == ("x" if "content" in delta else "")


def test_two_texts_beside_an_answer_take_the_long_way() -> None:
    answer = stream(body(*text("x", finish=None), chunk({"content": "y", "reasoning": "b"}), chunk({}, "stop")))
    assert (answer.reasoning, answer.content) == ("b", "xy")


def test_repeated_reasoning_is_dropped_although_it_could_be_reworded() -> None:
    settings = context(Dialect(dedupe_repeated_reasoning=True))
    data = body(chunk(ROLE), *(chunk({"reasoning": one}) for one in ("a", "b", "b")), chunk({}, "stop"))
    assert stream(data, settings).reasoning == "ab"


def test_a_field_that_repeats_what_tags_said_takes_the_long_way() -> None:
    deltas = [{"content": "<think>abc"}, {"reasoning": "ab"}, {"reasoning": "c"}, {"content": "</think>x"}]
    answer = stream(body(chunk(ROLE), *map(chunk, deltas), chunk({}, "stop")))
    assert (answer.reasoning, answer.content) == ("abc", "x")
