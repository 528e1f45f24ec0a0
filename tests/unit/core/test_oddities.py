"""What the core notes beside the answer: oddities, blocks that never end, the model's own name."""

from typing import Any

import pytest

from proxy.core.context import AnswerContext
from proxy.core.dialect import Dialect
from proxy.core.stream import StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from tests.support.streams import body, chunk, context, dumped, message, text


def streamed(*values: Any, settings: AnswerContext | None = None, cut: int = 1 << 20) -> Timeline:
    timeline, data = Timeline(0.0), body(*values)
    pipeline = StreamPipeline(settings or context(), timeline)
    for at in range(0, len(data), cut):
        pipeline.feed(data[at : at + cut], float(at + 1))
    pipeline.close(1e6)
    return timeline


def answered(value: Any) -> Timeline:
    timeline = Timeline(0.0)
    pipeline = WholePipeline(context(), timeline)
    pipeline.feed(dumped(value), 1.0)
    pipeline.close(2.0)
    return timeline


@pytest.mark.parametrize("cut", [1, 1 << 20])
def test_prose_under_a_key_that_no_dialect_knows_is_noted_once(cut: int) -> None:
    renamed = [chunk({"role": "assistant", "content": ""})]
    renamed += [chunk({"ruminations": piece, "content": None}) for piece in ("Let", " me", " think", " again")]
    timeline = streamed(*renamed, *text("x"), cut=cut)
    assert timeline.events == {"unknown_field": 1}


@pytest.mark.parametrize("cut", [1, 1 << 20])
def test_prose_beside_an_answer_is_noted_by_the_short_way_too(cut: int) -> None:
    said = [chunk({"content": piece, "ruminations": f" {piece}"}) for piece in "abcd"]
    timeline = streamed(*text("x", finish=None), *said, chunk({}, "stop"), cut=cut)
    assert timeline.events == {"unknown_field": 1}


def test_words_and_ids_under_such_keys_are_nothing_odd() -> None:
    said = chunk(
        {"role": "assistant", "content": "x", "channel": "final", "token": 5, "trace": None, "more": {"a": " "}}
    )
    assert streamed(said, chunk({}, "stop")).events == {}


def test_expected_keys_are_those_of_the_dialect() -> None:
    said = [chunk({"role": "assistant", "reasoning_text": "I see it"}), *text("x")]
    assert streamed(*said).events == {}
    assert streamed(*said, settings=context(Dialect(fields=("reasoning",)))).events == {"unknown_field": 1}


def test_prose_under_an_unknown_key_of_a_whole_answer_is_noted() -> None:
    frame = {"id": "up-1", "object": "chat.completion", "created": 7, "model": "m-1"}
    odd, plain = ({"role": "assistant", "content": "x", "ruminations": said} for said in ("Let me think", "no"))
    for given, events in ((odd, {"unknown_field": 1}), (plain, {})):
        choice = {"index": 0, "message": given, "finish_reason": "stop"}
        timeline = answered({**frame, "choices": [choice]})
        assert (timeline.events, timeline.response_model) == (events, "m-1")


def test_choice_that_is_none_is_noted() -> None:
    assert streamed(chunk(choices=[None]), *text("x")).events == {"empty_choice": 1}


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        (("<think>", "a", "</think>", "b"), {}),
        (("<thi", "nk>a</think>b"), {"tag_split_across_chunks": 1}),
        (("<thi", "nk>a</th", "ink>b"), {"tag_split_across_chunks": 2}),
        (("<thi", "s is no tag"), {}),
        (("\n", "<think>a</think>b"), {}),
    ],
)
def test_delimiter_in_two_chunks_is_noted(pieces: tuple[str, ...], events: dict[str, int]) -> None:
    assert streamed(*text(*pieces)).events == events


@pytest.mark.parametrize(
    ("pieces", "unclosed"),
    [(("<think>a",), True), (("<think>a</think>b",), False), (("<think>a</think>",), False), (("b",), False)],
)
def test_block_without_an_end_is_noted(pieces: tuple[str, ...], unclosed: bool) -> None:
    assert streamed(*text(*pieces)).unclosed is unclosed
    assert answered(message(content="".join(pieces))).unclosed is unclosed


def test_model_is_the_one_that_the_upstream_names() -> None:
    assert streamed(*text("x")).response_model == "m-1"
    nameless = [{**value, "model": None} for value in text("x")]
    assert streamed(*nameless).response_model is None
