"""What each host would understand of a request body, read from its own words alone (`docs/dialects.md`, sources there)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]


class NotUnderstoodError(Exception):
    """The host would refuse this body, or pass over a word in it."""


@dataclass
class Understood:
    """What a body says to a host; None: nothing."""

    enabled: bool | None = None
    effort: str | None = None
    budget: int | None = None
    hide: bool | None = None

    def on(self, value: bool) -> None:
        if self.enabled not in (None, value):
            raise NotUnderstoodError("on and off at once")
        self.enabled = value


Word = Callable[[Understood, Any], None]


def _effort(found: Understood, value: Any) -> None:
    found.on(value != "none")
    # Groq's Qwen3 has no levels: `default` is its word for on.
    if value not in ("none", "default"):
        found.effort = value


def _budget(found: Understood, value: Any) -> None:
    # -1 is Gemini's word for as much as the model likes.
    found.on(value != 0)
    found.budget = value if value > 0 else None


def _switch(found: Understood, value: Any) -> None:
    if not isinstance(value, bool):
        raise NotUnderstoodError(f"a switch that says {value}")
    found.on(value)


def _type(found: Understood, value: Any) -> None:
    found.on({"enabled": True, "adaptive": True, "disabled": False}[value])


def _hide(found: Understood, value: Any) -> None:
    found.hide = value


def _show(found: Understood, value: Any) -> None:
    found.hide = not value


def _format(found: Understood, value: Any) -> None:
    found.hide = {"hidden": True, "parsed": False}[value]


def _quiet(found: Understood, value: Any) -> None:
    """A word that says nothing of the wish."""


EFFORT: dict[str, Word] = {"reasoning_effort": _effort}
TYPE: dict[str, Word] = {"thinking.type": _type, "thinking.budget_tokens": _budget}
SWITCH: dict[str, Word] = {"enable_thinking": _switch, "thinking_budget": _budget}
OBJECT: dict[str, Word] = {
    "reasoning.enabled": _switch,
    "reasoning.effort": _effort,
    "reasoning.max_tokens": _budget,
    "reasoning.exclude": _hide,
}
_CONFIG = "extra_body.google.thinking_config"
GOOGLE: dict[str, Word] = EFFORT | {
    f"{_CONFIG}.include_thoughts": _show,
    f"{_CONFIG}.thinking_level": _effort,
    f"{_CONFIG}.thinking_budget": _budget,
    "extra_body.google.thought_tag_marker": _quiet,
}
TEMPLATE: dict[str, Word] = EFFORT | {
    "chat_template_kwargs.enable_thinking": _switch,
    "chat_template_kwargs.thinking": _switch,
    "chat_template_kwargs.thinking_mode": _type,
    "include_reasoning": _show,
}
FORMATS: dict[str, Word] = {"reasoning_format": _format}

VOCABULARY: Mapping[str, Mapping[str, Word]] = {
    "anthropic": TYPE,
    "azure": EFFORT,
    "baseten": EFFORT | {"chat_template_args.enable_thinking": _switch},
    "bedrock": EFFORT,
    "cerebras": EFFORT | FORMATS | {"clear_thinking": _quiet},
    "chutes": TEMPLATE,
    "cloudflare": TEMPLATE,
    "dashscope": EFFORT | SWITCH,
    "databricks": EFFORT | TYPE,
    "deepinfra": EFFORT,
    "deepseek": EFFORT | {"thinking.type": _type},
    "fireworks": EFFORT | TYPE,
    "gemini": GOOGLE,
    "groq": EFFORT | FORMATS | {"include_reasoning": _show},
    "llamacpp": TEMPLATE,
    "lmstudio": EFFORT,
    "minimax": {"thinking.type": _type, "reasoning_split": _quiet},
    "mistral": EFFORT,
    "moonshot": EFFORT | TYPE,
    "nebius": EFFORT,
    "novita": {"enable_thinking": _switch},
    "nvidia": TEMPLATE,
    "ollama": EFFORT,
    "openai": EFFORT,
    "openrouter": OBJECT,
    "ovhcloud": EFFORT,
    "perplexity": EFFORT,
    "sambanova": EFFORT,
    "sglang": TEMPLATE | {"separate_reasoning": _quiet},
    "siliconflow": SWITCH,
    "snowflake": EFFORT | {"reasoning.effort": _effort, "reasoning.max_tokens": _budget, "temperature": _quiet},
    "stepfun": EFFORT | {"reasoning_format": _quiet},
    "together": EFFORT | {"reasoning.enabled": _switch},
    "vercel": OBJECT,
    "vertex": GOOGLE,
    "vllm": TEMPLATE,
    "volcengine": EFFORT | {"thinking.type": _type},
    "watsonx": TEMPLATE,
    "xai": EFFORT,
    "zai": EFFORT | {"thinking.type": _type, "thinking.clear_thinking": _quiet, "tool_stream": _quiet},
}
"""Words of a request's controls that each host takes, for all of its models. Hosts that are not here relay others."""

