"""What happened when, per request: the one source of metrics, log lines and spans.

Times are seconds of the monotonic clock, given by the caller; nothing here reads a clock.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

GAPS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48)
"""Seconds: upper bounds of the classes in which the gaps within an answer are counted; one more class has the rest."""
_MOST_READS = 256
"""Moments that wait to be entered: few kilobytes."""


class Oddity(StrEnum):
    """What an answer may hold that its dialect should not; the closed set of the `kind` label."""

    TAG_SPLIT = "tag_split_across_chunks"
    BOTH_REASONING_FIELDS = "both_reasoning_fields"
    UNKNOWN_FIELD = "unknown_field"
    MALFORMED_JSON = "malformed_json"
    MISSING_DONE = "missing_done"
    EMPTY_CHOICE = "empty_choice"
    DUPLICATE_USAGE = "duplicate_usage"


@dataclass(slots=True)
class Timeline:
    """Marks of one request; a mark stays None until it happened."""

    started: float
    """The request's head was parsed."""
    upstream_written: float | None = None
    """The request was written to the upstream (last attempt)."""
    first_byte: float | None = None
    """First bytes of the upstream's answer were read."""
    first_sent: float | None = None
    """First bytes of the answer were handed to the server."""
    first_chunk: float | None = None
    """First generated content of any kind."""
    first_reasoning: float | None = None
    first_answer: float | None = None
    """First text or tool call after, or without, reasoning."""
    last_content: float | None = None
    """Of what has been entered, see `reads`."""
    reads: list[float] = field(default_factory=list)
    """Further reads that brought what the last one brought, and nothing else: `enter` makes of them what it does of one."""
    reasoning_s: float = 0.0
    """Time spent in reasoning runs that have ended, in seconds."""
    reasoning_since: float | None = None
    """Start of the reasoning run that is still open."""
    reasoning_gaps: list[float] | None = None
    """How long reasoning that was not the first content was waited for: counts by class, then the sum in seconds."""
    answer_gaps: list[float] | None = None
    """The same of the answer."""
    ended: float | None = None
    usage: dict[str, Any] | None = None
    """Normalised usage, as the client would get it."""
    finish_reason: str | None = None
    response_model: str | None = None
    """What the upstream called the model that answered."""
    unclosed: bool = False
    """The answer ended inside a block of reasoning whose end never came."""
    events: dict[str, int] = field(default_factory=dict)
    """Oddities met, kind → count: the kinds of `normalizer_events_total`."""

    def reasoning(self, now: float) -> None:
        """One read brought reasoning."""
        last, self.last_content = self.last_content, now
        if last is None:
            self.first_chunk = now
        elif now > last:
            gaps = self.reasoning_gaps
            if gaps is None:
                gaps = self.reasoning_gaps = [0.0] * (len(GAPS) + 2)
            _count(gaps, now - last)
        if self.reasoning_since is None:
            self.reasoning_since = now
            if self.first_reasoning is None:
                self.first_reasoning = now

    def answer(self, now: float) -> None:
        """One read brought answer text, a refusal or a tool call."""
        last, self.last_content = self.last_content, now
        if last is None:
            self.first_chunk = now
        elif now > last:
            gaps = self.answer_gaps
            if gaps is None:
                gaps = self.answer_gaps = [0.0] * (len(GAPS) + 2)
            _count(gaps, now - last)
        if self.first_answer is None:
            self.first_answer = now
        if self.reasoning_since is not None:
            self.reasoning_s += now - self.reasoning_since
            self.reasoning_since = None

    def again(self, now: float) -> None:
        """One more read brought what the last one did, and nothing else. `enter` has to come before any other mark."""
        self.reads.append(now)
        if len(self.reads) > _MOST_READS:
            self.enter()

    def enter(self) -> None:
        """Enters `reads`: done for many at once, it costs each of them less."""
        mark = self.answer if self.reasoning_since is None else self.reasoning
        for now in self.reads:
            mark(now)
        self.reads.clear()

    def end(self, now: float) -> None:
        """The request is over; an open reasoning run ends with its last delta."""
        self.enter()
        if self.reasoning_since is not None:
            self.reasoning_s += (self.last_content or now) - self.reasoning_since
            self.reasoning_since = None
        self.ended = now

    def count(self, kind: str) -> None:
        """Something odd was met and handled."""
        self.events[kind] = self.events.get(kind, 0) + 1


def _count(gaps: list[float], gap: float) -> None:
    gaps[bisect_left(GAPS, gap)] += 1.0
    gaps[-1] += gap
