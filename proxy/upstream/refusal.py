"""What an upstream's answer with an error status says."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from proxy.core.codec import loads_first
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