EXCLUSIVE = (
    {"reasoning_format", "include_reasoning"},  # Groq
    {"reasoning.effort", "reasoning.max_tokens"},  # OpenRouter
    {"reasoning_effort", "thinking.budget_tokens"},  # Fireworks
    {"reasoning_effort", f"{_CONFIG}.include_thoughts"},  # Gemini: effort and thinking_config
    {"reasoning_effort", f"{_CONFIG}.thinking_budget"},
)

MUST_NOT = (
    ("mistral", "magistral", "reasoning_effort"),
    ("groq", "gpt-oss", "reasoning_format"),
    ("groq", "qwen", "include_reasoning"),
    ("minimax", "M2", "thinking.type"),
    ("snowflake", "claude", "reasoning_effort"),
    ("xai", "non-reasoning", "reasoning_effort"),
    ("xai", "grok-4.20", "reasoning_effort"),
)
"""Host, part of a model's name, word: these are a 400."""

LEVELS: Mapping[tuple[str, str], frozenset[str]] = {
    ("cerebras", "gpt-oss"): frozenset({"low", "medium", "high"}),
    ("deepseek", ""): frozenset({"low", "high", "max"}),
    ("groq", "gpt-oss"): frozenset({"low", "medium", "high"}),
    ("groq", "qwen"): frozenset({"none", "default"}),
    ("mistral", ""): frozenset({"none", "high"}),
    ("moonshot", "kimi-k3"): frozenset({"low", "high", "max"}),
    ("openai", "o3"): frozenset({"low", "medium", "high"}),
    ("stepfun", ""): frozenset({"low", "medium", "high"}),
    ("xai", ""): frozenset({"none", "low", "medium", "high", "xhigh"}),
}
"""Levels that a host takes, by part of a model's name."""

ALWAYS_HIDDEN = frozenset({"anthropic", "azure", "openai"})
"""Hosts that return no reasoning whatever is asked."""


def understood(host: str, model: str, body: Body) -> Understood:
    """What this host reads in a body for this model. Raises NotUnderstoodError where it would not take it."""
    words = VOCABULARY[host]
    said = dict(_leaves({k: v for k, v in body.items() if k not in ("model", "messages", "max_tokens")}))
    for word, value in said.items():
        if word not in words:
            raise NotUnderstoodError(f"{host} does not know {word}")
        if any(host == each and part in model and word == no for each, part, no in MUST_NOT):
            raise NotUnderstoodError(f"{host} refuses {word} for {model}")
        for (each, part), levels in LEVELS.items():
            if words[word] is _effort and host == each and part in model and value not in levels:
                raise NotUnderstoodError(f"{host} knows no {value} for {model}")
    for pair in EXCLUSIVE:
        if pair <= set(said):
            raise NotUnderstoodError(f"{host} refuses {' beside '.join(sorted(pair))}")
    found = Understood()
    for word, value in said.items():
        words[word](found, value)
    if host in ALWAYS_HIDDEN:
        found.hide = True
    return found


def _leaves(value: Body, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, inner in value.items():
        path = f"{prefix}{key}"
        found += _leaves(inner, f"{path}.") if isinstance(inner, Mapping) else [(path, inner)]
    return found
