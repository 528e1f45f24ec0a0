"""One conversation that goes from host to host, each of which refuses what the others want."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import openai
import pytest

from tests.support.conversing import DROPS, RETURNS, converse, hop, sdk
from tests.support.scripted import Upstream, scripted
from tests.support.server import Running, running, settings_of
from tests.support.strict import HOSTS, PLACEHOLDERS, calling, script_of, signature, thought

MODELS = {
    "deepseek": "deepseek-v4-pro",
    "groq": "openai/gpt-oss-120b",
    "mistral": "magistral-medium-latest",
    "openrouter": "google/gemini-3-pro-preview",
    "gemini": "gemini-3-pro-preview",
    "moonshot": "kimi-k2.6",
}
COURSE = [*MODELS, "deepseek", "gemini", "groq", "openrouter"]
KEYS = {f"{name.upper()}_API_KEY": "secret-key-0123" for name in MODELS}
Hosts = dict[str, Upstream]


@contextmanager
def table(*, help_: bool = True) -> Iterator[tuple[Running, Hosts]]:
    """Without help a provider is an entry of its own that has no built-in, and passes messages as they come."""
    plain = {"history": {"replay": "passthrough"}, "response": {"usage": {"request": "never"}}}
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(scripted(script_of(HOSTS[name]))) for name in MODELS}
        entries = {
            name if help_ else f"plain-{name}": {"base_url": host.url, **({} if help_ else plain)}
            for name, host in hosts.items()
        }
        routes = [
            {"model": name, "targets": [{"provider": entry, "model": MODELS[name]}]}
            for name, entry in zip(MODELS, entries, strict=True)
        ]
        text = json.dumps({"version": 1, "providers": entries, "routes": routes})
        yield stack.enter_context(running(settings_of(text, KEYS))), hosts


def sent(host: Upstream) -> list[dict[str, Any]]:
    """The messages with tool calls of the last request."""
    return [message for _, message in calling(host.asked[-1].json)]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("kind", [RETURNS, DROPS])
def test_a_conversation_goes_from_host_to_host_without_a_refusal(kind: str, *, stream: bool) -> None:
    with table() as (proxy, hosts), sdk(f"{proxy.url}/v1") as client:
        messages = converse(client, COURSE, kind=kind, stream=stream)
    answers = [message["content"] for message in messages if message["role"] == "assistant" and message["content"]]
    assert answers == [f"It is warm, {number}." for number in range(1, len(COURSE) + 1)]
    assert [len(host.asked) for host in hosts.values()] == [4, 4, 2, 4, 4, 2]
    assert all("reasoning_content" in message for message in sent(hosts["deepseek"]))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("kind", [RETURNS, DROPS])
def test_each_request_of_a_tool_loop_may_go_to_another_host(kind: str, *, stream: bool) -> None:
    with table() as (proxy, hosts), sdk(f"{proxy.url}/v1") as client:
        messages = hop(client, list(MODELS), kind=kind, stream=stream, turns=3, places=6)
    answers = [message["content"] for message in messages if message["role"] == "assistant" and message["content"]]
    assert answers == [f"It is warm, {number}." for number in (6, 12, 18)]
    assert [len(host.asked) for host in hosts.values()] == [4, 4, 4, 3, 3, 3]
    words = [call["tool_calls"][0]["extra_content"]["google"]["thought_signature"] for call in sent(hosts["gemini"])]
    own = [number for number, word in enumerate(words) if word == signature(number)]
    assert own == [4, 9], "its own signatures go back to it, and for calls of other hosts a word"
    assert set(words) == {PLACEHOLDERS[0], *map(signature, own)}
    for host in hosts.values():
        ids = [message["tool_calls"][0]["id"] for message in sent(host)]
        assert len(set(ids)) == len(ids), "no two calls become one"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_reasoning_of_one_host_reaches_the_next_in_its_own_form(*, stream: bool) -> None:
    with table() as (proxy, hosts), sdk(f"{proxy.url}/v1") as client:
        converse(client, COURSE, kind=RETURNS, stream=stream)
    told = sent(hosts["groq"])
    assert [message.get("reasoning") for message in told] == [thought(number) for number in range(len(told))]
    parts = [message["content"][0]["thinking"][0]["text"] for message in sent(hosts["mistral"])]
    assert parts == [thought(number) for number in range(3)]
    details = [message["reasoning_details"] for message in sent(hosts["openrouter"])]
    own = [number for number, name in enumerate(COURSE) if name == "openrouter"]
    for number, (first, second) in enumerate(details):
        assert (first["type"], first["text"]) == ("reasoning.text", thought(number))
        assert second["data"] == (signature(number) if number in own else PLACEHOLDERS[0])
    assert not any("reasoning_content" in message for message in sent(hosts["gemini"]))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("kind", "first"), [(RETURNS, "groq"), (DROPS, "deepseek")])
def test_without_the_built_ins_the_same_conversation_ends_with_a_refusal(
    kind: str, first: str, *, stream: bool
) -> None:
    with (
        table(help_=False) as (proxy, hosts),
        sdk(f"{proxy.url}/v1") as client,
        pytest.raises(openai.APIStatusError) as refused,
    ):
        converse(client, COURSE, kind=kind, stream=stream)
    assert refused.value.status_code == 400
    said = {"groq": "property 'reasoning_content' is unsupported", "deepseek": "must be passed back to the API"}
    assert said[first] in refused.value.message
    assert len(hosts[first].asked) == (1 if first == "groq" else 2)
