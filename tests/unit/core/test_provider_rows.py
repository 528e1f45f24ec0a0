"""Every way in which a known host is asked, and takes history back, can be said as data.

One row per host and model line; facts and sources: docs/dialects.md and the files in config/providers.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.core.dialect import Budget, Dialect, Effort, History, Manner, Request, UsageRules
from proxy.core.history import rewrite
from proxy.core.request import BUDGETS, prepare

LMH = ("low", "medium", "high")
TYPE_ON, TYPE_OFF = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}
HIGH, LOW, NONE = ({"reasoning_effort": word} for word in ("high", "low", "none"))
UP = {"minimal": "low", "medium": "high", "xhigh": "high"}


def google(**keys: Any) -> dict[str, Any]:
    return {"extra_body": {"google": {"thinking_config": keys}}}


def template(**keys: Any) -> dict[str, Any]:
    return {"chat_template_kwargs": keys}


def budgeted(tokens: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


@dataclass(frozen=True)
class Row:
    """What leaves for each wish: (fields, whether the target reasons, notes)."""

    request: Request
    on: tuple[dict[str, Any], bool, str]
    off: tuple[dict[str, Any], bool, str]
    low: tuple[dict[str, Any], bool, str]
    high: tuple[dict[str, Any], bool, str]
    budget: tuple[dict[str, Any], bool, str]
    hide: tuple[dict[str, Any], bool, str] = ({}, True, "hide->drop")
    unasked: dict[str, Any] = field(default_factory=dict)


WISHES: dict[str, dict[str, Any]] = {
    "on": {"thinking": {"type": "enabled"}},
    "off": {"reasoning_effort": "none"},
    "low": {"reasoning": {"effort": "low"}},
    "high": {"chat_template_kwargs": {"reasoning_effort": "high"}},
    "budget": {"thinking_budget": 2048},
    "hide": {"include_reasoning": False},
    "unasked": {},
}

B = "budget=2048"
SWITCH = Request(on={"enable_thinking": True}, off={"enable_thinking": False}, budget=Budget("thinking_budget"))
ROWS: dict[str, Row] = {
    "openai gpt-5.1": Row(
        Request(off=NONE, effort=Effort(levels=LMH), default="off"),
        ({"reasoning_effort": "medium"}, True, "on->medium"), (NONE, False, ""), (LOW, True, ""), (HIGH, True, ""),
        (LOW, True, f"{B}->effort=low"), hide=({}, False, ""),
    ),
    "openai o-series": Row(
        Request(on={}, effort=Effort(levels=LMH)),
        ({}, True, ""), (LOW, True, "off->low"), (LOW, True, ""), (HIGH, True, ""), (LOW, True, f"{B}->effort=low"),
    ),
    "openai chat model": Row(
        Request(off={}, default="off"),
        ({}, False, "on dropped"), ({}, False, ""), ({}, False, "effort=low dropped"),
        ({}, False, "effort=high dropped"), ({}, False, f"{B} dropped"), hide=({}, False, ""),
    ),
    "openrouter": Row(
        Request(
            on={"reasoning": {"enabled": True}}, off={"reasoning": {"enabled": False}},
            effort=Effort("reasoning.effort"), budget=Budget("reasoning.max_tokens"), hide={"reasoning": {"exclude": True}},
        ),
        ({"reasoning": {"enabled": True}}, True, ""), ({"reasoning": {"enabled": False}}, False, ""),
        ({"reasoning": {"enabled": True, "effort": "low"}}, True, ""),
        ({"reasoning": {"enabled": True, "effort": "high"}}, True, ""),
        ({"reasoning": {"enabled": True, "max_tokens": 2048}}, True, ""), ({"reasoning": {"exclude": True}}, True, ""),
    ),
    "anthropic compat, databricks": Row(
        Request(on=budgeted(4096), off={}, budget=Budget(min=1024, below_max_tokens=True), default="off"),
        (budgeted(4096), True, ""), ({}, False, ""), (budgeted(2048), True, "effort=low->budget=2048"),
        (budgeted(16384), True, "effort=high->budget=16384"), (budgeted(2048), True, ""), hide=({}, False, ""),
    ),
    "deepseek": Row(
        Request(on=TYPE_ON, off=TYPE_OFF, effort=Effort(levels=("low", "high", "max"), map=UP)),
        (TYPE_ON, True, ""), (TYPE_OFF, False, ""), ({**TYPE_ON, **LOW}, True, ""), ({**TYPE_ON, **HIGH}, True, ""),
        ({**TYPE_ON, **LOW}, True, f"{B}->effort=low"),
    ),
    "moonshot k2.5": Row(
        Request(on=TYPE_ON, off=TYPE_OFF, budget=Budget(min=1024)),
        (TYPE_ON, True, ""), (TYPE_OFF, False, ""), (budgeted(2048), True, "effort=low->budget=2048"),
        (budgeted(16384), True, "effort=high->budget=16384"), (budgeted(2048), True, ""),
    ),
    "moonshot k2-thinking, magistral, minimax m2, perplexity": Row(
        Request(on={}),
        ({}, True, ""), ({}, True, "off dropped"), ({}, True, "effort=low dropped"), ({}, True, "effort=high dropped"),
        ({}, True, f"{B} dropped"),
    ),
    "zai": Row(
        Request(on={"thinking": {"type": "enabled", "clear_thinking": False}}, off=TYPE_OFF, effort=Effort(), set={"tool_stream": True}),
        ({"thinking": {"type": "enabled", "clear_thinking": False}, "tool_stream": True}, True, ""),
        ({**TYPE_OFF, "tool_stream": True}, False, ""),
        ({"thinking": {"type": "enabled", "clear_thinking": False}, **LOW, "tool_stream": True}, True, ""),
        ({"thinking": {"type": "enabled", "clear_thinking": False}, **HIGH, "tool_stream": True}, True, ""),
        ({"thinking": {"type": "enabled", "clear_thinking": False}, **LOW, "tool_stream": True}, True, f"{B}->effort=low"),
        hide=({"tool_stream": True}, True, "hide->drop"), unasked={"tool_stream": True},
    ),
    "dashscope, siliconflow": Row(
        SWITCH,
        ({"enable_thinking": True}, True, ""), ({"enable_thinking": False}, False, ""),
        ({"enable_thinking": True, "thinking_budget": 2048}, True, "effort=low->budget=2048"),
        ({"enable_thinking": True, "thinking_budget": 16384}, True, "effort=high->budget=16384"),
        ({"enable_thinking": True, "thinking_budget": 2048}, True, ""),
    ),
    "volcengine": Row(
        Request(on=TYPE_ON, off=TYPE_OFF, effort=Effort(levels=("minimal", *LMH))),
        (TYPE_ON, True, ""), (TYPE_OFF, False, ""), ({**TYPE_ON, **LOW}, True, ""), ({**TYPE_ON, **HIGH}, True, ""),
        ({**TYPE_ON, **LOW}, True, f"{B}->effort=low"),
    ),
    "minimax m3": Row(
        Request(on={"thinking": {"type": "adaptive"}}, off=TYPE_OFF, set={"reasoning_split": True}),
        ({"thinking": {"type": "adaptive"}, "reasoning_split": True}, True, ""),
        ({**TYPE_OFF, "reasoning_split": True}, False, ""),
        ({"thinking": {"type": "adaptive"}, "reasoning_split": True}, True, "effort=low dropped"),
        ({"thinking": {"type": "adaptive"}, "reasoning_split": True}, True, "effort=high dropped"),
        ({"thinking": {"type": "adaptive"}, "reasoning_split": True}, True, f"{B} dropped"),
        hide=({"reasoning_split": True}, True, "hide->drop"), unasked={"reasoning_split": True},
    ),
    "groq gpt-oss, stepfun": Row(
        Request(on={}, effort=Effort(levels=LMH), hide={"include_reasoning": False}, strip=("reasoning_format",)),
        ({}, True, ""), (LOW, True, "off->low"), (LOW, True, ""), (HIGH, True, ""), (LOW, True, f"{B}->effort=low"),
        hide=({"include_reasoning": False}, True, ""),
    ),
    "groq qwen3": Row(
        Request(on={"reasoning_effort": "default"}, off=NONE, hide={"reasoning_format": "hidden"}, set={"reasoning_format": "parsed"}),
        ({"reasoning_effort": "default", "reasoning_format": "parsed"}, True, ""),
        ({**NONE, "reasoning_format": "parsed"}, False, ""),
        ({"reasoning_effort": "default", "reasoning_format": "parsed"}, True, "effort=low dropped"),
        ({"reasoning_effort": "default", "reasoning_format": "parsed"}, True, "effort=high dropped"),
        ({"reasoning_effort": "default", "reasoning_format": "parsed"}, True, f"{B} dropped"),
        hide=({"reasoning_format": "hidden"}, True, ""), unasked={"reasoning_format": "parsed"},
    ),
    "cerebras glm": Row(
        Request(on={}, off=NONE, hide={"reasoning_format": "hidden"}),
        ({}, True, ""), (NONE, False, ""), ({}, True, "effort=low dropped"), ({}, True, "effort=high dropped"),
        ({}, True, f"{B} dropped"), hide=({"reasoning_format": "hidden"}, True, ""),
    ),
    "together": Row(
        Request(on={"reasoning": {"enabled": True}}, off={"reasoning": {"enabled": False}}, effort=Effort()),
        ({"reasoning": {"enabled": True}}, True, ""), ({"reasoning": {"enabled": False}}, False, ""),
        ({"reasoning": {"enabled": True}, **LOW}, True, ""), ({"reasoning": {"enabled": True}, **HIGH}, True, ""),
        ({"reasoning": {"enabled": True}, **LOW}, True, f"{B}->effort=low"),
    ),
    "fireworks": Row(
        Request(on={}, off=NONE, effort=Effort(levels=LMH), budget=Budget(min=1024)),
        ({}, True, ""), (NONE, False, ""), (LOW, True, ""), (HIGH, True, ""), ({"thinking": {"budget_tokens": 2048}}, True, ""),
    ),
    "mistral small, medium": Row(
        Request(on=HIGH, off=NONE, default="off"),
        (HIGH, True, ""), (NONE, False, ""), (HIGH, True, "effort=low dropped"), (HIGH, True, "effort=high dropped"),
        (HIGH, True, f"{B} dropped"), hide=({}, False, ""),
    ),
    "mistral small, as an effort": Row(
        Request(on=HIGH, off=NONE, effort=Effort(levels=("high",)), default="off"),
        (HIGH, True, ""), (NONE, False, ""), (HIGH, True, "effort=low->high"), (HIGH, True, ""),
        (HIGH, True, f"{B}->effort=high"), hide=({}, False, ""),
    ),
    "deepinfra": Row(
        Request(effort=Effort(levels=("none", "minimal", *LMH), map={"xhigh": "max"}), default="off"),
        ({"reasoning_effort": "medium"}, True, "on->medium"), (NONE, False, ""), (LOW, True, ""), (HIGH, True, ""),
        (LOW, True, f"{B}->effort=low"), hide=({}, False, ""),
    ),
    "gemini 2.5 flash": Row(
        Request(
            on=google(include_thoughts=True), off=google(thinking_budget=0), hide=google(include_thoughts=False),
            budget=Budget("extra_body.google.thinking_config.thinking_budget", min=1, max=24576),
        ),
        (google(include_thoughts=True), True, ""), (google(thinking_budget=0), False, ""),
        (google(include_thoughts=True, thinking_budget=2048), True, "effort=low->budget=2048"),
        (google(include_thoughts=True, thinking_budget=16384), True, "effort=high->budget=16384"),
        (google(include_thoughts=True, thinking_budget=2048), True, ""), hide=(google(include_thoughts=False), True, ""),
    ),
    "gemini 3 pro": Row(
        Request(
            on=google(include_thoughts=True), hide=google(include_thoughts=False),
            effort=Effort("extra_body.google.thinking_config.thinking_level", levels=("low", "high")),
        ),
        (google(include_thoughts=True), True, ""), (google(thinking_level="low"), True, "off->low"),
        (google(include_thoughts=True, thinking_level="low"), True, ""),
        (google(include_thoughts=True, thinking_level="high"), True, ""),
        (google(include_thoughts=True, thinking_level="low"), True, f"{B}->effort=low"),
        hide=(google(include_thoughts=False), True, ""),
    ),
    "snowflake": Row(
        Request(
            on={"temperature": 1}, off={}, effort=Effort("reasoning.effort", levels=LMH),
            budget=Budget("reasoning.max_tokens"), default="off",
        ),
        ({"temperature": 1}, True, ""), ({}, False, ""), ({"temperature": 1, "reasoning": {"effort": "low"}}, True, ""),
        ({"temperature": 1, "reasoning": {"effort": "high"}}, True, ""),
        ({"temperature": 1, "reasoning": {"max_tokens": 2048}}, True, ""), hide=({}, False, ""),
    ),
    "xai 4.3, ollama": Row(
        Request(off=NONE, effort=Effort(levels=LMH)),
        ({}, True, ""), (NONE, False, ""), (LOW, True, ""), (HIGH, True, ""), (LOW, True, f"{B}->effort=low"),
    ),
    "vllm, nim, sglang with qwen": Row(
        Request(
            on=template(enable_thinking=True), off=template(enable_thinking=False),
            budget=Budget("thinking_token_budget"), hide={"include_reasoning": False},
        ),
        (template(enable_thinking=True), True, ""), (template(enable_thinking=False), False, ""),
        ({**template(enable_thinking=True), "thinking_token_budget": 2048}, True, "effort=low->budget=2048"),
        ({**template(enable_thinking=True), "thinking_token_budget": 16384}, True, "effort=high->budget=16384"),
        ({**template(enable_thinking=True), "thinking_token_budget": 2048}, True, ""),
        hide=({"include_reasoning": False}, True, ""),
    ),
    "vllm with deepseek v3.1, watsonx": Row(
        Request(on=template(thinking=True), off=template(thinking=False), default="off"),
        (template(thinking=True), True, ""), (template(thinking=False), False, ""),
        (template(thinking=True), True, "effort=low dropped"), (template(thinking=True), True, "effort=high dropped"),
        (template(thinking=True), True, f"{B} dropped"), hide=({}, False, ""),
    ),
    "baseten": Row(
        Request(on={"chat_template_args": {"enable_thinking": True}}, off={"chat_template_args": {"enable_thinking": False}}),
        ({"chat_template_args": {"enable_thinking": True}}, True, ""),
        ({"chat_template_args": {"enable_thinking": False}}, False, ""),
        ({"chat_template_args": {"enable_thinking": True}}, True, "effort=low dropped"),
        ({"chat_template_args": {"enable_thinking": True}}, True, "effort=high dropped"),
        ({"chat_template_args": {"enable_thinking": True}}, True, f"{B} dropped"),
    ),
    "huggingface and other relays": Row(
        Request(),
        (WISHES["on"], True, ""), (WISHES["off"], False, ""), (WISHES["low"], True, ""), (WISHES["high"], True, ""),
        (WISHES["budget"], True, ""), hide=(WISHES["hide"], True, ""),
    ),
}  # fmt: skip


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("name", ROWS)
def test_each_wish_reaches_each_host_in_its_own_words(name: str, wish: str) -> None:
    row = ROWS[name]
    body = {"messages": [], **WISHES[wish]}
    prepared = prepare(body, Manner(request=row.request), model="m")
    expected = (row.unasked, row.request.default == "on", "") if wish == "unasked" else getattr(row, wish)
    assert prepared.body == {"messages": [], "model": "m", **expected[0]}
    assert (prepared.reasoning, ", ".join(prepared.notes)) == expected[1:]


def test_a_host_that_refuses_stream_options_gets_none() -> None:
    manner = Manner(response=Dialect(usage=UsageRules(request="never")))
    body = {"messages": [], "stream": True, "stream_options": {"include_usage": True}}
    assert prepare(body, manner, model="m").body == {"messages": [], "stream": True, "model": "m"}


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SIGNED = [{"type": "reasoning.text", "text": "a", "signature": "s"}, {"type": "reasoning.encrypted", "data": "d"}]
STRICT = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
PART = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}], "closed": True}
USER = {"role": "user", "content": "?"}


def turn(content: Any = "So.", **keys: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **keys}


KNOWN = turn(reasoning_content="a", reasoning_details=SIGNED)
CALLED = turn(None, reasoning_content="a", tool_calls=[CALL])
SILENT = turn(None, tool_calls=[CALL])

HISTORY_ROWS: dict[str, tuple[History, dict[str, Any], dict[str, Any]]] = {
    "deepseek r1, dashscope, xai: must not or need not": (History("drop"), KNOWN, turn()),
    "deepseek v4: must be on tool calls": (History("field", backfill="empty_string"), CALLED, CALLED),
    "deepseek v4: an empty text satisfies it": (
        History("field", backfill="empty_string"), SILENT, {**SILENT, "reasoning_content": ""},
    ),
    "kimi: a space satisfies it": (History("field", backfill="space"), SILENT, {**SILENT, "reasoning_content": " "}),
    "kimi k3: the message as it is": (History("passthrough"), KNOWN, KNOWN),
    "glm: unmodified": (History("field"), CALLED, CALLED),
    "minimax, openrouter, snowflake: details in order": (History("details"), KNOWN, turn(reasoning_details=SIGNED)),
    "minimax, cerebras glm: tags": (History("tags"), KNOWN, turn("<think>a</think>So.")),
    "gemini: signatures of calls stay": (
        History("drop"),
        turn(None, tool_calls=[{**CALL, "extra_content": {"google": {"thought_signature": "s"}}}], reasoning="a"),
        turn(None, tool_calls=[{**CALL, "extra_content": {"google": {"thought_signature": "s"}}}]),
    ),
    "groq, cerebras gpt-oss: reasoning only": (
        History("field", field="reasoning", strip_fields=("reasoning_content", "reasoning_details", "thinking_blocks")),
        KNOWN, turn(reasoning="a"),
    ),
    "groq and mistral without reasoning, perplexity: strict": (History("drop", strip_fields=STRICT), KNOWN, turn()),
    "mistral: a list": (
        History("content_parts", strip_fields=STRICT), KNOWN, turn([PART, {"type": "text", "text": "So."}]),
    ),
    "fireworks: on tool turns": (History("field", scope="tool_calls_only"), turn(reasoning_content="a"), turn()),
    "gpt-oss: only the current tool loop": (
        History("field", field="reasoning", scope="current_turn"), turn(reasoning_content="a"), turn(),
    ),
    "vllm, ollama": (History("field", field="reasoning"), CALLED, turn(None, reasoning="a", tool_calls=[CALL])),
    "copilot: its own key beside opaque state": (
        History("field", field="reasoning_text"),
        turn(reasoning_content="a", reasoning_opaque="o"), turn(reasoning_text="a", reasoning_opaque="o"),
    ),
    "nim deepseek: a plain string": (
        History("drop", content_as_string=True), turn([{"type": "text", "text": "So."}]), turn(),
    ),
    "hosts that refuse extra_content": (
        History("drop", strip_fields=("tool_calls[].extra_content",)),
        turn(None, tool_calls=[{**CALL, "extra_content": {}}]), SILENT,
    ),
    "any host: no think block in the text": (History("drop", strip_tags=True), turn("<think>a</think>\n\nSo."), turn()),
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORY_ROWS)
def test_each_host_gets_earlier_messages_as_it_wants_them(name: str) -> None:
    history, message, expected = HISTORY_ROWS[name]
    assert rewrite([USER, message, USER], history, seen_field=None) == [USER, expected, USER]


def test_the_page_tells_the_budgets_of_the_code(repository: Path) -> None:
    page = (repository / "docs" / "requests.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|$", page, re.MULTILINE)
    assert {level: int(tokens) for level, tokens in rows} == BUDGETS
