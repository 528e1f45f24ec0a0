"""The client's request → the body of the target: nothing is lost in silence, nothing is changed in place."""

import copy
from typing import Any

import pytest

from proxy.core.dialect import Budget, Effort, History, Manner, Request
from proxy.core.errors import RequestInvalid
from proxy.core.request import BUDGETS, LEVELS, Prepared, prepare

MESSAGES = [{"role": "user", "content": "Why?"}]
EFFORT = Effort(levels=("low", "medium", "high"))
BUDGET = Budget(min=1024, max=32000)


def ask(request: Request, **keys: Any) -> Prepared:
    """A body with `keys`, prepared for a target; `body` of the result is without model and messages."""
    body = {"model": "asked", "messages": MESSAGES, **keys}
    before = copy.deepcopy(body)
    prepared = prepare(body, Manner(request=request), model="target")
    assert body == before
    assert prepared.body.pop("model") == "target"
    assert prepared.body.pop("messages") is MESSAGES
    return prepared


def said(request: Request, **keys: Any) -> tuple[dict[str, Any], bool, str]:
    prepared = ask(request, **keys)
    return prepared.body, prepared.reasoning, ", ".join(prepared.notes)


def test_without_controls_the_clients_words_pass_as_they_are() -> None:
    words = {"reasoning_effort": "xhigh", "thinking": {"type": "enabled", "keep": "all"}, "temperature": 0.5}
    assert said(Request(), **words) == (words, True, "")


@pytest.mark.parametrize("default", ["on", "off"])
@pytest.mark.parametrize(("words", "expected"), [({"think": False}, False), ({"think": True}, True), ({}, None)])
@pytest.mark.parametrize("on", [None, {}])
def test_whether_the_target_reasons_is_the_wish_else_its_default(
    default: Any, words: dict[str, Any], expected: bool | None, on: Any
) -> None:
    request = Request(default=default, on=on, off=on)
    assert ask(request, **words).reasoning is (expected if expected is not None else default == "on")


def test_a_default_effort_is_used_where_the_caller_named_none() -> None:
    plain = Request(default_effort="low")
    assert said(plain) == ({"reasoning_effort": "low"}, True, "")
    assert said(plain, think=True) == ({"think": True, "reasoning_effort": "low"}, True, "")
    for words in ({"think": False}, {"reasoning_effort": "high"}, {"thinking_budget": 9}):
        assert ask(plain, **words).body == words
    assert said(Request(default_effort="none")) == ({"reasoning_effort": "none"}, False, "")
    assert said(Request(default_effort="none"), think=True) == ({"think": True}, True, "")


def test_a_default_effort_is_written_the_targets_way_and_never_noted_or_refused() -> None:
    on = {"enable_thinking": True}
    graded = Request(effort=EFFORT, default_effort="max", on_unsupported="reject")
    assert said(graded) == ({"reasoning_effort": "high"}, True, "")
    assert said(graded, think=True) == ({"reasoning_effort": "high"}, True, "")
    assert said(graded, reasoning_effort="low") == ({"reasoning_effort": "low"}, True, "")
    switched = Request(on=on, effort=EFFORT, default="off", default_effort="low")
    assert said(switched) == ({**on, "reasoning_effort": "low"}, True, "")
    assert said(Request(on=on, default_effort="low")) == ({}, True, "")
    assert said(Request(on=on, budget=BUDGET, default_effort="low")) == (
        {"thinking": {"budget_tokens": 2048}},
        True,
        "",
    )
    off = Request(on=on, off={"enable_thinking": False}, default_effort="none")
    assert said(off) == ({"enable_thinking": False}, False, "")
    assert said(off, think=True) == (on, True, "")


def test_spellings_of_the_client_are_replaced_by_those_of_the_target() -> None:
    request = Request(on={"chat_template_kwargs": {"thinking": True}}, effort=EFFORT)
    words = {"chat_template_kwargs": {"enable_thinking": True, "x": 1}, "think": "high", "seed": 1}
    expected = {"chat_template_kwargs": {"x": 1, "thinking": True}, "reasoning_effort": "high", "seed": 1}
    assert said(request, **words) == (expected, True, "")


