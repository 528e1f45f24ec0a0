"""The same stream with the byte path and the shorter looks at what begins, parts and ends an answer, and without them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pytest

from proxy.core import short_way
from proxy.core.context import AnswerContext
from proxy.core.errors import ProxyError
from proxy.core.normalizer import Normalizer
from proxy.core.stream import StreamPipeline
from proxy.core.timeline import Timeline


@dataclass
class Course:
    """All that a stream shows of itself. `reads`: for each read what left, whether it had begun and ended, and times."""

    reads: list[tuple[Any, ...]]
    rest: bytes
    end: tuple[Any, ...]
    timeline: Timeline

    @property
    def out(self) -> bytes:
        return b"".join([*(read[0] for read in self.reads), self.rest])


def course(pieces: Sequence[bytes], context: AnswerContext, broken: ProxyError | None = None) -> Course:
    """Runs one stream; read N is at N seconds."""
    timeline = Timeline(0.0)
    pipeline = StreamPipeline(context, timeline)
    reads: list[tuple[Any, ...]] = []
    for at, piece in enumerate(pieces, 1):
        out = pipeline.feed(piece, float(at))
        last = timeline.reads[-1] if timeline.reads else timeline.last_content
        reads.append((out, pipeline.begun, pipeline.done, last, timeline.reasoning_since))
    rest = pipeline.close(len(pieces) + 1.0, broken)
    error = pipeline.error.body() if pipeline.error else None
    return Course(reads, rest, (pipeline.begun, pipeline.done, pipeline.source, error), timeline)


def both(pieces: Sequence[bytes], context: AnswerContext, broken: ProxyError | None = None) -> Course:
    """Runs the stream with all of these and with none, which must show the same. The short way itself is in both."""
    quick = course(pieces, replace(context, byte_path=True), broken)
    with (
        patch.object(Normalizer, "_silent", lambda *_: None),
        patch.object(Normalizer, "_cut", lambda *_: None),
        patch.object(short_way, "begins_answer", lambda *_: False),
    ):
        slow = course(pieces, replace(context, byte_path=False), broken)
    assert quick == slow
    return quick


def looks_of(monkeypatch: pytest.MonkeyPatch, name: str) -> list[bool]:
    """For each event that has this short look of the normalizer from now on, whether it was enough."""
    found: list[bool] = []
    look = getattr(Normalizer, name)

    def counted(normalizer: Normalizer, *given: Any) -> Any:
        chunks = look(normalizer, *given)
        found.append(chunks is not None)
        return chunks

    monkeypatch.setattr(Normalizer, name, counted)
    return found
