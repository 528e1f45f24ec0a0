"""Known refusals of a request, and what mends them (texts: the section "Refusals" of `docs/requests.md`).

A host that is strict about its schema says which field it does not take, or which one it misses. `diagnose` reads that
out of its error, `heal` gives the manner that no longer sends the field, or sends it.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from proxy.core.codec import loads
from proxy.core.dialect import History, Manner, Request

Action = Literal["add", "drop"]
Place = Literal["message", "body"]
Path = tuple[str, ...]
"""Keys from the body, or a lone key whose place the host does not tell."""

STATUSES = frozenset({400, 422})
"""Only these say that the request itself is wrong."""
MOST = 8
"""Remedies taken from one error."""
OTHER = "other"

_CALLS = "tool_calls[]."
_DETAILS = "reasoning_details"
_OPTIONS = "stream_options"
_SIGNED = f"{_CALLS}extra_content"
_TEXTS = frozenset({"reasoning_content", "reasoning", "reasoning_text"})

FIELDS = frozenset(
    {
        *_TEXTS, _DETAILS, _OPTIONS, _SIGNED, "chat_template_kwargs", "enable_thinking", "extra_body", "extra_content",
        "include_reasoning", "reasoning_effort", "reasoning_format", "think", "thinking", "thinking_blocks",
        "thinking_budget",
    }
)  # fmt: skip
"""The field names that a label or a log line may show; any other one may be a client's own word."""

_ESSENTIAL: Mapping[str, frozenset[str]] = {
    "message": frozenset({"role", "content", "tool_calls", "tool_call_id", "function_call"}),
    "call": frozenset({"id", "type", "function"}),
    "body": frozenset(
        {"model", "messages", "stream", "tools", "tool_choice", "functions", "function_call", "response_format"}
    ),
}
"""Never dropped: without them it would be another request."""

_MOST_TEXT = 16 * 1024
_MOST_TEXTS = 200
_MOST_DEPTH = 8
_FORBIDDEN = "Extra inputs are not permitted"
_LOCATED = re.compile(
    r"""['"]loc['"]\s*:\s*[\[(]([^:{}]{1,300}?)[\])],\s*"""
    rf"""['"](?:msg['"]\s*:\s*['"]{_FORBIDDEN}|type['"]\s*:\s*['"]extra_forbidden)"""
)
_LOCATION_KEY = re.compile(r"""'([^']*)'|"([^"]*)"|(\d+)""")
_PATHS = (
    re.compile(rf"(?<![\w.\]-])([\w.\[\]-]{{1,200}}): {_FORBIDDEN}"),
    re.compile(rf"{_FORBIDDEN}, field: '([^']{{1,200}})'"),
    re.compile(r"unknown field `([^`]{1,200})`"),
)
_PROPERTY = re.compile(r"(?:'([^']{1,200})' ?: ?)?property '([^']{1,200})' is unsupported")
_LISTS = (
    re.compile(r"Unrecognized request arguments? supplied: (\w{1,64}(?:, \w{1,64})*)"),
    re.compile(r"Additional properties are not allowed \(('\w{1,64}'(?:, '\w{1,64}')*) (?:was|were) unexpected\)"),
)
_MISSED = (
    re.compile(r"(?<![\w.\]])[`'\"]?(\w{1,64})[`'\"]? in the thinking mode must be passed back"),
    re.compile(r"Missing [`'\"]?(\w{1,64})[`'\"]? field in the assistant message"),
    re.compile(r"(?<!\w)(\w{1,64}) is missing in assistant tool call message"),
)
_UNSIGNED = "missing a thought_signature"
_DETAILS_MISSED = "reasoning details to be preserved"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What makes a refused request acceptable."""

    action: Action
    field: str
    """A top-level key of the body, a key of messages, or `tool_calls[].KEY`."""
    place: Place

    @property
    def label(self) -> str:
        """The field, if it is one of `FIELDS`, else `other`."""
        return self.field if self.field in FIELDS else OTHER


def diagnose(status: int, said: object, sent: Mapping[str, Any]) -> tuple[Remedy, ...]:
    """What would mend a refusal: `said` is the error's JSON (any shape) or text, `sent` the body that was refused.

    Empty where the error is none of the known ones, or names a field that was not sent, is not missing, or without
    which it would be another request.
    """
    if status not in STATUSES:
        return ()
    found: list[Remedy] = []
    for text in islice(_texts(said, _MOST_DEPTH), _MOST_TEXTS):
        found += _additions(text, sent) if isinstance(text, str) else ()
        found += [remedy for path in _refused(text) for remedy in _omissions(path, sent)]
    return tuple(dict.fromkeys(found))[:MOST]


def heal(manner: Manner, remedy: Remedy) -> Manner:
    """The manner with this one field dropped or added; an equal one where it was so already."""
    if remedy.place == "message":
        change = _with if remedy.action == "add" else _without
        return dataclasses.replace(manner, history=change(manner.history, remedy.field))
    if remedy.field == _OPTIONS:
        usage = dataclasses.replace(manner.response.usage, request="never")
        return dataclasses.replace(manner, response=dataclasses.replace(manner.response, usage=usage))
    return dataclasses.replace(manner, request=_stripped(manner.request, remedy.field))


# --- reading ---


def _texts(said: object, depth: int) -> Iterator[str | Path]:
    """All texts of an error, and the places of forbidden fields. Gateways wrap an upstream's JSON in a text of theirs."""
    if not depth:
        return
    if isinstance(said, str):
        text = said[:_MOST_TEXT]
        yield text
        if text.lstrip()[:1] in ("{", "["):
            with suppress(ValueError):
                yield from _texts(loads(text.encode("utf-8", "replace")), depth - 1)
    elif isinstance(said, list):
        for item in said:
            yield from _texts(item, depth - 1)
    elif isinstance(said, Mapping):
        location = said.get("loc")
        if isinstance(location, list) and (said.get("type") == "extra_forbidden" or said.get("msg") == _FORBIDDEN):
            yield tuple(map(str, location))
        for item in said.values():
            yield from _texts(item, depth - 1)


