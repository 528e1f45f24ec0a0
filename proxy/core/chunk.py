"""The canonical chunk: the one thing in the middle."""

from typing import Any, Literal

Kind = Literal["reasoning", "answer"]

COMMON = frozenset(
    {
        "role", "content", "refusal", "name", "id", "tool_calls", "function_call", "audio", "annotations", "obfuscation",
        "finish_reason", "reasoning_signature", "signature", "encrypted_content",
    }
)  # fmt: skip
"""Keys of a delta or message in which no dialect has its reasoning."""
_ANSWER_KEYS = ("content", "tool_calls", "refusal", "function_call", "audio")


class Chunk:
    """One `chat.completion.chunk` in the canonical schema (contract: guarantees C1–C8 of `docs/schema.md`).

    `data` is the chunk as a plain dict; whoever changes it sets `raw` to None. `raw` is the JSON text that arrived,
    kept where nothing had to change, and is then what leaves (C9). `kind` is what it generates: empty for nothing, None
    where that is not known.
    """

    __slots__ = ("data", "kind", "raw")

    def __init__(self, data: dict[str, Any], raw: bytes | None = None, kind: Kind | Literal[""] | None = None) -> None:
        self.data = data
        self.raw = raw
        self.kind = kind

    def __repr__(self) -> str:
        return f"Chunk({self.data!r}, raw={self.raw is not None})"


def kind_of(data: dict[str, Any]) -> Kind | None:
    """What a canonical chunk generates: reasoning, answer (text, refusal, tool call, audio) or nothing."""
    for choice in data["choices"]:
        delta = choice.get("delta")
        if delta:
            if delta.get("reasoning_content"):
                return "reasoning"
            if delta.get("content") or answers(delta):
                return "answer"
    return None


def answers(said: dict[str, Any]) -> bool:
    """Whether a delta or message holds answer: text, a refusal, a tool call or audio."""
    for key in _ANSWER_KEYS:  # noqa: SIM110 - a generator costs as much as the look
        if said.get(key):
            return True
    return False