def test_what_the_target_does_not_know_beside_a_spelling_leaves_with_a_note() -> None:
    words = {"thinking": {"type": "enabled", "keep": "all"}}
    assert said(Request(on={"thinking": {"type": "enabled"}}), **words) == (words, True, "")
    assert said(Request(on={"think": True}), **words) == ({"think": True}, True, "thinking.keep dropped")


def test_a_format_in_which_reasoning_stands_in_the_answer_is_noted() -> None:
    assert said(Request(on={}), reasoning_format="raw") == ({}, True, "reasoning_format=raw dropped")
    fixed = Request(on={}, set={"reasoning_format": "parsed"})
    assert said(fixed, reasoning_format="raw") == ({"reasoning_format": "parsed"}, True, "")


@pytest.mark.parametrize(
    ("effort", "word", "sent", "note"),
    [
        (EFFORT, "low", "low", ""),
        (EFFORT, "minimal", "low", "effort=minimal->low"),
        (EFFORT, "xhigh", "high", "effort=xhigh->high"),
        (EFFORT, "ultra", "high", "effort=ultra->high"),
        (Effort(levels=("none", "low", "high")), "minimal", "low", "effort=minimal->low"),
        (Effort(levels=("low", "high")), "medium", "low", "effort=medium->low"),
        (Effort(levels=("low", "high"), map={"medium": "high"}), "medium", "high", "effort=medium->high"),
        (Effort(levels=("high",), map={"high": "HIGH"}), "max", "HIGH", "effort=max->HIGH"),
        (Effort(), "any-word", "any-word", ""),
        (EFFORT, "turbo", None, "effort=turbo dropped"),
        (Effort(levels=("default",)), "high", None, "effort=high dropped"),
        (Effort(levels=("default",)), "default", "default", ""),
    ],
)
def test_an_effort_is_mapped_or_clamped_to_the_nearest_level(effort: Effort, word: str, sent: Any, note: str) -> None:
    body = {} if sent is None else {"reasoning_effort": sent}
    assert said(Request(effort=effort), reasoning_effort=word) == (body, True, note)


@pytest.mark.parametrize(
    ("tokens", "limits", "sent", "note"),
    [
        (2048, {}, 2048, ""),
        (200, {}, 1024, "budget=200->1024"),
        (99999, {}, 32000, "budget=99999->32000"),
        (8000, {"max_tokens": 4096}, 4095, "budget=8000->4095"),
        (8000, {"max_tokens": 4096, "max_completion_tokens": 6000}, 5999, "budget=8000->5999"),
        (8000, {"max_tokens": None}, 8000, ""),
        (8000, {"max_tokens": True}, 8000, ""),
        (2000, {"max_tokens": 1024}, None, "budget=2000 dropped"),
    ],
)
def test_a_budget_is_kept_within_bounds(tokens: int, limits: dict[str, Any], sent: Any, note: str) -> None:
    request = Request(budget=Budget("a.b.c", min=1024, max=32000, below_max_tokens=True))
    body = limits if sent is None else {**limits, "a": {"b": {"c": sent}}}
    assert said(request, thinking_budget=tokens, **limits) == (body, True, note)


def test_a_budget_that_the_switch_brings_is_kept_below_max_tokens() -> None:
    on = {"thinking": {"type": "enabled", "budget_tokens": 4096}}
    request = Request(on=on, budget=Budget(min=1024, below_max_tokens=True))
    short = {"thinking": {"type": "enabled", "budget_tokens": 1999}}
    assert said(request, think=True) == (on, True, "")
    assert said(request, think=True, max_tokens=2000) == ({"max_tokens": 2000, **short}, True, "budget=4096->1999")
    assert said(request, think=True, max_tokens=500) == ({"max_tokens": 500, **on}, True, "")
    assert said(request, thinking_budget=3000)[0] == {"thinking": {"type": "enabled", "budget_tokens": 3000}}
    dynamic = Request(on={"thinking": {"budget_tokens": -1}}, budget=BUDGET)
    assert said(dynamic, think=True) == ({"thinking": {"budget_tokens": -1}}, True, "")


