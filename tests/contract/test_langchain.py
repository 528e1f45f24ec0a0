"""LangChain's `ChatOpenAI`, which drops reasoning and signatures, before the hosts that want them back."""

import json
from collections.abc import Sequence
from typing import Any

import openai
import pytest

from tests.support.builtin_files import key_of
from tests.support.conversing import DROPS, TOOLS
from tests.support.refusing import CASES, Case
from tests.support.scripted import scripted
from tests.support.server import running, settings_of
from tests.support.strict import calling, script_of, thought

langchain_openai = pytest.importorskip("langchain_openai", reason="needs the extra `clients`")
langchain_messages = pytest.importorskip("langchain_core.messages")
CELLS = [
    pytest.param(case, stream, id=f"{case.id}-{stream}")
    for case in CASES
    if case.client == DROPS and not case.before
    for stream in case.streams
]
each = pytest.mark.parametrize(("case", "stream"), CELLS)


def converse(url: str, turns: int, *, stream: bool) -> Sequence[Any]:
    """Questions that each need a tool, asked as LangChain's own agents ask them; all messages."""
    chat = langchain_openai.ChatOpenAI(model="m", base_url=url, api_key="any", max_retries=0, stream_usage=True)
    bound = chat.bind_tools(TOOLS)
    tool_message = langchain_messages.ToolMessage
    messages: list[Any] = []
    for turn in range(turns):
        messages.append(langchain_messages.HumanMessage(f"How warm is it at place {turn}?"))
        while True:
            if stream:
                first, *rest = bound.stream(messages)
                message = sum(rest, first)
            else:
                message = bound.invoke(messages)
            messages.append(message)
            if not message.tool_calls:
                break
            messages += [tool_message("18 degrees", tool_call_id=call["id"]) for call in message.tool_calls]
    return messages


@each
def test_langchain_alone_is_refused(case: Case, *, stream: bool) -> None:
    with scripted(script_of(case.strict)) as upstream:
        with pytest.raises(openai.APIStatusError):
            converse(upstream.url, 3, stream=stream)
        assert len(upstream.asked) == case.at


@each
def test_langchain_with_the_proxy_comes_to_the_end(case: Case, *, stream: bool) -> None:
    key = key_of(case.name) if case.name != "house" else None
    with scripted(script_of(case.strict)) as upstream:
        table = {
            "version": 1,
            "providers": {case.name: {"base_url": upstream.url, **case.entry}},
            "routes": [{"model": "m", "targets": [{"provider": case.name, "model": case.model}]}],
        }
        with running(settings_of(json.dumps(table), {key: "secret-key-0123"} if key else {})) as proxy:
            messages = converse(f"{proxy.url}/v1", 3, stream=stream)
        last = upstream.asked[-1].json
    answers = [message.text for message in messages if message.type in ("ai", "AIMessageChunk") and message.text]
    assert answers == [f"It is warm, {number}." for number in (1, 2, 3)]
    if case.refusal in ("deepseek", "deepseek-older", "moonshot"):
        told = [message["reasoning_content"] for _, message in calling(last)]
        assert told == [thought(number) for number in range(3)], "the reasoning itself goes back, not only a blank"
