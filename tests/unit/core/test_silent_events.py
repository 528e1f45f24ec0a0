"""Events that say nothing but a role, or why the answer ended, leave as the closer look would send them."""

from typing import Any

import pytest

from proxy.core.dialect import Dialect, FinishReasons, Tags
from tests.support.paths import both, looks_of
from tests.support.streams import DONE, FRAME, body, chunk, context, event, stream

ROLE = {"role": "assistant", "content": ""}
CALL = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}

FIRST: list[dict[str, Any]] = [
    {},
    ROLE,
    {"role": "assistant"},
    {"role": "assistant", "content": None, "refusal": None, "reasoning_content": ""},
    {"role": "assistant", "tool_calls": []},
    {"role": "assistant", "tool_calls": ""},
    {"role": "assistant", "function_call": {}},
    {"role": ""},
    {"role": 7},
    {"content": ""},
]
MIDDLE: list[list[dict[str, Any]]] = [
    [],
    [chunk({"content": "an answer"})],
    [chunk({"reasoning_content": "a thought"}), chunk({"content": "x"})],
    [chunk({"reasoning": "a thought"})],
    [chunk({"content": "<think>never closed"})],
    [chunk({"content": "<think>a</think>b <"})],
    [chunk({"content": " "})],
    [chunk({"content": "<"})],
    [chunk(CALL)],
    [chunk(ROLE), chunk({}), chunk({"content": ""})],
    [chunk({"content": "a"}), chunk(ROLE, index=1), chunk({"content": "b"}, index=1)],
]
LAST: list[list[dict[str, Any]]] = [
    [],
    [chunk({}, "stop")],
    [chunk({"content": ""}, "length")],
    [chunk({"content": None}, "tool_calls")],
    [chunk({}, "eos")],
    [chunk({}, "own word")],
    [chunk({}, "weird")],
    [chunk({}, "")],
    [chunk({}, 1)],
    [chunk({"role": "assistant"}, "stop")],
    [chunk({}, "stop"), chunk({}), chunk({}, "length")],
    [chunk({}, "stop", index=1), chunk({}, "stop")],
    [chunk({}, "stop", usage=USAGE), chunk({}, "stop", usage=None)],
    [{**FRAME, "choices": [], "usage": USAGE}, chunk({}, "stop")],
]
DIALECTS = [
    Dialect(finish_reason=FinishReasons(map={"own word": "length", "stop": "stop"})),
    Dialect(tags=Tags(position="anywhere", blocks="all", trim="none", implicit_start="always")),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("first", FIRST)
def test_an_answer_begins_and_ends_as_the_closer_look_would_have_it(first: dict[str, Any], dialect: Dialect) -> None:
    for middle in MIDDLE:
        for last in LAST:
            events = [event(one) for one in [chunk(first), *middle, *last]]
            for usage in (False, True):
                both([*events, DONE], context(dialect, usage=usage))
            both([b"".join(events), b""], context(dialect))  # no `[DONE]`


def _with(choice: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**FRAME, **more, "choices": [{"index": 0, "delta": ROLE, "finish_reason": None, **choice}]}


ODD = [
    _with({}, object="error"),
    _with({}, object="chat.completion"),
    _with({}, id=""),
    _with({}, id=7),
    _with({}, created=0),
    _with({}, created=1764000000.5),
    _with({}, created=True),
    _with({}, model=None),
    _with({}, error={"message": "broken"}),
    _with({}, x_groq={"usage": USAGE}),
    _with({}, obfuscation="aB3"),
    _with({"index": "0"}),
    _with({"index": True}),
    _with({"index": None}),
    _with({"index": 3}),
    _with({"error": {"message": "broken"}}),
    _with({"usage": USAGE}),
    _with({"message": {"role": "assistant", "content": "whole"}}),
    _with({"delta": None}),
    _with({"delta": "text"}),
    {**FRAME, "choices": [{"index": 0, "delta": ROLE}, {"index": 1, "delta": ROLE}]},
    {**FRAME, "choices": ["text"]},
    {**FRAME, "choices": {}},
    {key: value for key, value in _with({}).items() if key not in ("id", "model")},
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_strange_about_an_event_is_seen_also_where_it_says_nothing(odd: dict[str, Any]) -> None:
    said = chunk({"content": "x"})
    end = chunk({}, "stop")
    for events in ([odd, said, end], [chunk(ROLE), odd, said, end], [odd, odd, end], [said, end, odd], [said, odd]):
        both([*map(event, events), DONE], context(usage=True))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each event that had such a look, whether it was enough."""
    return looks_of(monkeypatch, "_silent")


def test_the_first_and_the_last_event_of_most_answers_need_no_closer_look(looks: list[bool]) -> None:
    said = [chunk({"reasoning_content": "a"}), chunk({"content": "x"}), chunk({"content": "y"})]
    answer = stream(body(chunk(ROLE), *said, chunk({}, "length")))
    assert (answer.reasoning, answer.content) == ("a", "xy")
    cuts = len(looks) // 2
    assert looks == [True, True] * cuts and cuts > 1


@pytest.mark.parametrize(
    "before",
    [
        [chunk({"content": "<think>open"})],
        [chunk({"content": "x"}), chunk(CALL)],
        [chunk({"content": " "})],
    ],
)
def test_an_end_that_ends_more_than_the_answer_needs_one(before: list[dict[str, Any]], looks: list[bool]) -> None:
    both([*map(event, [chunk(ROLE), *before, chunk({}, "stop")]), DONE], context())
    assert looks[0] and not looks[-1]
