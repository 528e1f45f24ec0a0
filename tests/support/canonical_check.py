"""What a client heard, and where that breaks the canonical schema (guarantees C1 to C8 of docs/schema.md).

Written from the schema alone: nothing of the proxy is imported, so that both cannot be wrong in the same way.
"""

import json
from dataclasses import dataclass, field
from typing import Any

FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
ALIASES = ("reasoning", "reasoning_text", "thinking", "thinking_content", "thought", "think")
DELIMITERS = ("<think>", "</think>", "<thought>", "</thought>")
"""May not stand at the beginning of an answer, nor at either end of a reasoning text (C1)."""
CONTENT_TYPE = "text/event-stream; charset=utf-8"
ERROR_KEYS = {"message", "type", "param", "code"}
_DATA = b"data: "


@dataclass
class Voice:
    """One choice, put together."""

    reasoning: str = ""
    content: str = ""
    refusal: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    """Each with `id`, `name`, `arguments`."""
    finish: list[str] = field(default_factory=list)
    native_finish: str | None = None
    roles: list[Any] = field(default_factory=list)
    details: list[Any] = field(default_factory=list)
    state: list[Any] = field(default_factory=list)
    """Opaque values beside tool calls, in order."""
    kinds: list[str] = field(default_factory=list)
    """The kinds of text in the order in which they came, each run once."""


@dataclass
class Heard:
    """One response. `faults` are breaches of the schema, each beginning with the number of the guarantee."""

    status: int
    voices: dict[int, Voice] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    frames: list[tuple[Any, Any]] = field(default_factory=list)
    """The different pairs of id and creation time."""
    faults: list[str] = field(default_factory=list)

    @property
    def voice(self) -> Voice:
        """The first choice."""
        return self.voices.get(0, Voice())

    def fault(self, guarantee: str, what: str, *seen: Any) -> None:
        self.faults.append(f"{guarantee}: {what}" + "".join(f" {value!r}"[:160] for value in seen))


def check(
    status: int,
    content_type: str,
    body: bytes,
    *,
    stream: bool,
    usage_asked: bool = True,
    delimiters: tuple[str, ...] = DELIMITERS,
) -> Heard:
    """Reads one response to a chat completion. `stream`, `usage_asked`: what the request asked for."""
    heard = Heard(status)
    if status >= 400:
        _error_body(heard, content_type, body)
    elif stream:
        if content_type != CONTENT_TYPE:
            heard.fault("§2", "content type", content_type)
        _stream(heard, body, usage_asked=usage_asked)
    else:
        if content_type != "application/json":
            heard.fault("§2", "content type", content_type)
        _whole(heard, body)
    for voice in heard.voices.values():
        _texts(heard, voice, delimiters)
    _usage(heard)
    return heard


def _error_body(heard: Heard, content_type: str, body: bytes) -> None:
    try:
        value = json.loads(body)
    except ValueError:
        heard.fault("§3", "an error that is no JSON", body)
        return
    if content_type != "application/json":
        heard.fault("§3", "content type", content_type)
    _error(heard, value, "§3")


def _error(heard: Heard, value: Any, guarantee: str) -> None:
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or set(error) != ERROR_KEYS or set(value) != {"error"}:
        heard.fault(guarantee, "an error of another shape", value)
    elif not isinstance(error["message"], str) or not error["message"] or not isinstance(error["type"], str):
        heard.fault(guarantee, "an error without message or type", error)
    if heard.error is not None:
        heard.fault(guarantee, "a second error", value)
    heard.error = error if isinstance(error, dict) else {}