@pytest.mark.parametrize(("word", "tokens"), BUDGETS.items())
def test_effort_becomes_a_budget_and_back(word: str, tokens: int) -> None:
    budgeted, graded = Request(budget=Budget("b")), Request(effort=Effort(levels=LEVELS))
    assert said(budgeted, reasoning_effort=word) == ({"b": tokens}, True, f"effort={word}->budget={tokens}")
    expected = {"reasoning_effort": word}
    assert said(graded, thinking_budget=tokens) == (expected, True, f"budget={tokens}->effort={word}")


def test_a_converted_value_is_clamped_too() -> None:
    low = Request(budget=Budget("b", max=9000))
    assert said(low, reasoning_effort="high") == ({"b": 9000}, True, "effort=high->budget=9000")
    assert said(low, reasoning_effort="odd") == ({}, True, "effort=odd dropped")
    assert said(Request(effort=EFFORT), thinking_budget=60000) == (
        {"reasoning_effort": "high"},
        True,
        "budget=60000->effort=high",
    )


def test_of_effort_and_budget_one_is_sent() -> None:
    both = {"reasoning_effort": "high", "thinking_budget": 2048}
    budget, effort = {"thinking": {"budget_tokens": 2048}}, {"reasoning_effort": "high"}
    assert said(Request(effort=EFFORT, budget=BUDGET), **both) == (budget, True, "effort=high dropped")
    assert said(Request(budget=BUDGET), **both) == (budget, True, "effort=high dropped")
    assert said(Request(effort=EFFORT), **both) == (effort, True, "budget=2048 dropped")
    assert said(Request(on={}), **both) == ({}, True, "effort=high dropped, budget=2048 dropped")


@pytest.mark.parametrize(
    ("request_", "sent", "reasons", "note"),
    [
        (Request(off={"a": {"b": False}}), {"a": {"b": False}}, False, ""),
        (Request(off={}), {}, False, ""),
        (Request(effort=Effort(levels=("none", "low"))), {"reasoning_effort": "none"}, False, ""),
        (Request(effort=Effort(levels=("low",), map={"none": "low"})), {"reasoning_effort": "low"}, True, "off->low"),
        (Request(on={"think": True}, default="off"), {}, False, ""),
        (Request(effort=EFFORT), {"reasoning_effort": "low"}, True, "off->low"),
        (Request(effort=Effort()), {}, True, "off dropped"),
        (Request(budget=BUDGET), {"thinking": {"budget_tokens": 1024}}, True, "off->budget=1024"),
        (Request(budget=Budget()), {}, True, "off dropped"),
        (Request(on={}), {}, True, "off dropped"),
        (Request(effort=EFFORT, on_unsupported="drop"), {}, True, "off dropped"),
    ],
)
@pytest.mark.parametrize("words", [{"reasoning_effort": "none"}, {"think": False}, {"thinking_budget": 0}], ids=str)
def test_off_is_sent_or_the_nearest_to_it(
    request_: Request, sent: dict[str, Any], reasons: bool, note: str, words: dict[str, Any]
) -> None:
    assert said(request_, **words) == (sent, reasons, note)


@pytest.mark.parametrize(
    ("request_", "sent", "reasons", "note"),
    [
        (Request(on={"a": {"b": True}}), {"a": {"b": True}}, True, ""),
        (Request(off={"think": False}), {}, True, ""),
        (Request(effort=EFFORT, default="off"), {"reasoning_effort": "medium"}, True, "on->medium"),
        (
            Request(effort=EFFORT, default="off", on_unsupported="reject"),
            {"reasoning_effort": "medium"},
            True,
            "on->medium",
        ),
        (Request(effort=Effort(levels=("high",)), default="off"), {"reasoning_effort": "high"}, True, "on->high"),
        (
            Request(effort=Effort(map={"medium": "none"}), default="off"),
            {"reasoning_effort": "none"},
            False,
            "on->none",
        ),
        (Request(budget=Budget("b"), default="off"), {"b": 8192}, True, "on->budget=8192"),
        (Request(off={}, default="off"), {}, False, "on dropped"),
    ],
)
def test_on_is_sent_or_the_nearest_to_it(request_: Request, sent: Any, reasons: bool, note: str) -> None:
    assert said(request_, think=True) == (sent, reasons, note)


