"""Reasoning one complete step at a time, and tool calls only once they are whole."""

import json
import re
from typing import Any, Literal

from proxy.core.fragments import Fragments
from proxy.core.per_choice import REASONING, Choice, Delta, ends_reasoning, piece, says_something

MAX_STEP = 16 * 1024
"""Characters held for the end of a step; a longer step leaves as it is."""
MAX_CALL = 1024 * 1024
"""Characters held for the end of one tool call; a longer call is let go as it is."""

_ENDS = {"line": re.compile(r"\n"), "paragraph": re.compile(r"\n[ \t\r]*\n")}
_JSON_MARKS = re.compile(r'\\.|\\\Z|["{}\[\]]', re.DOTALL)


class StepHold:
    """Holds one choice's reasoning until a step is whole; each delta then has one step.

    A line ends with a line feed. A paragraph ends with a blank line; blank lines before it belong to it. What is left
    leaves when the reasoning ends: ahead of the answer, with the finish, or at the end of the stream.
    """

    def __init__(self, steps: Literal["line", "paragraph"]) -> None:
        self._end = _ENDS[steps]
        self._may_be_blank = steps == "line"
        self._held: list[str] = []
        self._size = 0

    def feed(self, choice: Choice) -> list[Choice] | None:
        delta = choice["delta"]
        text = delta.get(REASONING)
        if not text:
            if not self._held or not ends_reasoning(choice):
                return None
            return [piece(choice, {REASONING: self._take()}), choice]
        nothing_held = not self._held
        steps = self._steps_with(text)
        if self._held and ends_reasoning(choice):
            steps.append(self._take())
        if nothing_held and steps == [text]:
            return None
        if not steps:
            rest = {**choice, "delta": {key: value for key, value in delta.items() if key != REASONING}}
            return [rest] if says_something(rest) else []
        # Details go with the first step: a form that reads them must know them before the text that they repeat.
        deltas = [{**delta, REASONING: steps[0]}, *({REASONING: step} for step in steps[1:])]
        return [*(piece(choice, one) for one in deltas[:-1]), {**choice, "delta": deltas[-1]}]

    def close(self) -> list[Delta]:
        return [{REASONING: self._take()}] if self._held else []

    def _take(self) -> str:
        text = "".join(self._held)
        self._held = []
        self._size = 0
        return text

    def _steps_with(self, text: str) -> list[str]:
        self._held.append(text)
        self._size += len(text)
        steps = self._cut(len(text)) if "\n" in text else []
        if self._size > MAX_STEP:
            steps.append(self._take())
        return steps

    def _cut(self, new: int) -> list[str]:
        """Takes the whole steps out of what is held, of which the last `new` characters have not been looked at."""
        held = self._take()
        steps: list[str] = []
        start = 0
        look = max(held.rfind("\n", 0, len(held) - new), 0)
        while end := self._end.search(held, look):
            if self._may_be_blank or held[start : end.start()].strip():
                steps.append(held[start : end.end()])
                start = look = end.end()
            else:
                look = end.end() - 1
        if start < len(held):
            self._held = [held[start:]]
            self._size = len(held) - start
        return steps


class CallHold:
    """Holds each tool call of one choice until its arguments are one whole JSON object or list.

    Calls leave in their order, each as one delta. Calls whose arguments never parse leave as they are, with the finish
    or at the end of the stream. Everything else passes by.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, _Call] = {}
        self._gone: set[int] = set()

    def feed(self, choice: Choice) -> list[Choice] | None:
        fragments = choice["delta"].get("tool_calls")
        finished = choice.get("finish_reason") is not None
        if not fragments:
            if not finished or not self._waiting:
                return None
            return [*(piece(choice, delta) for delta in self.close()), choice]
        nothing_waiting = not self._waiting
        leaving = [entry for fragment in fragments for entry in self._take(fragment)]
        if nothing_waiting and not self._waiting and len(leaving) == len(fragments):
            return None
        deltas: list[Delta] = [{"tool_calls": [entry]} for entry in leaving]
        if finished:
            deltas += self.close()
        rest = {**choice, "delta": {key: value for key, value in choice["delta"].items() if key != "tool_calls"}}
        return [*(piece(choice, delta) for delta in deltas), *([rest] if says_something(rest) else ())]

    def close(self) -> list[Delta]:
        return [{"tool_calls": [entry]} for entry in self._release(len(self._waiting))]

    def _take(self, fragment: dict[str, Any]) -> list[dict[str, Any]]:
        """The entries that leave now that `fragment` has come."""
        index = fragment.get("index", 0)
        if index in self._gone:
            return [fragment]
        call = self._waiting.get(index)
        if call is None:
            call = self._waiting[index] = _Call()
        call.add(fragment)
        if call.size > MAX_CALL:
            return self._release([*self._waiting].index(index) + 1)
        ready = 0
        for waiting in self._waiting.values():
            if not waiting.whole:
                break
            ready += 1
        return self._release(ready)

    def _release(self, count: int) -> list[dict[str, Any]]:
        indexes = [*self._waiting][:count]
        self._gone.update(indexes)
        return [self._waiting.pop(index).value() for index in indexes]


class _Call:
    """One tool call in pieces, and where its JSON stands. It is parsed once at most, so its cost is linear."""

    def __init__(self) -> None:
        self.whole = False
        self.size = 0
        self._entry = Fragments()
        self._arguments: list[str] = []
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._parsed = False

    def add(self, fragment: dict[str, Any]) -> None:
        self._entry.add(fragment)
        arguments = (fragment.get("function") or {}).get("arguments")
        custom = (fragment.get("custom") or {}).get("input")
        self.size += sum(len(text) for text in (arguments, custom) if isinstance(text, str))
        if not isinstance(arguments, str) or not arguments or self._parsed:
            return
        self._arguments.append(arguments)
        if self._closes(arguments):
            self._parsed = True
            self.whole = _is_json("".join(self._arguments))

    def value(self) -> dict[str, Any]:
        return self._entry.value()

    def _closes(self, text: str) -> bool:
        """Whether the outermost bracket closes in `text` and none opens after it."""
        closed = False
        marks = _JSON_MARKS.finditer(text, 1 if self._escaped else 0)
        self._escaped = False
        for mark in marks:
            char = mark.group()
            if char == '"':
                self._quoted = not self._quoted
            elif char == "\\":
                self._escaped = True
            elif not self._quoted and char in "{[":
                self._depth += 1
            elif not self._quoted and char in "}]":
                self._depth -= 1
                closed = True
        return closed and self._depth <= 0


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
