"""One whole canonical answer → canonical chunks, for a client that asked for a stream (C12)."""

from typing import Any

from proxy.core.chunk import Chunk

_HEAD = ("id", "object", "created", "model")
_REASONING = ("reasoning_content", "reasoning_details", "thinking_blocks")


def chunks_of(body: dict[str, Any]) -> list[Chunk]:
    """The chunks of a whole answer, one choice in each, without its usage, which is the caller's to add.

    Per choice: its role with the first piece, its reasoning, its content, its tool calls, and its finish reason with
    the last piece. Unknown keys of the message go with its content (or last piece), those of the choice with its last
    piece, those of the body with the first chunk. `body` is not changed.
    """
    head = {key: body[key] for key in _HEAD if key in body} | {"object": "chat.completion.chunk"}
    choices = [piece for choice in body["choices"] for piece in _pieces(choice)]
    chunks = [Chunk({**head, "choices": [choice]}) for choice in choices] or [Chunk({**head, "choices": []})]
    chunks[0].data.update({key: value for key, value in body.items() if key not in (*_HEAD, "choices", "usage")})
    return chunks


def _pieces(choice: dict[str, Any]) -> list[dict[str, Any]]:
    message = choice.get("message") or {}
    deltas = _deltas(message)
    deltas[0] = {"role": message.get("role") or "assistant", **deltas[0]}
    index = choice.get("index", 0)
    pieces: list[dict[str, Any]] = [{"index": index, "delta": delta, "finish_reason": None} for delta in deltas]
    rest = {key: value for key, value in choice.items() if key not in ("index", "message", "logprobs")}
    pieces[-1].update(rest)
    if "logprobs" in choice:
        next((piece for piece in pieces if "content" in piece["delta"]), pieces[-1])["logprobs"] = choice["logprobs"]
    return pieces


def _deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    reasoning = {key: message[key] for key in _REASONING if message.get(key)}
    content = {"content": message["content"]} if message.get("content") else {}
    calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())]
    told = {"role", "content", "reasoning_content", "tool_calls", *reasoning}
    rest = {key: value for key, value in message.items() if key not in told}
    if content or any(rest.values()):
        content, rest = content | rest, {}
    deltas: list[dict[str, Any]] = [
        part for part in (reasoning, content, {"tool_calls": calls} if calls else {}) if part
    ]
    deltas = deltas or [{"content": ""}]
    deltas[-1].update(rest)
    return deltas