def test_an_effort_that_is_lost_still_switches_reasoning_on() -> None:
    request = Request(effort=EFFORT, default="off")
    assert said(request, think="turbo") == (
        {"reasoning_effort": "medium"},
        True,
        "effort=turbo dropped, on->medium",
    )
    assert said(Request(off={}, default="off"), think="high") == ({}, False, "effort=high dropped")
    assert said(Request(effort=Effort(map={"minimal": "none"})), think="minimal") == (
        {"reasoning_effort": "none"},
        False,
        "effort=minimal->none",
    )


def test_a_choice_left_to_the_model_is_on_and_noted_where_the_target_has_no_such_word() -> None:
    adaptive = {"thinking": {"type": "adaptive"}}
    assert said(Request(on=adaptive), **adaptive) == (adaptive, True, "")
    assert said(Request(on={"think": True}), **adaptive) == ({"think": True}, True, "adaptive->on")


def test_what_shall_be_hidden_the_proxy_hides_except_from_answers_that_pass_as_they_are() -> None:
    hide = {"include_reasoning": False}
    for request in (Request(), Request(on={}), Request(on={}, hide=hide), Request(on={}, hide={})):
        assert ask(request, **hide).hide
        assert not ask(request, reasoning={"exclude": False}).hide
    verbatim = prepare({"messages": [], **hide}, Manner(request=Request(on={})), model="m", verbatim=True)
    assert (verbatim.hide, verbatim.notes) == (False, ("hide dropped",))


def test_hiding_is_sent_noted_or_without_meaning() -> None:
    hide = {"include_reasoning": False}
    assert said(Request(hide=hide), reasoning={"exclude": True}) == (hide, True, "")
    assert said(Request(hide=hide), reasoning={"exclude": False}) == ({}, True, "")
    assert said(Request(on={}), reasoning={"exclude": True}) == ({}, True, "hide->drop")
    assert said(Request(on={}, off={}), reasoning={"exclude": True, "enabled": False}) == ({}, False, "")


