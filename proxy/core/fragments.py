"""Pieces of one JSON object, as deltas bring them, joined in linear time."""

from typing import Any

# The strings of tool calls (`arguments`, custom tools: `input`) and audio that the schema sends in pieces.
# https://platform.openai.com/docs/api-reference/chat-streaming
STREAMED_KEYS = frozenset({"arguments", "input", "data", "transcript"})


class Text:
    """A string in pieces."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        """Takes the next piece."""
        self._pieces.append(piece)

    def value(self) -> str:
        """The whole string."""
        return "".join(self._pieces)


class Fragments:
    """Joins the pieces of one object: strings of the streamed keys concatenate, objects merge, else the last wins.

    A null never replaces a value.
    """

    def __init__(self, streamed: frozenset[str] = STREAMED_KEYS) -> None:
        self._streamed = streamed
        self._values: dict[str, Any] = {}

    def add(self, part: dict[str, Any]) -> None:
        """Takes the next piece; it is neither changed nor kept."""
        values = self._values
        for key, value in part.items():
            old = values.get(key)
            if isinstance(value, str) and key in self._streamed:
                if not isinstance(old, Text):
                    old = values[key] = Text()
                old.add(value)
            elif isinstance(value, dict):
                if not isinstance(old, Fragments):
                    old = values[key] = Fragments(self._streamed)
                old.add(value)
            elif value is not None or key not in values:
                values[key] = value

    def value(self) -> dict[str, Any]:
        """The whole object, its keys in the order in which they came first."""
        return {
            key: value.value() if isinstance(value, Text | Fragments) else value for key, value in self._values.items()
        }
