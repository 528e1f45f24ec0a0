"""The known refusals, each with a host that gives it, what helps, and the client that meets it without that help."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.conversing import DROPS, RETURNS, Message
from tests.support.refusals import TEXT_UNKNOWN
from tests.support.strict import (
    Form,
    Host,
    Judge,
    Rule,
    must_carry,
    must_carry_details,
    must_carry_signatures,
    must_have_ids_of_nine,
    must_have_short_ids,
    must_not_be_asked,
    must_not_carry,
    must_say_something,
)

_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
_ASKED: Message = {"role": "user", "content": "How warm is it in Oslo?"}
_RESULT: Message = {"role": "tool", "tool_call_id": "call_1", "content": "8 degrees"}


def _turn(call: dict[str, Any] | None = None, **keys: Any) -> tuple[Message, ...]:
    """A turn that another host answered."""
    called = {"role": "assistant", "content": None, "tool_calls": [{**_CALL, **(call or {})}], **keys}
    return (_ASKED, called, _RESULT, {"role": "assistant", "content": "It is cold."})


THOUGHT = _turn(reasoning_content="Hm")
LONG = tuple(
    {**each, **({"tool_call_id": "fc_" + "0f" * 25} if "tool_call_id" in each else {})}
    for each in _turn({"id": "fc_" + "0f" * 25})
)
CUT = (_ASKED, {"role": "assistant", "content": None, "reasoning_content": "Hm"})
SIGNED = _turn({"extra_content": {"google": {"thought_signature": "s1g"}}})


@dataclass(frozen=True)
class Case:
    """A refusal on the way from nothing to help."""

    host: str
    """Who refuses, in words."""
    refusal: str
    """The name in `refusals.py`."""
    judge: Judge
    wants: str
    """What is refused, in words."""
    client: str
    """The kind of client that is refused without help."""
    entry: dict[str, Any]
    """The provider's entry that helps; its key is `name`, that of a built-in or of none."""
    model: str = "m"
    name: str = "house"
    form: Form = "reasoning_content"
    before: Sequence[Message] = ()
    """Messages of another host that the conversation begins with."""
    at: int = 2
    """Which request of the conversation is the first to be refused."""
    streams: tuple[bool, ...] = (True, False)
    asks: dict[str, Any] = field(default_factory=dict)
    """What the client puts into every request."""

    @property
    def id(self) -> str:
        return f"{self.name}-{self.refusal}"

    @property
    def told(self) -> bool:
        """Whether the text of the refusal is known."""
        return self.refusal not in TEXT_UNKNOWN

    @property
    def strict(self) -> Host:
        return Host((Rule(self.refusal, self.judge),), self.form, signs=self.refusal == "gemini")


HEALED = {"history": {"self_heal": True}}
KEPT = {"history": {"replay": "passthrough", "self_heal": True}}
RC = must_not_carry("reasoning_content")
STATE = must_not_carry("tool_calls[].extra_content")
RC_MUST = "`reasoning_content` on tool calls"
RC_NOT = "no `reasoning_content`"
STATE_NOT = "no `extra_content` in tool calls"
OLD_R1 = {"history": {"replay": "drop", "backfill": "none", "memory": "off"}}

