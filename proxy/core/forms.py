"""The forms in which a client may ask for reasoning: one filter each for a choice of a stream, and for a whole choice.

Every form has `feed` and `close` (see `ChoiceFilter`), and `whole`, which turns `{message, ...}` of a whole answer.
None of them changes a dict that it was given.
"""

from typing import Any, Protocol

from proxy.core.per_choice import REASONING, Choice, Delta, ends_reasoning, piece, says_something

_DETAILS = "reasoning_details"
_THINK, _END_THINK = "<think>", "</think>"
# Details may run ahead of text that is held for a whole step; more than this is no longer waited for.
_MAX_AHEAD = 64 * 1024


class Form(Protocol):
    """One way to show reasoning, for one choice."""

    def feed(self, choice: Choice) -> list[Choice] | None:
        """See `ChoiceFilter.feed`."""

    def close(self) -> list[Delta]:
        """See `ChoiceFilter.close`."""

    def whole(self, choice: Choice) -> Choice | None:
        """The choice of a whole answer in this form; None where it stays as it is."""


class Keys:
    """The same text under other keys: `reasoning`, or both keys."""

    def __init__(self, *keys: str) -> None:
        self._keys = keys

    def feed(self, choice: Choice) -> list[Choice] | None:
        delta = choice["delta"]
        if not delta.get(REASONING):
            return None
        return [{**choice, "delta": self._renamed(delta)}]

    def close(self) -> list[Delta]:
        return []

    def whole(self, choice: Choice) -> Choice | None:
        message = choice["message"]
        return {**choice, "message": self._renamed(message)} if message.get(REASONING) else None

    def _renamed(self, message: dict[str, Any]) -> dict[str, Any]:
        return _replaced(message, dict.fromkeys(self._keys, message[REASONING]))


class Details:
    """A list of `reasoning_details` instead of the text. The upstream's own details stay, and are not said again."""

    def __init__(self) -> None:
        self._ahead = ""

    def feed(self, choice: Choice) -> list[Choice] | None:
        delta = choice["delta"]
        told = _text_of(delta.get(_DETAILS))
        if told:
            self._ahead = (self._ahead + told)[-_MAX_AHEAD:]
        if not delta.get(REASONING):
            return None
        changed = {**choice, "delta": self._detailed(delta)}
        return [changed] if says_something(changed) else []

    def close(self) -> list[Delta]:
        return []

    def whole(self, choice: Choice) -> Choice | None:
        message = choice["message"]
        if not message.get(REASONING):
            return None
        self._ahead = _text_of(message.get(_DETAILS))
        return {**choice, "message": self._detailed(message)}

    def _detailed(self, message: dict[str, Any]) -> dict[str, Any]:
        text = self._untold(message[REASONING])
        if not text:
            return _replaced(message, {})
        entry = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
        return _replaced(message, {_DETAILS: [*(message.get(_DETAILS) or ()), entry]})

    def _untold(self, text: str) -> str:
        """What of `text` the upstream's details have not said yet; snapshots say the text so far again and again."""
        before, found, after = self._ahead.partition(text)
        if found:
            self._ahead = after
            return ""
        self._ahead = ""
        return text.removeprefix(before)


class ThinkTags:
    """Reasoning between tags inside `content`; each tag is a delta of its own."""

    def __init__(self) -> None:
        self._open = False

    def feed(self, choice: Choice) -> list[Choice] | None:
        text = choice["delta"].get(REASONING)
        if not text:
            if not self._open or not ends_reasoning(choice):
                return None
            self._open = False
            return [piece(choice, {"content": _END_THINK}), choice]
        out = [] if self._open else [piece(choice, {"content": _THINK})]
        self._open = True
        changed = {**choice, "delta": _replaced(choice["delta"], {"content": text})}
        if choice.get("finish_reason") is None:
            return [*out, changed]
        self._open = False
        said = piece(choice, changed["delta"]) | {key: choice[key] for key in _TOKENS if key in choice}
        finish = {key: value for key, value in choice.items() if key not in _TOKENS}
        return [*out, said, piece(choice, {"content": _END_THINK}), {**finish, "delta": {}}]

    def close(self) -> list[Delta]:
        if not self._open:
            return []
        self._open = False
        return [{"content": _END_THINK}]

    def whole(self, choice: Choice) -> Choice | None:
        message = choice["message"]
        text = message.get(REASONING)
        if not text:
            return None
        tagged = f"{_THINK}{text}{_END_THINK}"
        answer = message.get("content")
        content = [_text_part(tagged), *answer] if isinstance(answer, list) else tagged + (answer or "")
        return {**choice, "message": _replaced(message, {"content": content})}


