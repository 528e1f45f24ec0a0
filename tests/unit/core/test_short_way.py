"""Deltas that take the short way through the normalizer leave as the long way would send them."""

from typing import Any

import pytest

from proxy.core.choice import Choice, DialectReader
from proxy.core.chunk import Chunk
from proxy.core.dialect import Details, Dialect, Tags
from proxy.core.normalizer import Normalizer
from proxy.core.short_way import Short, may
from tests.support.streams import body, chunk, context, dumped, stream, text

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


def spoken(*deltas: dict[str, Any], dialect: Dialect | None = None) -> list[tuple[str, str] | None]:
    """For each delta, how it was said if it took the short way."""
    normalizer = Normalizer(context(dialect))
    ways: list[tuple[str, str] | None] = []
    for delta in deltas:
        normalizer.feed(dumped(chunk(delta)))
        ways.append((normalizer.short[1].way, normalizer.short[1].source) if normalizer.short else None)
    return ways


FIELD: dict[str, Any] = {"reasoning": "a"}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}


def details(*texts: str) -> list[dict[str, str]]:
    return [{"type": "reasoning.text", "text": text} for text in texts]


def arguments(text: Any, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": text}, **more}]}


@pytest.mark.parametrize(
    ("delta", "way"),
    [
        ({"reasoning": "b"}, ("field", "reasoning")),
        ({"reasoning_content": "b", "refusal": None, "channel": "analysis"}, ("field", "reasoning_content")),
        ({"reasoning": "b", "reasoning_content": "b"}, ("field", "reasoning_content")),
        ({"reasoning": "b", "reasoning_details": []}, ("field", "reasoning")),
        ({"reasoning": "b", "reasoning_details": details("b")}, ("field", "details")),
        ({"reasoning": "b", "tool_calls": []}, ("field", "reasoning")),
        ({"reasoning": "b", "reasoning_content": "c"}, None),
        ({"reasoning": {"text": "b"}}, None),
        ({"reasoning": "b", "content": []}, None),
        ({"reasoning": "b", "content": "x"}, None),
        ({"reasoning": "b", "thinking_blocks": [1]}, None),
        ({"reasoning": "b", "function_call": {}}, None),
        ({"reasoning": "b", "extra_content": {"google": {"thought": True}}}, None),
        ({"reasoning": "b", "extra_content": "x"}, None),
        ({"reasoning": "b", "reasoning_details": details("c")}, None),
        ({"reasoning": "b", "reasoning_details": details("b", "")}, None),
        ({"reasoning": "b", "reasoning_details": {}}, None),
        ({"reasoning": "b", "reasoning_details": {"text": "b"}}, None),
        ({"reasoning_details": details("b")}, None),
        ({"content": ["x"]}, None),
        ({}, None),
    ],
)
def test_a_delta_takes_the_short_way_only_where_one_text_is_all_it_says(
    delta: dict[str, Any], way: tuple[str, str] | None
) -> None:
    assert spoken({**ROLE, **FIELD}, FIELD, delta)[1:] == [("field", "reasoning"), way]


@pytest.mark.parametrize(
    ("delta", "way"),
    [
        ({"content": "y"}, ("content", "")),
        ({"role": "assistant", "content": "y", "reasoning": None, "tool_calls": []}, ("content", "")),
        ({"content": "y", "reasoning": "b"}, None),
        ({"content": "y", "reasoning_details": details("b")}, None),
        ({"content": "y", "extra_content": {"google": {"thought": True}}}, None),
        ({"content": "y", "tool_calls": [CALL]}, None),
    ],
)
def test_answer_text_takes_the_short_way_only_alone(delta: dict[str, Any], way: tuple[str, str] | None) -> None:
    assert spoken({**ROLE, "content": "x"}, delta)[1:] == [way]


@pytest.mark.parametrize(
    ("delta", "way"),
    [
        (arguments("{"), ("call", "")),
        (arguments("{", type="function") | {"content": None, "reasoning": ""}, ("call", "")),
        (arguments(""), None),
        (arguments({}), None),
        (arguments("{", id="d"), None),
        (arguments("{", index=1), None),
        (arguments("{", index=None), None),
        (arguments("{", function={"name": "f", "arguments": "{"}), None),
        (arguments("{", function=None), None),
        (arguments("{") | {"role": "assistant"}, None),
        (arguments("{") | {"reasoning": "a"}, None),
        ({"tool_calls": [CALL, CALL]}, None),
        ({"tool_calls": ["x"]}, None),
        ({"tool_calls": {"index": 0}}, None),
    ],
)
def test_arguments_take_the_short_way_only_where_their_call_is_known(
    delta: dict[str, Any], way: tuple[str, str] | None
) -> None:
    assert spoken(ROLE, {"tool_calls": [CALL]}, delta)[2:] == [way]


def test_an_open_block_sends_arguments_the_long_way() -> None:
    deltas: list[dict[str, Any]] = [ROLE, {"tool_calls": [CALL]}, {"content": "<think>a"}, arguments("{")]
    assert spoken(*deltas, dialect=Dialect(tags=Tags(position="anywhere")))[2:] == [None, None]


@pytest.mark.parametrize(
    ("tags", "texts", "ways"),
    [
        (Tags(), ["<think>", "a", "b", "c ", "d"], [None, None, "tags", None, None]),
        (Tags(trim="none"), ["<think>", "a", "b ", "c<", "d"], [None, None, "tags", None, None]),
        (Tags(), ["<think>a</think><answer>", "b", "c", "d</", "e"], [None, None, "content", None, None]),
        (Tags(position="anywhere"), ["a", "b ", "<th", "ink>c", "d"], [None, "content", None, None, "tags"]),
        (Tags(unclosed="content_if_stop"), ["<think>a", "b"], [None, None]),
        (Tags(pairs=(("t", "END"),), case_sensitive=False), ["ta", "b", "Ed", "f"], [None, "tags", None, "tags"]),
    ],
)
def test_tagged_text_takes_the_short_way_where_it_cannot_hold_a_delimiter(
    tags: Tags, texts: list[str], ways: list[str | None]
) -> None:
    found = spoken(ROLE, *({"content": text} for text in texts), dialect=Dialect(tags=tags))[1:]
    assert [way and way[0] for way in found] == ways


def test_text_in_a_block_that_a_field_has_said_already_takes_the_long_way() -> None:
    assert spoken(ROLE, {"reasoning": "abc"}, {"content": "<think>a"}, {"content": "b"})[3:] == [None]


def test_snapshots_of_details_take_the_long_way() -> None:
    dialect = Dialect(details=Details(snapshots=True))
    assert spoken(ROLE, FIELD, {"reasoning": "b", "reasoning_details": details("ab")}, dialect=dialect)[2:] == [None]


def test_a_frame_waits_while_its_choice_is_not_sure_of_its_role() -> None:
    choice = Choice(DialectReader(Dialect(), thinking=True), seed="s")
    said = Short("field", "a", source="reasoning")
    assert not may(choice, said)
    choice.role_sent = True
    assert may(choice, said)
    choice.waiting = [Chunk({"choices": []})]
    assert not may(choice, said)


def test_what_would_be_said_of_no_chunk_is_nothing() -> None:
    normalizer = Normalizer(context())
    assert normalizer.would_say(b"{") is None
    assert normalizer.would_say(b'"\x01"') is None
    assert normalizer.would_say(dumped(chunk({"reasoning": "a"}))) is None
