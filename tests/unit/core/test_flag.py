"""Text that a flag beside it marks as reasoning, with and without delimiters of its own."""

from typing import Any

import pytest

from proxy.core.dialect import Dialect, Flag, Tags
from proxy.core.splitter import Mark, TagSplitter
from proxy.core.tags import MAX_HELD_WHITE, grammar
from tests.support.streams import Answer, body, chunk, context, dumped, message, stream, whole

GOOGLE: dict[str, Any] = {"extra_content": {"google": {"thought": True}}}
SIGNED: dict[str, Any] = {"extra_content": {"google": {"thought": True, "thought_signature": "sig"}}}


def told(*pieces: tuple[str, dict[str, Any]], finish: str = "stop", dialect: Dialect | None = None) -> Answer:
    chunks = [chunk({"role": "assistant"}), *(chunk({"content": text, **beside}) for text, beside in pieces)]
    return stream(body(*chunks, chunk({}, finish)), context(dialect))


CASES: list[tuple[str, list[tuple[str, dict[str, Any]]], tuple[str, str]]] = [
    ("flag and tags", [("<thought>a", GOOGLE), ("b", GOOGLE), ("</thought>x", {}), ("y", {})], ("ab", "xy")),
    ("flag alone", [("a", GOOGLE), ("b", GOOGLE), ("x", {}), ("y", {})], ("ab", "xy")),
    ("a start cut in two", [("<tho", GOOGLE), ("ught>a", GOOGLE), ("</thought>x", {})], ("a", "x")),
    ("an end cut in two behind the flag", [("<thought>a", GOOGLE), ("</tho", {}), ("ught>x", {})], ("a", "x")),
    ("an end cut in two at the flag", [("<thought>a</tho", GOOGLE), ("ught>x", {})], ("a", "x")),
    ("an end within the flag", [("<thought>a</thought>", GOOGLE), ("x", {})], ("a", "x")),
    ("half an end that is none", [("a</tho", GOOGLE), ("x", {})], ("a</tho", "x")),
    ("white space around", [("<thought>\na\n", GOOGLE), ("\n</thought>\n\nx", {})], ("a", "x")),
    ("reasoning again after the answer", [("a", GOOGLE), ("x", {}), ("b", GOOGLE), ("y", {})], ("ab", "xy")),
    (
        "reasoning again directly",
        [("<thought>a</thought>", GOOGLE), ("<thought>b", GOOGLE), ("</thought>x", {})],
        ("ab", "x"),
    ),
    ("a signature: only tags tell", [("<thought>a", GOOGLE), ("</thought>x", SIGNED)], ("a", "x")),
    ("a signature on the answer", [("a", GOOGLE), ("x", SIGNED)], ("a", "x")),
    ("one signed delta", [("<thought>a</thought>x", SIGNED)], ("a", "x")),
    ("a flag of another value", [("x", {"extra_content": {"google": {"thought": False}}})], ("", "x")),
    ("a flag of another type", [("x", {"extra_content": {"google": {"thought": 1}}})], ("", "x")),
    ("a flag in a wrong place", [("x", {"extra_content": "google"})], ("", "x")),
    (
        "white space without the flag in mid-reasoning",
        [("a", GOOGLE), (" ", {}), ("b", GOOGLE), ("x", {})],
        ("a b", "x"),
    ),
    (
        "half a wrapper, then reasoning again",
        [("<thought>a</thought>", GOOGLE), ("<ans", {}), ("b", GOOGLE), ("x", {})],
        ("ab", "<ansx"),
    ),
    ("never closed", [("<thought>a", GOOGLE)], ("a", "")),
    ("an end that never comes", [("a", GOOGLE), ("</tho", {})], ("a", "</tho")),
]


@pytest.mark.parametrize(("pieces", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_flagged_text_is_reasoning(pieces: list[tuple[str, dict[str, Any]]], expected: tuple[str, str]) -> None:
    answer = told(*pieces)
    assert (answer.reasoning, answer.content) == expected


def test_what_stands_beside_the_text_stays() -> None:
    answer = told(("<thought>a", GOOGLE), ("</thought>x", SIGNED))
    assert [d["extra_content"] for d in answer.deltas if "extra_content" in d] == [
        GOOGLE["extra_content"],
        SIGNED["extra_content"],
    ]


def test_untrimmed_text_keeps_its_white_space() -> None:
    answer = told(("<thought>\na\n", GOOGLE), ("</thought>\nx", {}), dialect=Dialect(tags=Tags(trim="none")))
    assert (answer.reasoning, answer.content) == ("\na\n", "\nx")
    late = told(("a", GOOGLE), ("\n</thought>x", {}), dialect=Dialect(tags=Tags(trim="none")))
    assert (late.reasoning, late.content) == ("a\n", "x")


def test_flagged_half_an_end_at_the_end_of_the_stream_is_reasoning() -> None:
    assert told(("a</tho", GOOGLE), finish="length").reasoning == "a</tho"


def test_a_tool_call_ends_the_flagged_block() -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = stream(
        body(
            chunk({"role": "assistant", "content": "a</", **GOOGLE}),
            chunk({"tool_calls": [call]}),
            chunk({"content": "x"}, "stop"),
        )
    )
    assert (answer.reasoning, answer.content, answer.finish) == ("a</", "x", "tool_calls")


@pytest.mark.parametrize(
    ("content", "expected"), [("<thought>a</thought>x", ("a", "x")), ("x", ("", "x")), ("<thought>a", ("a", ""))]
)
def test_in_a_whole_message_only_delimiters_tell(content: str, expected: tuple[str, str]) -> None:
    data = dumped(message(content=content, **GOOGLE))
    for answer in (whole(data), stream(data)):
        assert (answer.reasoning, answer.content) == expected


def test_a_dialect_has_its_own_flag_or_none() -> None:
    own = Dialect(flag=Flag(path="kind", equals="cot", unless=None, pairs=()))
    assert told(("a", {"kind": "cot"}), ("x", {"kind": "text"}), dialect=own).reasoning == "a"
    assert told(("a", GOOGLE), ("x", {}), dialect=Dialect(flag=None)).content == "ax"


def test_tags_off_do_not_switch_the_flag_off() -> None:
    answer = told(("<thought>a", GOOGLE), ("</thought>x", {}), dialect=Dialect(tags=Tags(pairs=())))
    assert (answer.reasoning, answer.content) == ("a", "x")


@pytest.mark.parametrize("trim", ["none", "both"])
def test_white_space_behind_the_flag_is_held_up_to_a_bound(trim: Any) -> None:
    results = set()
    for size in (1, 100, 2000):
        splitter = TagSplitter(grammar(Tags(trim=trim), (("<thought>", "</thought>"),)))
        splitter.feed("a", Mark.REASONING)
        said = [piece for _ in range(4000 // size) for piece in splitter.feed("\n" * size)]
        assert len(splitter._text) <= MAX_HELD_WHITE
        said += splitter.feed("</thought>x") + splitter.close()
        results.add(("".join(t for r, t in said if r), "".join(t for r, t in said if not r)))
    assert len(results) == 1