def _stream(heard: Heard, body: bytes, *, usage_asked: bool) -> None:
    payloads = _payloads(heard, body)
    if payloads.count(b"[DONE]") != 1 or payloads[-1] != b"[DONE]":
        heard.fault("C8", "not exactly one [DONE], last", *payloads[-2:])
    calls: dict[int, dict[int, dict[str, Any]]] = {}
    for payload in payloads:
        if payload == b"[DONE]":
            continue
        try:
            chunk = json.loads(payload)
        except ValueError:
            heard.fault("C8", "an event that is no JSON", payload)
            continue
        if "error" in chunk and "choices" not in chunk:
            _error(heard, chunk, "C8")
            continue
        if heard.error is not None:
            heard.fault("C8", "a chunk after the error", payload)
        _chunk(heard, chunk, calls, usage_asked=usage_asked)
    for index, voice in heard.voices.items():
        voice.tool_calls = list(calls.get(index, {}).values())
        if voice.roles != ["assistant"]:
            heard.fault("C4", "the roles of a choice", voice.roles)
        if heard.error is None and len(voice.finish) != 1:
            heard.fault("C5", "finish reasons", voice.finish)
    if len(heard.frames) > 1:
        heard.fault("C4", "id or created changed", *heard.frames)


def _payloads(heard: Heard, body: bytes) -> list[bytes]:
    blocks = body.split(b"\n\n")
    if blocks.pop() != b"":
        heard.fault("C8", "the last event has no blank line", body[-80:])
    if b"\r" in body:
        heard.fault("C8", "a carriage return between events")
    payloads = []
    for block in blocks:
        if block.startswith(b":"):
            continue
        if not block.startswith(_DATA) or b"\n" in block:
            heard.fault("C8", "an event that is not one data line", block)
        payloads.append(block.removeprefix(_DATA))
    return payloads


def _chunk(
    heard: Heard, chunk: dict[str, Any], calls: dict[int, dict[int, dict[str, Any]]], *, usage_asked: bool
) -> None:
    _frame(heard, chunk, "chat.completion.chunk")
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        heard.fault("C4", "choices is no array", chunk)
        return
    usage = chunk.get("usage")
    if usage is not None:
        if not usage_asked:
            heard.fault("C7", "usage that nobody asked for", usage)
        if choices:
            heard.fault("C7", "usage beside choices", chunk)
        if heard.usage is not None:
            heard.fault("C7", "usage twice", usage)
        heard.usage = usage
    elif heard.usage is not None:
        heard.fault("C7", "a chunk after the usage", chunk)
    for choice in choices:
        index = choice.get("index")
        if not isinstance(index, int) or not isinstance(choice.get("delta"), dict):
            heard.fault("C4", "a choice without index or delta", choice)
            continue
        voice = heard.voices.setdefault(index, Voice())
        _delta(heard, voice, choice, calls.setdefault(index, {}))


def _delta(heard: Heard, voice: Voice, choice: dict[str, Any], calls: dict[int, dict[str, Any]]) -> None:
    delta = choice["delta"]
    said = [key for key in ("reasoning_content", "content", "tool_calls") if delta.get(key)]
    if len(said) > 1:
        heard.fault("C2", "several kinds in one delta", said)
    if said and voice.finish:
        heard.fault("C2", "text after the finish reason", delta)
    if "role" in delta:
        voice.roles.append(delta["role"])
    elif not voice.roles:
        heard.fault("C4", "a first delta without role", delta)
    _say(heard, voice, delta)
    for entry in delta.get("tool_calls") or ():
        _fragment(heard, voice, calls, entry)
    _finish(heard, voice, choice)


def _say(heard: Heard, voice: Voice, message: dict[str, Any]) -> None:
    """The texts of a delta or of a whole message."""
    for alias in ALIASES:
        if message.get(alias):
            heard.fault("C3", f"the alias {alias} was left", message[alias])
    for key in ("reasoning_content", "content", "refusal"):
        text = message.get(key)
        if text is not None and not isinstance(text, str):
            heard.fault("C1", f"{key} is no string", text)
        elif text:
            setattr(voice, key.removesuffix("_content"), getattr(voice, key.removesuffix("_content")) + text)
            if voice.kinds[-1:] != [key]:
                voice.kinds.append(key)
    if message.get("tool_calls") and voice.kinds[-1:] != ["tool_calls"]:
        voice.kinds.append("tool_calls")
    voice.details += message.get("reasoning_details") or []