@pytest.mark.parametrize(
    ("request_", "words", "param"),
    [
        (Request(effort=EFFORT), {"reasoning": {"effort": "max"}}, "reasoning.effort"),
        (Request(on={}), {"reasoning_effort": "low"}, "reasoning_effort"),
        (Request(budget=BUDGET), {"reasoning_effort": "low"}, "reasoning_effort"),
        (Request(budget=BUDGET), {"thinking_budget": 5}, "thinking_budget"),
        (Request(effort=EFFORT), {"thinking_budget": 5}, "thinking_budget"),
        (Request(on={}), {"thinking": {"type": "disabled"}}, "thinking.type"),
        (Request(effort=EFFORT), {"think": False}, "think"),
        (Request(on={}), {"include_reasoning": False}, "include_reasoning"),
        (Request(off={}, default="off"), {"think": True}, "think"),
    ],
)
def test_reject_refuses_what_clamp_and_drop_note(request_: Request, words: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        ask(_with(request_, "reject"), **words)
    assert caught.value.param == param
    assert param in caught.value.message
    dropped = ask(_with(request_, "drop"), **words)
    assert [note for note in dropped.notes if not note.endswith(" dropped")] == (["hide->drop"] if dropped.hide else [])
    assert dropped.notes
    assert ask(_with(request_, "clamp"), **words).notes


def _with(request: Request, word: Any) -> Request:
    return Request(
        on=request.on, off=request.off, effort=request.effort, budget=request.budget, default=request.default,
        on_unsupported=word,
    )  # fmt: skip


def test_set_is_merged_last_and_strip_takes_keys_of_the_client() -> None:
    request = Request(set={"a": {"b": 1}, "top_k": 5, "stop": ("x",)}, strip=("logprobs", "seed"))
    body, _, note = said(request, a={"b": 0, "c": 2}, top_k=1, logprobs=True)
    assert body == {"a": {"b": 1, "c": 2}, "top_k": 5, "stop": ["x"]}
    assert note == "logprobs dropped"


def test_a_key_inside_an_object_is_stripped_with_a_note_and_leaves_no_empty_object() -> None:
    request = Request(on={"thinking": {"type": "enabled"}}, strip=("thinking.keep", "a.b.c", "messages.x"))
    kept = ask(request, thinking={"type": "enabled", "keep": "all"}, a={"b": {"c": 1}, "d": 2})
    assert (kept.body["thinking"], kept.body["a"]) == ({"type": "enabled"}, {"d": 2})
    assert kept.notes == ("thinking.keep dropped", "a.b.c dropped")
    assert "thinking" not in ask(request, thinking={"keep": "all"}).body
    assert ask(request, a={"b": 1}).notes == ()


def test_the_grade_that_on_brings_gives_way_to_the_one_that_was_asked_for() -> None:
    reasoning = Request(
        on={"reasoning": {"effort": "medium"}, "temperature": 1},
        effort=Effort("reasoning.effort", ("low", "medium", "high")),
        budget=Budget("reasoning.max_tokens"),
    )
    assert said(reasoning, think=True)[0] == {"reasoning": {"effort": "medium"}, "temperature": 1}
    assert said(reasoning, think="high")[0] == {"reasoning": {"effort": "high"}, "temperature": 1}
    assert said(reasoning, thinking_budget=7)[0] == {"reasoning": {"max_tokens": 7}, "temperature": 1}


def test_a_budget_may_bring_a_switch_of_its_own() -> None:
    request = Request(
        on={}, effort=Effort(levels=("low",)), budget=Budget(min=1024, beside={"thinking": {"type": "enabled"}})
    )
    assert said(request, thinking_budget=2048)[0] == {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    assert said(request, think="low")[0] == {"reasoning_effort": "low"}
    kept = {"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "x"}}
    assert said(request, **kept)[0] == kept, "the object is the target's own"


def test_a_set_that_switches_reasoning_decides() -> None:
    off = Request(set={"chat_template_kwargs": {"enable_thinking": False}})
    assert ask(off).reasoning is False
    assert said(off, think=True)[1:] == (False, "on->off")
    assert said(Request(default="off", set={"think": "high"}), enable_thinking=False)[1:] == (True, "off->on")
    assert said(off, enable_thinking=False)[1:] == (False, "")
    assert ask(Request(set={"thinking": {"type": 3}})).reasoning is True


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": {}}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{}, "x"]}, "messages[1]"),
        ({"messages": [], "stream_options": True}, "stream_options"),
    ],
)
def test_a_body_of_the_wrong_shape_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        prepare(body, Manner(), model="m")
    assert caught.value.param == param


def test_a_body_without_messages_gets_its_model_and_nothing_else() -> None:
    manner = Manner(request=Request(on={"x": 1}, set={"y": 1}, strip=("input",), default="off"))
    body = {"model": "a", "input": "text", "reasoning": {"effort": "high"}, "stream": True}
    assert prepare(body, manner, model="b") == Prepared({**body, "model": "b"}, reasoning=False, notes=())


def test_earlier_messages_are_rewritten() -> None:
    messages = [{"role": "assistant", "content": "So.", "reasoning_content": "because"}, *MESSAGES]
    body, manner = {"messages": messages}, Manner(history=History(replay="auto"))
    assert prepare(body, manner, model="m").body["messages"][0] == {"role": "assistant", "content": "So."}
    assert prepare(body, manner, model="m", seen_field="reasoning_content").body["messages"] is messages