class ContentParts:
    """Reasoning as typed parts of `content`. A choice that has reasoned gives its answer as parts too."""

    def __init__(self) -> None:
        self._reasoned = False

    def feed(self, choice: Choice) -> list[Choice] | None:
        delta = choice["delta"]
        text = delta.get(REASONING)
        if text:
            self._reasoned = True
            return [{**choice, "delta": _replaced(delta, {"content": [_reasoning_part(text)]})}]
        answer = delta.get("content")
        if not self._reasoned or not isinstance(answer, str) or not answer:
            return None
        return [{**choice, "delta": {**delta, "content": [_text_part(answer)]}}]

    def close(self) -> list[Delta]:
        return []

    def whole(self, choice: Choice) -> Choice | None:
        message = choice["message"]
        text = message.get(REASONING)
        if not text:
            return None
        answer = message.get("content")
        parts = answer if isinstance(answer, list) else [_text_part(answer)] if answer else []
        return {**choice, "message": _replaced(message, {"content": [_reasoning_part(text), *parts]})}


class Drop:
    """No reasoning text at all, also not in details or token lists. Encrypted state stays."""

    def feed(self, choice: Choice) -> list[Choice] | None:
        delta = choice["delta"]
        if not _tells_reasoning(delta):
            return None
        changed = {key: value for key, value in choice.items() if key not in _TOKENS}
        changed["delta"] = _silenced(delta)
        return [changed] if says_something(changed) else []

    def close(self) -> list[Delta]:
        return []

    def whole(self, choice: Choice) -> Choice | None:
        message = choice["message"]
        if not _tells_reasoning(message):
            return None
        changed = {key: value for key, value in choice.items() if key not in _TOKENS}
        if choice.get("logprobs"):
            changed["logprobs"] = _answer_logprobs(choice["logprobs"], message.get("content") or "")
        changed["message"] = _silenced(message)
        return changed


_TOKENS = ("logprobs", "reasoning_logprobs", "token_ids")
_OPAQUE_LISTS = (_DETAILS, "thinking_blocks")
_TEXTS = ("text", "summary", "thinking")
_LABELS = ("type", "format", "id", "index")


def _replaced(message: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A copy of `message` with `new` in the place of its reasoning."""
    out: dict[str, Any] = {}
    for key, value in message.items():
        if key == REASONING:
            out |= new
        elif key not in new:
            out[key] = value
    return out


def _text_of(details: Any) -> str:
    if not isinstance(details, list):
        return ""
    texts = (entry.get(key) for entry in details if isinstance(entry, dict) for key in ("text", "summary"))
    return "".join(text for text in texts if isinstance(text, str))


def _reasoning_part(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [_text_part(text)]}


def _text_part(text: Any) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _is_open_text(entry: Any) -> bool:
    return isinstance(entry, dict) and any(entry.get(key) for key in _TEXTS)


def _without_text(entry: Any) -> Any:
    """An entry without its text; None where nothing but a label is left. A signature stays, as it does in a stream."""
    if not _is_open_text(entry):
        return entry
    left = {key: value for key, value in entry.items() if key not in _TEXTS}
    return left if any(value for key, value in left.items() if key not in _LABELS) else None


def _tells_reasoning(message: dict[str, Any]) -> bool:
    return bool(message.get(REASONING)) or any(
        isinstance(message.get(key), list) and any(map(_is_open_text, message[key])) for key in _OPAQUE_LISTS
    )


def _silenced(message: dict[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in message.items() if key != REASONING}
    for key in _OPAQUE_LISTS:
        if isinstance(out.get(key), list):
            out[key] = [left for entry in out[key] if (left := _without_text(entry)) is not None]
            if not out[key]:
                del out[key]
    return out


def _answer_logprobs(logprobs: Any, answer: Any) -> Any:
    """The token list without the reasoning's tokens; None where the two cannot be told apart."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not isinstance(answer, str):
        return None
    texts = [str(token.get("token")) if isinstance(token, dict) else "" for token in tokens]
    first, missing = len(tokens), len(answer)
    while first and missing > 0:
        first -= 1
        missing -= len(texts[first])
    return {**logprobs, "content": tokens[first:]} if "".join(texts[first:]) == answer else None
