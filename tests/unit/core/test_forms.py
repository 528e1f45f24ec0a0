from typing import Any

import pytest

from proxy.core.chunk import Chunk
from proxy.core.render import Form, Renderer, Rendering, render_whole
from tests.support.canonical import HEAD, call, chunk, deltas, finishes, rendered, usage_chunk


def render(form: Form, *chunks: Chunk) -> list[Chunk]:
    return rendered(Rendering(form), *chunks)


def whole(form: Form, message: dict[str, Any], **keys: Any) -> dict[str, Any]:
    body = {**HEAD, "object": "chat.completion", "choices": [{"index": 0, "message": message, **keys}]}
    before = str(body)
    choice: dict[str, Any] = render_whole(body, Rendering(form))["choices"][0]
    assert str(body) == before
    return choice


def entry(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


# Streamed


def test_reasoning_is_the_same_text_under_the_other_key_in_its_place() -> None:
    out = render("reasoning", chunk({"role": "assistant", "reasoning_content": "a", "reasoning": None, "x": 1}))
    assert [list(delta.items()) for delta in deltas(out)] == [[("role", "assistant"), ("reasoning", "a"), ("x", 1)]]
    assert out[0].raw is None


def test_both_says_the_text_under_two_keys() -> None:
    assert deltas(render("both", chunk({"reasoning_content": "a"}))) == [{"reasoning_content": "a", "reasoning": "a"}]


def test_details_takes_the_place_of_the_text() -> None:
    out = render("details", chunk({"reasoning_content": "a", "content": ""}))
    assert deltas(out) == [{"reasoning_details": [entry("a")], "content": ""}]


@pytest.mark.parametrize(
    "theirs", [{"type": "reasoning.text", "text": "a"}, {"type": "reasoning.summary", "summary": "a"}]
)
def test_details_that_the_upstream_sent_are_not_said_again(theirs: dict[str, Any]) -> None:
    out = render("details", chunk({"reasoning_content": "a", "reasoning_details": [theirs]}))
    assert deltas(out) == [{"reasoning_details": [theirs]}]


def test_details_stay_beside_text_that_they_do_not_have() -> None:
    sealed = {"type": "reasoning.encrypted", "data": "x"}
    out = render("details", chunk({"reasoning_content": "a", "reasoning_details": [sealed]}))
    assert deltas(out) == [{"reasoning_details": [sealed, entry("a")]}]


def test_details_that_cover_only_the_beginning_are_completed() -> None:
    theirs = [{"type": "reasoning.text", "text": "a"}]
    out = render("details", chunk({"reasoning_content": "ab", "reasoning_details": theirs}))
    assert deltas(out) == [{"reasoning_details": [*theirs, entry("b")]}]


def test_details_that_repeat_the_text_so_far_are_not_said_again() -> None:
    lists = [[{"type": "reasoning.text", "text": text}] for text in ("a", "ab", "abc")]
    sent = [chunk({"reasoning_content": t, "reasoning_details": d}) for t, d in zip("abc", lists, strict=True)]
    assert deltas(render("details", *sent)) == [{"reasoning_details": one} for one in lists]


def test_details_are_not_said_again_by_text_that_was_held_for_a_step() -> None:
    renderer = Renderer(Rendering("details", "line"))
    parts = [[{"type": "reasoning.text", "text": text}] for text in ("a", "b\n", "c")]
    out = [
        one
        for text, part in zip(("a", "b\n", "c"), parts, strict=True)
        for one in renderer.feed(chunk({"reasoning_content": text, "reasoning_details": part}))
    ]
    out += renderer.feed(chunk({}, finish_reason="stop"))
    assert deltas(out) == [
        {"reasoning_details": parts[0]},
        {"reasoning_details": parts[1]},
        {"reasoning_details": parts[2]},
        {},
    ]


def test_details_are_not_said_again_by_text_that_is_cut_into_steps() -> None:
    theirs = [{"type": "reasoning.text", "text": "a\nb\nc"}]
    out = rendered(Rendering("details", "line"), chunk({"reasoning_content": "a\nb\nc", "reasoning_details": theirs}))
    assert deltas(out) == [{"reasoning_details": theirs}]


def test_details_that_are_no_list_of_objects_are_left_alone() -> None:
    out = render("details", chunk({"reasoning_details": "odd"}), chunk({"reasoning_details": ["odd", {"text": 1}]}))
    assert deltas(out) == [{"reasoning_details": "odd"}, {"reasoning_details": ["odd", {"text": 1}]}]


def test_think_tags_are_deltas_of_their_own() -> None:
    out = render(
        "think_tags",
        chunk({"role": "assistant", "reasoning_content": "a", "content": None}),
        chunk({"reasoning_content": "b"}),
        chunk({"content": "c"}),
        chunk({}, finish_reason="stop"),
    )
    assert deltas(out) == [
        {"role": "assistant", "content": "<think>"},
        {"content": "a"},
        {"content": "b"},
        {"content": "</think>"},
        {"content": "c"},
        {},
    ]
    assert all({key: one.data[key] for key in HEAD} == HEAD for one in out)
    assert finishes(out) == ["stop"]


@pytest.mark.parametrize(
    "after",
    [
        chunk({"content": "c"}),
        chunk({"tool_calls": [call(0, "", name="f")]}),
        chunk({"refusal": "no"}),
        chunk({}, finish_reason="length"),
    ],
)
def test_the_end_tag_comes_before_whatever_ends_the_reasoning(after: Chunk) -> None:
    out = render("think_tags", chunk({"reasoning_content": "a"}), after)
    assert deltas(out)[2] == {"content": "</think>"}
    assert out[3:] == [after]


def test_the_end_tag_comes_when_the_stream_breaks() -> None:
    renderer = Renderer(Rendering("think_tags"))
    renderer.feed(chunk({"reasoning_content": "a"}, index=2))
    (last,) = renderer.close()
    assert last.data == {**HEAD, "choices": [{"index": 2, "delta": {"content": "</think>"}, "finish_reason": None}]}


def test_a_finish_in_the_same_delta_as_reasoning_follows_the_end_tag() -> None:
    sent = chunk(
        {"reasoning_content": "a"}, finish_reason="length", native_finish_reason="max", logprobs={"content": []}
    )
    sent.data["x"] = 1
    out = render("think_tags", sent)
    assert deltas(out) == [{"content": "<think>"}, {"content": "a"}, {"content": "</think>"}, {}]
    assert [one.data["choices"][0].get("native_finish_reason") for one in out] == [None, None, None, "max"]
    assert ["logprobs" in one.data["choices"][0] for one in out] == [False, True, False, False]
    assert ["x" in one.data for one in out] == [False, False, False, True]
    assert finishes(out) == ["length"]


def test_interleaved_reasoning_opens_a_block_each_time() -> None:
    sent = [chunk({"reasoning_content": "a"}), chunk({"content": "b"}), chunk({"reasoning_content": "c"})]
    said = [delta["content"] for delta in deltas(render("think_tags", *sent))]
    assert said == ["<think>", "a", "</think>", "b", "<think>", "c", "</think>"]


def test_details_alone_do_not_end_a_block() -> None:
    sealed = {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}
    sent = [chunk({"reasoning_content": "a"}), chunk(sealed), chunk({"reasoning_content": "b"})]
    assert deltas(render("think_tags", *sent))[2:4] == [sealed, {"content": "b"}]


def test_choices_are_independent_also_in_one_chunk() -> None:
    first = {"index": 0, "delta": {"role": "assistant", "reasoning_content": "a"}, "finish_reason": None}
    second = {"index": 1, "delta": {"role": "assistant", "content": "b"}, "finish_reason": None}
    out = render("think_tags", Chunk({**HEAD, "x": 1, "choices": [first, second]}), chunk({"content": "c"}))
    assert [delta["content"] for delta in deltas(out)] == ["<think>", "a", "</think>", "c"]
    assert deltas(out, 1) == [second["delta"]]
    assert [len(one.data["choices"]) for one in out] == [1, 1, 1, 1, 1]
    assert [one.data.get("x") for one in out] == [None, None, 1, None, None]


def test_content_is_a_string_until_the_choice_has_reasoned_and_parts_from_then_on() -> None:
    out = render(
        "content_parts",
        chunk({"content": "a"}),
        chunk({"reasoning_content": "b", "content": ""}),
        chunk({"content": "c"}),
        chunk({"content": ""}, finish_reason="stop"),
    )
    assert deltas(out) == [
        {"content": "a"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}]},
        {"content": [{"type": "text", "text": "c"}]},
        {"content": ""},
    ]


