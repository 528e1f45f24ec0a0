"""Reasoning memory without the store: what is kept of an assistant message, under which key, and how it goes back.

Clients drop the reasoning of messages with tool calls, and some hosts refuse the message without it (`docs/memory.md`).
The store is `proxy.upstream.memory`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from proxy.core.aggregate import Aggregator
from proxy.core.chunk import Chunk
from proxy.core.codec import dumps, loads_exact
from proxy.core.dialect import History
from proxy.core.history import Message, rewrite

SAID = 32
"""Bytes of a key that tell the caller and what was said, without system messages."""
Find = Callable[[bytes], bytes | None]
"""Key → what `worth_keeping` gave for it, or None."""
Keep = Callable[[Message], None]
"""Takes a complete canonical assistant message."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, and for how long."""

    entries: int = 10_000
    """A hundred agents with a hundred rounds of tool calls each."""
    bytes: int = 64 * 1024 * 1024
    """About 6 KiB for each of them, which is 1 500 tokens of reasoning; little beside the memory of a server."""
    age_s: float = 24 * 3600.0
    """After it was stored. A conversation of a working day is whole; on the next day nothing of it is left."""
    answer_bytes: int = 4 * 1024 * 1024
    """Of one answer: a sixteenth of the room, and several times the longest (128 000 tokens are about 0.5 MiB)."""


BOUNDS = Bounds()

_REASONING = "reasoning_content"
_LISTS = ("reasoning_details", "thinking_blocks")
_KEPT = (_REASONING, *_LISTS)
_OF_CALLS = ("extra_content", "thought_signature")
_COLLECTED = (*_KEPT, "content", "tool_calls")
_UNTOLD = frozenset({"system", "developer"})
_RULES = 16
_PLAIN = History(replay="drop", strip_tags=True, content_as_string=True)
_AS_TEXT = History(replay="field", field=_REASONING)
_AS_DETAILS = History(replay="details")
_FROM_TAGS = History(replay="field", field=_REASONING, strip_tags=True)
_END: Message = {}  # behind the last message, because `strip_tags` leaves a last one alone


# --- keys ---


class Conversation:
    """The messages of one request, and the keys of those with tool calls.

    A key's first `SAID` bytes are a digest of the caller, the message and all messages before it, its other bytes one
    of the system messages before it, into which clients write the time of day. Call ids alone would not do (Kimi gives
    `functions.NAME:0` in every conversation: config/providers/moonshot.yaml). What clients change on the way back does
    not count: reasoning, null or "" as content, a string or a list of text, white space around text, and how the JSON
    of arguments is written.
    """

    def __init__(self, caller: bytes, messages: list[Any]) -> None:
        self.messages = messages
        self._caller = caller
        self._keys: dict[int, bytes] | None = None

    @cached_property
    def _so_far(self) -> "hashlib._Hash":
        return hashlib.sha256()

    @cached_property
    def _rules(self) -> "hashlib._Hash":
        return hashlib.sha256()

    @cached_property
    def calling(self) -> list[int]:
        """Where the assistant messages with tool calls stand."""
        return [index for index, message in enumerate(self.messages) if _calls(message)]

    def keys(self) -> Mapping[int, bytes]:
        """The key of each message of `calling`, by its index. Digested once."""
        if self._keys is None:
            self._so_far.update(b"%d:" % len(self._caller) + self._caller)
            keys = {}
            calling = set(self.calling)
            for index, message in enumerate(_plain(self.messages)):
                if isinstance(message, dict):
                    (self._rules if _is_system(message) else self._so_far).update(_line(message))
                if index in calling:
                    keys[index] = self._key(self._so_far.digest())
            self._keys = keys
        return self._keys

    def key_of(self, answer: Message) -> bytes:
        """The key that `answer`, a canonical message, will have in the requests that follow this one."""
        self.keys()
        digest = self._so_far.copy()
        digest.update(_line(_plain([answer])[0]))
        return self._key(digest.digest())

    def _key(self, said: bytes) -> bytes:
        return said + self._rules.digest()[:_RULES]


def _calls(message: Any) -> list[Any]:
    """The tool calls of an assistant message; [] for all others."""
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return []
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) else []


def _is_system(message: Message) -> bool:
    role = message.get("role")
    return isinstance(role, str) and role in _UNTOLD


def _plain(messages: list[Any]) -> list[Any]:
    """The messages with no reasoning in any spelling, text as a string."""
    return rewrite([*messages, _END], _PLAIN, seen_field=None)[:-1]


def _line(message: Message) -> bytes:
    """A message as one line of JSON that is the same however a client wrote it."""
    content, calls = message.get("content"), message.get("tool_calls")
    text, others = "", []
    for part in content if isinstance(content, list) else [content]:
        told = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
        if isinstance(told, str):
            text += told
        elif part is not None:
            others.append(_canonical(part))
    told_calls = [_call(call) for call in calls] if isinstance(calls, list) else []
    return dumps([message.get("role"), text.strip(), others, told_calls, message.get("tool_call_id")]) + b"\n"


def _call(call: Any) -> list[Any]:
    if not isinstance(call, dict):
        return [_canonical(call)]
    said = call.get("function", call.get("custom"))
    if not isinstance(said, dict):
        return [call.get("id"), _canonical(said)]
    return [call.get("id"), said.get("name"), _arguments(said.get("arguments", said.get("input")))]


def _arguments(given: Any) -> str:
    """Arguments by what they say: clients parse them and write them anew."""
    if given is None:
        return "{}"
    text = given.strip() if isinstance(given, str) else dumps(given).decode()
    try:
        return _canonical(_DECODER.decode(text or "{}"))
    except (ValueError, RecursionError):
        return text


