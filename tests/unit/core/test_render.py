from itertools import groupby
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.aggregate import Aggregator
from proxy.core.chunk import Chunk
from proxy.core.render import Form, Renderer, Rendering, parse_rendering, render_whole
from tests.support.canonical import call, chunk, deltas, finishes, frozen, rendered, streams, usage_chunk

FORMS: tuple[Form, ...] = get_args(Form)
renderings = st.builds(
    Rendering, st.sampled_from(FORMS), st.sampled_from([None, "line", "paragraph"]), complete_tool_calls=st.booleans()
)


# The text form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reasoning_content", Rendering()),
        ("  Think_Tags ", Rendering("think_tags")),
        ("drop;", Rendering("drop")),
        ("both; steps=line", Rendering("both", "line")),
        (
            "DETAILS;STEPS = Paragraph ; tool_calls=complete",
            Rendering("details", "paragraph", complete_tool_calls=True),
        ),
        ("content_parts; tool_calls=complete", Rendering("content_parts", complete_tool_calls=True)),
    ],
)
def test_text_form_is_read_whatever_its_case_and_white_space(text: str, expected: Rendering) -> None:
    assert parse_rendering(text) == expected


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_its_name_as_text_form(form: Form) -> None:
    assert parse_rendering(form) == Rendering(form)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("think-tags", r"'think-tags' is no rendering; did you mean 'think_tags'\? \(allowed: reasoning_content, "),
        ("", r"'' is no rendering \(allowed: .*passthrough\)$"),
        ("steps=line", r"'steps=line' is no rendering \(allowed"),
        ("drop; step=line", r"'step' is no rendering option; did you mean 'steps'\? \(allowed: steps, tool_calls\)"),
        ("drop; steps=lines", r"the rendering option 'steps'; did you mean 'line'\? \(allowed: line, paragraph\)"),
        ("drop; steps", r"'' is no value of the rendering option 'steps' \(allowed: line, paragraph\)"),
        ("drop; tool_calls=yes", r"'yes' is no value of the rendering option 'tool_calls' \(allowed: complete\)"),
        ("drop; steps=line; steps=line", "'steps' is given twice"),
        ("passthrough; steps=line", "takes no options"),
    ],
)
def test_wrong_text_form_is_refused_with_the_allowed_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rendering(text)


def test_a_long_wrong_word_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError) as refused:
        parse_rendering("x" * 10_000)
    assert len(str(refused.value)) < 250


# What does not change keeps its bytes


@pytest.mark.parametrize("form", ["reasoning_content", "passthrough"])
def test_the_canonical_form_and_passthrough_change_nothing(form: Form) -> None:
    chunks = [chunk({"reasoning_content": "a"}), chunk({"content": "b"}), chunk({}, finish_reason="stop")]
    assert rendered(Rendering(form), *chunks) == chunks
    body = {"choices": [{"index": 0, "message": {"content": "b", "reasoning_content": "a"}}]}
    assert render_whole(body, Rendering(form)) is body


@pytest.mark.parametrize("form", FORMS)
def test_chunks_without_reasoning_are_the_same_objects(form: Form) -> None:
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "b", "reasoning_content": None}),
        chunk({"tool_calls": [call(0, "{}", name="f")]}),
        chunk({}, finish_reason="stop"),
        usage_chunk(),
    ]
    assert rendered(Rendering(form), *chunks) == chunks
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "b"}}, {"index": 1, "text": "c"}]}
    assert render_whole(body, Rendering(form)) is body


@given(streams(), renderings)
def test_nothing_that_was_given_is_modified_and_what_changed_has_no_bytes(
    chunks: list[Chunk], rendering: Rendering
) -> None:
    before = frozen(chunks)
    renderer = Renderer(rendering)
    out = [one for each in chunks for one in renderer.feed(each)] + renderer.close()
    assert frozen(chunks) == before
    assert all(one.raw is None or any(one is each for each in chunks) for one in out)
    assert renderer.close() == []


# Stream and whole agree (C12)


def joined(told: list[dict[str, Any]]) -> dict[str, Any]:
    """What a client has that concatenates deltas; a whole message is one delta."""
    out: dict[str, Any] = {"role": [delta["role"] for delta in told if delta.get("role")]}
    for key in ("content", "reasoning_content", "reasoning"):
        values = [delta[key] for delta in told if delta.get(key)]
        parts = [part for value in values if isinstance(value, list) for part in value]
        out[key] = parts_joined(parts) if parts else "".join(values)
    details = [one for delta in told for one in delta.get("reasoning_details") or ()]
    out["details"] = "".join(one["text"] for one in details)
    calls: dict[int, str] = {}
    for delta in told:
        for at, one in enumerate(delta.get("tool_calls") or ()):
            index = one.get("index", at)
            calls[index] = calls.get(index, "") + one["function"]["arguments"]
    return out | {"calls": calls}


def parts_joined(parts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    texts = [(one["type"], one["text"] if one["type"] == "text" else one["thinking"][0]["text"]) for one in parts]
    return [(kind, "".join(text for _, text in same)) for kind, same in groupby(texts, lambda one: one[0])]


@given(streams(runs=False), renderings)
def test_rendered_stream_joins_to_the_rendered_whole(chunks: list[Chunk], rendering: Rendering) -> None:
    collected = Aggregator()
    for one in chunks:
        collected.feed(one)
    body = render_whole(collected.result(), rendering)
    out = rendered(rendering, *chunks)
    for choice in body["choices"]:
        told = deltas(out, choice["index"])
        assert joined(told) == joined([choice["message"]])
        assert finishes(out, choice["index"]) == [choice["finish_reason"]]


@given(streams(), renderings)
def test_finish_is_last_and_role_first_in_every_rendering(chunks: list[Chunk], rendering: Rendering) -> None:
    renderer = Renderer(rendering)
    out = [one for each in chunks for one in renderer.feed(each)]
    assert renderer.close() == []
    for index in {choice["index"] for one in chunks for choice in one.data["choices"]}:
        choices = [choice for one in out for choice in one.data["choices"] if choice["index"] == index]
        assert [choice["finish_reason"] is not None for choice in choices] == [False] * (len(choices) - 1) + [True]
        assert ["role" in choice["delta"] for choice in choices] == [True] + [False] * (len(choices) - 1)


@given(streams(), st.sampled_from(FORMS), st.integers(0, 20))
def test_a_stream_that_breaks_anywhere_has_closed_tags(chunks: list[Chunk], form: Form, length: int) -> None:
    out = rendered(Rendering(form), *chunks[:length])
    if form == "think_tags":
        for index in range(3):
            said = [delta.get("content") for delta in deltas(out, index)]
            marks = [one for one in said if one in ("<think>", "</think>")]
            assert marks == ["<think>", "</think>"] * (len(marks) // 2)
    if form == "drop":
        assert not any("reasoning_content" in delta and delta["reasoning_content"] for delta in deltas(out))
