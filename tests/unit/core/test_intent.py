"""Every spelling in use says the same thing; two that disagree are refused."""

import copy
from typing import Any

import pytest
from hypothesis import given

from proxy.core.errors import RequestInvalid
from proxy.core.intent import MAX_BUDGET, Intent, parse, without_spellings
from tests.support.request_bodies import BODIES

ON = {"enabled": True}
OFF = {"enabled": False}
HIGH = {"enabled": True, "effort": "high"}
BUDGET = {"enabled": True, "budget": 2048}
HIDDEN = {"hide": True}
SHOWN = {"hide": False}

SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"temperature": 1}, {}),
    ({"reasoning_effort": "high"}, HIGH),
    ({"reasoning_effort": "HIGH"}, HIGH),
    ({"reasoning_effort": "none"}, OFF),
    ({"reasoning_effort": "default"}, {"enabled": True, "effort": "default"}),
    ({"reasoning_effort": None}, {}),
    ({"reasoning": {"effort": "high"}}, HIGH),
    ({"reasoning": {"effort": "none"}}, OFF),
    ({"reasoning": {"max_tokens": 2048}}, BUDGET),
    ({"reasoning": {"max_tokens": 0}}, OFF),
    ({"reasoning": {"enabled": True}}, ON),
    ({"reasoning": {"enabled": False}}, OFF),
    ({"reasoning": {"exclude": True}}, HIDDEN),
    ({"reasoning": {"exclude": False}}, SHOWN),
    ({"reasoning": {"summary": "auto"}}, {}),
    ({"reasoning": {}}, {}),
    ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, BUDGET),
    ({"thinking": {"type": "enabled"}}, ON),
    ({"thinking": {"type": "disabled"}}, OFF),
    ({"thinking": {"type": "disabled", "budget_tokens": 0}}, OFF),
    ({"thinking": {"type": "adaptive"}}, {"enabled": True, "auto": "adaptive"}),
    ({"thinking": {"type": "auto"}}, {"enabled": True, "auto": "auto"}),
    ({"thinking": {"type": None}}, {}),
    ({"thinking": True}, ON),
    ({"thinking": False}, OFF),
    ({"thinking": "enabled"}, ON),
    ({"thinking": "off"}, OFF),
    ({"thinking": "auto"}, {"enabled": True, "auto": "auto"}),
    ({"thinking": "high"}, HIGH),
    ({"thinking": "none"}, OFF),
    ({"thinking": None}, {}),
    ({"enable_thinking": True}, ON),
    ({"enable_thinking": False}, OFF),
    ({"thinking_budget": 2048}, BUDGET),
    ({"thinking_budget": -1}, ON),
    ({"enable_thinking": True, "thinking_budget": 2048}, BUDGET),
    ({"chat_template_kwargs": {"enable_thinking": True}}, ON),
    ({"chat_template_kwargs": {"thinking": False}}, OFF),
    ({"chat_template_kwargs": {"thinking": True, "enable_thinking": True, "other": [1]}}, ON),
    ({"chat_template_kwargs": {"reasoning_effort": "high"}}, HIGH),
    ({"chat_template_args": {"enable_thinking": False}}, OFF),
    ({"think": True}, ON),
    ({"think": False}, OFF),
    ({"think": "high"}, HIGH),
    ({"include_reasoning": False}, HIDDEN),
    ({"include_reasoning": True}, SHOWN),
    ({"reasoning_format": "hidden"}, HIDDEN),
    ({"reasoning_format": "parsed"}, SHOWN),
    ({"extra_body": {"google": {"thinking_config": {"thinking_budget": 2048}}}}, BUDGET),
    ({"extra_body": {"google": {"thinking_config": {"thinking_budget": 0}}}}, OFF),
    ({"extra_body": {"google": {"thinking_config": {"thinking_level": "HIGH"}}}}, HIGH),
    ({"extra_body": {"google": {"thinking_config": {"include_thoughts": False}}}}, HIDDEN),
    ({"google": {"thinking_config": {"include_thoughts": True, "thinking_budget": -1}}}, {**ON, **SHOWN}),
    ({"google": {"thinkingConfig": {"thinkingLevel": "high", "includeThoughts": True}}}, {**HIGH, **SHOWN}),
    ({"reasoning_effort": "high", "thinking": {"type": "enabled", "budget_tokens": 2048}}, {**HIGH, **BUDGET}),
    ({"reasoning_effort": "high", "google": {"thinking_config": {"thinking_level": "High"}}}, HIGH),
    ({"thinking": {"type": "auto"}, "think": "adaptive"}, {"enabled": True, "auto": "auto"}),
    ({"reasoning_effort": "none", "include_reasoning": False}, {**OFF, **HIDDEN}),
]


