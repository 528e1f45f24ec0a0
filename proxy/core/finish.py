"""Why an answer ended, in OpenAI's words (contract C5, `docs/schema.md`)."""

from collections.abc import Mapping
from typing import Any

REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})

# docs/dialects.md, stream quirk 18 (2026-11-22)
_MAP = {
    "end": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "COMPLETE": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "TOOL_CALL": "tool_calls",
    "sensitive": "content_filter",
    "SAFETY": "content_filter",
    "refusal": "content_filter",
}


def canonical(word: Any, *, called: bool, own: Mapping[str, str]) -> str | None:
    """The upstream's word → one of `REASONS`, or None where it says nothing (null, empty).

    `called`: the answer made tool calls, which some hosts end with `stop`. `own`: the dialect's map, asked first.
    """
    if not word:
        return None
    word = str(word)
    reason = own.get(word) or (word if word in REASONS else _MAP.get(word, "stop"))
    return "tool_calls" if called and reason == "stop" else reason


def inferred(*, called: bool) -> str:
    """The reason of an answer that ended without one."""
    return "tool_calls" if called else "stop"