def _fragment(heard: Heard, voice: Voice, calls: dict[int, dict[str, Any]], entry: dict[str, Any]) -> None:
    index, function = entry.get("index"), entry.get("function") or {}
    if "extra_content" in entry:
        voice.state.append(entry["extra_content"])
    if not isinstance(index, int) or index > len(calls):
        heard.fault("C6", "an index with gaps", entry)
    elif index == len(calls):
        if not entry.get("id") or not function.get("name") or entry.get("type") != "function":
            heard.fault("C6", "a first fragment without id, name or type", entry)
        name, arguments = function.get("name"), function.get("arguments") or ""
        calls[index] = {"id": entry.get("id"), "name": name, "arguments": arguments}
    else:
        if "id" in entry or "name" in function:
            heard.fault("C6", "id or name again", entry)
        calls[index]["arguments"] += function.get("arguments") or ""


def _finish(heard: Heard, voice: Voice, choice: dict[str, Any]) -> None:
    reason = choice.get("finish_reason")
    if reason is None:
        return
    if reason not in FINISH_REASONS:
        heard.fault("C5", "finish reason", reason)
    voice.finish.append(reason)
    voice.native_finish = choice.get("native_finish_reason")


def _frame(heard: Heard, value: dict[str, Any], kind: str) -> None:
    made = value.get("created")
    if value.get("object") != kind:
        heard.fault("C4", "object", value.get("object"))
    if not value.get("id") or not isinstance(value["id"], str):
        heard.fault("C4", "id", value.get("id"))
    if not isinstance(made, int) or isinstance(made, bool) or made <= 0:
        heard.fault("C4", "created", made)
    if not value.get("model") or not isinstance(value["model"], str):
        heard.fault("C4", "model", value.get("model"))
    if (value.get("id"), made) not in heard.frames:
        heard.frames.append((value.get("id"), made))


def _whole(heard: Heard, body: bytes) -> None:
    try:
        value = json.loads(body)
    except ValueError:
        heard.fault("C4", "a body that is no JSON", body)
        return
    _frame(heard, value, "chat.completion")
    if "error" in value:
        heard.fault("§3", "an error inside a 200", value["error"])
    for choice in value.get("choices") or [{}]:
        index, message = choice.get("index"), choice.get("message")
        if not isinstance(index, int) or index in heard.voices or not isinstance(message, dict):
            heard.fault("C4", "a choice without index or message", choice)
            continue
        voice = heard.voices[index] = Voice()
        if message.get("role") != "assistant":
            heard.fault("C4", "role", message.get("role"))
        if "content" not in message:
            heard.fault("C4", "a message without the key content", message)
        _say(heard, voice, message)
        for entry in message.get("tool_calls") or ():
            _call(heard, voice, entry)
        _finish(heard, voice, choice)
        if len(voice.finish) != 1:
            heard.fault("C5", "no finish reason", choice)
    heard.usage = value.get("usage")


def _call(heard: Heard, voice: Voice, entry: dict[str, Any]) -> None:
    function = entry.get("function") or {}
    if not entry.get("id") or entry.get("type") != "function" or not isinstance(function.get("arguments"), str):
        heard.fault("C6", "a call without id, type or arguments", entry)
    if "extra_content" in entry:
        voice.state.append(entry["extra_content"])
    call = {"id": entry.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
    voice.tool_calls.append(call)


def _texts(heard: Heard, voice: Voice, delimiters: tuple[str, ...]) -> None:
    reasoning, content = voice.reasoning.strip(), voice.content.lstrip()
    for delimiter in delimiters:
        if content.startswith(delimiter) or reasoning.startswith(delimiter) or reasoning.endswith(delimiter):
            heard.fault("C1", f"{delimiter} was left", reasoning[:40], content[:40])
    if voice.finish == ["stop"] and voice.tool_calls:
        heard.fault("C5", "stop, though calls were made")


def _usage(heard: Heard) -> None:
    usage = heard.usage
    if usage is None:
        return
    counts = [usage.get(f"{key}_tokens") for key in ("prompt", "completion", "total")]
    if not all(isinstance(count, int) for count in counts):
        heard.fault("C7", "counts are missing", usage)
        return
    prompt, completion, total = (count or 0 for count in counts)
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    if total != prompt + completion:
        heard.fault("C7", "total is not prompt plus completion", usage)
    elif reasoning > completion:
        heard.fault("C7", "completion leaves the reasoning out", usage)
