"""What an upstream says that does not answer: with an error status, inside an answer, or by its silence."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from proxy.core.codec import loads_first
from proxy.core.errors import ProxyError, UpstreamProtocol, UpstreamTimeout
from proxy.telemetry.exchange import AttemptOutcome


def payload(body: bytes, status: int) -> object:
    """The JSON of an error's body, else its text, else words of ours."""
    try:
        return loads_first(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        # A page of HTML says nothing to a program.
        return text if text and not text.startswith("<") else f"the provider answered with status {status}"


def outcome_of(status: int) -> AttemptOutcome:
    """An error status as the end of a try."""
    if status == 429:  # noqa: PLR2004 - HTTP's own number
        return AttemptOutcome.HTTP_429
    return AttemptOutcome.HTTP_4XX if status < 500 else AttemptOutcome.HTTP_5XX  # noqa: PLR2004


def outcome_of_no_answer(error: ProxyError) -> AttemptOutcome:
    """How a try ended to which nothing was answered."""
    if isinstance(error, UpstreamTimeout):
        return AttemptOutcome.CONNECT_TIMEOUT
    return AttemptOutcome.PROTOCOL_ERROR if isinstance(error, UpstreamProtocol) else AttemptOutcome.CONNECT_ERROR


def outcome_of_error(error: ProxyError) -> AttemptOutcome:
    """Of an answer that is no answer: something else than a completion, or an error inside a 200."""
    protocol = isinstance(error, UpstreamProtocol)
    return AttemptOutcome.PROTOCOL_ERROR if protocol else AttemptOutcome.ERROR_IN_STREAM


def retry_after(value: str | None) -> float | None:
    """Seconds from now of a `Retry-After` header, which is a number or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