def _refused(text: str | Path) -> Iterator[Path]:
    """The fields that a text says are not taken."""
    if not isinstance(text, str):
        yield text
        return
    for location in _LOCATED.findall(text):
        yield tuple("".join(key) for key in _LOCATION_KEY.findall(location))
    for pattern in _PATHS:
        yield from (_path(named) for named in pattern.findall(text))
    yield from (_path(f"{owner}.{key}") for owner, key in _PROPERTY.findall(text))
    for pattern in _LISTS:
        yield from (_path(name) for names in pattern.findall(text) for name in re.findall(r"\w+", names))


def _path(named: str) -> Path:
    return tuple(re.findall(r"[^.\[\]]+", named))


def _omissions(path: Path, sent: Mapping[str, Any]) -> Iterator[Remedy]:
    """The remedies for a field that is not taken, as far as it was sent."""
    match path[1:] if path[:1] == ("body",) else path:
        case ("messages", _, *between, key):
            yield from _of_message(key, between, sent)
        case (key,) if key in sent:
            if key not in _ESSENTIAL["body"]:
                yield Remedy("drop", key, "body")
        case (key,):
            yield from _of_message(key, [], sent)
            yield from _of_message(key, ["tool_calls"], sent)
        case ("stream_options", _) if _OPTIONS in sent:
            yield Remedy("drop", _OPTIONS, "body")


def _of_message(key: str, between: list[str], sent: Mapping[str, Any]) -> Iterator[Remedy]:
    """`between` is what stands between a message's index and the key: roles and types of a schema, or where it is nested."""
    if "tool_calls" in between:
        owners, essential, field = _calls(sent), "call", _CALLS + key
        between = between[between.index("tool_calls") + 2 :]
    else:
        owners, essential, field = _messages(sent), "message", key
    nested = "function" in between or any(word.isdecimal() for word in between)
    if not nested and key not in _ESSENTIAL[essential] and any(key in owner for owner in owners):
        yield Remedy("drop", field, "message")


def _additions(text: str, sent: Mapping[str, Any]) -> Iterator[Remedy]:
    """The remedies for fields that a text misses in messages with tool calls."""
    calling = [
        message for message in _messages(sent) if message.get("tool_calls") and message.get("role") == "assistant"
    ]
    names = [name for pattern in _MISSED for name in pattern.findall(text) if name in _TEXTS]
    names += [_DETAILS] if _DETAILS_MISSED in text else []
    for name in names:
        if any(message.get(name) is None for message in calling):
            yield Remedy("add", name, "message")
    if _UNSIGNED in text and calling:
        yield Remedy("add", _SIGNED, "message")


def _messages(sent: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    messages = sent.get("messages")
    yield from (m for m in (messages if isinstance(messages, list) else ()) if isinstance(m, Mapping))


def _calls(sent: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for message in _messages(sent):
        calls = message.get("tool_calls")
        yield from (call for call in (calls if isinstance(calls, list) else ()) if isinstance(call, Mapping))


# --- mending ---


def _without(history: History, field: str) -> History:
    written = {"field": history.field, "details": _DETAILS}.get(history.replay)
    if field == written:
        history = dataclasses.replace(history, replay="drop", backfill="none")
    if field in history.strip_fields:
        return history
    return dataclasses.replace(history, strip_fields=(*history.strip_fields, field))


def _with(history: History, field: str) -> History:
    history = dataclasses.replace(history, strip_fields=tuple(key for key in history.strip_fields if key != field))
    if field == _SIGNED:
        return history
    if field == _DETAILS:
        return dataclasses.replace(history, replay="details")
    backfill = "empty_string" if history.backfill == "none" else history.backfill
    return dataclasses.replace(history, replay="field", field=field, backfill=backfill)


def _stripped(request: Request, field: str) -> Request:
    """`set` and `hide` are written after `strip` has worked."""
    fixed = {key: value for key, value in request.set.items() if key != field}
    hide = {key: value for key, value in (request.hide or {}).items() if key != field} or None
    strip = request.strip if field in request.strip else (*request.strip, field)
    return dataclasses.replace(request, strip=strip, set=fixed, hide=hide)