def test_drop_leaves_no_reasoning_and_moves_the_role() -> None:
    out = render(
        "drop",
        chunk({"role": "assistant", "content": "", "reasoning_content": "a"}),
        chunk({"reasoning_content": "b"}, logprobs={"content": [{"token": "b"}]}, reasoning_logprobs={}, token_ids=[1]),
        chunk({"content": "c"}),
        chunk({}, finish_reason="stop"),
    )
    assert deltas(out) == [{"role": "assistant", "content": "c"}, {}]
    assert out[1].raw == b"{}"


def test_drop_keeps_the_finish_that_came_with_reasoning() -> None:
    out = render("drop", chunk({"role": "assistant", "reasoning_content": "a"}, finish_reason="length"))
    assert deltas(out) == [{"role": "assistant"}]
    assert finishes(out) == ["length"]


def test_drop_takes_the_text_out_of_details_and_leaves_what_is_sealed() -> None:
    text, sealed = (
        {"type": "reasoning.text", "text": "a", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "x"},
    )
    redacted = {"type": "redacted_thinking", "data": "y"}
    signed = {"type": "reasoning.text", "signature": "s"}
    out = render(
        "drop",
        chunk({"reasoning_content": "a", "reasoning_details": [text, sealed]}),
        chunk({"reasoning_details": [text], "thinking_blocks": [{"type": "thinking", "thinking": "a"}, redacted]}),
        chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "a"}]}),
        chunk({"reasoning_details": [sealed], "thinking_blocks": None}),
        chunk({"reasoning_details": ["odd"]}),
    )
    assert deltas(out) == [
        {"reasoning_details": [signed, sealed]},
        {"reasoning_details": [signed], "thinking_blocks": [redacted]},
        {"reasoning_details": [sealed], "thinking_blocks": None},
        {"reasoning_details": ["odd"]},
    ]


