"""Reasoning memory: the messages of an answer, put together for it by the pipelines."""

import copy
import dataclasses
import json
from typing import Any

import pytest

from proxy.core.chunk import Chunk
from proxy.core.dialect import Details, Dialect
from proxy.core.memory import BOUNDS, Collector
from proxy.core.render import parse_rendering
from proxy.core.stream import StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from tests.support.streams import body, call, chunk, context, cut_at, dumped, every_cut, message

DETAILS = [{"type": "reasoning.text", "text": "I must look.", "signature": "sig", "index": 0}]
FORMS = ["reasoning_content", "reasoning", "both", "details", "think_tags", "content_parts", "drop"]
CHUNKS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "I must "}),
    chunk({"reasoning_content": "look.", "reasoning_details": [{**DETAILS[0]}]}),
    chunk({"content": "Let me"}),
    chunk({"content": " look."}),
    chunk(
        {
            "tool_calls": [
                {**call(0, "c0", "weather", '{"city":'), "extra_content": {"google": {"thought_signature": "s"}}}
            ]
        }
    ),
    chunk({"tool_calls": [call(0, None, None, '"Paris"}')]}),
    chunk({"tool_calls": [call(1, "c1", "clock", "{}")]}),
    chunk({}, "tool_calls"),
    {**chunk(), "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
]
COLLECTED = {
    "role": "assistant",
    "content": "Let me look.",
    "reasoning_content": "I must look.",
    "reasoning_details": DETAILS,
    "tool_calls": [
        {
            "id": "c0",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
            "extra_content": {"google": {"thought_signature": "s"}},
        },
        {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
    ],
}


def collected(chunks: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    collector = Collector(found.append, **{"snapshots": False, **options})
    for one in chunks:
        collector.feed(Chunk(copy.deepcopy(one)))
    return found


def test_message_is_whole_at_its_finish_reason() -> None:
    assert collected(CHUNKS) == [COLLECTED]
    assert collected(CHUNKS[:-2]) == []


def test_each_choice_is_collected_by_itself() -> None:
    chunks = [
        chunk({"reasoning_content": "a"}, index=0),
        chunk({"reasoning_content": "b"}, index=1),
        chunk({"tool_calls": [call(0, "c1", "f", "{}")]}, index=1),
        chunk({}, "tool_calls", index=1),
        chunk({}, "stop", index=2),
        chunk({"tool_calls": [call(0, "c0", "f", "{}")]}, index=0),
        chunk({}, "tool_calls", index=0),
    ]
    found = [(one.get("reasoning_content"), "tool_calls" in one) for one in collected(chunks)]
    assert found == [("b", True), (None, False), ("a", True)]


def test_answer_beyond_the_limit_is_given_up() -> None:
    size = 2 * len(CHUNKS) + len(json.dumps(COLLECTED))
    assert collected(CHUNKS, limit=2 * size) == [COLLECTED]
    assert collected(CHUNKS, limit=size // 2) == []
    assert BOUNDS.answer_bytes < BOUNDS.bytes


def test_snapshots_replace_one_another_and_do_not_add_up() -> None:
    text = "word " * 100
    told = [{"type": "reasoning.text", "text": text[:at], "index": 0} for at in range(5, len(text) + 1, 5)]
    chunks = [chunk({"reasoning_details": [one]}) for one in told] + CHUNKS[-3:-1]
    found = collected(chunks, snapshots=True, limit=2000)
    assert [one["reasoning_details"] for one in found] == [[told[-1]]]
    assert collected(chunks, snapshots=False, limit=2000) == []


def test_half_an_emoji_in_each_of_two_pieces_comes_back_as_it_was_said() -> None:
    chunks = [chunk({"reasoning_content": half}) for half in ("\ud83d", "\ude00")] + CHUNKS[-3:-1]
    assert [one["reasoning_content"] for one in collected(chunks)] == ["\ud83d\ude00"]


def test_given_up_answer_holds_nothing() -> None:
    collector = Collector(lambda _: None, snapshots=False, limit=10)
    collector.feed(Chunk(chunk({"content": "x" * 20})))
    collector.feed(Chunk(chunk({"content": "x"}, "stop")))
    assert (collector._rest, collector._texts) == (None, {})


def asked(form: str, found: list[Any], dialect: Dialect | None = None) -> Any:
    return dataclasses.replace(context(dialect, parse_rendering(form)), keep=found.append)


UPSTREAM = [
    chunk({"role": "assistant", "content": "<think>I must look.</think>\n\nLet me look."}),
    *CHUNKS[5:9],
]
TOLD = {key: value for key, value in COLLECTED.items() if key != "reasoning_details"}


@pytest.mark.parametrize("form", [*FORMS, "passthrough", "reasoning_content; tool_calls=complete"])
def test_both_pipelines_keep_the_canonical_message_whatever_the_client_gets(form: str) -> None:
    for parts in every_cut(body(*UPSTREAM)):
        for make in (StreamPipeline, WholePipeline):
            found: list[Any] = []
            pipeline = make(asked(form, found), Timeline(0.0))
            for part in parts:
                pipeline.feed(part, 1.0)
            pipeline.close(2.0)
            assert found == [TOLD]


@pytest.mark.parametrize("form", FORMS)
def test_whole_answers_are_kept_too_whichever_way_the_client_asked(form: str) -> None:
    told = message("tool_calls", **{**TOLD, "role": "assistant"})
    for make in (StreamPipeline, WholePipeline):
        found: list[Any] = []
        pipeline = make(asked(form, found), Timeline(0.0))
        pipeline.feed(dumped(told), 1.0)
        pipeline.close(2.0)
        assert found == [TOLD]


def test_answer_is_kept_before_its_end_leaves() -> None:
    """A client may ask again, or leave, as soon as it has read the finish reason."""
    found: list[Any] = []
    pipeline = StreamPipeline(asked("reasoning_content", found), Timeline(0.0))
    for one in UPSTREAM[:-1]:
        pipeline.feed(body(one, done=False), 1.0)
    assert found == []
    assert b'"finish_reason":"tool_calls"' in pipeline.feed(body(UPSTREAM[-1], done=False), 1.0)
    assert found == [TOLD]


@pytest.mark.parametrize("make", [StreamPipeline, WholePipeline])
def test_broken_answer_is_not_kept(make: Any) -> None:
    for data in (body(*UPSTREAM[:-1], done=False), body(*UPSTREAM[:-1], {"error": {"message": "no"}}, done=False)):
        found: list[Any] = []
        pipeline = make(asked("reasoning_content", found), Timeline(0.0))
        for part in cut_at(data, [200]):
            pipeline.feed(part, 1.0)
        pipeline.close(2.0)
        assert pipeline.error is not None
        assert found == []


def test_dialect_says_whether_details_are_snapshots() -> None:
    dialect = Dialect(details=Details(snapshots=True))
    lists = [[{"type": "reasoning.text", "text": text, "index": 0}] for text in ("I", "I must", "I must look.")]
    chunks = [chunk({"role": "assistant"}), *(chunk({"reasoning_details": one}) for one in lists), *CHUNKS[7:9]]
    for make in (StreamPipeline, WholePipeline):
        found: list[Any] = []
        pipeline = make(asked("drop", found, dialect), Timeline(0.0))
        pipeline.feed(body(*chunks), 1.0)
        pipeline.close(2.0)
        assert [(one["reasoning_content"], one["reasoning_details"]) for one in found] == [("I must look.", lists[-1])]


def test_stream_of_which_nothing_is_kept_collects_nothing() -> None:
    assert StreamPipeline(context(), Timeline(0.0))._collector is None
