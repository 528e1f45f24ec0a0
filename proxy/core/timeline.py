"""What happened when, per request: the one source of metrics, log lines and spans.

Times are seconds of the monotonic clock, given by the caller; nothing here reads a clock.
"""

from dataclasses import dataclass, field
from typing import Any


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
    reasoning_s: float = 0.0
    """Time spent in reasoning runs that have ended, in seconds."""
    reasoning_since: float | None = None
    """Start of the reasoning run that is still open."""
    ended: float | None = None
    usage: dict[str, Any] | None = None
    """Normalised usage, as the client would get it."""
    finish_reason: str | None = None
    events: dict[str, int] = field(default_factory=dict)
    """Oddities met, kind → count: the kinds of `normalizer_events_total`."""

    def reasoning(self, now: float) -> None:
        """Reasoning was produced."""
        if self.first_chunk is None:
            self.first_chunk = now
        if self.first_reasoning is None:
            self.first_reasoning = now
        if self.reasoning_since is None:
            self.reasoning_since = now
        self.last_content = now

    def answer(self, now: float) -> None:
        """Answer text, a refusal or a tool call was produced."""
        if self.first_chunk is None:
            self.first_chunk = now
        if self.first_answer is None:
            self.first_answer = now
        if self.reasoning_since is not None:
            self.reasoning_s += now - self.reasoning_since
            self.reasoning_since = None
        self.last_content = now

    def end(self, now: float) -> None:
        """The request is over; an open reasoning run ends with its last delta."""
        if self.reasoning_since is not None:
            self.reasoning_s += (self.last_content or now) - self.reasoning_since
            self.reasoning_since = None
        self.ended = now

    def count(self, kind: str) -> None:
        """Something odd was met and handled."""
        self.events[kind] = self.events.get(kind, 0) + 1
