"""Which YAML knobs a parser table of another project asks for, where its tags alone do not say it.

The first row whose suite and case match decides. `UNSAYABLE` are the cases that no knob can say, each with the reason:
they are served and checked like all others, but their texts are not compared.
"""

from fnmatch import fnmatchcase
from typing import Any

_TOOLS = {"implicit_end": ["<tool_call>"]}
_HUNYUAN = {
    "pairs": [["<think>\n", "\n</think>\n"]],
    "answer_wrapper": [["<answer>\n", "\n</answer>"]],
}
_HARMONY = {
    "pairs": [
        ["<|channel|>analysis<|message|>", "<|end|>"],
        ["<|channel|>commentary to=assistant<|channel|>analysis<|message|>", "<|end|>"],
    ],
    "answer_wrapper": [["<|start|>assistant<|channel|>final<|message|>", "<|return|>"]],
}
_GEMMA = {
    "pairs": [["<|channel>", "<channel|>"], ["<|channel><|channel>", "<channel|>"]],
    "labels": ["thought\n", "thought"],
    "implicit_start": "never",
}

KNOBS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("sglang", "glm45_*", _TOOLS),
    ("sglang", "kimi_k2_*", {"implicit_end": ["<|tool_calls_section_begin|>"]}),
    ("sglang", "repeated_start", {"stray_end": "strip"}),
    ("vllm-qwen3", "*tool_call*", _TOOLS),
    ("vllm-hunyuan_a13b", "*", _HUNYUAN),
    ("vllm-gemma4", "*", {"labels": ["thought\n"]}),
    ("vllm-minimax_m3", "*leading_end_dropped", {"stray_end": "strip"}),
    ("llama.cpp-chat", "openai-gpt-oss-*", _HARMONY),
    ("llama.cpp-chat", "Cohere2MoE_*", {"answer_wrapper": [["<|START_TEXT|>", "<|END_TEXT|>"]], "stray_end": "strip"}),
    ("llama.cpp-chat", "google-gemma-4-31B-it_L3*", _GEMMA),
)

UNSAYABLE: dict[tuple[str, str], str] = {
    (
        "vllm-gemma4",
        "invalid_complete",
    ): "the original gives other texts for the same input streamed and whole; C12 forbids that",
    ("vllm-gemma4", "invalid_complete_streaming"): "an end delimiter behind answer text is literal text",
    ("llama.cpp-chat", "google-gemma-4-31B-it_L3155"): "an end delimiter behind answer text is literal text",
    (
        "llama.cpp-chat",
        "Apriel-1.6-15b-Thinker-fixed_L6211",
    ): "the expected text begins with a part of the prompt, which the upstream never sends",
}


def tags_of(case: dict[str, Any]) -> dict[str, Any]:
    """The `response.tags` block for one line of a table."""
    tags, policies = case["tags"], case["agrees_with"]
    plain = [policy.removesuffix("/strip") for policy in policies]
    leading = not plain or "leading-first" in plain
    block = {
        "pairs": [[tags["start"], tags["end"]]],
        "answer_wrapper": [],
        "position": "start" if leading else "anywhere",
        "blocks": "first" if leading or "anywhere-first" in plain else "all",
        "implicit_start": "always" if tags.get("implicit_start") else "never",
        # the plain policies that `agrees_with` names know of no stray end
        "stray_end": "keep",
        "trim": "both" if compared_stripped(case) else "none",
    }
    for suite, name, more in KNOBS:
        if case["suite"] == suite and fnmatchcase(case["id"], name):
            return {**block, **more}
    return block


def compared_stripped(case: dict[str, Any]) -> bool:
    """Whether the original's white space is its own affair."""
    policies = case["agrees_with"]
    return case["whitespace"] == "strip" or bool(policies and all(p.endswith("/strip") for p in policies))
