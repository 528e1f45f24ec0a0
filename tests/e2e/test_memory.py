"""Clients that drop reasoning, before upstreams that refuse messages without it: with the memory, and without."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest

from tests.support.samples import samples, total
from tests.support.scripted import Asked, Script, Upstream, Wire, delta, scripted
from tests.support.server import Running, running, settings_of

MISSING = "The reasoning_content in the thinking mode must be passed back to the API."
REFUSAL = {
    "error": {"message": MISSING, "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}
}
UNSIGNED = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, "
    "and missing thought_signature may lead to degraded model performance. Additional data, function call "
    "`default_api:weather` , position 2. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for "
    "more details."
)
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CITIES = ("Paris", "Rome")
QUESTIONS = ("How warm is it in Paris?", "And in Rome?", "Which of them is warmer?")
A, B = "key-of-caller-a", "key-of-caller-b"
LOSSLESS = "history: {memory: off, backfill: none, backfill_signature: null}"


def table(url: str, provider: str, model: str, *, extra: str = "", clients: str = "") -> str:
    block = f"base_url: {url}, api_key: {{env: KEY}}" + (f", {extra}" if extra else "")
    return f"""
version: 1
{clients}
providers:
  {provider}: {{{block}}}
routes:
  - {{model: m, targets: [{provider}/{model}]}}
"""


CLIENTS = "\n".join(
    [
        "clients:",
        *(
            f"  - {{name: {n}, key: {{sha256: {hashlib.sha256(k.encode()).hexdigest()}}}}}"
            for n, k in (("a", A), ("b", B))
        ),
    ]
)


@contextmanager
def proxied(script: Script, provider: str, model: str, **options: str) -> Iterator[tuple[Running, Upstream]]:
    with (
        scripted(script) as upstream,
        running(settings_of(table(upstream.url, provider, model, **options), {"KEY": "secret-key-0123"})) as proxy,
    ):
        yield proxy, upstream


@contextmanager
def sdk(proxy: Running, key: str = "any") -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{proxy.url}/v1", api_key=key, max_retries=0, http_client=openai.DefaultHttpxClient(verify=False)
    ) as client:
        yield client


def counted(proxy: Running, result: str) -> float:
    return total(samples(proxy.service.metrics.render()), "memory_total", result=result)


# --- upstreams ---


def calls_before(body: Any) -> int:
    return sum(bool(message.get("tool_calls")) for message in body["messages"])


def thought(number: int) -> str:
    return f"Thought {number}: I need the weather."


async def said(wire: Wire, asked: Asked, reasoning: str, content: str | None, calls: list[dict[str, Any]]) -> None:
    """An answer, as a stream of small pieces or whole, as it was asked for."""
    reason = "tool_calls" if calls else "stop"
    if not asked.json.get("stream"):
        message = {"role": "assistant", "content": content, "reasoning_content": reasoning}
        message |= {"tool_calls": calls} if calls else {}  # type: ignore[dict-item]
        choices = [{"index": 0, "message": message, "finish_reason": reason}]
        await wire.whole({"id": "up", "object": "chat.completion", "created": 7, "model": "m", "choices": choices})
        return
    pieces = [delta({"role": "assistant", "content": None})]
    pieces += [delta({"reasoning_content": reasoning[at : at + 4]}) for at in range(0, len(reasoning), 4)]
    pieces += [delta({"content": content})] if content else []
    for index, call in enumerate(calls):
        head = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        pieces.append(delta({"tool_calls": [head]}))
        pieces.append(
            delta({"tool_calls": [{"index": index, "function": {"arguments": call["function"]["arguments"]}}]})
        )
    await wire.events(*pieces, delta({}, reason))


def call_of(call_id: str, city: str, **more: Any) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "weather", "arguments": json.dumps({"city": city})},
        **more,
    }


async def strict(asked: Asked, wire: Wire) -> None:
    """DeepSeek V4 as it is known (docs/dialects.md): messages with tool calls must carry the key `reasoning_content`."""
    messages = asked.json["messages"]
    for message in messages:
        if message.get("tool_calls") and "reasoning_content" not in message:
            await wire.whole(REFUSAL, 400)
            return
    number = calls_before(asked.json)
    if messages[-1]["role"] == "user" and number < len(CITIES):
        # The ids of Kimi, which are the same in every conversation.
        await said(wire, asked, thought(number), None, [call_of("functions.weather:0", CITIES[number])])
    else:
        await said(wire, asked, "Now I know.", "It is warm.", [])


async def unsigned(asked: Asked, wire: Wire) -> None:
    """Gemini 3: the first call of each message must carry its signature; an error is a list."""
    messages = asked.json["messages"]
    for number, message in enumerate([one for one in messages if one.get("tool_calls")]):
        if message["tool_calls"][0].get("extra_content") != {"google": {"thought_signature": f"signed {number}"}}:
            await wire.whole([{"error": {"code": 400, "message": UNSIGNED, "status": "INVALID_ARGUMENT"}}], 400)
            return
    number = calls_before(asked.json)
    if messages[-1]["role"] == "user" and number < len(CITIES):
        state = {"google": {"thought_signature": f"signed {number}"}}
        calls = [call_of(f"c{number}", CITIES[number], extra_content=state), call_of(f"d{number}", "Oslo")]
        await said(wire, asked, "", None, calls)
    else:
        await said(wire, asked, "", "It is warm.", [])


# --- a client that drops what it does not know ---


def ask(client: openai.OpenAI, messages: list[Any], *, stream: bool, headers: dict[str, str] | None = None) -> Any:
    """The answer's message with the keys of OpenAI's own schema alone."""
    if not stream:
        answer = client.chat.completions.create(model="m", messages=messages, tools=TOOLS, extra_headers=headers)
        message = answer.choices[0].message
        calls = [bare(call.id, call.function) for call in message.tool_calls or ()]  # type: ignore[union-attr]
        return {"role": "assistant", "content": message.content} | ({"tool_calls": calls} if calls else {})
    text = ""
    found: dict[int, Any] = {}
    stream_of = client.chat.completions.create(
        model="m", messages=messages, tools=TOOLS, stream=True, extra_headers=headers
    )
    for event in stream_of:
        told = event.choices[0].delta
        text += told.content or ""
        for piece in told.tool_calls or ():
            if piece.function is not None and piece.id:
                found[piece.index] = bare(piece.id, piece.function)
            elif piece.function is not None:
                found[piece.index]["function"]["arguments"] += piece.function.arguments
        if event.choices[0].finish_reason:
            break  # nothing behind the end of the answer is read
    stream_of.close()
    return {"role": "assistant", "content": text} | ({"tool_calls": list(found.values())} if found else {})


def bare(call_id: str, function: Any) -> dict[str, Any]:
    """Arguments in the client's own hand, where they are complete."""
    try:
        arguments = json.dumps(json.loads(function.arguments), indent=1)
    except ValueError:
        arguments = function.arguments or ""
    return {"id": call_id, "type": "function", "function": {"name": function.name, "arguments": arguments}}


