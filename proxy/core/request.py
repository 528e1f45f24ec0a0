"""The client's request → the body that this target wants (rules and tables: `docs/requests.md`)."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.core.dialect import Budget, Effort, Manner, Request, UsageRules
from proxy.core.errors import RequestInvalid
from proxy.core.history import rewrite
from proxy.core.intent import NONE, SILENT, Intent, parse, without_spellings

LEVELS = ("minimal", "low", "medium", "high", "xhigh", "max", "ultra")
"""Efforts, lowest first: what "nearest" means."""

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
"""Effort ↔ budget in tokens. 1024 is Anthropic's least budget, 8192 and 24576 are Gemini's for medium and its limit
(platform.claude.com extended thinking; ai.google.dev/gemini-api/docs/openai)."""

_INLINE_FORMATS = frozenset({"raw", "none"})


@dataclass(slots=True)
class Prepared:
    """A request ready for one target."""

    body: dict[str, Any]
    reasoning: bool
    """Whether this request makes the target reason; decides `implicit_start: when_thinking`."""
    notes: tuple[str, ...]
    """What the target gets otherwise than asked, such as `effort=xhigh->high` or `off dropped`; fit for a header."""
    hide: bool = False
    """Whether reasoning is to be taken out of the answer; the target may have been told and send it all the same."""


def prepare(
    body: Mapping[str, Any], manner: Manner, *, model: str, seen_field: str | None = None, verbatim: bool = False
) -> Prepared:
    """The body for a target that speaks `manner` and whose model is `model`; the input is not changed.

    `seen_field` is where this target was seen to send reasoning (see `history.rewrite`). `verbatim`: the answer will
    pass as it is, so that it must hold no usage which the client did not ask for. A body without `messages`
    belongs to another endpoint: only its model is replaced. Raises RequestInvalid, with `param`, for wrong types,
    for contradictions, and for what cannot be expressed where `on_unsupported` is `reject`.
    """
    request = manner.request
    if "messages" not in body:
        return Prepared({**body, "model": model}, request.default == "on", ())
    messages = _messages(body["messages"])
    intent = parse(body)
    hidden: Mapping[str, Any] = {}
    hides = False
    if intent is SILENT and request.default_effort is None and not _controls(request):
        out, notes, reasoning = dict(body), [], request.default == "on"
    else:
        writer = _Writer(body, request, intent, verbatim=verbatim)
        reasoning = writer.write() if _controls(request) else writer.pass_on()
        out, notes, hidden, hides = writer.body, writer.notes, writer.hidden, writer.hides
    for path in request.strip:
        if _holds(out, path):
            out = _without(out, path)
            notes.append(f"{path} dropped")
    # A host told by `set` in which form to send reasoning is told by `hide` in the same key to send none.
    if request.set or hidden:
        out = _merged(_merged(out, request.set), hidden)
    if "stream" in out or "stream_options" in out:
        _ask_usage(out, manner.response.usage, refused="stream_options" in request.strip, verbatim=verbatim)
    forced = _forced(request.set) if request.set else None
    if forced is not None:
        if intent.enabled is not None and intent.enabled != forced:
            notes.append("off->on" if forced else "on->off")
        reasoning = forced
    out["messages"] = rewrite(messages, manner.history, seen_field=seen_field)
    out["model"] = model
    return Prepared(out, reasoning, tuple(dict.fromkeys(notes)) if notes else (), hides)


def _controls(request: Request) -> bool:
    told = request.on is not None or request.off is not None or request.hide is not None
    return told or request.effort is not None or request.budget is not None


def _messages(messages: Any) -> list[Any]:
    if not isinstance(messages, list):
        raise RequestInvalid("messages must be a list.", param="messages")
    for message in messages:
        if not isinstance(message, dict):
            index = messages.index(message)
            raise RequestInvalid(f"messages[{index}] must be an object.", param=f"messages[{index}]")
    return messages


def _ask_usage(body: dict[str, Any], rules: UsageRules, *, refused: bool, verbatim: bool) -> None:
    """Sets or removes `stream_options` in a body that is ours. `refused`: the target takes none.

    Usage is asked for even where the client wants none: it is counted, and taken out of the answer again.
    """
    options = body.pop("stream_options", None)
    if options is not None and not isinstance(options, dict):
        raise RequestInvalid("stream_options must be an object.", param="stream_options")
    if body.get("stream") is not True or refused or rules.request == "never":
        return
    if verbatim and rules.request == "auto":
        body.update({} if options is None else {"stream_options": options})
    else:
        body["stream_options"] = {**(options or {}), "include_usage": True}


def _forced(fixed: Mapping[str, Any]) -> bool | None:
    """Whether `set` itself switches reasoning on or off."""
    try:
        return parse(fixed).enabled
    except RequestInvalid:
        return None


class _Writer:
    """One body being written. `notes` collects what differs from the intent, `hidden` is to be merged after `set`.

    `hides`: the proxy itself is to take reasoning out of the answer, which `verbatim` does not let it do.
    """

    def __init__(self, body: Mapping[str, Any], request: Request, intent: Intent, *, verbatim: bool = False) -> None:
        self.body = dict(body)
        self.notes: list[str] = []
        self.hidden: Mapping[str, Any] = {}
        self.request = request
        self.intent = intent
        self.clamps = request.on_unsupported == "clamp"
        self.verbatim = verbatim
        self.hides = intent.hide is True and not verbatim

    def pass_on(self) -> bool:
        """The client's words stay; whether the target reasons with them."""
        enabled, default = self.intent.enabled, self.request.default_effort
        if default is None or enabled is False or self.intent.graded or (enabled and default == NONE):
            return self.request.default == "on" if enabled is None else enabled
        self.body["reasoning_effort"] = default
        return default != NONE

    def write(self) -> bool:
        """Replaces the client's spellings by the target's; whether the target reasons."""
        request, intent = self.request, self.intent
        word = self.body.get("reasoning_format")
        self.body, left = without_spellings(self.body, _own_keys(request))
        self.notes += [f"{path} dropped" for path in left]
        if word in _INLINE_FORMATS and "reasoning_format" not in request.set:
            self.notes.append(f"reasoning_format={word} dropped")
        asked = {None: self._unasked, True: self.on, False: self.off}
        reasons = asked[intent.enabled]()
        if reasons and intent.hide:
            self._hide()
        return reasons

    def _hide(self) -> None:
        if self.request.hide is not None:
            self.hidden = self.request.hide
        elif self.verbatim or self.request.on_unsupported == "reject":
            self._lose("hide", "hide")
        else:
            self.notes.append("hide->drop")

    def _unasked(self) -> bool:
        default = self.request.default_effort
        if default is None:
            return self.request.default == "on"
        quiet = self._quiet(default)
        reasons = quiet.off() if default == NONE else quiet.on(switch=self.request.default == "off")
        self.body = quiet.body
        return reasons

    def _quiet(self, effort: str) -> "_Writer":
        """A writer of the operator's own wish: what it cannot express is neither refused nor noted."""
        request = dataclasses.replace(self.request, on_unsupported="clamp", default_effort=None)
        return _Writer(self.body, request, Intent(enabled=True, effort=effort))

    def off(self) -> bool:
        request, effort = self.request, self.request.effort
        if request.off is not None:
            self.body = _merged(self.body, request.off)
            return False
        if effort is not None and (NONE in effort.levels or NONE in effort.map):
            return self._level(effort, NONE, "off", "enabled") != NONE
        if request.default == "off":
            return False
        if self.clamps and effort is not None and (lowest := _nearest(effort, LEVELS[0])) is not None:
            return self._level(effort, lowest, "off", "enabled") != NONE
        if self.clamps and request.budget is not None and request.budget.min is not None:
            self._spend(request.budget, request.budget.min, "off", "enabled")
        else:
            self._lose("off", "enabled")
        return True

    def on(self, *, switch: bool = True) -> bool:
        """`switch`: `request.on` itself shall be sent, not only a grade."""
        request, intent = self.request, self.intent
        if switch and request.on is not None:
            self.body = _merged(self.body, request.on)
            if intent.auto is not None and intent.auto not in _leaves(request.on):
                self.notes.append(f"{intent.auto}->on")
        value = self.grade() if intent.graded else self._ungraded()
        if value is not None:
            return value != NONE
        if switch and request.on is not None:
            self._bound_switch(request.on)
        if request.on is not None or request.default == "on":
            return True
        if intent.graded and request.effort is None and request.budget is None:
            return False
        # A bare "enabled" is medium effort at OpenRouter (openrouter.ai/docs/use-cases/reasoning-tokens).
        return self._convert("medium", "on", "enabled") not in (None, NONE)

    def _ungraded(self) -> str | None:
        """Neither effort nor budget was asked for."""
        default = self.request.default_effort
        if default is None or default == NONE:
            return None
        quiet = self._quiet(default)
        value = quiet.grade()
        self.body = quiet.body
        return value

    def _bound_switch(self, switch: Mapping[str, Any]) -> None:
        """Keeps a budget that `request.on` brings within bounds."""
        budget = self.request.budget
        tokens = None if budget is None else _at(switch, budget.field)
        if budget is not None and isinstance(tokens, int) and tokens > 0:
            bounded = _bounded(tokens, budget, self._answer_limit())
            if bounded is not None and bounded != tokens:
                self._put(budget.field, bounded, f"budget={tokens}->{bounded}")

    def grade(self) -> str | None:
        """Writes the effort or the budget asked for, never both; the value sent, or None."""
        request, tokens, word = self.request, self.intent.budget, self.intent.effort
        if word is not None and (tokens is None or (request.budget is None and request.effort is not None)):
            if tokens is not None:
                self._lose(f"budget={tokens}", "budget")
            return self._convert(word, f"effort={word}", "effort")
        if word is not None:
            # Hosts refuse both at once (OpenRouter, Gemini: docs/dialects.md); the number is the exacter wish.
            self._lose(f"effort={word}", "effort")
        asked = f"budget={tokens}"
        if request.budget is not None:
            return self._spend(request.budget, tokens or 0, asked, "budget")
        nearest = min(BUDGETS, key=lambda level: abs(BUDGETS[level] - (tokens or 0)))
        if request.effort is not None and self.clamps:
            return self._level(request.effort, nearest, asked, "budget")
        self._lose(asked, "budget")
        return None

    def _bends(self, aspect: str) -> bool:
        """Whether the nearest value may stand for another; a bare "on" or "off" has no exact grade to miss."""
        return self.clamps or aspect == "enabled"

    def _convert(self, word: str, asked: str, aspect: str) -> str | None:
        """An effort, as a budget where the target has only that."""
        request = self.request
        if request.effort is not None:
            return self._level(request.effort, word, asked, aspect)
        if request.budget is not None and self._bends(aspect) and word in BUDGETS:
            return self._spend(request.budget, BUDGETS[word], asked, aspect)
        self._lose(asked, aspect)
        return None

    def _level(self, effort: Effort, word: str, asked: str, aspect: str) -> str | None:
        value = effort.map.get(word)
        if value is None and (not effort.levels or word in effort.levels):
            value = word
        if value is None and self._bends(aspect):
            nearest = _nearest(effort, word)
            value = None if nearest is None else effort.map.get(nearest, nearest)
        if value is None:
            self._lose(asked, aspect)
            return None
        said = value if aspect != "budget" else f"effort={value}"
        exact = value == word if aspect == "effort" else aspect == "enabled" and value == word == NONE
        self._put(effort.field, value, None if exact else f"{asked}->{said}")
        return value

    def _spend(self, budget: Budget, tokens: int, asked: str, aspect: str) -> str | None:
        bounded = _bounded(tokens, budget, self._answer_limit())
        exact = aspect == "budget" and bounded == tokens
        if bounded is None or not (exact or self._bends(aspect)):
            self._lose(asked, aspect)
            return None
        self.body = _merged(self.body, budget.beside)
        said = f"{bounded}" if aspect == "budget" else f"budget={bounded}"
        self._put(budget.field, bounded, None if exact else f"{asked}->{said}")
        return said

    def _put(self, path: str, value: Any, note: str | None) -> None:
        for key in reversed(path.split(".")):
            value = {key: value}
        self.body = _merged(self.body, value)
        # The grade that `on` brings is for a bare "on"; hosts refuse an effort beside a budget.
        for grade in (self.request.effort, self.request.budget):
            if grade is not None and grade.field != path and _holds(self.request.on or {}, grade.field):
                self.body = _without(self.body, grade.field)
        if note is not None:
            self.notes.append(note)

    def _lose(self, asked: str, aspect: str) -> None:
        """What cannot be said to this target: refused or noted."""
        if self.request.on_unsupported == "reject":
            source = self.intent.sources.get(aspect)
            raise RequestInvalid(f"{source}: this target cannot express {asked}. Leave it out.", param=source)
        self.notes.append(f"{asked} dropped")

    def _answer_limit(self) -> int | None:
        """`max_tokens` of this request, in either spelling."""
        limits = {**self.body, **self.request.set}
        values = [limits.get(key) for key in ("max_completion_tokens", "max_tokens")]
        return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _nearest(effort: Effort, word: str) -> str | None:
    """The level of the target nearest to `word`, the lower of two; None where either is on no scale."""
    ranked = [level for level in LEVELS if level in effort.levels]
    if word not in LEVELS or not ranked:
        return None
    return min(ranked, key=lambda level: abs(LEVELS.index(level) - LEVELS.index(word)))


