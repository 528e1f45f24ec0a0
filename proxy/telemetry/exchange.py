"""One request as an operator sees it, from its head to its end: the source of its metrics and its log line."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.core.errors import Outcome, ProxyError
from proxy.core.timeline import Timeline

if TYPE_CHECKING:
    from proxy.telemetry.target import TargetMetrics
    from proxy.telemetry.traces import RequestTrace


class AttemptOutcome(StrEnum):
    """How one try of one target ended; the closed set of the `outcome` label of `upstream_attempts_total`."""

    OK = "ok"
    CONNECT_ERROR = "connect_error"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105 - a model's token
    FIRST_ANSWER_TIMEOUT = "first_answer_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    PROTOCOL_ERROR = "protocol_error"
    ERROR_IN_STREAM = "error_in_stream"
    CANCELLED = "cancelled"

    # A look-up by a member must not call Python's own `Enum.__hash__`.
    __hash__ = str.__hash__


class Phase(StrEnum):
    """What the client was getting when it left; the closed set of the `phase` label of `client_disconnects_total`."""

    WAITING = "waiting"
    REASONING = "reasoning"
    ANSWER = "answer"


class Stage(StrEnum):
    """Where our own time went; the closed set of the `stage` label of `overhead_seconds`."""

    REQUEST = "request"
    FIRST_CHUNK = "first_chunk"
    STREAM = "stream"


class Limit(StrEnum):
    """Which of our limits refused a request; the closed set of the `limit` label of `rate_limited_total`."""

    REQUESTS_PER_MINUTE = "requests_per_minute"
    CONCURRENT_STREAMS = "concurrent_streams"
    ALL_REQUESTS_PER_MINUTE = "all_requests_per_minute"
    ALL_CONCURRENT_STREAMS = "all_concurrent_streams"


class Truncation(StrEnum):
    """Why reasoning had no answer after it; the closed set of the `reason` label of `reasoning_truncated_total`."""

    LENGTH = "length"
    UNCLOSED_TAG = "unclosed_tag"
    UPSTREAM_CLOSED = "upstream_closed"


class MemoryResult(StrEnum):
    """What happened to the reasoning memory; the closed set of the `result` label of `memory_total`."""

    HIT = "hit"
    MISS = "miss"
    STORED = "stored"
    EVICTED = "evicted"
    EXPIRED = "expired"


_OK = Outcome.OK
_BROKEN = frozenset({Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT})
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_MODEL_LENGTH = 128


@lru_cache(maxsize=256)
def _is_model(named: str) -> bool:
    return _MODEL.fullmatch(named) is not None


def fit_model(named: str) -> str | None:
    """A model as the upstream calls it, where that is fit for logs."""
    return named if len(named) <= _MODEL_LENGTH and _is_model(named) else None


@dataclass(slots=True)
class Exchange:
    """One request and its answer. Times are seconds of the monotonic clock."""

    request_id: str
    started: float
    """The request's head was parsed."""
    target: "TargetMetrics"
    """The target tried last; before routing the one of `_unmatched`."""
    timeline: Timeline
    """Of the attempt tried last."""
    stream: bool = False
    client: str | None = None
    """The configured name of the client key."""
    key_id: str | None = None
    """Tells client keys apart in logs, and says nothing of them."""
    trace_id: str | None = None
    """Of the caller's trace, or of ours."""
    exemplar: dict[str, str] | None = None
    """The same as the labels of an exemplar, where the trace is sampled."""
    trace: "RequestTrace | None" = None
    """Its spans; None where none are made."""
    answering: str = ""
    """`PROVIDER/MODEL` of the target tried last, the model as the provider calls it."""
    attempts: int = 0
    targets: int = 0
    """Different targets tried."""
    notes: tuple[str, ...] = ()
    asked: float | None = None
    """When the first upstream request was about to be written."""
    content_read: float | None = None
    """When the upstream bytes were read that began the answer."""
    core_s: float = 0.0
    """Seconds spent in the pipeline, over all reads."""
    status: int = 0
    """The status sent to the client; 0 before there is one."""
    bytes_in: int = 0
    bytes_out: int = 0
    outcome: Outcome = _OK
    error: ProxyError | None = None
    limited: Limit | None = None

    def failed(self, error: ProxyError) -> None:
        """The request ends with this error."""
        self.error = error
        error.__traceback__ = error.__context__ = None  # whose frames hold this exchange
        self.outcome = error.outcome

    @property
    def phase(self) -> Phase:
        """What the client is getting now."""
        if self.timeline.first_answer is not None:
            return Phase.ANSWER
        return Phase.WAITING if self.timeline.first_reasoning is None else Phase.REASONING

    @property
    def response_model(self) -> str | None:
        """What the upstream calls the model that answered, where that is fit for logs."""
        named = self.timeline.response_model
        return None if named is None else fit_model(named)

    @property
    def truncation(self) -> Truncation | None:
        """Why there was reasoning and no answer; None where there was both, or no reasoning, or the client left."""
        timeline = self.timeline
        if timeline.first_reasoning is None or timeline.first_answer is not None:
            return None
        if self.outcome in _BROKEN:
            return Truncation.UPSTREAM_CLOSED
        if self.outcome is not _OK:
            return None
        if timeline.finish_reason == "length":
            return Truncation.LENGTH
        return Truncation.UNCLOSED_TAG if timeline.unclosed else None
