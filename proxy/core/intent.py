"""What a client wants of the model's reasoning, read from every spelling in use (table: `docs/requests.md`).

A spelling is a key of the request body. `parse` reads all of them into one `Intent`; `without_spellings` takes them
out again, so that a target's own spelling can be written instead. Neither changes its input.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.core.errors import RequestInvalid

NONE = "none"
"""The effort that means: do not reason."""

MAX_BUDGET = 2**31 - 1
"""Tokens; the largest budget that is taken for one."""

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_ON_WORDS = frozenset({"enabled", "on", "true"})
_OFF_WORDS = frozenset({"disabled", "off", "false"})
_AUTO_WORDS = frozenset({"adaptive", "auto"})


@dataclass(frozen=True, slots=True)
class Intent:
    """The wish behind all spellings. None: nothing was said about it."""

    enabled: bool | None = None
    """Whether the model shall reason. An effort or a budget says True, effort `none` and budget 0 say False."""
    effort: str | None = None
    """A level in lower case, never `none`."""
    budget: int | None = None
    """Tokens, at least 1."""
    hide: bool | None = None
    """Whether the reasoning shall be kept out of the answer."""
    auto: str | None = None
    """The word that leaves it to the model whether to reason (`adaptive`, `auto`); `enabled` is True beside it."""
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Name of a field above → dotted path of the body key that said it first."""

    @property
    def graded(self) -> bool:
        """Whether an effort or a budget was named."""
        return self.effort is not None or self.budget is not None