def test_what_a_vanished_chunk_carried_goes_with_the_next_one() -> None:
    first, second = chunk({"reasoning_content": "a"}), chunk({"reasoning_content": "b"})
    first.data |= {"x": 1, "y": None, "provider": "P"}
    second.data |= {"x": 2}
    third, fourth = chunk({"content": "c"}), chunk({"content": "d"})
    third.data |= {"provider": "P"}
    out = render("drop", first, second, third, fourth)
    assert [one.data.get("x") for one in out] == [2, None]
    assert "y" not in out[0].data
    assert out[1] is fourth


def test_a_chunk_that_says_all_of_what_vanished_itself_keeps_its_bytes() -> None:
    chunks = [chunk({"reasoning_content": "a"}), chunk({"content": "b"})]
    for one in chunks:
        one.data["provider"] = "P"
    assert render("drop", *chunks) == [chunks[1]]


def test_what_vanished_last_goes_with_the_usage() -> None:
    first, usage = chunk({"reasoning_content": "a"}), usage_chunk()
    first.data["x"] = 1
    (last,) = render("drop", first, usage)
    assert last.data == {**usage.data, "x": 1}


def test_choices_that_drop_out_leave_the_others_in_the_chunk() -> None:
    both = [{"index": 0, "delta": {"reasoning_content": "a"}}, {"index": 1, "delta": {"content": "b"}}]
    (out,) = render("drop", Chunk({**HEAD, "choices": both}))
    assert out.data["choices"] == both[1:]