def converse(client: openai.OpenAI, *, stream: bool, rules: str = "Be short.", **options: Any) -> list[Any]:
    """Three questions, of which two need a tool; gives all messages."""
    messages: list[Any] = [{"role": "system", "content": rules}]
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        while True:
            messages.append(ask(client, messages, stream=stream, **options))
            calls = messages[-1].get("tool_calls", ())
            if not calls:
                break
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"} for call in calls]
            messages[0] = {"role": "system", "content": f"{rules} It is 9:0{len(messages)}."}
    return messages


def reasoning_sent(upstream: Upstream) -> list[list[str | None]]:
    """Of each request: the reasoning of its messages with tool calls."""
    return [
        [message.get("reasoning_content") for message in asked.json["messages"] if message.get("tool_calls")]
        for asked in upstream.asked
    ]


EXPECTED = [[], [thought(0)], [thought(0)], [thought(0), thought(1)], [thought(0), thought(1)]]


@pytest.mark.parametrize("rendering", ["reasoning_content", "drop", "think_tags", "passthrough"])
@pytest.mark.parametrize("stream", [True, False])
def test_client_that_drops_reasoning_talks_on(rendering: str, *, stream: bool) -> None:
    with proxied(strict, "deepseek", "deepseek-reasoner") as (proxy, upstream), sdk(proxy) as client:
        messages = converse(client, stream=stream, headers={"x-reasoning-render": rendering})
        sent = reasoning_sent(upstream)
        counts = [counted(proxy, one) for one in ("stored", "hit", "miss", "evicted", "expired")]
        log = json.dumps(proxy.lines)
    assert messages[-1]["content"].endswith("It is warm.")
    if rendering != "think_tags":
        assert not any("reasoning_content" in message for message in messages)
    assert sent == EXPECTED
    assert counts == [2, 6, 0, 0, 0]
    assert thought(0) not in log
    assert "weather" not in log


@pytest.mark.parametrize("stream", [True, False])
def test_without_the_memory_the_same_client_is_refused(*, stream: bool) -> None:
    with proxied(strict, "deepseek", "deepseek-reasoner", extra=LOSSLESS) as (proxy, upstream), sdk(proxy) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            converse(client, stream=stream)
        assert len(upstream.asked) == 2
        assert len(proxy.service.memory) == 0
    assert MISSING in refused.value.message


