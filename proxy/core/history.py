"""What goes back of earlier assistant messages, for one target (`History`; rules: `docs/requests.md`).

Every form in which clients return reasoning is read, and written in the one that the target takes. Nothing is changed
in place, and a message that needs no change is the same object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from proxy.core.dialect import History
from proxy.core.earlier_calls import renamed, signed

Message = dict[str, Any]
Kind = Literal["drop", "passthrough", "field", "details", "tags", "content_parts"]

_SEEN: Mapping[str, Kind] = {"details": "details", "tags": "tags", "content_parts": "content_parts"}
_DETAILS = "reasoning_details"
_BLOCKS = "thinking_blocks"
_TEXT_KEYS = ("reasoning_content", "reasoning", "reasoning_text")
_PART_TYPES = frozenset({"thinking", "redacted_thinking", "reasoning"})
_TAGS = tuple((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning"))
_CALL_PREFIX = "tool_calls[]."
_BACKFILL = {"none": None, "empty_string": "", "space": " "}


@dataclass(frozen=True, slots=True)
class _Form:
    """Where reasoning goes: `replay` with `auto` decided."""

    kind: Kind
    field: str


@dataclass(frozen=True, slots=True)
class _Recalled:
    """The reasoning of one message. `content` is what stays in `content` without it."""

    text: str | None
    blank: str | None
    """Text of white space or "", where a text field says no more than that."""
    details: list[Any]
    content: Any


def rewrite(messages: list[Any], history: History, *, seen_field: str | None) -> list[Any]:
    """The messages as this target wants them; the list itself where nothing changes.

    `seen_field` is where the target was seen to send reasoning: the key of a text field, or `details`, `tags` or
    `content_parts`; None: not seen. Items that are no objects stay as they are.
    """
    plain = _plainly(history)
    if not plain and not _has_answer(messages):
        return messages
    form = _form(history, seen_field)
    keys = frozenset({*_TEXT_KEYS, form.field, _DETAILS, _BLOCKS})
    last, turn = len(messages) - 1, -1
    if history.scope == "current_turn":
        turn = max((i for i, message in enumerate(messages) if _role(message) == "user"), default=-1)
    out: list[Any] = []
    changed = False
    for index, message in enumerate(messages):
        new = message
        if isinstance(message, dict) and message.get("role") == "assistant":
            keep = history.scope == "all" or (
                bool(message.get("tool_calls")) if history.scope == "tool_calls_only" else index > turn
            )
            scoped = form if keep else _Form("drop", form.field)
            new = _assistant(message, history, scoped, keys, tags=history.strip_tags and index != last)
        if plain and isinstance(message, dict):
            new = _plain(new, history)
        differs = new is not message and new != message
        changed = changed or differs
        out.append(new if differs else message)
    return out if changed else messages


def _has_answer(messages: list[Any]) -> bool:
    for message in messages:  # noqa: SIM110 - a generator costs more than the look
        if isinstance(message, dict) and message.get("role") == "assistant":
            return True
    return False


def _plainly(history: History) -> bool:
    """Whether `_plain` may change anything."""
    signs = history.backfill_signature is not None or history.call_ids is not None
    return signs or bool(history.strip_fields) or history.content_as_string


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _form(history: History, seen: str | None) -> _Form:
    if history.replay != "auto":
        return _Form(history.replay, history.field)
    if seen is None:
        return _Form("drop", history.field)
    kind = _SEEN.get(seen, "field")
    return _Form(kind, seen if kind == "field" else history.field)


def _assistant(message: Message, history: History, form: _Form, keys: frozenset[str], *, tags: bool) -> Message:
    """One assistant message. `keys`: where reasoning may stand; `tags`: a leading think block leaves `content`."""
    backfill = _BACKFILL[history.backfill] if message.get("tool_calls") else None
    content = message.get("content")
    if backfill is None and not tags and keys.isdisjoint(message) and not isinstance(content, list):
        return message
    if form.kind == "passthrough":
        out = {**message, "content": _cut_content(content)[1]} if tags and content else message
        left = {key: value for key, value in out.items() if key not in history.strip_fields}
        return (
            out
            if backfill is None or _is_known(_recall(left, form.field, tags=False))
            else {**out, history.field: backfill}
        )
    recalled = _recall(message, form.field, tags=tags and form.kind != "tags")
    if backfill is not None and not _sent(form, recalled):
        key = form.field if form.kind == "field" else history.field
        return _replaced(message, keys, recalled.content, key, backfill)
    return _replaced(message, keys, *_written(message, form, recalled))


def _is_known(recalled: _Recalled) -> bool:
    return bool(recalled.text or recalled.details)


def _sent(form: _Form, recalled: _Recalled) -> bool:
    """Whether reasoning goes back in this form."""
    if form.kind == "drop" or recalled.text:
        return form.kind != "drop"
    opaque = form.kind == "details" and bool(recalled.details)
    return opaque or (form.kind == "tags" and _cut_content(recalled.content)[0] is not None)


def _written(message: Message, form: _Form, recalled: _Recalled) -> tuple[Any, str, Any]:
    """The content, and the key and value to write beside it (value None: none)."""
    text, content = recalled.text, recalled.content
    if form.kind == "field":
        return content, form.field, recalled.blank if text is None else text
    if form.kind == "details":
        return content, _DETAILS, recalled.details or ([_detail(text)] if text else None)
    if form.kind == "tags" and text:
        return _tagged(text, content), "", None
    if form.kind == "content_parts" and text:
        return _as_parts(text, message.get("content"), content), "", None
    return content, "", None


def _replaced(message: Message, keys: frozenset[str], content: Any, key: str, value: Any) -> Message:
    """A copy without `keys` and with `content`; `key` stands where the first of `keys` stood, else last."""
    out: Message = {}
    for name, old in message.items():
        if name not in keys:
            out[name] = content if name == "content" else old
        elif value is not None:
            out[key] = value
    if value is not None:
        out[key] = value
    if "content" not in message and content is not None:
        out["content"] = content
    return out


# --- reading ---


def _recall(message: Message, field: str, *, tags: bool) -> _Recalled:
    content = message.get("content")
    inside: str | None = None
    if isinstance(content, list) and any(_is_reasoning(part) for part in content):
        inside = "".join(_part_text(part) for part in content if _is_reasoning(part))
        content = _collapsed([part for part in content if not _is_reasoning(part)], message)
    if tags:
        tagged, content = _cut_content(content)
        inside = inside or tagged
    blocks = _items(message.get(_BLOCKS))
    details = message.get(_DETAILS)
    details = details if isinstance(details, list) else []
    texts = [message.get(key) for key in (field, *_TEXT_KEYS)]
    candidates = [*texts, _details_text(_items(details)), "".join(map(_part_text, blocks)), inside]
    text = next((text for text in candidates if isinstance(text, str) and text.strip()), None)
    blank = next((text for text in texts if isinstance(text, str)), None)
    return _Recalled(text, blank, details or [_block_detail(block, i) for i, block in enumerate(blocks)], content)


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _is_reasoning(part: Any) -> bool:
    kind = part.get("type") if isinstance(part, Mapping) else None
    return isinstance(kind, str) and kind in _PART_TYPES


def _part_text(part: Mapping[str, Any]) -> str:
    """The text of `{"thinking": str | [{"text"}]}` or `{"summary": [{"text"}]}`; "" for encrypted ones."""
    value = part.get("thinking", part.get("summary"))
    if isinstance(value, str):
        return value
    texts = [item.get("text") for item in _items(value)]
    return "".join(text for text in texts if isinstance(text, str))


def _details_text(details: Sequence[Mapping[str, Any]]) -> str:
    texts = [item["text"] for item in details if isinstance(item.get("text"), str)]
    summaries = [item["summary"] for item in details if isinstance(item.get("summary"), str)]
    return "".join(texts) or "\n\n".join(summaries)


def _cut_content(content: Any) -> tuple[str | None, Any]:
    """The text of a leading think block, and the content without it; an open block is no block."""
    if isinstance(content, str):
        text, rest = _cut(content)
        return text, rest
    if isinstance(content, list) and content and _is_text(content[0]):
        text, rest = _cut(content[0]["text"])
        if text is not None:
            return text, [{**content[0], "text": rest}, *content[1:]] if rest else content[1:]
    return None, content


def _cut(content: str) -> tuple[str | None, str]:
    head = content.lstrip()
    for start, end in _TAGS:
        if head.startswith(start):
            text, found, rest = head[len(start) :].partition(end)
            if found:
                return text.strip(), rest.lstrip()
    return None, content


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _collapsed(parts: list[Any], message: Message) -> Any:
    """Content whose reasoning parts have left: one string where only plain text remains."""
    if not parts:
        return None if message.get("tool_calls") else ""
    plain = all(_is_text(part) and len(part) == len(("type", "text")) for part in parts)
    return _joined(parts) if plain else parts


def _joined(parts: list[Any]) -> str:
    return "".join(part["text"] for part in parts)


# --- writing ---


def _detail(text: str) -> Message:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def _block_detail(block: Mapping[str, Any], index: int) -> Message:
    if block.get("type") == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": block.get("data"), "index": index}
    detail = {"type": "reasoning.text", "text": _part_text(block), "index": index}
    return {**detail, "signature": block["signature"]} if block.get("signature") else detail


def _tagged(text: str, content: Any) -> Any:
    if _cut_content(content)[0] is not None:
        return content
    head = f"<think>{text}</think>"
    if isinstance(content, list):
        return [{"type": "text", "text": head}, *content]
    return head + content if isinstance(content, str) else head


def _as_parts(text: str, original: Any, content: Any) -> Any:
    """Mistral's list; parts that are already in it keep their place."""
    if isinstance(original, list) and any(_is_reasoning(part) and _part_text(part) for part in original):
        return [_closed(part) if _is_reasoning(part) else part for part in original if not _is_redacted(part)]
    rest = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    return [_thinking_part(text), *rest]


