import json
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import steps
from proxy.core.chunk import Chunk
from proxy.core.render import Renderer, Rendering
from proxy.core.steps import MAX_CALL, MAX_STEP
from tests.support.canonical import HEAD, call, chunk, deltas, finishes, rendered, streams
from tests.support.canonical import text as texts

Steps = Literal["line", "paragraph"]


def steps_of(by: Steps, *pieces: str) -> list[str]:
    out = rendered(Rendering(steps=by), *(chunk({"reasoning_content": piece}) for piece in pieces))
    return [delta["reasoning_content"] for delta in deltas(out)]


def calls_of(*chunks: Chunk) -> list[dict[str, Any]]:
    return deltas(rendered(Rendering(complete_tool_calls=True), *chunks))


# Steps


@pytest.mark.parametrize(
    ("by", "pieces", "expected"),
    [
        ("line", ["a", "b\nc", "\n"], ["ab\n", "c\n"]),
        ("line", ["a\n\nb\r\nc"], ["a\n", "\n", "b\r\n", "c"]),
        ("paragraph", ["a\nb", "\n", "\nc\n", "d"], ["a\nb\n\n", "c\nd"]),
        ("paragraph", ["a\n\n\n\nb\r\n\r\nc\n \t\nd"], ["a\n\n", "\n\nb\r\n\r\n", "c\n \t\n", "d"]),
        ("paragraph", ["\n\n", "\na", "\n\n"], ["\n\n\na\n\n"]),
    ],
)
def test_reasoning_leaves_one_step_in_one_delta(by: Steps, pieces: list[str], expected: list[str]) -> None:
    assert steps_of(by, *pieces) == expected


def test_a_step_leaves_as_soon_as_it_is_whole() -> None:
    renderer = Renderer(Rendering(steps="line"))
    assert renderer.feed(chunk({"role": "assistant", "reasoning_content": "a"})) == []
    (out,) = renderer.feed(chunk({"reasoning_content": "b\nc"}))
    assert out.data == {
        **HEAD,
        "choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "ab\n"}, "finish_reason": None}],
    }
    (rest,) = renderer.close()
    assert rest.data["choices"][0]["delta"] == {"reasoning_content": "c"}


def test_a_chunk_that_is_a_step_keeps_its_bytes() -> None:
    chunks = [chunk({"reasoning_content": "a\n"}), chunk({"content": "b"}), chunk({}, finish_reason="stop")]
    assert rendered(Rendering(steps="line"), *chunks) == chunks


@pytest.mark.parametrize("after", [{"content": "c"}, {"tool_calls": [call(0, "{}", name="f")]}, {"refusal": "no"}])
def test_what_is_left_leaves_ahead_of_the_answer(after: dict[str, Any]) -> None:
    last = chunk(after)
    out = rendered(Rendering(steps="line"), chunk({"reasoning_content": "a\nb"}), last)
    assert deltas(out) == [{"reasoning_content": "a\n"}, {"reasoning_content": "b"}, after]
    assert out[-1] is last


def test_what_is_left_leaves_with_the_finish() -> None:
    out = rendered(Rendering(steps="line"), chunk({"reasoning_content": "a\nb"}, finish_reason="length"))
    assert deltas(out) == [{"reasoning_content": "a\n"}, {"reasoning_content": "b"}]
    assert [one.data["choices"][0]["finish_reason"] for one in out] == [None, "length"]


def test_other_keys_of_a_held_chunk_are_not_held() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x"}]
    out = rendered(
        Rendering(steps="line"), chunk({"reasoning_content": "a", "content": "", "reasoning_details": details})
    )
    assert deltas(out) == [{"content": "", "reasoning_details": details}, {"reasoning_content": "a"}]


@pytest.mark.parametrize("by", ["line", "paragraph"])
def test_a_step_that_is_too_long_leaves_as_it_is(by: Steps) -> None:
    piece = "x" * 1000
    out = steps_of(by, *[piece] * 17, "y\n\n")
    assert len(out[0]) == 17_000 > MAX_STEP
    assert "".join(out) == piece * 17 + "y\n\n"


@pytest.mark.parametrize("by", ["line", "paragraph"])
@pytest.mark.parametrize("piece", ["\n", " ", "x", "x\n", "\n \n"])
def test_text_without_steps_is_held_in_bounds(by: Steps, piece: str) -> None:
    renderer = Renderer(Rendering(steps=by))
    said = held = most = 0
    for _ in range(MAX_STEP + 5_000):
        held += len(piece)
        for one in renderer.feed(chunk({"reasoning_content": piece})):
            said += len(one.data["choices"][0]["delta"]["reasoning_content"])
        most = max(most, held - said)
    assert most <= MAX_STEP
    assert said + sum(len(delta["reasoning_content"]) for delta in deltas(renderer.close())) == held


