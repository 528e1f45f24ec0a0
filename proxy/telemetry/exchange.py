"""One request as an operator sees it, from its head to its end: the source of its metrics and its log line."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from proxy.core.errors import Outcome, ProxyError
from proxy.core.timeline import Timeline

if TYPE_CHECKING:
    from proxy.telemetry.metrics import TargetMetrics


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
    outcome: Outcome = Outcome.OK
    error: ProxyError | None = None
    limited: Limit | None = None
    overheads: dict[Stage, float] = field(default_factory=dict)

    def failed(self, error: ProxyError) -> None:
        """The request ends with this error."""
        self.error = error
        self.outcome = error.outcome

    @property
    def phase(self) -> Phase:
        """What the client is getting now."""
        if self.timeline.first_answer is not None:
            return Phase.ANSWER
        return Phase.WAITING if self.timeline.first_reasoning is None else Phase.REASONING

    def end(self, now: float) -> None:
        """The last byte was accepted by the server, or the client is gone. Our own time is summed up here."""
        self.timeline.end(now)
        if self.asked is not None:
            self.overheads[Stage.REQUEST] = self.asked - self.started
        if self.content_read is not None and self.timeline.first_sent is not None:
            self.overheads[Stage.FIRST_CHUNK] = max(0.0, self.timeline.first_sent - self.content_read)
        if self.stream and self.core_s:
            self.overheads[Stage.STREAM] = self.core_s
