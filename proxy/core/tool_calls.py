"""Streamed tool calls: told apart, numbered densely, named once (contract C6)."""

import re
from typing import Any

from proxy.core import codec
from proxy.core.dialect import ToolCallRules

MAX_HELD = 16 * 1024
"""Characters of arguments held for a name that does not come; then they go without it."""

_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\]]')


class _Arguments:
    """Tells when a JSON object that comes in pieces is complete."""

    __slots__ = ("_depth", "_escaped", "_opened", "_string")

    def __init__(self) -> None:
        self._depth = 0
        self._string = False
        self._escaped = False
        self._opened = False

    @property
    def complete(self) -> bool:
        return self._opened and self._depth <= 0 and not self._string

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_IN_STRING if self._string else _OUTSIDE).search(text, at)
            if not found:
                return
            at = found.end()
            mark = found.group()
            if mark == '"':
                self._string = not self._string
            elif mark == "\\":
                self._escaped = True
            elif mark in "{[":
                self._depth += 1
                self._opened = True
            else:
                self._depth -= 1


class _Call:
    """One call of the answer, by our own index."""

    __slots__ = ("arguments", "dummy", "given_id", "held", "index", "name", "sent")

    def __init__(self, index: int) -> None:
        self.index = index
        self.given_id = ""  # the upstream's
        self.name = ""
        self.arguments = _Arguments()
        self.sent = False
        self.held: dict[str, Any] = {}  # the fragments that wait for the name, as one
        self.dummy = False  # a first `{}` that waits to be proven real


class ToolCalls:
    """The tool calls of one choice. `feed` takes the `tool_calls` list of a delta, `close` returns what was held.

    `seed`: unique text from which missing ids are made.
    """

    def __init__(self, rules: ToolCallRules, seed: str) -> None:
        self._rules = rules
        self._seed = seed
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    @property
    def made(self) -> bool:
        """Whether any call was made."""
        return bool(self._calls)

    def goes_on(self, index: int) -> bool:
        """Whether arguments alone, with the upstream's `index`, go on with a call and leave as they came."""
        call = self._by_index.get(index)
        return call is not None and call.sent and not call.dummy and call.index == index

    def go_on(self, index: int, arguments: str) -> None:
        """Takes such arguments."""
        self._by_index[index].arguments.feed(arguments)

    def feed(self, entries: list[Any]) -> list[dict[str, Any]]:
        """Returns the entries to send; an entry that was right already is the same object."""
        out: list[dict[str, Any]] = []
        for entry in entries:
            if not isinstance(entry, dict) or not entry:
                continue  # an empty one starts no call: nothing of it would ever leave, and its number would be missing
            call = self._find(entry)
            fragment = self._fragment(call, entry)
            if fragment is not None:
                out.append(fragment)
        return out

    def close(self) -> list[dict[str, Any]]:
        """Fragments that waited for a name, or for real arguments, in vain."""
        out = []
        for call in self._calls:
            if call.held:
                out.append(self._first(call, call.held))
                call.held = {}
            if call.dummy:
                call.dummy = False
                out.append({"index": call.index, "function": {"arguments": "{}"}})
        return out

    def whole(self, entries: list[Any]) -> list[dict[str, Any]]:
        """The calls of a whole message: each with id, type and text arguments, no index needed."""
        out = []
        for entry in entries:
            if isinstance(entry, dict):
                call = self._new(None)
                call.given_id = _text(entry.get("id"))
                first = self._first(call, entry)
                if "index" not in entry:
                    first = {key: value for key, value in first.items() if key != "index"}
                out.append(entry if first == entry else first)
        return out

    def _find(self, entry: dict[str, Any]) -> _Call:
        """The call that a fragment belongs to (`docs/dialects.md`, stream quirks 35-37)."""
        index = entry.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else None
        given_id = _text(entry.get("id"))
        name, arguments = _name(entry), _function(entry).get("arguments")
        if index is None:
            call = next((c for c in self._calls if given_id and c.given_id == given_id), None)
            if call is None and self._calls and not given_id:
                call = self._calls[-1]
        else:
            call = self._by_index.get(index)
        if call is None:
            return self._new(index)
        if self._rules.index == "trust" and index is not None:
            return call
        other_id = bool(given_id and call.given_id and given_id != call.given_id)
        if other_id:
            known = next((c for c in self._calls if c.given_id == given_id), None)
            if known or name or call.arguments.complete:
                return known or self._new(index)
        if not other_id and name and call.name and not (given_id and given_id == call.given_id):
            restarts = call.arguments.complete and bool(arguments)
            if restarts or (name != call.name and index is None):
                return self._new(index)
        return call

    def _new(self, index: int | None) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def _fragment(self, call: _Call, entry: dict[str, Any]) -> dict[str, Any] | None:
        """What to send of one fragment; None where it has to wait."""
        call.given_id = call.given_id or _text(entry.get("id"))
        call.name = call.name or _name(entry)
        text = _arguments(entry)
        call.arguments.feed(text)
        if call.sent:
            if call.dummy and text:
                call.dummy = False
            return _later(call, entry)
        if call.held:
            entry = _joined(call.held, entry)
        if not call.name and _is_function(entry) and len(_arguments(entry)) <= MAX_HELD:
            call.held = entry
            return None
        call.held = {}
        if self._rules.drop_dummy_args and _arguments(entry).strip() == "{}":
            call.dummy = True
            entry = {**entry, "function": {**_function(entry), "arguments": ""}}
        return self._first(call, entry)

    def _first(self, call: _Call, entry: dict[str, Any]) -> dict[str, Any]:
        """The first fragment: index, id, type, name, and arguments as text."""
        call.sent = True
        number = "" if call.index == 0 else f"_{call.index}"
        wanted: dict[str, Any] = {
            "index": call.index,
            "id": call.given_id or f"call_{self._seed}{number}",
            "type": _text(entry.get("type")) or "function",
        }
        if isinstance(entry.get("function"), dict) or wanted["type"] == "function":
            function = _function(entry)
            spoken = {"name": call.name or _name(entry), "arguments": _arguments(entry)}
            same = all(function.get(key) == value for key, value in spoken.items())
            wanted["function"] = function if same else {**function, **spoken}
        if all(key in entry and entry[key] == value for key, value in wanted.items()):
            return entry
        return {**wanted, **{k: v for k, v in entry.items() if k not in wanted and k != "function"}}


