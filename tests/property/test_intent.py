"""A wish, written for each built-in: the host understands that wish, or a note says how it differs."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.dialect import Request
from proxy.core.request import Prepared, prepare
from tests.support.builtin_files import data, manner, names
from tests.support.understanding import ALWAYS_HIDDEN, VOCABULARY, understood

LEVELS = ("minimal", "low", "medium", "high", "xhigh", "max")
BUDGETS = (1, 2048, 5000, 100_000)


@dataclass(frozen=True)
class Wish:
    enabled: bool | None = None
    effort: str | None = None
    budget: int | None = None
    hide: bool = False


def wishes() -> Iterator[Wish]:
    for hide in (False, True):
        yield from (Wish(enabled, hide=hide) for enabled in (None, True, False))
        for effort, budget in itertools.product((None, *LEVELS), (None, *BUDGETS)):
            if effort or budget:
                yield Wish(True, effort, budget, hide)


def objects(wish: Wish) -> dict[str, Any]:
    """As OpenRouter writes it."""
    said = {"enabled": wish.enabled, "effort": wish.effort, "max_tokens": wish.budget, "exclude": wish.hide or None}
    return {"reasoning": {key: value for key, value in said.items() if value is not None}}


def flat(wish: Wish) -> dict[str, Any]:
    """As OpenAI and Qwen write it."""
    effort = "none" if wish.enabled is False else wish.effort
    said = {"reasoning_effort": effort, "enable_thinking": wish.enabled, "thinking_budget": wish.budget}
    return {key: value for key, value in said.items() if value is not None} | (
        {"include_reasoning": False} if wish.hide else {}
    )


def typed(wish: Wish) -> dict[str, Any]:
    """As Anthropic and Groq write it."""
    body: dict[str, Any] = {"reasoning_effort": wish.effort} if wish.effort else {}
    if wish.enabled is not None:
        body["thinking"] = {"type": "enabled" if wish.enabled else "disabled"}
    if wish.budget is not None:
        body["thinking"]["budget_tokens"] = wish.budget
    return body | ({"reasoning_format": "hidden"} if wish.hide else {})


def templated(wish: Wish) -> dict[str, Any]:
    """As vLLM writes it."""
    said = {"enable_thinking": wish.enabled, "thinking": wish.enabled, "reasoning_effort": wish.effort}
    body: dict[str, Any] = {"chat_template_kwargs": {key: value for key, value in said.items() if value is not None}}
    body |= {"thinking_budget": wish.budget} if wish.budget is not None else {}
    return body | ({"include_reasoning": False} if wish.hide else {})


def configured(wish: Wish) -> dict[str, Any]:
    """As Gemini writes it."""
    off = 0 if wish.enabled is False else -1 if wish.enabled and not wish.effort else None
    said = {"thinking_level": wish.effort, "thinking_budget": off if wish.budget is None else wish.budget}
    config = {key: value for key, value in said.items() if value is not None}
    return {"extra_body": {"google": {"thinking_config": config | ({"include_thoughts": False} if wish.hide else {})}}}


SPELLINGS = (objects, flat, typed, templated, configured)
WISHES = tuple(wishes())


def models(name: str) -> list[str]:
    """A model for each pattern of a built-in, and one that fits none."""
    return ["some-model", *(pattern.replace("*", "") for pattern in data(name).get("models", {}))]


TARGETS = [(name, model) for name in names() for model in models(name)]


def controls(request: Request) -> bool:
    return any(x is not None for x in (request.on, request.off, request.effort, request.budget, request.hide))


def check(name: str, model: str, wish: Wish, body: dict[str, Any]) -> None:
    """The host reads the wish in what is sent; whatever it reads otherwise stands in a note."""
    speaks = manner(name, model)
    prepared = prepare({"model": "asked", "messages": [], **body}, speaks, model=model)
    if not controls(speaks.request):
        assert prepared.body == {"messages": [], "model": model, **body, **speaks.request.set}
        return
    found = understood(name, model, prepared.body)
    reasons = found.enabled if found.enabled is not None else speaks.request.default == "on"
    assert prepared.reasoning == reasons, "what the proxy takes the host to do is what the host does"
    _compare(name, wish, prepared, found.effort, found.budget, hidden=found.hide is True)


def _compare(
    name: str, wish: Wish, prepared: Prepared, effort: str | None, budget: int | None, *, hidden: bool
) -> None:
    def noted(start: str) -> bool:
        return any(note.startswith(start) for note in prepared.notes)

    if wish.enabled is not None and wish.enabled != prepared.reasoning:
        graded = [f"effort={wish.effort} dropped", f"budget={wish.budget} dropped"]
        assert noted("on" if wish.enabled else "off") or any(map(noted, graded))
    if wish.effort is not None and effort != wish.effort:
        assert noted(f"effort={wish.effort}")
    if wish.budget is not None and budget != wish.budget:
        assert noted(f"budget={wish.budget}")
    if wish.hide and prepared.reasoning and not hidden:
        assert noted("hide->drop")
        assert prepared.hide, "the proxy hides what the host was not told to"
    if not wish.hide and name not in ALWAYS_HIDDEN:
        assert not hidden, "nothing is hidden that was not asked to be"
    if wish.enabled is None:
        assert (effort, budget) == (None, None), "no grade is made up"
    graded_as = [note.partition("->")[2] for note in prepared.notes]
    if wish.effort is None and wish.budget is not None and effort is not None:
        assert f"effort={effort}" in graded_as
    if wish.budget is None and wish.effort is not None and budget is not None:
        assert f"budget={budget}" in graded_as


@pytest.mark.parametrize("name", names())
def test_each_host_understands_each_wish_or_a_note_says_how_it_differs(name: str) -> None:
    for model, wish, spelling in itertools.product(models(name), WISHES, SPELLINGS):
        check(name, model, wish, spelling(wish))


@given(
    st.sampled_from(TARGETS), st.integers(1, 200_000), st.integers(1, 200_000) | st.none(), st.sampled_from(SPELLINGS)
)
def test_any_budget_is_understood_or_noted(
    target: tuple[str, str], budget: int, limit: int | None, spelling: Any
) -> None:
    wish = Wish(enabled=True, budget=budget)
    check(*target, wish, {**spelling(wish), **({} if limit is None else {"max_tokens": limit})})


def test_hosts_whose_words_nobody_reads_get_the_words_of_the_client() -> None:
    relays = {name for name in names() if not any(controls(manner(name, model).request) for model in models(name))}
    assert set(names()) - set(VOCABULARY) == relays