@pytest.mark.parametrize(("body", "expected"), SPELLINGS, ids=lambda value: str(value)[:70])
def test_each_spelling_gives_its_intent(body: dict[str, Any], expected: dict[str, Any]) -> None:
    intent = parse(body)
    assert {name: getattr(intent, name) for name in ("enabled", "effort", "budget", "hide", "auto")} == {
        **dict.fromkeys(("enabled", "effort", "budget", "hide", "auto")),
        **expected,
    }


def test_sources_name_the_key_that_said_it_first() -> None:
    body = {"reasoning_effort": "low", "think": True, "reasoning": {"exclude": True, "max_tokens": 5}}
    assert parse(body).sources == {
        "enabled": "reasoning_effort",
        "effort": "reasoning_effort",
        "hide": "reasoning.exclude",
        "budget": "reasoning.max_tokens",
    }


CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"reasoning_effort": "none", "thinking": {"type": "enabled"}}, "reasoning_effort", "thinking.type"),
    ({"thinking": {"type": "enabled"}, "reasoning_effort": "none"}, "thinking.type", "reasoning_effort"),
    ({"enable_thinking": False, "thinking_budget": 100}, "enable_thinking", "thinking_budget"),
    ({"enable_thinking": True, "think": False}, "enable_thinking", "think"),
    ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning_effort", "reasoning.effort"),
    ({"reasoning": {"enabled": False, "effort": "low"}}, "reasoning.enabled", "reasoning.effort"),
    ({"thinking_budget": 1, "thinking": {"budget_tokens": 2}}, "thinking_budget", "thinking.budget_tokens"),
    ({"include_reasoning": True, "reasoning_format": "hidden"}, "include_reasoning", "reasoning_format"),
    (
        {"reasoning": {"exclude": True}, "google": {"thinking_config": {"include_thoughts": True}}},
        "reasoning.exclude",
        "google.thinking_config.include_thoughts",
    ),
    (
        {"chat_template_kwargs": {"enable_thinking": True, "thinking": False}},
        "chat_template_kwargs.enable_thinking",
        "chat_template_kwargs.thinking",
    ),
]


@pytest.mark.parametrize(("body", "first", "second"), CONTRADICTIONS)
def test_two_spellings_that_disagree_are_refused_and_both_named(body: dict[str, Any], first: str, second: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        parse(body)
    assert caught.value.message.startswith(f"{first} and {second} contradict each other: ")
    assert caught.value.param == second


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"reasoning_effort": 3}, "reasoning_effort"),
    ({"reasoning_effort": ""}, "reasoning_effort"),
    ({"reasoning_effort": "high\r\nx-evil: 1"}, "reasoning_effort"),
    ({"reasoning_effort": "h" * 33}, "reasoning_effort"),
    ({"reasoning_effort": ["high"]}, "reasoning_effort"),
    ({"reasoning": "high"}, "reasoning"),
    ({"reasoning": {"max_tokens": "2048"}}, "reasoning.max_tokens"),
    ({"reasoning": {"max_tokens": True}}, "reasoning.max_tokens"),
    ({"reasoning": {"max_tokens": 1.5}}, "reasoning.max_tokens"),
    ({"reasoning": {"max_tokens": -2}}, "reasoning.max_tokens"),
    ({"reasoning": {"max_tokens": MAX_BUDGET + 1}}, "reasoning.max_tokens"),
    ({"reasoning": {"enabled": "yes"}}, "reasoning.enabled"),
    ({"reasoning": {"exclude": 1}}, "reasoning.exclude"),
    ({"reasoning": {"summary": {}}}, "reasoning.summary"),
    ({"thinking": {"type": "turbo"}}, "thinking.type"),
    ({"thinking": {"type": True}}, "thinking.type"),
    ({"thinking": 3}, "thinking"),
    ({"thinking": []}, "thinking"),
    ({"enable_thinking": "true"}, "enable_thinking"),
    ({"chat_template_kwargs": []}, "chat_template_kwargs"),
    ({"chat_template_kwargs": {"thinking": "high"}}, "chat_template_kwargs.thinking"),
    ({"think": 1}, "think"),
    ({"include_reasoning": "no"}, "include_reasoning"),
    ({"reasoning_format": 1}, "reasoning_format"),
    ({"extra_body": "x"}, "extra_body"),
    ({"extra_body": {"google": 1}}, "extra_body.google"),
    ({"google": {"thinking_config": {"thinking_budget": "x"}}}, "google.thinking_config.thinking_budget"),
]


