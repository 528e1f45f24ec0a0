"""Tool calls of earlier messages as a target takes them: their ids, and what stands for a signature that is not there."""

import hashlib
import string
from collections.abc import Mapping
from typing import Any

from proxy.core.dialect import CallIds, Signature

Message = dict[str, Any]

_LETTERS = string.digits + string.ascii_letters
_DETAILS = "reasoning_details"
_MADE = 24
"""Length of a new id where any will do: 142 bits of the old one's digest."""


def signed(message: Message, signature: Signature) -> Message:
    """The message with something in place of a missing signature; the very message where none is missing."""
    calls = message.get("tool_calls")
    first = calls[0] if isinstance(calls, list) and calls else None
    if message.get("role") != "assistant" or not isinstance(calls, list) or not isinstance(first, dict):
        return message
    out = message
    filled = _filled(first, signature.call)
    if filled != first:
        out = {**out, "tool_calls": [filled, *calls[1:]]}
    details = message.get(_DETAILS)
    details = details if isinstance(details, list) else []
    if signature.detail and not any(_alike(each, signature.detail) for each in details):
        detail = {**signature.detail, "id": first.get("id"), "index": len(details)}
        out = {**out, _DETAILS: [*details, detail]}
    return out


def _filled(given: Any, wanted: Mapping[str, Any]) -> Any:
    """`given` with what of `wanted` it says nothing about."""
    if given and not isinstance(given, Mapping):
        return given
    out = dict(given or {})
    for key, value in wanted.items():
        if isinstance(value, Mapping):
            out[key] = _filled(out.get(key), value)
        elif not out.get(key):
            out[key] = value
    return out


def _alike(one: Any, other: Mapping[str, Any]) -> bool:
    return isinstance(one, Mapping) and all(one.get(key) == other.get(key) for key in ("type", "format"))


def renamed(message: Message, rules: CallIds) -> Message:
    """The message with ids that the target takes; the very message where it takes them all.

    A new id is made of the old one alone, so that a call and its result still belong together.
    """
    out = message
    answered = message.get("tool_call_id")
    if isinstance(answered, str) and (new := _taken(answered, rules)) != answered:
        out = {**out, "tool_call_id": new}
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        named = [_named(call, rules) for call in calls]
        out = {**out, "tool_calls": named} if named != calls else out
    return out


def _named(call: Any, rules: CallIds) -> Any:
    old = call.get("id") if isinstance(call, dict) else None
    return {**call, "id": _taken(old, rules)} if isinstance(old, str) else call


def _taken(old: str, rules: CallIds) -> str:
    fits = len(old) == rules.length if rules.exact else 0 < len(old) <= rules.length
    if fits and all(letter in _LETTERS or letter in rules.also for letter in old):
        return old
    number = int.from_bytes(hashlib.sha256(old.encode("utf-8", "surrogatepass")).digest())
    new = ""
    while len(new) < (rules.length if rules.exact else min(rules.length, _MADE)):
        number, rest = divmod(number, len(_LETTERS))
        new += _LETTERS[rest]
    return new
