"""Canonical chunks → one whole canonical answer, for a client that asked for no stream (C12)."""

from typing import Any

from proxy.core.chunk import Chunk
from proxy.core.fragments import Fragments, Text

_FIRST_WINS = ("id", "object", "created", "model")
_OBJECTS_IN_PIECES = ("function_call", "audio")
_OPAQUE_LISTS = ("reasoning_details", "thinking_blocks")
# Entries of opaque lists that are told in pieces, and their strings; encrypted and redacted ones are discrete.
_TOLD_IN_PIECES = ("reasoning.text", "reasoning.summary", "thinking")
_TOLD_KEYS = frozenset({"text", "summary", "thinking"})


class Aggregator:
    """Collects the chunks of one answer. Its size is that of the answer.

    `snapshots`: each list of `reasoning_details` repeats the whole so far (the dialect's `details.snapshots`).
    """

    def __init__(self, *, snapshots: bool = False) -> None:
        self._snapshots = snapshots
        self._top: dict[str, Any] = {}
        self._choices: dict[int, _ChoiceSoFar] = {}

    def feed(self, chunk: Chunk) -> None:
        """Takes the next chunk; it is not changed."""
        top = self._top
        for key, value in chunk.data.items():
            if key == "choices":
                top[key] = None
            elif key not in top or (value is not None and (top[key] is None or key not in _FIRST_WINS)):
                top[key] = value
        for choice in chunk.data["choices"]:
            index = choice.get("index", 0)
            so_far = self._choices.get(index)
            if so_far is None:
                so_far = self._choices[index] = _ChoiceSoFar(self._snapshots)
            so_far.feed(choice)

    def result(self) -> dict[str, Any]:
        """The whole answer so far, a `chat.completion`. Keys stand in the order in which they came first."""
        choices = [{"index": index, **self._choices[index].result()} for index in sorted(self._choices)]
        body = {**self._top, "object": "chat.completion", "choices": choices}
        if body.get("usage") is None:
            body.pop("usage", None)
        return body


class _ChoiceSoFar:
    def __init__(self, snapshots: bool) -> None:
        self._snapshots = snapshots
        self._message: dict[str, Any] = {}
        self._calls: dict[int, Fragments] = {}
        self._rest: dict[str, Any] = {}

    def feed(self, choice: dict[str, Any]) -> None:
        for key, value in choice["delta"].items():
            if value is None:
                self._message.setdefault(key, None)
            elif key == "tool_calls":
                self._take_calls(value)
            elif isinstance(value, list):
                self._take_list(key, value)
            else:
                self._take(key, value)
        rest = self._rest
        for key, value in choice.items():
            if key == "logprobs" and isinstance(value, dict):
                rest[key] = _extended(rest.get(key) or {}, value)
            elif key not in ("index", "delta") and (value is not None or key not in rest):
                rest[key] = value

    def result(self) -> dict[str, Any]:
        message = {key: _value(value) for key, value in self._message.items() if key not in ("role", "tool_calls")}
        if not message.get("reasoning_content"):
            message.pop("reasoning_content", None)
        calls = [self._calls[index].value() for index in sorted(self._calls)]
        for call in calls:
            call.pop("index", None)
        content = message.pop("content", None) or (None if calls or message.get("function_call") else "")
        whole = {"role": self._message.get("role") or "assistant", "content": content, **message}
        if calls:
            whole["tool_calls"] = calls
        return {"message": whole, "finish_reason": None, **self._rest}

    def _take(self, key: str, value: Any) -> None:
        old = self._message.get(key)
        if isinstance(value, str) and (key in ("content", "refusal") or key.endswith("_content")):
            if not isinstance(old, Text):
                old = self._message[key] = Text()
            old.add(value)
        elif isinstance(value, dict) and key in _OBJECTS_IN_PIECES:
            if not isinstance(old, Fragments):
                old = self._message[key] = Fragments()
            old.add(value)
        else:
            self._message[key] = value

    def _take_list(self, key: str, value: list[Any]) -> None:
        old = self._message.get(key)
        if key in _OPAQUE_LISTS:
            if not isinstance(old, _Entries) or self._snapshots:
                old = self._message[key] = _Entries()
            old.add(value)
        elif isinstance(old, list):
            old.extend(value)
        else:
            self._message[key] = list(value)

    def _take_calls(self, fragments: list[dict[str, Any]]) -> None:
        for fragment in fragments:
            index = fragment.get("index", 0)
            call = self._calls.get(index)
            if call is None:
                call = self._calls[index] = Fragments()
            call.add(fragment)


class _Entries:
    """An opaque list. A list's first entry may go on with the last one of the list before; its others are new."""

    def __init__(self) -> None:
        self._entries: list[Any] = []

    def add(self, entries: list[Any]) -> None:
        for at, entry in enumerate(entries):
            last = self._entries[-1] if self._entries else None
            if at == 0 and isinstance(last, _Entry) and last.goes_on(entry):
                last.add(entry)
            elif isinstance(entry, dict) and entry.get("type") in _TOLD_IN_PIECES:
                self._entries.append(_Entry(entry))
            else:
                self._entries.append(entry)

    def value(self) -> list[Any]:
        return [_value(entry) for entry in self._entries]


class _Entry:
    """One text or summary of an opaque list, with its first signature."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self._first = entry
        self._signed = False
        self._pieces = Fragments(_TOLD_KEYS)
        self.add(entry)

    def goes_on(self, entry: Any) -> bool:
        """Whether `entry` is the next piece of this one: of the same type, at the same index or with the same id."""
        if not isinstance(entry, dict) or entry.get("type") != self._first["type"]:
            return False
        for key in ("index", "id"):
            mine, its = self._first.get(key), entry.get(key)
            if mine is not None and its is not None:
                return bool(mine == its)
        return not self._signed

    def add(self, entry: dict[str, Any]) -> None:
        if self._signed:
            entry = {key: value for key, value in entry.items() if key != "signature"}
        self._signed = self._signed or bool(entry.get("signature"))
        self._pieces.add(entry)

    def value(self) -> dict[str, Any]:
        return self._pieces.value()


def _value(value: Any) -> Any:
    return value.value() if isinstance(value, Text | Fragments | _Entries | _Entry) else value


def _extended(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Log probabilities so far, with those of one more chunk; `old` is extended in place where it is ours."""
    for key, value in new.items():
        if isinstance(value, list):
            old[key] = old.get(key) or []
            old[key].extend(value)
        elif value is not None or key not in old:
            old[key] = value
    return old
