"""What the built-ins make of requests and histories: the words of each host, as its sources have them."""

from typing import Any

import pytest

from proxy.core.history import rewrite
from proxy.core.request import Prepared, prepare
from tests.support.builtin_files import manner, names


def asked(name: str, model: str, **wish: Any) -> Prepared:
    return prepare({"model": "asked", "messages": [], **wish}, manner(name, model), model=model)


def sent(name: str, model: str, **wish: Any) -> dict[str, Any]:
    """What the target gets beside model and messages."""
    return {key: value for key, value in asked(name, model, **wish).body.items() if key not in ("model", "messages")}


def test_only_one_host_is_never_asked_for_usage() -> None:
    assert [n for n in names() if manner(n, "m").response.usage.request == "never"] == ["mistral"]


def test_only_one_host_may_end_without_a_reason() -> None:
    assert [n for n in names() if manner(n, "m").response.finish_reason.missing == "infer"] == ["snowflake"]


@pytest.mark.parametrize("name", ["deepseek", "moonshot", "stepfun"])
def test_hosts_that_refuse_missing_reasoning_get_it_remembered_and_filled(name: str) -> None:
    history = manner(name, "kimi-k3" if name == "moonshot" else "m").history
    assert (history.replay, history.field, history.memory) == ("field", "reasoning_content", "tool_calls")
    assert history.backfill in ("empty_string", "space")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("mistral", "mistral-large-latest"),
        ("mistral", "magistral-medium-latest"),
        ("cerebras", "gpt-oss-120b"),
        ("cerebras", "zai-glm-4.7"),
        ("groq", "openai/gpt-oss-120b"),
        ("groq", "llama-3.3-70b-versatile"),
        ("databricks", "databricks-claude-sonnet-4"),
        ("openai", "gpt-5.2"),
        ("perplexity", "sonar-reasoning-pro"),
    ],
)
def test_strict_hosts_never_see_fields_of_other_hosts(name: str, model: str) -> None:
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {}},
    }
    message = {
        "role": "assistant",
        "content": "hi",
        "reasoning_content": "why",
        "reasoning_details": [{"type": "reasoning.text", "text": "why"}],
        "thinking_blocks": [{"type": "thinking", "thinking": "why", "signature": "s"}],
        "tool_calls": [call],
    }
    (out,) = rewrite([message], manner(name, model).history, seen_field=None)
    assert set(out) <= {"role", "content", "tool_calls", "reasoning"}
    assert ("reasoning" in out) == (model in ("gpt-oss-120b", "openai/gpt-oss-120b"))
    assert "extra_content" not in out["tool_calls"][0]


def test_the_old_name_gets_reasoning_back_on_tool_calls_alone() -> None:
    said = {"role": "assistant", "content": "hi", "reasoning_content": "why"}
    called = {"role": "assistant", "content": None, "reasoning_content": "why", "tool_calls": [{"id": "a"}]}
    for model, kept in (("deepseek-reasoner", {"role": "assistant", "content": "hi"}), ("deepseek-v4-pro", said)):
        history = manner("deepseek", model).history
        assert rewrite([said, called], history, seen_field=None) == [kept, called]


def test_reasoning_goes_back_to_glm_at_cerebras_as_tags_and_to_magistral_as_a_list() -> None:
    message = {"role": "assistant", "content": "hi", "reasoning_content": "why"}
    (glm,) = rewrite([message], manner("cerebras", "zai-glm-4.7").history, seen_field=None)
    assert glm["content"] == "<think>why</think>hi"
    (magistral,) = rewrite([message], manner("mistral", "magistral-small-2509").history, seen_field=None)
    assert [part["type"] for part in magistral["content"]] == ["thinking", "text"]


def test_a_thought_signature_goes_back_to_gemini() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": 1}}
    message = {"role": "assistant", "content": None, "reasoning_content": "why", "tool_calls": [call]}
    (out,) = rewrite([message], manner("gemini", "gemini-3.8-flash").history, seen_field=None)
    assert out == {"role": "assistant", "content": None, "tool_calls": [call]}


GOOGLE = {"include_thoughts": True}