def _later(call: _Call, entry: dict[str, Any]) -> dict[str, Any]:
    """A later fragment: index and more arguments, without id and name."""
    function = entry.get("function")
    named = isinstance(function, dict) and "name" in function
    wrong = "function" in entry and not (isinstance(function, dict) and isinstance(function.get("arguments", ""), str))
    if entry.get("index") == call.index and "id" not in entry and not named and not wrong:
        return entry
    out = {"index": call.index, **{k: v for k, v in entry.items() if k not in ("index", "id", "function")}}
    if isinstance(function, dict):
        out["function"] = {k: v for k, v in function.items() if k != "name"}
        if wrong:
            out["function"]["arguments"] = _arguments(entry)
    return out


def _joined(held: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Two fragments of one call as one."""
    merged = held | {k: v for k, v in entry.items() if v not in (None, "") or k not in held}
    first, second = _function(held), _function(entry)
    function = first | {k: v for k, v in second.items() if v not in (None, "") or k not in first}
    function["arguments"] = _arguments(held) + _arguments(entry)
    return {**merged, "function": function}


def _is_function(entry: dict[str, Any]) -> bool:
    """Whether a fragment belongs to a function call; other kinds, such as `custom`, have no function and no name."""
    return "function" in entry or (_text(entry.get("type")) or "function") == "function"


def _function(entry: dict[str, Any]) -> dict[str, Any]:
    function = entry.get("function")
    return function if isinstance(function, dict) else {}


def _name(entry: dict[str, Any]) -> str:
    return _text(_function(entry).get("name"))


def _arguments(entry: dict[str, Any]) -> str:
    """The arguments as text; hosts that send an object mean its JSON."""
    arguments = _function(entry).get("arguments")
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else codec.dumps(arguments).decode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