def _number(text: str) -> float:
    """JavaScript has one kind of number and writes 1.0 as 1."""
    value = float(text)
    return int(value) if value.is_integer() else value


_DECODER = json.JSONDecoder(parse_float=_number)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> str:
    try:
        return _ENCODER.encode(value)
    except RecursionError:
        return dumps(value).decode()


# --- what is kept ---


def worth_keeping(message: Message) -> bytes | None:
    """Reasoning and opaque state of a canonical message as JSON; None: it calls no tool, or has none of these."""
    calls = _calls(message)
    reasoning = {key: message[key] for key in _KEPT if message.get(key)}
    states = [_picked(call, _OF_CALLS) for call in calls]
    return dumps({"reasoning": reasoning, "calls": states}) if calls and (reasoning or any(states)) else None


def _picked(value: Any, keys: tuple[str, ...]) -> Message:
    return {key: value[key] for key in keys if value.get(key)} if isinstance(value, dict) else {}


class Collector:
    """Puts the messages of one streamed answer together, and hands each to `keep` when its finish reason is there.

    That is before the reason has left for the client, which may ask again, or go away, as soon as it has seen it.
    `snapshots`: as for `Aggregator`. An answer larger than `limit` bytes is given up.
    """

    def __init__(self, keep: Keep, *, snapshots: bool, limit: int = BOUNDS.answer_bytes) -> None:
        self._keep = keep
        self._snapshots = snapshots
        self._left = limit
        self._texts: dict[tuple[int, str], bytearray] = {}  # a string for every token would need ten times the room
        self._lists: dict[tuple[int, str], int] = {}  # sizes of the last snapshots
        self._rest: Aggregator | None = Aggregator(snapshots=snapshots)

    def feed(self, chunk: Chunk) -> None:
        """Takes the next canonical chunk; it is not changed."""
        for choice in chunk.data["choices"]:
            index = choice.get("index", 0)
            for key, value in choice["delta"].items():
                if value and key in _COLLECTED and self._rest is not None:
                    self._take((index, key), value, self._rest)
            if choice.get("finish_reason") is not None and self._rest is not None:
                self._keep(self._message(index, self._rest))

    def _take(self, place: tuple[int, str], value: Any, rest: Aggregator) -> None:
        if isinstance(value, str):
            said = value.encode("utf-8", "surrogatepass")
            text = self._texts.get(place)
            if text is None:
                text = self._texts[place] = bytearray()
            text += said
            self._left -= len(said)
        else:
            index, key = place
            rest.feed(Chunk({"choices": [{"index": index, "delta": {key: value}}]}))
            size = len(dumps(value))
            self._left -= size
            if self._snapshots and key in _LISTS:
                self._left += self._lists.get(place, 0)
                self._lists[place] = size
        if self._left < 0:
            self._rest = None
            self._texts.clear()

    def _message(self, index: int, rest: Aggregator) -> Message:
        message: Message = {"role": "assistant", "content": None}
        message |= next((one["message"] for one in rest.result()["choices"] if one["index"] == index), {})
        texts = {key: text.decode("utf-8", "surrogatepass") for (at, key), text in self._texts.items() if at == index}
        return message | texts


# --- how it goes back ---


@dataclass(frozen=True, slots=True)
class Completed:
    """The messages with what their client dropped; the very list where nothing was put back."""

    messages: list[Any]
    hits: int = 0
    """Messages that something was put back into."""
    misses: int = 0
    """Messages with tool calls and without reasoning, of which nothing is kept."""


def complete(conversation: Conversation, find: Find | None) -> Completed:
    """Puts back what is known of messages with tool calls. `find` is None where nothing at all is kept."""
    messages = conversation.messages
    hits = misses = 0
    for index in conversation.calling:
        old = conversation.messages[index]
        kept = find(conversation.keys()[index]) if find is not None else None
        if kept is None:
            misses += not (_has_reasoning(old) or _text(old, _FROM_TAGS))
            continue
        new = _put_back(old, loads_exact(kept))
        if new is not old:
            hits += 1
            messages = list(conversation.messages) if messages is conversation.messages else messages
            messages[index] = new
    return Completed(messages, hits, misses)


def _text(message: Message, read: History) -> str:
    """The text of the message's own reasoning; "" where it has none."""
    text = rewrite([message, _END], read, seen_field=None)[0].get(_REASONING)
    return text.strip() if isinstance(text, str) else ""


def _has_reasoning(message: Message) -> bool:
    """Whether it has reasoning of its own beside its content's text, be it encrypted."""
    return bool(rewrite([message, _END], _AS_DETAILS, seen_field=None)[0].get(_LISTS[0]))


def _put_back(message: Message, kept: Message) -> Message:
    """The message with what it lacks; the very message where that is nothing. Its own reasoning stays what it is."""
    reasoning, out = kept["reasoning"], message
    text = reasoning.get(_REASONING, "").strip()
    if not _has_reasoning(message):
        # Most hosts take a think block for text of the answer, so the same words in one are as good as none.
        out = {**message, **reasoning} if _text(message, _FROM_TAGS) in ("", text) else message
    elif _text(message, _AS_TEXT) == text and not any(message.get(key) for key in _LISTS):
        # A client that returns the text alone has lost what signs it.
        out = {**message, **_picked(reasoning, _LISTS)}
    calls = [
        {**call, **{key: value for key, value in state.items() if not call.get(key)}}
        for call, state in zip(message["tool_calls"], kept["calls"], strict=True)
    ]
    if calls != message["tool_calls"]:
        out = {**out, "tool_calls": calls}
    return message if out == message else out