@given(st.lists(texts, max_size=6).map("".join), st.lists(st.integers(0, 50)), st.sampled_from(["line", "paragraph"]))
def test_any_cut_of_the_reasoning_gives_the_same_steps(text: str, cuts: list[int], by: Steps) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    out = steps_of(by, *pieces)
    assert out == (steps_of(by, text) if text else [])
    assert "".join(out) == text
    ends = out[:-1] if out and not out[-1].endswith("\n") else out
    assert all(one.endswith("\n") for one in ends)
    if by == "line":
        assert all(one.count("\n") == 1 for one in ends)
    else:
        assert all(one.strip() for one in out[:-1])


@given(streams(), st.sampled_from(["line", "paragraph"]), st.booleans())
def test_steps_and_held_calls_change_no_text_and_no_order_between_reasoning_and_answer(
    chunks: list[Chunk], by: Steps, complete: bool
) -> None:
    out = rendered(Rendering(steps=by, complete_tool_calls=complete), *chunks)
    for index in range(3):
        assert runs(deltas(out, index)) == runs(deltas(chunks, index))
        assert arguments(deltas(out, index)) == arguments(deltas(chunks, index))
        assert finishes(out, index) == finishes(chunks, index)


def runs(told: list[dict[str, Any]]) -> list[list[str]]:
    out: list[list[str]] = []
    for delta in told:
        for key in ("reasoning_content", "content"):
            if delta.get(key) and out and out[-1][0] == key:
                out[-1][1] += delta[key]
            elif delta.get(key):
                out.append([key, delta[key]])
    return out


def arguments(told: list[dict[str, Any]]) -> dict[int, str]:
    out: dict[int, str] = {}
    for delta in told:
        for one in delta.get("tool_calls") or ():
            out[one["index"]] = out.get(one["index"], "") + one["function"]["arguments"]
    return out


# Complete tool calls


def test_a_call_leaves_as_one_delta_once_its_arguments_parse() -> None:
    renderer = Renderer(Rendering(complete_tool_calls=True))
    assert renderer.feed(chunk({"role": "assistant", "tool_calls": [call(0, "", name="f")]})) == []
    assert renderer.feed(chunk({"tool_calls": [call(0, '{"a": "}')]})) == []
    (out,) = renderer.feed(chunk({"tool_calls": [call(0, '"}', extra_content={"x": 1})]}))
    entry = call(0, '{"a": "}"}', name="f") | {"extra_content": {"x": 1}}
    assert out.data["choices"][0]["delta"] == {"role": "assistant", "tool_calls": [entry]}
    assert renderer.close() == []


@pytest.mark.parametrize(
    "fragments",
    [
        ['{"a": "\\', '"}', '"}'],
        ['{"a": "\\\\', '"}'],
        ['{"a', '": "\\', "\\", '\\"}"', "}"],
        ["[{", "}", ",[", "]]", " \n"],
        ['{"a":{}}'],
        [" {", "", "} "],
    ],
)
def test_escapes_and_brackets_may_be_cut_anywhere(fragments: list[str]) -> None:
    first, *rest = fragments
    told = calls_of(
        chunk({"tool_calls": [call(0, first, name="f")]}), *(chunk({"tool_calls": [call(0, one)]}) for one in rest)
    )
    whole = told[0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(whole) == json.loads("".join(fragments))
    assert "".join(one["tool_calls"][0]["function"]["arguments"] for one in told) == "".join(fragments)


@given(st.recursive(texts | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner)), st.data())
def test_any_cut_of_the_arguments_leaves_once_and_no_later_than_the_last_bracket(
    value: Any, data: st.DataObject
) -> None:
    arguments = json.dumps({"a": value})
    cuts = sorted(data.draw(st.sets(st.integers(0, len(arguments)))) | {0, len(arguments)})
    pieces = [arguments[start:end] for start, end in pairwise(cuts)]
    renderer = Renderer(Rendering(complete_tool_calls=True))
    assert renderer.feed(chunk({"tool_calls": [call(0, "", name="f")]})) == []
    out = [renderer.feed(chunk({"tool_calls": [call(0, piece)]})) for piece in pieces]
    assert out[:-1] == [[]] * (len(pieces) - 1)
    assert deltas(out[-1]) == [{"tool_calls": [call(0, arguments, name="f")]}]


def test_whole_calls_keep_their_bytes() -> None:
    chunks = [
        chunk({"tool_calls": [call(0, "{}", name="f"), call(1, "[]", name="g")]}),
        chunk({}, finish_reason="tool_calls"),
    ]
    assert rendered(Rendering(complete_tool_calls=True), *chunks) == chunks


