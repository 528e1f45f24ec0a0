"""Events that come one by one: a read that is one more event like the last takes the shortest way, all else does not."""

from typing import Any

import pytest

from proxy.core.dialect import Dialect
from proxy.core.errors import UpstreamUnavailable
from proxy.core.frame import Frame
from tests.support import cuts
from tests.support.paths import both
from tests.support.streams import DONE, chunk, context, dumped, event, text

FEW = ["Well", ", ", "let ", "us ", "see", " it"]
BEFORE = 3
"""Events that show a frame: the role, one that is parsed, one that is taken."""
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each read that was looked at, whether it was taken."""
    found: list[bool] = []
    take = Frame.alone

    def looked(frame: Frame, data: bytes) -> bytes | None:
        leaving = take(frame, data)
        found.append(leaving is not None)
        return leaving

    monkeypatch.setattr(Frame, "alone", looked)
    return found


def _said(key: str, *texts: str) -> list[bytes]:
    return [event(one) for one in text(*texts, key=key, finish=None)]


def _raw(key: str, inside: bytes) -> bytes:
    """An event whose text is written this way."""
    return event(dumped(chunk({key: "HERE"})).replace(b"HERE", inside))


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "content"])
def test_events_that_come_one_by_one_are_taken_one_by_one(key: str, alone: list[bool]) -> None:
    course = both([*_said(key, *FEW), DONE], context(Dialect()))
    assert alone == [True] * (1 + len(FEW) - BEFORE) + [False]
    assert b'"%b":" it"' % (b"content" if key == "content" else b"reasoning_content") in course.out


@pytest.mark.parametrize(
    "inside",
    [
        rb"\n",
        rb"\"",
        rb"\\",
        rb"\u003cthink\u003e",
        rb"\ud83d\ude00",
        rb"\ud83d",
        rb"\x",
        b'"',
        b"\x01",
        b"\xff",
        b"\xed\xa0\xbd",
        b"",
        b'","content":"x',
        b'"},"index":1,"delta":{"content":"b',
        b"\r",
        "é—😀".encode(),
    ],
)
@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "content"])
def test_any_text_gives_what_the_parser_gives(key: str, inside: bytes) -> None:
    pieces = [*_said(key, *FEW), _raw(key, inside), _raw(key, b"on"), _raw(key, inside + b"x"), _raw(key, b"end"), DONE]
    both(pieces, context())
    for at in range(1, len(pieces[-3])):
        both([*pieces[:-3], pieces[-3][:at], pieces[-3][at:], *pieces[-2:]], context())


def test_a_cut_event_and_two_in_one_read_are_not_taken(alone: list[bool]) -> None:
    events = _said("reasoning_content", *FEW, *FEW)
    last, rest = events[:7], events[7:]
    both([*last, rest[0][:40], rest[0][40:] + rest[1], rest[2], rest[3][:-1], b"\n" + rest[4], DONE], context())
    assert alone == [True, True, True, True, False, True, False, False]


def test_what_repeats_reasoning_is_found_behind_events_that_were_taken(alone: list[bool]) -> None:
    events = _said("reasoning", *FEW, *(f"{at:04} " for at in range(100)))
    whole = "".join([*FEW, *(f"{at:04} " for at in range(100))])
    twice = event(chunk({"reasoning_details": [{"type": "reasoning.text", "text": whole}]}))
    course = both([*events, twice, event(chunk({"content": "x"})), DONE], context())
    assert alone.count(True) == len(events) - BEFORE
    assert b'"reasoning_content":" it"' in course.out
    assert b'"reasoning_content":"Well, let' not in course.out


@pytest.mark.parametrize(
    ("opening", "delta"),
    [
        ([{"tool_calls": [CALL]}], {"tool_calls": [{"index": 0, "function": {"arguments": "1"}}]}),
        ([], {"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}),
        ([], {"reasoning": "a", "reasoning_content": "a"}),
        ([{"content": "<think>a"}], {"content": "b"}),
    ],
)
def test_events_of_which_more_is_kept_are_never_taken(
    opening: list[dict[str, Any]], delta: dict[str, Any], alone: list[bool]
) -> None:
    events = [event(chunk(one)) for one in ({"role": "assistant", "content": ""}, *opening, *[delta] * 6)]
    both([*events, DONE], context())
    assert True not in alone


def test_a_padding_that_is_cut_off_is_not_taken_for_the_end(alone: list[bool]) -> None:
    events = [event({**chunk({"reasoning": f"t{at}"}), "obfuscation": "4Zx"}) for at in range(6)]
    cut = events[-1].index(b'4Zx"}')
    both([event(chunk({"role": "assistant"})), *events[:-1], events[-1][:cut], events[-1][cut:], DONE], context())
    assert True not in alone


def test_an_upstream_that_breaks_off_after_an_event_alone_ends_as_any_other(alone: list[bool]) -> None:
    course = both(_said("reasoning_content", *FEW), context(), UpstreamUnavailable("gone"))
    assert alone[-1]
    assert course.rest.endswith(DONE)


def test_nothing_is_taken_behind_the_end(alone: list[bool]) -> None:
    events = _said("reasoning_content", *FEW)
    course = both([*events, DONE, events[-1], events[-1]], context())
    assert course.reads[-1][0] == b""
    assert alone == [True] * (1 + len(FEW) - BEFORE) + [False]


def test_events_of_a_read_each_are_taken_under_another_key_too(alone: list[bool]) -> None:
    pieces = cuts.per_event(b"".join(_said("thinking", *FEW * 3)))
    both(pieces, context())
    assert alone == [True] * (1 + 3 * len(FEW) - BEFORE)
