"""What strict hosts answer to a field that they do not take, or that they miss: status and body, as they were reported.

Where a thread shows a text alone, it stands here in the error object of that host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.core.healing import Remedy

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "2"},
]


def body(*, message: dict[str, Any] | None = None, call: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """A request whose assistant message, its tool call and itself have these keys too."""
    user, assistant, tool = MESSAGES
    called = {**assistant, "tool_calls": [{**CALL, **(call or {})}], **(message or {})}
    return {"model": "m", "messages": [user, called, tool], **top}


WITH_FIELD = body(message={"reasoning_content": "Hm"})
WITH_REASONING = body(message={"reasoning": "Hm"})
WITHOUT = body()
STREAMED = body(stream=True, stream_options={"include_usage": True})
SIGNED = body(call={"extra_content": {"google": {"thought_signature": "s1g"}}})
BARE = Remedy("drop", "reasoning_content", "message")
MISSING = Remedy("add", "reasoning_content", "message")
NO_OPTIONS = Remedy("drop", "stream_options", "body")
UNSIGNED = Remedy("drop", "tool_calls[].extra_content", "message")

_FORBIDDEN = {"msg": "Extra inputs are not permitted", "type": "extra_forbidden"}
_ASSISTANT = ["body", "messages", 2, "assistant", "reasoning_content"]
_PYDANTIC = (
    "[{'type': 'extra_forbidden', 'loc': ('body', 'messages', 2, 'typed-dict', 'reasoning_content'), "
    "'msg': 'Extra inputs are not permitted', 'input': 'Hm'}]"
)
_DEEPSEEK = "The reasoning_content in the thinking mode must be passed back to the API."
_DEEPSEEK_OLDER = (
    "Missing reasoning_content field in the assistant message at message index 2. For more information, please refer to "
    "https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"
)
_GROQ = (
    "'messages.4' : for 'role:assistant' the following must be satisfied"
    "[('messages.4' : property 'reasoning_content' is unsupported)]"
)
_CEREBRAS = "messages.2.assistant.reasoning_content: property 'messages.2.assistant.reasoning_content' is unsupported"
_GEMINI = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, "
    "and missing thought_signature may lead to degraded model performance. Additional data, function call "
    "`default_api:shell` , position 2. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more "
    "details."
)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, **more}}


@dataclass(frozen=True)
class Refusal:
    """One answer, to a request that was `sent`, and what mends it."""

    name: str
    said: Any
    sent: dict[str, Any]
    remedy: Remedy
    status: int = 400


REFUSALS = [
    Refusal("mistral", {"detail": [{**_FORBIDDEN, "loc": _ASSISTANT}]}, WITH_FIELD, BARE, 422),
    Refusal(
        "mistral-options",
        {"detail": [{**_FORBIDDEN, "loc": ["body", "stream_options", "include_usage"]}]},
        STREAMED,
        NO_OPTIONS,
        422,
    ),
    Refusal("vllm-strict", error(_PYDANTIC, code=400), WITH_FIELD, BARE),
    Refusal("vllm-strict-text", _PYDANTIC, WITH_FIELD, BARE, 422),
    Refusal(
        "databricks",
        {"error_code": "BAD_REQUEST", "message": "messages.0.reasoning_content: Extra inputs are not permitted"},
        WITH_FIELD,
        BARE,
    ),
    Refusal(
        "cerebras",
        {"message": _CEREBRAS, "type": "invalid_request_error", "code": "wrong_api_format"},
        WITH_FIELD,
        BARE,
    ),
    Refusal("groq", error(_GROQ), WITH_FIELD, BARE),
    Refusal("zen", error("Extra inputs are not permitted, field: 'reasoning_content', value: []"), WITH_FIELD, BARE),
    Refusal(
        "zen-path",
        error("Extra inputs are not permitted, field: 'messages[2].reasoning', value: 'Hm'"),
        WITH_REASONING,
        Remedy("drop", "reasoning", "message"),
    ),
    Refusal("argument", error("Unrecognized request argument supplied: reasoning_content"), WITH_FIELD, BARE),
    Refusal(
        "argument-top",
        error("Unrecognized request argument supplied: thinking"),
        body(thinking={"type": "enabled"}),
        Remedy("drop", "thinking", "body"),
    ),
    Refusal(
        "json-schema", error("Additional properties are not allowed ('extra_content' was unexpected)"), SIGNED, UNSIGNED
    ),
    Refusal("serde", error("unknown field `extra_content`, expected one of `id`, `type`"), SIGNED, UNSIGNED, 422),
    Refusal(
        "gateway",
        error("The reasoning_text in the thinking mode must be passed back to the API"),
        WITHOUT,
        Remedy("add", "reasoning_text", "message"),
    ),
    Refusal("deepseek", error(_DEEPSEEK, code="invalid_request_error"), WITHOUT, MISSING),
    Refusal("deepseek-older", error(_DEEPSEEK_OLDER), WITHOUT, MISSING),
    Refusal(
        "moonshot",
        error("thinking is enabled but reasoning_content is missing in assistant tool call message at index 2"),
        WITHOUT,
        MISSING,
    ),
    Refusal(
        "gemini",
        [{"error": {"code": 400, "message": _GEMINI, "status": "INVALID_ARGUMENT"}}],
        WITHOUT,
        Remedy("add", "tool_calls[].extra_content", "message"),
    ),
    Refusal(
        "openrouter-details",
        error("Gemini models require OpenRouter reasoning details to be preserved in each request."),
        WITHOUT,
        Remedy("add", "reasoning_details", "message"),
    ),
]
"""Sources: `docs/requests.md`, the section "Refusals"."""

UNMENDED: Mapping[str, tuple[Any, int]] = {
    "deepseek-r1": (error("reasoning_content is not allowed in the messages of deepseek-reasoner"), 400),
    "stepfun": (error("reasoning_content is missing"), 400),
    "mistral-ids": (
        {
            "object": "error",
            "message": "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
            "type": "invalid_function_call",
            "param": None,
            "code": "3280",
        },
        400,
    ),
    "openai-ids": (
        error(
            "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a "
            "string with length 53 instead.",
            code="string_above_max_length",
        ),
        400,
    ),
    "ollama-null": (error("invalid message content type: <nil>"), 400),
}
"""Refusals of what self-healing does not touch: body and status. Sources: the files of the built-ins.

Of DeepSeek R1 (api-docs.deepseek.com/zh-cn/guides/reasoning_model) and StepFun (bytedance/deer-flow#3456) only the status
is known, so these texts are not theirs.
"""
TEXT_UNKNOWN = frozenset({"deepseek-r1", "stepfun"})


def refusal(name: str) -> Refusal:
    return next(each for each in REFUSALS if each.name == name)