@pytest.mark.parametrize("arguments", ["", "7", '{"a": ', "{} {}", "{]", '{"a": 1}}', "[" * 100_000 + "]" * 100_000])
def test_arguments_that_never_parse_leave_as_they_are_with_the_finish(arguments: str) -> None:
    finish = chunk({}, finish_reason="length")
    out = rendered(Rendering(complete_tool_calls=True), chunk({"tool_calls": [call(0, arguments, name="f")]}), finish)
    assert deltas(out) == [{"tool_calls": [call(0, arguments, name="f")]}, {}]
    assert out[-1] is finish


def test_arguments_that_never_parse_leave_when_the_stream_breaks() -> None:
    told = calls_of(chunk({"tool_calls": [call(0, '{"a"', name="f")]}), chunk({"tool_calls": [call(0, ": ")]}))
    assert told == [{"tool_calls": [call(0, '{"a": ', name="f")]}]


def test_a_finish_beside_the_last_fragment_comes_after_the_call() -> None:
    out = rendered(
        Rendering(complete_tool_calls=True),
        chunk({"tool_calls": [call(0, "{", name="f"), call(1, "", name="g")]}),
        chunk({"tool_calls": [call(0, "}")]}, finish_reason="tool_calls"),
    )
    assert deltas(out) == [{"tool_calls": [call(0, "{}", name="f")]}, {"tool_calls": [call(1, "", name="g")]}, {}]
    assert [one.data["choices"][0]["finish_reason"] for one in out] == [None, None, "tool_calls"]


def test_calls_leave_in_their_order_although_a_later_one_is_whole_first() -> None:
    told = calls_of(
        chunk({"tool_calls": [call(0, "{", name="f")]}),
        chunk({"tool_calls": [call(1, "{}", name="g")]}),
        chunk({"tool_calls": [call(0, "}")]}),
    )
    assert told == [{"tool_calls": [call(0, "{}", name="f")]}, {"tool_calls": [call(1, "{}", name="g")]}]


def test_content_does_not_wait_for_a_held_call() -> None:
    content = chunk({"content": "b"})
    out = rendered(Rendering(complete_tool_calls=True), chunk({"tool_calls": [call(0, "{", name="f")]}), content)
    assert out[0] is content
    assert deltas(out)[1] == {"tool_calls": [call(0, "{", name="f")]}


def test_what_comes_after_a_call_has_left_passes() -> None:
    told = calls_of(chunk({"tool_calls": [call(0, "{}", name="f")]}), chunk({"tool_calls": [call(0, " ")]}))
    assert told[1] == {"tool_calls": [call(0, " ")]}


def test_a_call_that_is_too_long_is_let_go_with_those_before_it() -> None:
    piece = "x" * 1024
    renderer = Renderer(Rendering(complete_tool_calls=True))
    renderer.feed(chunk({"tool_calls": [call(0, "", name="f"), call(1, '{"', name="g"), call(2, "{", name="h")]}))
    out: list[Chunk] = []
    sent = 2
    while not out:
        out = renderer.feed(chunk({"tool_calls": [call(1, piece)]}))
        sent += len(piece)
    assert MAX_CALL < sent <= MAX_CALL + 2 * len(piece)
    released = [delta["tool_calls"][0] for delta in deltas(out)]
    assert [one["index"] for one in released] == [0, 1]
    assert len(released[1]["function"]["arguments"]) == sent
    passing = chunk({"tool_calls": [call(1, '"}')]})
    assert deltas(renderer.feed(passing)) == deltas([passing])
    assert deltas(renderer.close()) == [{"tool_calls": [call(2, "{", name="h")]}]


def test_the_input_of_a_custom_tool_is_no_json_and_waits_for_the_finish() -> None:
    first = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "f", "input": "{"}}
    told = calls_of(
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "}"}}]}),
        chunk({}, finish_reason="tool_calls"),
    )
    assert told == [{"tool_calls": [first | {"custom": {"name": "f", "input": "{}"}}]}, {}]


@pytest.mark.parametrize(("fragments", "whole"), [(['{"a":"', *['}{\\"'] * 1000, '"}'], True), (["{}"] * 1000, False)])
def test_arguments_are_parsed_once_at_most(monkeypatch: pytest.MonkeyPatch, fragments: list[str], whole: bool) -> None:
    parsed: list[str] = []

    def record(text: str) -> bool:
        parsed.append(text)
        return whole

    monkeypatch.setattr(steps, "_is_json", record)
    told = calls_of(*(chunk({"tool_calls": [call(0, one)]}) for one in fragments))
    assert told == [{"tool_calls": [call(0, "".join(fragments))]}]
    assert parsed == ["".join(fragments) if whole else "{}"]
