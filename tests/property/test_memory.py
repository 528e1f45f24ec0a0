"""A stream's pipeline holds no more at its end than at its beginning, however long the answer is."""

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.core.dialect import Details, Dialect, Tags
from proxy.core.render import parse_rendering
from proxy.core.stream import StreamPipeline
from proxy.core.timeline import Timeline
from tests.support.streams import call, chunk, context, event

LENGTH = 5_000_000
BOUND = 256 * 1024
"""Bytes. What is held on purpose (white space, a delimiter, a step, a call) is a few tens of KiB at most."""

WORDS = "lorem ipsum dolor sit amet consectetur"


def repeated(one: bytes, length: int) -> Iterator[bytes]:
    """Reads of many small events, until there are `length` bytes of them."""
    read = one * 40
    for _ in range(length // len(read)):
        yield read


FEEDS = {
    "reasoning field": event(chunk({"reasoning_content": WORDS})),
    "alias and details": event(
        chunk({"reasoning": WORDS, "reasoning_details": [{"type": "reasoning.text", "text": WORDS}]})
    ),
    "details alone": event(chunk({"reasoning_details": [{"type": "reasoning.text", "text": WORDS, "index": 0}]})),
    "typed parts": event(chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": WORDS}]}]})),
    "answer": event(chunk({"content": WORDS})),
    "flagged": event(chunk({"content": WORDS, "extra_content": {"google": {"thought": True}}})),
    "white space": event(chunk({"content": "\n \n"})),
    "arguments": event(chunk({"tool_calls": [call(0, "c", "f", WORDS)]})),
    "arguments without a name": event(chunk({"tool_calls": [call(0, None, None, WORDS)]})),
    "empty deltas": event(chunk({})),
    "empty deltas of the host's own": event(chunk({}, x_host={"a": [1, 2]})),
    "empty choices": event({"choices": [], "x_host": 1}),
    "repeated finish": event(chunk({}, "stop")),
    "usage all along": event(chunk({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 2})),
    "comments": b": still here\n\n",
    "no JSON": b"data: {oops\n\n",
    "blank lines": b"\n\n",
    "unknown events": b"event: ping\ndata: {}\n\n",
}
HEADS = {
    "nothing before": b"",
    "in a think block": event(chunk({"role": "assistant", "content": "<think>a"})),
    "after a think block": event(chunk({"role": "assistant", "content": "<think>a</think>"})),
    "behind half a delimiter": event({"choices": [{"index": 0, "delta": {"content": "<th"}}]}),
}
DIALECTS = [
    Dialect(),
    Dialect(
        details=Details(snapshots=True), tags=Tags(position="anywhere", blocks="all"), dedupe_repeated_reasoning=True
    ),
]


def held_after(pipeline: StreamPipeline, reads: Iterator[bytes]) -> int:
    """Bytes that can be reached from the pipeline after feeding, beyond those before it."""
    before = size_of(pipeline)
    for at, read in enumerate(reads):
        pipeline.feed(read, float(at))
    return size_of(pipeline) - before


def size_of(root: Any) -> int:
    """Bytes of an object and of all data that it leads to."""
    seen: set[int] = set()
    found, total = [root], 0
    while found:
        one = found.pop()
        if id(one) not in seen and not isinstance(one, type | types.ModuleType | types.FunctionType):
            seen.add(id(one))
            total += sys.getsizeof(one)
            found += gc.get_referents(one)
    return total


def test_what_grows_is_seen() -> None:
    held: list[bytes] = []
    before = size_of(held)
    held += [b"x" * 1000, b"y" * 1000]
    assert 2000 < size_of(held) - before < 2300


@pytest.mark.parametrize("kind", FEEDS)
def test_many_small_events_leave_nothing_behind(kind: str) -> None:
    length = min(LENGTH // 40, 1600 * len(FEEDS[kind]))
    for at, head in enumerate(HEADS.values()):
        for dialect in DIALECTS[at % 2 :]:
            pipeline = StreamPipeline(context(dialect), Timeline(0.0))
            pipeline.feed(head, 0.0)
            assert held_after(pipeline, repeated(FEEDS[kind], length)) < BOUND // 2


@pytest.mark.parametrize("kind", ["reasoning field", "answer", "arguments without a name"])
def test_five_megabytes_hold_no_more_than_a_fixed_bound(kind: str) -> None:
    pipeline = StreamPipeline(context(), Timeline(0.0))
    pipeline.feed(HEADS["in a think block"], 0.0)
    assert held_after(pipeline, repeated(FEEDS[kind], LENGTH)) < BOUND


@pytest.mark.parametrize(
    "form",
    [
        "reasoning",
        "both",
        "details",
        "think_tags",
        "content_parts",
        "drop",
        "passthrough",
        "reasoning_content; steps=paragraph",
    ],
)
def test_no_rendering_keeps_what_it_has_written(form: str) -> None:
    for kind in ("reasoning field", "alias and details"):
        pipeline = StreamPipeline(context(rendering=parse_rendering(form)), Timeline(0.0))
        assert held_after(pipeline, repeated(FEEDS[kind], LENGTH // 20)) < BOUND