def _is_redacted(part: Any) -> bool:
    return _is_reasoning(part) and not _part_text(part)


def _closed(part: Mapping[str, Any]) -> Mapping[str, Any]:
    if part["type"] == "thinking" and isinstance(part.get("thinking"), list):
        return part if "closed" in part else {**part, "closed": True}
    return _thinking_part(_part_text(part))


def _thinking_part(text: str) -> Message:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": True}


def _plain(message: Message, history: History) -> Message:
    """What holds for messages of every role: signatures and ids of calls, `strip_fields` and `content_as_string`."""
    out = message
    if history.backfill_signature is not None:
        out = signed(out, history.backfill_signature)
    if history.call_ids is not None:
        out = renamed(out, history.call_ids)
    if any(key in out for key in history.strip_fields):
        out = {key: value for key, value in out.items() if key not in history.strip_fields}
    of_calls = {key.removeprefix(_CALL_PREFIX) for key in history.strip_fields if key.startswith(_CALL_PREFIX)}
    calls = out.get("tool_calls")
    if of_calls and isinstance(calls, list):
        stripped = [
            {key: value for key, value in call.items() if key not in of_calls} if isinstance(call, dict) else call
            for call in calls
        ]
        out = {**out, "tool_calls": stripped}
    content = out.get("content")
    if history.content_as_string and isinstance(content, list) and content and all(map(_is_text, content)):
        out = {**out, "content": _joined(content)}
    if history.content_as_string and content is None and _role(out) == "assistant" and not out.get("tool_calls"):
        out = {**out, "content": ""}
    return out
