"""Choice by choice through a stream of canonical chunks: what renderings, steps and held tool calls have in common."""

from collections.abc import Callable
from operator import is_
from typing import Any, Protocol

from proxy.core.chunk import Chunk

Choice = dict[str, Any]
Delta = dict[str, Any]

REASONING = "reasoning_content"
_HEAD = ("id", "object", "created", "model")
_ANSWERS = ("content", "tool_calls", "function_call", "refusal", "audio")


class ChoiceFilter(Protocol):
    """Rewrites one choice of a stream. Keeps its own state; never changes a dict that it was given."""

    def feed(self, choice: Choice) -> list[Choice] | None:
        """What leaves for this choice of a chunk, in order; None where it leaves unchanged, [] where nothing leaves."""

    def close(self) -> list[Delta]:
        """What was held back, or what must still be said, at the end of the stream. A second call returns []."""


def ends_reasoning(choice: Choice) -> bool:
    """Whether something of the answer, or the end of the choice, is here: a run of reasoning is over then."""
    delta = choice["delta"]
    return choice.get("finish_reason") is not None or any(delta.get(key) for key in _ANSWERS)


def says_something(choice: Choice) -> bool:
    """Whether anything but a role is left in a choice; null and empty values count for nothing."""
    for key, value in choice["delta"].items():
        if key != "role" and (value or value == 0):
            return True
    return any(value or value == 0 for key, value in choice.items() if key not in ("index", "delta"))


def piece(choice: Choice, delta: Delta) -> Choice:
    """A delta of its own, ahead of the rest of `choice`."""
    return {"index": choice.get("index", 0), "delta": delta, "finish_reason": None}


class PerChoice:
    """Leads every choice of a stream through a filter of its own, and puts what comes out into chunks again.

    A choice's role goes with the first delta that leaves for it. What stands in a chunk of which no choice is left
    goes with the next chunk, unless that says the same key itself; the chunk's own keys (id, object, created, model)
    stand in every chunk.
    """

    def __init__(self, make_filter: Callable[[], ChoiceFilter]) -> None:
        self._make_filter = make_filter
        self._filters: dict[int, ChoiceFilter] = {}
        self._roles: dict[int, str] = {}
        self._carried: dict[str, Any] = {}
        self._last: dict[str, Any] = {}

    def feed(self, chunk: Chunk) -> list[Chunk]:
        """The chunks that leave for `chunk`; `chunk` itself, with its bytes, where no choice changed."""
        data = chunk.data
        self._last = data
        choices: list[Choice] = data["choices"]
        leaving = [self._filtered(choice) for choice in choices]
        if leaving.count(None) == len(leaving) and not self._carried:
            return [chunk]
        if len(leaving) == 1 and not self._carried and leaving[0] is not None and len(leaving[0]) == 1:
            return [Chunk({**data, "choices": leaving[0]})]
        kept = [one for choice, out in zip(choices, leaving, strict=True) for one in ([choice] if out is None else out)]
        if choices and not kept:
            self._carried |= {key: value for key, value in _extras(data).items() if value is not None}
            return []
        crowded = any(out is not None and len(out) > 1 for out in leaving)
        ahead = len(kept) - 1 if crowded else 0
        missing = {key: value for key, value in self._carried.items() if data.get(key) is None}
        self._carried = {}
        rest = kept[ahead:]
        same = not missing and len(rest) == len(choices) and all(map(is_, rest, choices))
        last = chunk if same else Chunk({**data, **missing, "choices": rest})
        return [*map(self._chunk, kept[:ahead]), last]

    def close(self) -> list[Chunk]:
        """One chunk for every delta that the filters still have."""
        return [
            self._chunk(choice)
            for index, each in self._filters.items()
            for choice in self._with_role(index, [piece({"index": index}, delta) for delta in each.close()])
        ]

    def _filtered(self, choice: Choice) -> list[Choice] | None:
        index = choice.get("index", 0)
        each = self._filters.get(index)
        if each is None:
            each = self._filters[index] = self._make_filter()
        out = each.feed(choice)
        if out is None:
            return self._with_role(index, [choice]) if index in self._roles else None
        role = choice["delta"].get("role")
        if role:
            self._roles[index] = role
            out = [_without_role(one) for one in out]
        return self._with_role(index, out)

    def _with_role(self, index: int, out: list[Choice]) -> list[Choice]:
        if not out or index not in self._roles:
            return out
        first = out[0]
        delta = {"role": self._roles.pop(index), **_without_role(first)["delta"]}
        return [{**first, "delta": delta}, *out[1:]]

    def _chunk(self, choice: Choice) -> Chunk:
        return Chunk({**{key: self._last[key] for key in _HEAD if key in self._last}, "choices": [choice]})


def _extras(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in _HEAD and key != "choices"}


def _without_role(choice: Choice) -> Choice:
    delta = choice["delta"]
    if "role" not in delta:
        return choice
    return {**choice, "delta": {key: value for key, value in delta.items() if key != "role"}}