class _Claims:
    """What the spellings have said so far; two that disagree are refused."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}

    def add(self, aspect: str, value: Any, path: str) -> None:
        known = self.values.setdefault(aspect, value)
        first = self.sources.setdefault(aspect, path)
        if known != value:
            message = f"{first} and {path} contradict each other: {_said(aspect, known)}, then {_said(aspect, value)}"
            raise RequestInvalid(f"{message}. Send only one of them.", param=path)


def _said(aspect: str, value: Any) -> str:
    if aspect == "enabled":
        return "reasoning on" if value else "reasoning off"
    if aspect == "hide":
        return "reasoning hidden" if value else "reasoning shown"
    return f"{aspect} {value}"


Reader = Callable[[_Claims, str, Any], None]


@dataclass(frozen=True, slots=True)
class _Fields:
    """A spelling that is an object."""

    table: Mapping[str, "Reader | _Fields"]
    bare: Reader | None = None
    """Reads the value where it is no object."""
    owned: bool = True
    """Whether the object is about reasoning alone, so that its other keys mean nothing to a target without it."""


def _wrong(path: str, wanted: str) -> RequestInvalid:
    return RequestInvalid(f"{path} must be {wanted}.", param=path)


_LEVEL = "a level: none, minimal, low, medium, high, xhigh, max, or another short word"
_MODE = "one of enabled, disabled, adaptive, auto"


def _word(path: str, value: Any, wanted: str = "a short word such as auto") -> str:
    # The pattern keeps the word fit for a response header.
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise _wrong(path, wanted)
    return value.lower()


def _switch(claims: _Claims, path: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false")
    claims.add("enabled", value, path)


def _hide(claims: _Claims, path: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false")
    claims.add("hide", value, path)


def _show(claims: _Claims, path: str, value: Any) -> None:
    _hide(claims, path, not value if isinstance(value, bool) else value)


def _effort(claims: _Claims, path: str, value: Any) -> None:
    word = _word(path, value, _LEVEL)
    claims.add("enabled", word != NONE, path)
    if word != NONE:
        claims.add("effort", word, path)


def _budget(claims: _Claims, path: str, value: Any) -> None:
    # -1 is "as much as you like", 0 is "off" (Gemini: ai.google.dev/gemini-api/docs/thinking).
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= MAX_BUDGET:
        raise _wrong(path, "a number of tokens")
    claims.add("enabled", value != 0, path)
    if value > 0:
        claims.add("budget", value, path)


def _mode(claims: _Claims, path: str, value: Any) -> None:
    word = _word(path, value, _MODE)
    if word not in _ON_WORDS | _OFF_WORDS | _AUTO_WORDS:
        raise _wrong(path, _MODE)
    claims.add("enabled", word not in _OFF_WORDS, path)
    if word in _AUTO_WORDS:
        claims.values.setdefault("auto", word)


def _bare(claims: _Claims, path: str, value: Any) -> None:
    if isinstance(value, bool):
        _switch(claims, path, value)
    elif isinstance(value, str) and value.lower() in _ON_WORDS | _OFF_WORDS | _AUTO_WORDS:
        _mode(claims, path, value)
    elif isinstance(value, str):
        _effort(claims, path, value)
    else:
        raise _wrong(path, "true, false, a word or an object")


def _format(claims: _Claims, path: str, value: Any) -> None:
    claims.add("hide", _word(path, value, "a word such as parsed or hidden") == "hidden", path)


def _aside(claims: _Claims, path: str, value: Any) -> None:
    """A word that is checked but says nothing of the intent; it stays where the target knows the object around it."""
    del claims
    _word(path, value)


_TEMPLATE = _Fields({"enable_thinking": _switch, "thinking": _switch, "reasoning_effort": _effort}, owned=False)
_GOOGLE = _Fields(
    {
        "thinking_config": _Fields({"thinking_budget": _budget, "thinking_level": _effort, "include_thoughts": _show}),
        "thinkingConfig": _Fields({"thinkingBudget": _budget, "thinkingLevel": _effort, "includeThoughts": _show}),
    },
    owned=False,
)
_SPELLINGS = _Fields(
    {
        "reasoning_effort": _effort,
        "reasoning": _Fields(
            {"effort": _effort, "max_tokens": _budget, "enabled": _switch, "exclude": _hide, "summary": _aside}
        ),
        "thinking": _Fields({"type": _mode, "budget_tokens": _budget}, bare=_bare),
        "enable_thinking": _switch,
        "thinking_budget": _budget,
        "chat_template_kwargs": _TEMPLATE,
        "chat_template_args": _TEMPLATE,
        "think": _bare,
        "include_reasoning": _show,
        "reasoning_format": _format,
        "extra_body": _Fields({"google": _GOOGLE}, owned=False),
        "google": _GOOGLE,
    },
    owned=False,
)


SILENT = Intent()
"""That of a body without any spelling."""
_WORDS = frozenset(_SPELLINGS.table)


def parse(body: Mapping[str, Any]) -> Intent:
    """The intent of a request body. A null says nothing.

    Raises RequestInvalid where a spelling has the wrong type (`param` is its dotted path), or where two contradict
    each other: the message names both, `param` is the second in the order of the body.
    """
    if _WORDS.isdisjoint(body):
        return SILENT
    claims = _Claims()
    _read(claims, body, _SPELLINGS, "")
    return Intent(**claims.values, sources=claims.sources)


def _read(claims: _Claims, mapping: Mapping[str, Any], fields: _Fields, prefix: str) -> None:
    for key, value in mapping.items():
        entry = fields.table.get(key)
        if entry is None or value is None:
            continue
        path = prefix + key
        if not isinstance(entry, _Fields):
            entry(claims, path, value)
        elif isinstance(value, Mapping):
            _read(claims, value, entry, f"{path}.")
        elif entry.bare is not None:
            entry.bare(claims, path, value)
        else:
            raise _wrong(path, "an object")


def without_spellings(body: Mapping[str, Any], known: frozenset[str]) -> tuple[dict[str, Any], list[str]]:
    """The body without any spelling, and the dotted paths of what had to leave with them.

    `known` are the top-level keys that the target uses itself. Other keys inside `thinking` and `reasoning` stay only
    there: `thinking.clear_thinking` means nothing to a host that has no `thinking`. Objects left empty go too.
    """
    left: list[str] = []
    kept: dict[str, Any] = {}
    for key, value in body.items():
        rest = _prune({key: value}, _SPELLINGS, "", None if key in known else left)
        kept.update(rest)
    return kept, left


def _prune(mapping: Mapping[str, Any], fields: _Fields, prefix: str, left: list[str] | None) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in mapping.items():
        entry = fields.table.get(key)
        if entry is None or entry is _aside:
            if fields.owned and left is not None:
                left.append(prefix + (key if _WORD.fullmatch(key) else "*"))
            else:
                kept[key] = value
        elif isinstance(entry, _Fields) and isinstance(value, Mapping):
            rest = _prune(value, entry, f"{prefix}{key}.", left)
            if rest:
                kept[key] = rest
    return kept