def _bounded(tokens: int, budget: Budget, answer_limit: int | None) -> int | None:
    """The nearest budget within the target's bounds; None where they leave no room."""
    lowest = max(budget.min or 1, 1)
    ceilings = [budget.max] if budget.max is not None else []
    if budget.below_max_tokens and answer_limit is not None:
        ceilings.append(answer_limit - 1)
    bounded = min([max(tokens, lowest), *ceilings])
    return bounded if bounded >= lowest else None


def _own_keys(request: Request) -> frozenset[str]:
    """Top-level keys that the target's own spelling uses."""
    graded = [grade.field.partition(".")[0] for grade in (request.effort, request.budget) if grade is not None]
    beside = request.budget.beside if request.budget is not None else {}
    switches = (request.on or {}, request.off or {}, request.hide or {}, request.set, beside)
    return frozenset([*graded, *(key for switch in switches for key in switch)])


def _leaves(value: Any) -> list[Any]:
    return [leaf for item in value.values() for leaf in _leaves(item)] if isinstance(value, Mapping) else [value]


def _holds(mapping: Mapping[str, Any], path: str) -> bool:
    *above, key = path.split(".")
    inner = _at(mapping, ".".join(above)) if above else mapping
    return isinstance(inner, Mapping) and key in inner


def _without(mapping: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A copy without the key at `path`; objects left empty go too."""
    key, _, rest = path.partition(".")
    inside = mapping.get(key)
    inner = _without(inside, rest) if rest and isinstance(inside, Mapping) else None
    return {name: inner if name == key else value for name, value in mapping.items() if name != key or inner}


def _at(mapping: Mapping[str, Any], path: str) -> Any:
    value: Any = mapping
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` with `extra` laid over it; objects merge, everything else replaces."""
    out = dict(base)
    for key, value in extra.items():
        old = out.get(key)
        if isinstance(value, Mapping):
            out[key] = _merged(old if isinstance(old, Mapping) else {}, value)
        else:
            out[key] = list(value) if isinstance(value, tuple) else value
    return out
