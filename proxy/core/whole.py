"""A whole answer as a provider sends it → the canonical one: the same road as a stream, all at once (contract C12)."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from proxy.core import usage
from proxy.core.choice import Choice, DialectReader
from proxy.core.context import AnswerContext
from proxy.core.deltas import message
from proxy.core.envelope import FRAME, Envelope, is_framed
from proxy.core.finish import REASONS, inferred
from proxy.core.short_way import PLAIN_CHOICE, is_plain
from proxy.core.upstream_error import from_payload, is_error, not_a_completion

_PLAIN_CHOICE = PLAIN_CHOICE | {"message"}
_CHOICE_OF = itemgetter("finish_reason", "message", "index")
_PLAIN_KEYS = frozenset({"prompt_logprobs", "kv_transfer_params", "prompt_token_ids", *FRAME})
"""Of an answer: those of its frame, and those that mean nothing to us."""


class WholeAnswer:
    """One whole answer. `body` is canonical; `same` says that it is what came. `source` as in `Normalizer`.

    `closer`: it is known not to be canonical at first sight.

    Raises UpstreamError where the value reports an error or is no completion.
    """

    body: dict[str, Any]
    usage: dict[str, Any] | None
    finish_reason: str
    model: str | None
    """By the upstream's own word."""
    odd: Sequence[str] = ()
    source: str | None = None
    unclosed = False
    """Whether a message ended inside a block of reasoning."""

    def __init__(self, value: Any, context: AnswerContext, *, closer: bool = False) -> None:
        self._reader = context.reading()
        self._context = context
        self.same = not closer and is_canonical(value, self._reader)
        if not self.same:
            self._read(value)
            return
        self.body, self.usage = value, value.get("usage")
        self.finish_reason, self.model = value["choices"][0]["finish_reason"], value["model"]
        if any(choice["message"].get("reasoning_content") for choice in value["choices"]):
            self.source = "reasoning_content"

    def _read(self, value: Any) -> None:
        if is_error(value):
            raise from_payload(value)
        if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
            raise not_a_completion(_what(value))
        self.body = dict(value)
        envelope = Envelope(self._context)
        choices = [
            self._choice(one, position, envelope)
            for position, one in enumerate(value["choices"])
            if isinstance(one, dict)
        ]
        if not choices:
            raise not_a_completion("it has no choices")
        self.body["choices"] = choices
        self.same = len(choices) == len(value["choices"])
        self.same = self.same and all(a is b for a, b in zip(choices, value["choices"], strict=True))
        self.same = not envelope.whole(self.body) and self.same
        self.model = envelope.named
        found = usage.find(value)
        if found is not None:
            self.body["usage"] = usage.canonical(found, self._context.dialect.usage.completion_excludes_reasoning)
            self.same = self.same and self.body["usage"] is value.get("usage")
        self.usage = self.body["usage"] if found is not None else None
        self.finish_reason = choices[0]["finish_reason"]

    def _choice(self, given: dict[str, Any], position: int, envelope: Envelope) -> dict[str, Any]:
        if _is_plain(given, self._reader):
            said = given["message"]
            self.source = self.source or ("reasoning_content" if said.get("reasoning_content") else None)
            return given
        messages = given.get("messages")
        said = (
            given.get("message")
            or given.get("delta")
            or (messages[-1] if isinstance(messages, list) and messages else {})
        )
        said = said if isinstance(said, dict) else {}
        index = given.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else position
        state = Choice(self._reader, index, seed=envelope.seed)
        word = given.get("finish_reason")
        spoken = state.read_whole(said, word)
        self.odd = [*self.odd, *state.odd]
        self.unclosed = self.unclosed or state.unclosed
        self.source = self.source or state.source
        reason = state.reason(word) or inferred(called=state.calls.made)
        role = said.get("role")
        role = role if isinstance(role, str) and role else "assistant"
        framed = reason == word and role == said.get("role") and given.get("index") == index
        framed = framed and "message" in given and "delta" not in given
        if framed and spoken.is_same_as(said) and "usage" not in given and said.get("function_call") != {}:
            return given
        out: dict[str, Any] = {"index": index}
        out |= {k: v for k, v in given.items() if k not in ("delta", "messages", "usage", "index")}
        out["message"] = {"role": role, **message(said, spoken, self._reader)}
        out["finish_reason"] = reason
        if word and word != reason and given.get("native_finish_reason") is None:
            out["native_finish_reason"] = str(word)
        return out


def is_canonical(value: Any, reader: DialectReader) -> bool:
    """Whether a whole answer is canonical at first sight; no means that only a closer look tells."""
    if type(value) is not dict or not _PLAIN_KEYS.issuperset(value) or not is_framed(value):
        return False
    choices, counts = value.get("choices"), value.get("usage")
    if type(choices) is not list or not choices:
        return False
    if counts is not None:
        excludes = reader.dialect.usage.completion_excludes_reasoning
        if type(counts) is not dict or not usage.is_canonical(counts, excludes):
            return False
    for choice in choices:  # noqa: SIM110 - a generator costs more than the look
        if not _is_plain(choice, reader):
            return False
    return True


def _is_plain(given: Any, reader: DialectReader) -> bool:
    """Whether a choice is canonical at first sight, as nearly all are."""
    if type(given) is not dict or not _PLAIN_CHOICE.issuperset(given):
        return False
    try:
        word, said, index = _CHOICE_OF(given)
    except KeyError:
        return False
    if type(said) is not dict or type(index) is not int or type(word) is not str:
        return False
    if word not in REASONS or word in reader.dialect.finish_reason.map:
        return False
    return is_plain(said, reader)


def _what(value: Any) -> str:
    """What came instead, in a few words that quote nothing of it."""
    if isinstance(value, dict):
        return "the JSON object has no choices"
    return f"the body is a JSON {type(value).__name__}"