@pytest.mark.parametrize(("body", "param"), WRONG)
def test_a_wrong_type_is_refused_and_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        parse(body)
    assert caught.value.param == param
    assert param in caught.value.message
    assert caught.value.status == 400


def test_a_contradiction_says_what_each_side_asks_for() -> None:
    with pytest.raises(RequestInvalid, match="effort low, then effort high"):
        parse({"reasoning_effort": "low", "think": "high"})
    with pytest.raises(RequestInvalid, match="reasoning hidden, then reasoning shown"):
        parse({"reasoning_format": "hidden", "include_reasoning": True})
    with pytest.raises(RequestInvalid, match="reasoning on, then reasoning off"):
        parse({"think": True, "thinking": False})


@pytest.mark.parametrize(
    "body", [body for body, expected in SPELLINGS if expected and "other" not in str(body)], ids=lambda b: str(b)[:70]
)
def test_no_spelling_is_left_when_they_are_taken_out(body: dict[str, Any]) -> None:
    assert without_spellings({**body, "model": "m", "messages": []}, frozenset()) == (
        {"model": "m", "messages": []},
        [],
    )


def test_what_stands_beside_a_spelling_in_a_general_object_stays() -> None:
    body = {
        "chat_template_kwargs": {"enable_thinking": True, "preserve_thinking": True},
        "extra_body": {"google": {"thinking_config": {"include_thoughts": True}, "cached_content": "c"}, "x": 1},
    }
    assert without_spellings(body, frozenset()) == (
        {
            "chat_template_kwargs": {"preserve_thinking": True},
            "extra_body": {"google": {"cached_content": "c"}, "x": 1},
        },
        [],
    )


def test_what_stands_beside_a_spelling_in_a_reasoning_object_stays_only_where_the_target_knows_the_object() -> None:
    body = {
        "thinking": {"type": "enabled", "keep": "all", "a\nb": 1},
        "reasoning": {"summary": "auto", "effort": "low"},
    }
    assert without_spellings(body, frozenset({"thinking"})) == (
        {"thinking": {"keep": "all", "a\nb": 1}},
        ["reasoning.summary"],
    )
    assert without_spellings(body, frozenset({"reasoning"})) == (
        {"reasoning": {"summary": "auto"}},
        ["thinking.keep", "thinking.*"],
    )


@given(BODIES)
def test_any_body_gives_an_intent_or_a_refusal_and_stays_as_it_is(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    refusal: RequestInvalid | None = None
    try:
        intent = parse(body)
    except RequestInvalid as raised:
        refusal = raised
    if refusal is not None:
        assert refusal.param
    else:
        assert intent.enabled is not False or not intent.graded
        assert intent.enabled is not None or not intent.graded
        rest, left = without_spellings(body, frozenset())
        assert parse(rest) == Intent()
        assert all(path.isprintable() for path in left)
    assert repr(body) == repr(before)
