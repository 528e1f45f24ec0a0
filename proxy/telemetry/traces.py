"""Traces: the caller's, read from `traceparent` (W3C Trace Context), and what is told of them to providers.

Spans of our own are made in `spans.py`, which needs the extra `otel` and is imported only where the configuration asks
for it. Without it a caller's trace is in the log line and in exemplars, and goes on unchanged where a provider may know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from proxy.telemetry.exchange import AttemptOutcome, Exchange

PARENT, STATE = "traceparent", "tracestate"
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_FIRST_VERSION = "00-"
_SAMPLED = 1
_STATE_CHARACTERS = 512
"""Of a longer `tracestate` nothing is passed on; the specification asks for at least this much."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in somebody's trace."""

    parent: str
    """The `traceparent` header as it came."""
    trace_id: str
    """32 hexadecimal digits."""
    sampled: bool
    state: str = ""
    """The `tracestate` header."""

    @property
    def headers(self) -> dict[str, str]:
        """What tells it to the next one."""
        return {PARENT: self.parent, STATE: self.state} if self.state else {PARENT: self.parent}


def context_of(headers: Mapping[str, str]) -> TraceContext | None:
    """The trace that a request belongs to; None where it names none, or names it wrongly. Header names in lower case."""
    parent = headers.get(PARENT)
    match = None if parent is None else _PARENT.fullmatch(parent)
    if parent is None or match is None or (match[4] and parent.startswith(_FIRST_VERSION)):
        return None
    state = headers.get(STATE, "")
    fits = len(state) <= _STATE_CHARACTERS and state.isascii() and state.isprintable()
    return TraceContext(parent, match[1], bool(int(match[3], 16) & _SAMPLED), state if fits else "")


class RequestTrace(Protocol):
    """One request, as a part of a trace. Its tries come one after the other."""

    def attempt(self, exchange: "Exchange", base_url: str) -> Mapping[str, str]:
        """A try of `exchange.target` begins; gives the headers that tell the target of it."""

    def tried(self, exchange: "Exchange", outcome: "AttemptOutcome") -> None:
        """The try, if one began, ended so; `exchange.timeline` is its own."""

    def end(self, exchange: "Exchange") -> None:
        """The request ended."""


class Tracer(Protocol):
    """Makes what follows requests."""

    def begin(self, exchange: "Exchange", headers: Mapping[str, str], path: str) -> None:
        """A request begins: sets its `trace`, `trace_id` and `exemplar`, where it has any."""

    def close(self) -> None:
        """Sends what has not been sent. Blocks for some seconds at most."""


class Passing:
    """Makes nothing: the caller's trace goes on as it came."""

    def begin(self, exchange: "Exchange", headers: Mapping[str, str], path: str) -> None:
        """Notes the caller's trace."""
        del path
        if PARENT not in headers:
            return
        context = context_of(headers)
        if context is not None:
            exchange.trace_id = context.trace_id
            exchange.exemplar = {"trace_id": context.trace_id} if context.sampled else None
            exchange.trace = _Passed(context.headers)

    def close(self) -> None:
        """There is nothing to send."""


class _Passed:
    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def attempt(self, exchange: "Exchange", base_url: str) -> Mapping[str, str]:
        del exchange, base_url
        return self._headers

    def tried(self, exchange: "Exchange", outcome: "AttemptOutcome") -> None:
        pass

    def end(self, exchange: "Exchange") -> None:
        pass


def tracer_of(export: str, version: str) -> Tracer:
    """The tracer that the configuration asks for: `off` or `otlp`. Raises ImportError where the extra is not installed."""
    if export == "off":
        return Passing()
    from proxy.telemetry.spans import exporting  # noqa: PLC0415 - its packages are an extra

    return exporting(version)