def test_restart_leaves_the_backfill() -> None:
    with scripted(strict) as upstream:
        settings = settings_of(table(upstream.url, "deepseek", "deepseek-reasoner"), {"KEY": "secret-key-0123"})
        messages: list[Any] = [{"role": "user", "content": QUESTIONS[0]}]
        with running(settings) as proxy, sdk(proxy) as client:
            messages.append(ask(client, messages, stream=True))
        messages.append({"role": "tool", "tool_call_id": "functions.weather:0", "content": "18 degrees"})
        with running(settings) as proxy, sdk(proxy) as client:
            answer = ask(client, messages, stream=True)
            misses = counted(proxy, "miss")
        sent = reasoning_sent(upstream)
    assert answer["content"] == "It is warm."
    assert (sent[-1], misses) == ([""], 1)


def test_reload_keeps_the_memory() -> None:
    with scripted(strict) as upstream:
        settings = settings_of(table(upstream.url, "deepseek", "deepseek-reasoner"), {"KEY": "secret-key-0123"})
        messages: list[Any] = [{"role": "user", "content": QUESTIONS[0]}]
        with running(settings, reread=lambda: settings) as proxy, sdk(proxy) as client:
            messages.append(ask(client, messages, stream=True))
            messages.append({"role": "tool", "tool_call_id": "functions.weather:0", "content": "18 degrees"})
            assert httpx2.post(f"{proxy.url}/-/reload", verify=False).status_code == 200
            ask(client, messages, stream=True)
        assert reasoning_sent(upstream)[-1] == [thought(0)]


@pytest.mark.parametrize("clients", [CLIENTS, ""], ids=["keys of ours", "keys that we do not know"])
def test_callers_with_the_same_words_and_ids_get_their_own(clients: str) -> None:
    async def named(asked: Asked, wire: Wire) -> None:
        await said(wire, asked, f"Thought {len(upstream.asked)}", None, [call_of("functions.weather:0", "Paris")])

    question = {"role": "user", "content": QUESTIONS[0]}
    returned = {"role": "assistant", "content": "", "tool_calls": [call_of("functions.weather:0", "Paris")]}
    with proxied(named, "deepseek", "deepseek-reasoner", clients=clients) as (proxy, upstream):
        for key in (A, B, A):
            with sdk(proxy, key) as client:
                history = [question] if len(upstream.asked) < 2 else [question, returned, question]
                ask(client, history, stream=True)
        with sdk(proxy, B) as client:
            ask(client, [question, returned, question], stream=True)
            ask(client, [{**question, "content": "Elsewhere?"}, returned, question], stream=True)
        assert reasoning_sent(upstream) == [[], [], ["Thought 1"], ["Thought 2"], [""]]


@pytest.mark.parametrize("stream", [True, False])
def test_signatures_of_calls_are_put_back(*, stream: bool) -> None:
    with proxied(unsigned, "gemini", "gemini-3-pro-preview") as (proxy, upstream), sdk(proxy) as client:
        messages = converse(client, stream=stream)
        last = [message for message in upstream.asked[-1].json["messages"] if message.get("tool_calls")]
        assert counted(proxy, "miss") == 0
    assert messages[-1]["content"] == "It is warm."
    assert "extra_content" not in json.dumps(messages)
    assert [["extra_content" in call for call in message["tool_calls"]] for message in last] == [[True, False]] * 2


def test_without_the_memory_and_its_floor_signatures_are_missed() -> None:
    with (
        proxied(unsigned, "gemini", "gemini-3-pro-preview", extra=LOSSLESS) as (proxy, _),
        sdk(proxy) as client,
        pytest.raises(openai.BadRequestError, match="missing a thought_signature"),
    ):
        converse(client, stream=True)


def test_answer_of_one_target_is_put_back_for_the_next() -> None:
    """The conversation begins with a target that has no memory of its own and goes on with one that needs it."""

    async def plain(asked: Asked, wire: Wire) -> None:
        await said(wire, asked, thought(0), None, [call_of("functions.weather:0", "Paris")])

    async def down(_: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": "busy"}}, 503)

    with scripted(plain) as first, scripted(strict) as second:
        text = f"""
version: 1
providers:
  house: {{base_url: "{first.url}"}}
  deepseek: {{base_url: "{second.url}", api_key: {{env: KEY}}}}
routes:
  - {{model: m, targets: [house/big, deepseek/deepseek-reasoner], retry: {{attempts: 1}}}}
  - {{model: alone, targets: [house/big]}}
"""
        with running(settings_of(text, {"KEY": "secret-key-0123"})) as proxy, sdk(proxy) as client:
            messages: list[Any] = [{"role": "user", "content": QUESTIONS[0]}]
            client.chat.completions.create(model="alone", messages=messages)
            assert len(proxy.service.memory) == 0, "no target of that route remembers"
            messages.append(ask(client, messages, stream=True))
            messages.append({"role": "tool", "tool_call_id": "functions.weather:0", "content": "18 degrees"})
            first.script = down
            assert ask(client, messages, stream=False)["content"] == "It is warm."
            hits = counted(proxy, "hit")
        assert reasoning_sent(first)[-1] == [None], "a target whose memory is off gets what the client sent"
        assert (reasoning_sent(second), hits) == ([[thought(0)]], 1)
