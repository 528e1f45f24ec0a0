"""Conversations of one caller that begin with the same words, with the same ids, at the same time: each gets its own back."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from tests.support.scripted import Asked, Upstream, Wire, delta, scripted
from tests.support.server import Running, running, settings_of

START = {"role": "user", "content": "Begin."}
GO_ON = {"role": "user", "content": "Go on."}
COUNT = 12


def call_of(arguments: str) -> dict[str, Any]:
    """As Kimi names its calls: the same id in every conversation."""
    return {"id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": arguments}}


def number_of(asked: Asked) -> str:
    return str(re.findall(r"number (\d+)", json.dumps(asked.json["messages"][0]))[0])


async def host(asked: Asked, wire: Wire) -> None:
    """Thinks of the number in the system message, and calls the same tool with the same arguments for all of them."""
    number = number_of(asked)
    if asked.json["messages"][-1] != START:
        await wire.events(delta({"content": "Done."}), delta({}, "stop"))
    elif number.endswith("9"):
        await wire.head()
        await wire.event(delta({"reasoning_content": f"Broken thought {number}", "content": None}))
        await wire.event(delta({"tool_calls": [{"index": 0, **call_of("{}")}]}))
        wire.close()
    else:
        thought = delta({"reasoning_content": f"Thought of {number}"})
        await wire.events(thought, delta({"tool_calls": [{"index": 0, **call_of("{}")}]}), delta({}, "tool_calls"))


def table(upstream: Upstream) -> str:
    provider = f"deepseek: {{base_url: {upstream.url}, api_key: {{env: KEY}}}}"
    return f"version: 1\nproviders:\n  {provider}\nroutes:\n  - {{model: m, targets: [deepseek/deepseek-v4]}}\n"


def ask(proxy: Running, rules: str, *messages: Any) -> str:
    body = {"model": "m", "stream": True, "messages": [{"role": "system", "content": rules}, *messages]}
    return httpx2.post(f"{proxy.url}/v1/chat/completions", json=body, timeout=20).text


def returned(upstream: Upstream) -> dict[str, str]:
    """Number of a conversation → the reasoning that its last request carried."""
    return {
        number_of(asked): asked.json["messages"][2]["reasoning_content"]
        for asked in upstream.asked
        if len(asked.json["messages"]) > 2
    }


def test_system_messages_tell_conversations_apart_that_are_otherwise_the_same() -> None:
    numbers = list(range(COUNT))
    bare = {"role": "assistant", "content": None, "tool_calls": [call_of("{}")]}
    result = {"role": "tool", "tool_call_id": "functions.look:0", "content": "1"}
    with scripted(host) as upstream, running(settings_of(table(upstream), {"KEY": "secret-key-0123"})) as proxy:
        with ThreadPoolExecutor(COUNT) as pool:
            list(pool.map(lambda number: ask(proxy, f"You are number {number}.", START), numbers))
            list(pool.map(lambda number: ask(proxy, f"You are number {number}.", START, bare, result), numbers))
        kept = len(proxy.service.memory)
        ask(proxy, "You are number 3, at noon.", START, bare, result, GO_ON)
    whole = [number for number in numbers if number != 9]
    assert kept == len(whole), "nothing of an answer that broke off is kept"
    found = returned(upstream)
    assert found.pop("3") == "", "of several that differ in their system messages alone none is guessed"
    assert found == {str(number): f"Thought of {number}" if number != 9 else "" for number in numbers if number != 3}


def test_a_system_message_that_changes_all_the_time_is_no_obstacle() -> None:
    bare = {"role": "assistant", "content": None, "tool_calls": [call_of("{}")]}
    result = {"role": "tool", "tool_call_id": "functions.look:0", "content": "1"}
    with scripted(host) as upstream, running(settings_of(table(upstream), {"KEY": "secret-key-0123"})) as proxy:
        ask(proxy, "You are number 5. It is 9:00.", START)
        ask(proxy, "You are number 5. It is 9:01.", START, bare, result)
        edited = {**START, "content": "Begin again."}
        ask(proxy, "You are number 6. It is 9:02.", edited, bare, result)
    assert returned(upstream) == {"5": "Thought of 5", "6": ""}
