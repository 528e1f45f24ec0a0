"""What a choice said → the deltas or the message that say it canonically (contract C1, C2).

Keys that need no change keep their place and value; what is new stands where its provider's twin stood.
"""

from typing import Any

from proxy.core.choice import DialectReader, Spoken, flat_text
from proxy.core.chunk import Chunk
from proxy.core.envelope import carries_more
from proxy.core.tags import Piece

PARTS_KEY = "content_parts"
"""Where items of a list-typed content go that are neither reasoning nor text (images, references)."""

_MOVED = frozenset({"delta", "message", "messages", "usage", "finish_reason", "logprobs"})
_SPOKEN = frozenset({"role", "content", "tool_calls"})
_EMPTY: tuple[Any, ...] = (None, "", [], {}, False)


def deltas(delta: dict[str, Any], spoken: Spoken, reader: DialectReader, *, role: str | None) -> list[dict[str, Any]]:
    """At least one delta; each has at most one of reasoning, content and tool calls. `role` goes into the first."""
    runs: list[tuple[str, Any]] = [
        ("reasoning_content" if is_reasoning else "content", text) for is_reasoning, text in _merged(spoken.pieces)
    ]
    if spoken.entries:
        runs.append(("tool_calls", spoken.entries))
    key, value = runs[0] if runs else ("", None)
    first = rest(delta, reader, key, value)
    _put_parts(first, spoken, reader)
    if role is not None:
        first = {"role": role, **first}
    return [first, *({key: value} for key, value in runs[1:])]


def message(given: dict[str, Any], spoken: Spoken, reader: DialectReader) -> dict[str, Any]:
    """The whole message."""
    reasoning = "".join(text for is_reasoning, text in spoken.pieces if is_reasoning)
    answer = "".join(text for is_reasoning, text in spoken.pieces if not is_reasoning)
    out = rest(given, reader, "reasoning_content" if reasoning else "", reasoning)
    _put_parts(out, spoken, reader)
    out["content"] = answer if answer or given.get("content") is not None else None
    if spoken.entries:
        out["tool_calls"] = spoken.entries
    return out


def own_delta(choice: dict[str, Any], *, generated: bool) -> tuple[dict[str, Any], bool]:
    """The delta of a choice, and whether the choice holds it where it belongs.

    Some hosts repeat the whole text so far in `message` beside `delta` (Perplexity), or end a stream with a whole
    `message` or `messages` (MiniMax): that counts only where nothing was generated before it.
    """
    delta = choice.get("delta")
    extra = "message" in choice or "messages" in choice or "usage" in choice
    if isinstance(delta, dict):
        return delta, not extra and delta.get("function_call") != {}
    messages = choice.get("messages")
    whole = choice.get("message") or (messages[-1] if isinstance(messages, list) and messages else None)
    return (whole if isinstance(whole, dict) and not generated else {}), False


def choice_objects(
    choice: dict[str, Any], index: int, made: list[dict[str, Any]], reason: str | None, native: Any
) -> list[dict[str, Any]]:
    """Deltas → choice objects. The choice's own keys stay on the first, log probabilities go with the text, the
    finish reason (with the upstream's word, where it was another) onto the last.
    """
    rest = {k: v for k, v in choice.items() if k not in _MOVED and k != "native_finish_reason"}
    probabilities = choice.get("logprobs")
    texts = [position for position, delta in enumerate(made) if delta.get("content")]
    out: list[dict[str, Any]] = []
    for position, delta in enumerate(made):
        one = {"index": index, **(rest if position == 0 else {}), "delta": delta, "finish_reason": None}
        one["index"] = index
        if "logprobs" in choice and position == (texts[0] if texts else 0):
            one["logprobs"] = probabilities
        out.append(one)
    if reason is not None:
        out[-1]["finish_reason"] = reason
        own = choice.get("native_finish_reason")
        if own is not None or native is not None:
            out[-1]["native_finish_reason"] = str(native) if own is None else own
    return out


def says_more(choice: dict[str, Any], delta: dict[str, Any], reader: DialectReader) -> bool:
    """Whether a choice without text, tool calls and finish reason still holds something worth sending."""
    for key, value in delta.items():
        if key not in _SPOKEN and key not in reader.names and value not in _EMPTY:
            return True
    return any(choice[key] not in _EMPTY for key in choice.keys() - _MOVED if key != "index")


def without_text(chunks: list[Chunk], reader: DialectReader) -> list[Chunk]:
    """Of events whose text turned out to be a delimiter: those that carry more than it, without it."""
    kept = []
    for chunk in chunks:
        choice = chunk.data["choices"][0]
        delta = {key: value for key, value in choice["delta"].items() if key != "content"}
        if carries_more(chunk.data) or says_more(choice, delta, reader):
            kept.append(Chunk({**chunk.data, "choices": [{**choice, "delta": delta}]}))
    return kept


def rest(given: dict[str, Any], reader: DialectReader, put_key: str, put_value: Any) -> dict[str, Any]:
    """`given` without its texts, tool calls and role, with `put_key` in its place."""
    out: dict[str, Any] = {}
    for key, value in given.items():
        if key in reader.names and (key == "reasoning_content" or value is None or value == "" or flat_text(value)):
            if put_key == "reasoning_content":
                out.setdefault(put_key, put_value)
            elif key == "reasoning_content" and (value is None or value == ""):
                out[key] = value
        elif key in ("content", "tool_calls"):
            if key == put_key:
                out[key] = put_value
            elif value is None or value == ("" if key == "content" else []):
                out[key] = value
        elif key not in ("role", "function_call") or (key == "function_call" and value != {}):
            out[key] = value
    if put_key and put_key not in out:
        out[put_key] = put_value
    return out


def _put_parts(out: dict[str, Any], spoken: Spoken, reader: DialectReader) -> None:
    """What reasoning objects and typed parts hold beside their text."""
    if spoken.opaque:
        details = reader.details_key or "reasoning_details"
        given_details = out.get(details)
        out[details] = [*(given_details if isinstance(given_details, list) else ()), *spoken.opaque]
    if spoken.others:
        out[PARTS_KEY] = spoken.others


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one kind as one."""
    if len(pieces) < 2:  # noqa: PLR2004 - no neighbours
        return pieces
    out: list[Piece] = []
    for is_reasoning, text in pieces:
        if out and out[-1][0] == is_reasoning:
            out[-1] = (is_reasoning, out[-1][1] + text)
        else:
            out.append((is_reasoning, text))
    return out
