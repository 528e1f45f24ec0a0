"""A user with the official SDK: questions that each need a tool, in one conversation."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from openai import DefaultHttpxClient, OpenAI

Message = dict[str, Any]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
DROPS = "drops"
"""The client keeps only the keys of OpenAI's own schema."""
RETURNS = "returns"
"""The client returns messages with every key, the reasoning as text in `reasoning_content`."""


@contextmanager
def sdk(url: str) -> Iterator[OpenAI]:
    """A client of the server at `url` (with /v1)."""
    with OpenAI(
        base_url=url, api_key="any", max_retries=0, timeout=20, http_client=DefaultHttpxClient(trust_env=False)
    ) as client:
        yield client


def converse(
    client: OpenAI, models: Sequence[str], *, kind: str, stream: bool, before: Sequence[Message] = (), **more: Any
) -> list[Message]:
    """One question and its tool call for each of these models in turn; all messages."""
    messages: list[Message] = [{"role": "system", "content": "Be short."}, *before]
    for model in models:
        messages.append({"role": "user", "content": f"How warm is it at place {len(messages)}?"})
        while True:
            message = ask(client, model, messages, stream=stream, **more)
            messages.append(of_kind(message, kind))
            if not message.get("tool_calls"):
                break
            calls = message["tool_calls"]
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"} for call in calls]
    return messages


def hop(client: OpenAI, course: Sequence[str], *, kind: str, stream: bool, turns: int, places: int) -> list[Message]:
    """Questions that need a tool for each of several places; every single request goes to the next model of `course`."""
    messages: list[Message] = [{"role": "system", "content": "Be short."}]
    hops = itertools.cycle(course)
    for _ in range(turns):
        messages.append({"role": "user", "content": f"How warm is it at {places} places?"})
        while True:
            message = ask(client, next(hops), messages, stream=stream)
            messages.append(of_kind(message, kind))
            if not message.get("tool_calls"):
                break
            calls = message["tool_calls"]
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"} for call in calls]
    return messages


def ask(client: OpenAI, model: str, messages: Sequence[Message], *, stream: bool, **more: Any) -> Message:
    """The answer's message, with every key that came."""
    sent: Any = {"model": model, "messages": list(messages), "tools": TOOLS, **more}
    if not stream:
        message = client.chat.completions.create(**sent).choices[0].message
        return dict(message.model_dump(exclude_none=True, warnings=False))
    found: Message = {"role": "assistant", "content": None}
    for event in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **sent):
        for choice in event.choices:
            _add(found, choice.delta.model_dump(exclude_none=True, warnings=False))
    return found


def _add(found: Message, told: Message) -> None:
    """Texts grow; items of lists are told apart by their index; of everything else the last holds."""
    for key, value in told.items():
        old = found.get(key)
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            items = found[key] = old if isinstance(old, list) else []
            for number, each in enumerate(value):
                at = each.get("index", len(items) + number)
                held = next((item for item in items if item.get("index") == at), None)
                if held is None:
                    items.append(held := {})
                _add(held, {**each, "index": at} if key != "content" else each)
        elif isinstance(value, dict):
            _add(found.setdefault(key, {}), value)
        elif (
            isinstance(value, str)
            and isinstance(old, str)
            and key in ("content", "text", "arguments", "reasoning", "reasoning_content")
        ):
            found[key] = old + value
        else:
            found[key] = value


def of_kind(message: Message, kind: str) -> Message:
    """What this kind of client sends back of a message."""
    calls = [{key: value for key, value in call.items() if key != "index"} for call in message.get("tool_calls", ())]
    content, reasoning = _read(message)
    if kind == DROPS:
        calls = [{key: call[key] for key in ("id", "type", "function")} for call in calls]
        kept: Message = {"role": "assistant"}
    else:
        kept = {key: value for key, value in message.items() if key != "reasoning"}
        kept |= {"reasoning_content": reasoning} if reasoning else {}
    return {**kept, "content": content} | ({"tool_calls": calls} if calls else {})


def _read(message: Message) -> tuple[str | None, str]:
    """The text and the reasoning; a client that talks to many hosts knows list-typed content too."""
    content = message.get("content")
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    if isinstance(content, list):
        inside = json.dumps([part for part in content if part.get("type") != "text"])
        return "".join(part.get("text", "") for part in content if part.get("type") == "text") or None, inside
    return content, reasoning