CASES = [
    Case("DeepSeek V4", "deepseek", must_carry("reasoning_content"), RC_MUST, DROPS, {}, "deepseek-v4-pro", "deepseek"),
    Case("DeepSeek V3.2", "deepseek-older", must_carry("reasoning_content"), RC_MUST, DROPS, {}, "deepseek-chat", "deepseek"),
    Case("DeepSeek R1", "deepseek-r1", RC, RC_NOT, RETURNS, OLD_R1, "deepseek-reasoner", "deepseek"),
    Case("Moonshot Kimi K2.6", "moonshot", must_carry("reasoning_content"), RC_MUST, DROPS, {}, "kimi-k2.6", "moonshot"),
    Case("StepFun", "stepfun", must_carry("reasoning_content"), RC_MUST, DROPS, {}, "step-3.7-flash", "stepfun", "reasoning"),
    Case("Groq gpt-oss", "groq", RC, RC_NOT, RETURNS, {}, "openai/gpt-oss-120b", "groq", "reasoning"),
    Case("Groq Qwen3", "groq", RC, RC_NOT, RETURNS, {}, "qwen/qwen3-32b", "groq", "reasoning"),
    Case(
        "Groq Llama", "groq", must_not_carry("reasoning_content", "reasoning"), f"{RC_NOT} and no `reasoning`", RETURNS,
        {}, "llama-3.3-70b-versatile", "groq", "", THOUGHT, 1,
    ),
    Case("Cerebras gpt-oss", "cerebras", RC, RC_NOT, RETURNS, {}, "gpt-oss-120b", "cerebras", "reasoning"),
    Case(
        "Cerebras GLM", "cerebras", must_not_carry("reasoning_content", "reasoning"), f"{RC_NOT} and no `reasoning`",
        RETURNS, {}, "zai-glm-4.7", "cerebras", "reasoning",
    ),
    Case("Mistral Magistral", "mistral", RC, RC_NOT, RETURNS, {}, "magistral-medium-latest", "mistral", "parts"),
    Case(
        "Mistral", "mistral-options", must_not_be_asked("stream_options"), "no `stream_options`", DROPS, {},
        "mistral-small-latest", "mistral", "parts", at=1, streams=(True,),
    ),
    Case(
        "Mistral", "mistral-ids", must_have_ids_of_nine, "ids of nine letters or digits", DROPS, {}, "mistral-large-latest",
        "mistral", "", _turn(), 1,
    ),
    Case(
        "OpenRouter, Gemini 3", "openrouter-details", must_carry_details, "`reasoning_details` as they came", DROPS, {},
        "google/gemini-3-pro-preview", "openrouter", "details",
    ),
    Case(
        "Gemini 3", "gemini", must_carry_signatures, "`thought_signature` on the first tool call", DROPS, {},
        "gemini-3-pro-preview", "gemini", "flag",
    ),
    Case("vLLM, strict build", "vllm-strict", RC, RC_NOT, RETURNS, {}, "Qwen/Qwen3-8B", "vllm", "reasoning"),
    Case("vLLM, its text alone", "vllm-strict-text", RC, RC_NOT, RETURNS, {}, "m", "vllm", "reasoning"),
    Case("Databricks Claude", "databricks", RC, RC_NOT, RETURNS, {}, "databricks-claude-sonnet-4", "databricks", "summary"),
    Case(
        "OpenAI", "openai-ids", must_have_short_ids, "ids of at most 40 characters", DROPS, {}, "gpt-5.2", "openai", "", LONG, 1,
    ),
    Case(
        "Ollama", "ollama-null", must_say_something, "no `null` as content", RETURNS, {}, "qwen3:8b", "ollama", "reasoning",
        CUT, 1,
    ),
    Case("OpenAI", "argument", RC, RC_NOT, RETURNS, {}, "gpt-5.2", "openai", "", THOUGHT, 1),
    Case(
        "OpenAI", "argument-top", must_not_be_asked("thinking"), "no `thinking`", RETURNS, {}, "gpt-5.2", "openai", "",
        at=1, asks={"extra_body": {"thinking": {"type": "enabled"}}},
    ),
    Case("JSON schema hosts", "json-schema", STATE, STATE_NOT, RETURNS, {}, "gpt-5.2", "openai", "", SIGNED, 1),
    Case("JSON schema hosts", "json-schema", STATE, STATE_NOT, RETURNS, KEPT, before=SIGNED, at=1),
    Case("serde hosts", "serde", STATE, STATE_NOT, RETURNS, KEPT, before=SIGNED, at=1),
    Case("OpenCode Zen", "zen", RC, RC_NOT, RETURNS, KEPT),
    Case(
        "OpenCode Zen", "zen-path", must_not_carry("reasoning"), "no `reasoning`", RETURNS,
        {"history": {"replay": "field", "field": "reasoning", "self_heal": True}}, before=_turn(reasoning="Hm"), at=1,
    ),
    Case(
        "Responses gateways", "gateway", must_carry("reasoning_text"), "`reasoning_text` on tool calls", DROPS, HEALED,
        form="reasoning_text",
    ),
]  # fmt: skip