WISHES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("deepseek", "deepseek-v4-pro", {"reasoning_effort": "medium"}, {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
    ("deepseek", "deepseek-v4-pro", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    ("dashscope", "qwen-plus", {"thinking": {"type": "enabled", "budget_tokens": 500}}, {"enable_thinking": True, "thinking_budget": 500}),
    ("dashscope", "qwen3-30b-a3b-thinking-2507", {"enable_thinking": False}, {}),
    ("moonshot", "kimi-k2.6", {"enable_thinking": False}, {"thinking": {"type": "disabled"}}),
    ("moonshot", "kimi-k3", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
    ("moonshot", "kimi-k2-thinking", {"reasoning_effort": "high"}, {}),
    ("zai", "glm-4.7", {"think": True}, {"thinking": {"type": "enabled", "clear_thinking": False}}),
    ("zai", "glm-5.3", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
    ("xai", "grok-4.20-reasoning", {"reasoning_effort": "high"}, {}),
    ("xai", "grok-4.3", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("xai", "grok-4.6", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
    ("openrouter", "openai/gpt-5", {"reasoning_effort": "high"}, {"reasoning": {"enabled": True, "effort": "high"}}),
    ("openrouter", "openai/gpt-5", {"reasoning": {"max_tokens": 3000}}, {"reasoning": {"enabled": True, "max_tokens": 3000}}),
    ("openrouter", "a/b", {"include_reasoning": False, "reasoning_effort": "low"}, {"reasoning": {"enabled": True, "effort": "low", "exclude": True}}),
    ("groq", "openai/gpt-oss-20b", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
    ("groq", "openai/gpt-oss-20b", {"include_reasoning": False}, {"include_reasoning": False}),
    ("groq", "qwen/qwen3-32b", {}, {"reasoning_format": "parsed"}),
    ("groq", "qwen/qwen3-32b", {"enable_thinking": False}, {"reasoning_effort": "none", "reasoning_format": "parsed"}),
    ("groq", "llama-3.3-70b-versatile", {"reasoning_effort": "high"}, {}),
    ("cerebras", "gpt-oss-120b", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
    ("cerebras", "zai-glm-4.7", {"reasoning_effort": "none"}, {"reasoning_effort": "none", "clear_thinking": False}),
    ("cerebras", "gpt-oss-120b", {"reasoning": {"exclude": True}}, {"reasoning_format": "hidden"}),
    ("together", "zai-org/GLM-4.6", {"enable_thinking": False}, {"reasoning": {"enabled": False}}),
    ("fireworks", "m", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("mistral", "magistral-medium-latest", {"reasoning_effort": "high"}, {}),
    ("mistral", "mistral-small-latest", {"reasoning_effort": "low"}, {"reasoning_effort": "high"}),
    ("mistral", "mistral-small-latest", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("gemini", "gemini-3.8-flash", {"reasoning_effort": "high"}, {"extra_body": {"google": {"thinking_config": {**GOOGLE, "thinking_level": "high"}}}}),
    ("gemini", "gemini-2.5-pro", {"thinking": {"type": "enabled", "budget_tokens": 64}}, {"extra_body": {"google": {"thinking_config": {**GOOGLE, "thinking_budget": 128}}}}),
    ("gemini", "gemini-2.5-flash", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("gemini", "gemini-2.0-flash", {"reasoning_effort": "low"}, {}),
    ("vertex", "google/gemini-3.8-flash", {"think": True}, {"extra_body": {"google": {"thinking_config": GOOGLE, "thought_tag_marker": "think"}}}),
    ("snowflake", "claude-4-sonnet", {"thinking": {"type": "enabled", "budget_tokens": 2000}, "temperature": 0.2}, {"reasoning": {"max_tokens": 2000}, "temperature": 1}),
    ("databricks", "databricks-claude-sonnet-4", {"thinking": {"type": "enabled", "budget_tokens": 8000}, "max_tokens": 4000}, {"thinking": {"type": "enabled", "budget_tokens": 3999}, "max_tokens": 4000}),
    ("anthropic", "claude-sonnet-4-5", {}, {}),
    ("minimax", "MiniMax-M3", {"enable_thinking": False}, {"thinking": {"type": "disabled"}}),
    ("openai", "gpt-4o", {"reasoning_effort": "high"}, {}),
    ("openai", "o3", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
    ("openai", "gpt-5-mini", {"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}),
    ("openai", "gpt-5.1", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
    ("openai", "gpt-5.2", {"think": True}, {"reasoning_effort": "medium"}),
    ("openai", "gpt-5.4-mini", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("openai", "gpt-5.6-sol", {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
    ("openai", "gpt-5.5-pro", {"reasoning_effort": "low"}, {"reasoning_effort": "medium"}),
    ("openai", "gpt-5.3-chat-latest", {"reasoning_effort": "high"}, {"reasoning_effort": "medium"}),
    ("openai", "gpt-5-pro", {"reasoning_effort": "low"}, {"reasoning_effort": "high"}),
    ("openai", "gpt-5-chat-latest", {"reasoning_effort": "low"}, {}),
    ("openai", "gpt-6-astra", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
    ("openai", "gpt-6-sol", {"reasoning_effort": "max"}, {"reasoning_effort": "max"}),
    ("volcengine", "doubao-seed-1-6-251015", {"reasoning_effort": "minimal"}, {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}),
    ("stepfun", "step-3.7-flash", {"reasoning_effort": "none"}, {"reasoning_effort": "low"}),
    ("siliconflow", "m", {"enable_thinking": True, "thinking_budget": 64}, {"enable_thinking": True, "thinking_budget": 128}),
    ("baseten", "zai-org/GLM-4.6", {"think": True}, {"chat_template_args": {"enable_thinking": True}}),
    ("nvidia", "deepseek-ai/deepseek-v3.2", {"think": True}, {"chat_template_kwargs": {"thinking": True}}),
    ("chutes", "Qwen/Qwen3-32B", {"enable_thinking": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
    ("chutes", "moonshotai/Kimi-K2.5-TEE", {"think": True}, {"chat_template_kwargs": {"thinking": True}}),
    ("vllm", "Qwen/Qwen3-8B", {"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}}),
    ("vllm", "ibm-granite/granite-3.3-8b-instruct", {"think": True}, {"chat_template_kwargs": {"thinking": True}}),
    ("vllm", "openai/gpt-oss-20b", {"include_reasoning": False}, {"include_reasoning": False}),
    ("ollama", "gpt-oss:20b", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("perplexity", "sonar-deep-research", {"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
    ("huggingface", "m", {"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "model", "wish", "expected"), WISHES)
def test_a_wish_is_sent_in_the_words_of_the_host(
    name: str, model: str, wish: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert sent(name, model, **wish) == expected