# Whole


def test_whole_reasoning_and_both() -> None:
    message = {"role": "assistant", "content": "b", "reasoning_content": "a"}
    assert whole("reasoning", message)["message"] == {"role": "assistant", "content": "b", "reasoning": "a"}
    assert whole("both", message)["message"] == {**message, "reasoning": "a"}


def test_whole_details() -> None:
    theirs = [{"type": "reasoning.text", "text": "a", "signature": "s"}]
    assert whole("details", {"reasoning_content": "a"})["message"] == {"reasoning_details": [entry("a")]}
    message = {"reasoning_content": "a", "reasoning_details": theirs}
    assert whole("details", message)["message"] == {"reasoning_details": theirs}


def test_whole_think_tags() -> None:
    message: dict[str, Any] = {"content": "b", "reasoning_content": "a"}
    assert whole("think_tags", message)["message"] == {"content": "<think>a</think>b"}
    message = {"content": None, "reasoning_content": "a", "tool_calls": [{}]}
    assert whole("think_tags", message)["message"] == {"content": "<think>a</think>", "tool_calls": [{}]}


def test_whole_content_parts() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}
    message = whole("content_parts", {"content": "b", "reasoning_content": "a"})["message"]
    assert message == {"content": [thought, {"type": "text", "text": "b"}]}
    assert whole("content_parts", {"content": "", "reasoning_content": "a"})["message"] == {"content": [thought]}


def test_whole_drop_keeps_the_answers_token_list_alone() -> None:
    tokens = [{"token": one} for one in ("a", "b", "c")]
    message = {"content": "bc", "reasoning_content": "a"}
    out = whole("drop", message, logprobs={"content": tokens, "refusal": None}, reasoning_logprobs={"content": tokens})
    assert out == {"index": 0, "message": {"content": "bc"}, "logprobs": {"content": tokens[1:], "refusal": None}}


@pytest.mark.parametrize("answer", ["bx", "abcd", ["c"]])
def test_whole_drop_gives_no_token_that_may_be_reasoning(answer: Any) -> None:
    tokens = [{"token": one} for one in ("a", "b", "c")]
    out = whole("drop", {"content": answer, "reasoning_content": "a"}, logprobs={"content": tokens})
    assert out["logprobs"] is None


@pytest.mark.parametrize("logprobs", [{"content": ["a"]}, {"content": [{"logprob": -1}]}, {"content": None}, [1]])
def test_whole_drop_gives_no_token_list_that_it_cannot_read(logprobs: Any) -> None:
    out = whole("drop", {"content": "c", "reasoning_content": "a"}, logprobs=logprobs)
    assert out["logprobs"] is None


def test_an_empty_answer_has_no_tokens_under_drop() -> None:
    out = whole("drop", {"content": "", "reasoning_content": "a"}, logprobs={"content": [{"token": "a"}], "x": 1})
    assert out["logprobs"] == {"content": [], "x": 1}


@pytest.mark.parametrize("form", ["think_tags", "content_parts"])
def test_an_answer_in_parts_stays_in_parts(form: Form) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    parts = whole(form, {"content": [image], "reasoning_content": "a"})["message"]["content"]
    assert len(parts) == 2
    assert parts[1] == image


def test_only_the_choices_that_reasoned_are_new() -> None:
    body: dict[str, Any] = {
        "choices": [{"message": {"content": "a"}}, {"message": {"content": "b", "reasoning_content": "c"}}]
    }
    out = render_whole(body, Rendering("drop"))["choices"]
    assert out[0] is body["choices"][0]
    assert out[1] == {"message": {"content": "b"}}
