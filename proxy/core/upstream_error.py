"""Errors as upstreams write them → the error tree.

Shapes and sources: `docs/dialects.md`, stream quirks 29, 30 and 34.
"""

from typing import Any

from proxy.core.errors import (
    UpstreamAuth,
    UpstreamError,
    UpstreamProtocol,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)

_MAX_MESSAGE = 2000
_TELLING = frozenset({"error", "type", "base_resp", "message", "detail", "errors"})
"""Keys of a body or event, one of which is there if it reports an error other than by its `object` or in a choice."""

# What an error inside a 200 means, where it says so in words. OpenAI's and Anthropic's codes and types
# (platform.openai.com/docs/guides/error-codes, platform.claude.com/docs/en/api/errors; 2026-11-22).
_STATUS_OF_WORD = {
    "invalid_request_error": 400,
    "invalid_request": 400,
    "context_length_exceeded": 400,
    "content_policy_violation": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "request_too_large": 413,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "server_error": 500,
    "api_error": 500,
    "overloaded_error": 503,
}


def is_error(value: Any) -> bool:
    """Whether a JSON body or event reports an error instead of an answer."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and is_error(value[0])
    if not isinstance(value, dict):
        return False
    telling = not _TELLING.isdisjoint(value)
    if value.get("object") == "error" or (telling and (value.get("error") or value.get("type") == "error")):
        return True
    choices = value.get("choices")
    if isinstance(choices, list) and choices:
        for choice in choices:  # noqa: SIM110 - nearly always one
            if isinstance(choice, dict) and choice.get("error"):
                return True
        return False
    return telling and _tells_error(value)


def _tells_error(value: dict[str, Any]) -> bool:
    """Whether a body or event without text does."""
    if _base_resp_failed(value):
        return True
    if "choices" in value:
        return False
    message = value.get("message")
    return bool(value.get("detail") or value.get("errors")) or (
        isinstance(message, str) and any(key in value for key in ("code", "status", "type", "status_code"))
    )


def from_payload(value: Any, status: int | None = None) -> UpstreamError:
    """An error's JSON (any shape, or plain text) and its HTTP status → the error to raise.

    Without a status, or with 200, the status is looked for in the payload; where there is none it counts as a 502.
    """
    inner = _inner(value)
    message = _message(inner) or _message(value) or "the upstream reported an error without a message"
    code, kind, param = (_scalar(inner, value, key) for key in ("code", "type", "param"))
    if status is None or status < 400:  # noqa: PLR2004 - an error inside a 200
        status = _status(inner, value)
    error = of_status(status, message[:_MAX_MESSAGE], code=code, kind=_string(kind), param=_string(param))
    error.upstream_code = code
    error.upstream_type = _string(kind)
    return error


def of_status(
    status: int, message: str, *, code: str | int | None = None, kind: str | None = None, param: str | None = None
) -> UpstreamError:
    """An HTTP status ≥ 400 and a message → the error to raise."""
    match status:
        case 401 | 403:
            return UpstreamAuth(f"The provider refused the key that the proxy sent ({status}): {message}")
        case 429:
            return UpstreamRateLimited(message)
        case 408:
            return UpstreamTimeout(message)
        case _ if 400 <= status < 500:  # noqa: PLR2004 - the class of client errors
            return UpstreamRefused(message, status=status, code=code, type=kind, param=param)
        case _:
            return UpstreamUnavailable(message)


def not_a_completion(what: str) -> UpstreamProtocol:
    """The upstream answered something else."""
    return UpstreamProtocol(f"The upstream's answer is not a chat completion: {what}")


def _inner(value: Any) -> Any:
    """The object or text in which the error proper sits."""
    if isinstance(value, list):
        return _inner(value[0]) if value and isinstance(value[0], dict) else {}
    if not isinstance(value, dict):
        return value
    error = value.get("error")
    if error:
        return error
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("error"):
            return choice["error"]
    if _base_resp_failed(value):
        return value["base_resp"]
    errors = value.get("errors")
    return errors[0] if isinstance(errors, list) and errors else value


def _message(error: Any, depth: int = 8) -> str:
    if isinstance(error, str):
        return error.strip()
    if isinstance(error, list) and depth:
        return "; ".join(filter(None, (_message(one, depth - 1) for one in error)))
    if not isinstance(error, dict) or not depth:
        return ""
    for key in ("message", "msg", "status_msg", "detail", "error", "error_description", "title"):
        text = _message(error.get(key), depth - 1)
        if text:
            return text + _origin(error)
    return ""


def _origin(error: dict[str, Any]) -> str:
    """OpenRouter wraps the real message in `metadata.raw`."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f" ({raw.strip()})" if isinstance(raw, str) and raw.strip() else ""


def _scalar(inner: Any, outer: Any, key: str) -> str | int | None:
    for place in (inner, outer if not isinstance(outer, list) else None):
        value = place.get(key) if isinstance(place, dict) else None
        if isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", "<nil>", "error"):
            return value
    return None


def _string(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _status(inner: Any, outer: Any) -> int:
    for place in (inner, outer):
        for key in ("status_code", "status", "http_code", "code"):
            value = place.get(key) if isinstance(place, dict) else None
            if isinstance(value, str) and value.isdigit():
                value = int(value)
            if isinstance(value, int) and 400 <= value < 600:  # noqa: PLR2004 - HTTP's error statuses
                return value
    for key in ("code", "type"):
        for place in (inner, outer):
            word = place.get(key) if isinstance(place, dict) else None
            if isinstance(word, str) and word in _STATUS_OF_WORD:
                return _STATUS_OF_WORD[word]
    return 502


def _base_resp_failed(value: dict[str, Any]) -> bool:
    """MiniMax answers 200 and puts the failure into `base_resp`."""
    base = value.get("base_resp")
    return isinstance(base, dict) and base.get("status_code") not in (0, None)
