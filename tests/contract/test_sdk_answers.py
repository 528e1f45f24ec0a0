"""The official SDK reads every kind of answer through the running proxy."""

import asyncio
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI, pydantic_function_tool
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.contract.conftest import UPSTREAM_KEY, World
from tests.support.scripted import answer, delta
from tests.support.upstream import Reply

ASK: Any = [{"role": "user", "content": "Is 3599 prime?"}]
USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 9,
    "total_tokens": 14,
    "completion_tokens_details": {"reasoning_tokens": 6},
}
SPOKEN = (
    delta({"role": "assistant", "content": ""}),
    delta({"reasoning": "59 times "}),
    delta({"reasoning": "61."}),
    delta({"content": "No, "}),
    delta({"content": "it is not."}),
    delta({}, "stop"),
    {**delta(), "choices": [], "usage": USAGE},
)
TAGGED = (
    delta({"role": "assistant", "content": "<thi"}),
    delta({"content": "nk>59 times 61.</th"}),
    delta({"content": "ink>\n\nNo, it is not."}),
    delta({}, "stop"),
)
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


class Weather(BaseModel):
    city: str


def call(arguments: str, **entry: Any) -> dict[str, Any]:
    name = entry.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"type": "function", "function": function, **entry}


def reasoning_of(part: Any) -> str:
    text = getattr(part, "reasoning_content", None)
    return text or ""


def texts(chunks: list[ChatCompletionChunk], index: int = 0) -> tuple[str, str]:
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(map(reasoning_of, deltas)), "".join(part.content or "" for part in deltas)


def test_stream_gives_reasoning_in_its_field_and_then_the_answer(world: World, client: OpenAI) -> None:
    for spoken in (SPOKEN, TAGGED):
        model = world.model(Reply.of_events(*spoken))
        chunks = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
        assert texts(chunks) == ("59 times 61.", "No, it is not.")
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]
        assert {(chunk.id, chunk.created, chunk.object) for chunk in chunks} == {("up-1", 7, "chat.completion.chunk")}
        assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_usage_comes_once_and_last_for_who_asks(world: World, client: OpenAI) -> None:
    model = world.model(Reply.of_events(*SPOKEN))
    chunks = list(
        client.chat.completions.create(model=model, messages=ASK, stream=True, stream_options={"include_usage": True})
    )
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usages) == 1
    assert chunks[-1].usage is usages[0]
    assert chunks[-1].choices == []
    assert usages[0].model_dump(exclude_none=True) == USAGE
    assert world.asked(model).json["stream_options"] == {"include_usage": True}
    assert world.asked(model).headers["authorization"] == f"Bearer {UPSTREAM_KEY}"


def test_whole_answer_says_the_same_as_the_stream(world: World, client: OpenAI) -> None:
    replies = (Reply.of_json(answer("No.", "59 times 61.", usage=USAGE)), Reply.of_events(*SPOKEN))
    for reply, content in zip(replies, ("No.", "No, it is not."), strict=True):
        completion = client.chat.completions.create(model=world.model(reply), messages=ASK)
        message = completion.choices[0].message
        assert (reasoning_of(message), message.content, message.role) == ("59 times 61.", content, "assistant")
        assert completion.choices[0].finish_reason == "stop"
        assert (completion.object, completion.id, completion.created) == ("chat.completion", "up-1", 7)
        assert completion.usage is not None
        assert completion.usage.model_dump(exclude_none=True) == USAGE


def test_whole_body_is_streamed_to_who_asks_for_a_stream(world: World, client: OpenAI) -> None:
    model = world.model(Reply.of_json(answer("No.", "59 times 61.")))
    chunks = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
    assert texts(chunks) == ("59 times 61.", "No.")


def parallel(places: list[int | None]) -> list[dict[str, Any]]:
    """Two calls in four fragments; `places` are their indices, None where the upstream gives none."""

    def at(number: int) -> dict[str, Any]:
        index = places[number]
        return {} if index is None else {"index": index}

    return [
        delta({"role": "assistant", "reasoning": "Look twice."}),
        delta({"tool_calls": [call('{"a":', id="call_a", name="look", **at(0))]}),
        delta({"tool_calls": [call("1}", **at(1))]}),
        delta({"tool_calls": [call('{"b":', id="call_b", name="look", **at(2))]}),
        delta({"tool_calls": [call("2}", **at(3))]}),
        delta({}, "tool_calls"),
    ]


PARALLEL: dict[str, list[int | None]] = {
    "dense": [0, 0, 1, 1],
    "from one": [1, 1, 2, 2],
    "all zero": [0, 0, 0, 0],
    "none": [None] * 4,
}


def test_parallel_calls_are_told_apart_however_the_upstream_numbers_them(world: World, client: OpenAI) -> None:
    for how, index in PARALLEL.items():
        model = world.model(Reply.of_events(*parallel(index)))
        chunks = list(client.chat.completions.create(model=model, messages=ASK, tools=TOOLS, stream=True))
        entries = [e for chunk in chunks for c in chunk.choices for e in c.delta.tool_calls or []]
        made: dict[int, list[str]] = {}
        for entry in entries:
            assert entry.function is not None
            made.setdefault(entry.index, []).append(entry.function.arguments or "")
        assert {index: "".join(parts) for index, parts in made.items()} == {0: '{"a":1}', 1: '{"b":2}'}, how
        assert [entry.id for entry in entries if entry.id] == ["call_a", "call_b"], how
        assert [e.function.name for e in entries if e.function and e.function.name] == ["look", "look"], how
        whole = client.chat.completions.create(model=model, messages=ASK, tools=TOOLS).choices[0]
        calls = [(c.id, c.function.arguments) for c in whole.message.tool_calls or [] if c.type == "function"]
        assert calls == [("call_a", '{"a":1}'), ("call_b", '{"b":2}')], how
        assert (whole.finish_reason, reasoning_of(whole.message)) == ("tool_calls", "Look twice.")


def test_accumulating_helper_gives_events_and_the_final_completion(world: World, client: OpenAI) -> None:
    model = world.model(Reply.of_events(*SPOKEN))
    with client.chat.completions.stream(model=model, messages=ASK, stream_options={"include_usage": True}) as stream:
        seen = list(stream)
        final = stream.get_final_completion()
    assert "".join(event.delta for event in seen if event.type == "content.delta") == "No, it is not."
    assert [event.content for event in seen if event.type == "content.done"] == ["No, it is not."]
    message = final.choices[0].message
    assert (message.role, reasoning_of(message), message.content) == ("assistant", "59 times 61.", "No, it is not.")
    assert (final.choices[0].finish_reason, final.id) == ("stop", "up-1")
    assert final.usage is not None
    assert final.usage.total_tokens == 14


def test_accumulating_helper_parses_the_calls(world: World, client: OpenAI) -> None:
    fragments = (
        delta({"role": "assistant", "content": None, "reasoning_content": "Ask."}),
        delta({"tool_calls": [call('{"city": "Pa', id="call_w", name="Weather", index=0)]}),
        delta({"tool_calls": [call('ris"}', id="", name="", index=0)]}),
        delta({}, "stop"),
    )
    model = world.model(Reply.of_events(*fragments))
    tool = pydantic_function_tool(Weather)
    with client.chat.completions.stream(model=model, messages=ASK, tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.done") == 1
    assert final.choices[0].finish_reason == "tool_calls"
    calls = final.choices[0].message.tool_calls or []
    assert [(made.id, made.function.name) for made in calls] == [("call_w", "Weather")]
    assert calls[0].function.parsed_arguments == Weather(city="Paris")


def test_helper_tells_parallel_calls_apart_where_all_have_index_0(world: World, client: OpenAI) -> None:
    model = world.model(Reply.of_events(*parallel([0, 0, 0, 0])))
    with client.chat.completions.stream(model=model, messages=ASK, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert [(made.id, made.function.arguments) for made in calls] == [("call_a", '{"a":1}'), ("call_b", '{"b":2}')]


def test_two_choices_are_kept_apart(world: World, client: OpenAI) -> None:
    def both(first: dict[str, Any], second: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choices = [{"index": i, "delta": d, "finish_reason": finish} for i, d in enumerate((first, second))]
        return {**delta(), "choices": choices}

    model = world.model(
        Reply.of_events(
            both({"role": "assistant", "reasoning": "a"}, {"role": "assistant", "content": "<think>b"}),
            both({"content": "A"}, {"content": "</think>B"}),
            both({}, {}, "stop"),
        )
    )
    chunks = list(client.chat.completions.create(model=model, messages=ASK, n=2, stream=True))
    assert [texts(chunks, 0), texts(chunks, 1)] == [("a", "A"), ("b", "B")]
    roles = [(c.index, c.delta.role) for chunk in chunks for c in chunk.choices if c.delta.role]
    assert sorted(roles) == [(0, "assistant"), (1, "assistant")]
    whole = client.chat.completions.create(model=model, messages=ASK, n=2)
    found = [(choice.index, reasoning_of(choice.message), choice.message.content) for choice in whole.choices]
    assert found == [(0, "a", "A"), (1, "b", "B")]


def test_async_client_reads_many_streams_at_once_again_and_again(world: World) -> None:
    models = [world.model(Reply.of_events(*spoken)) for spoken in (SPOKEN, TAGGED) for _ in range(8)]

    async def one(client: AsyncOpenAI, model: str) -> tuple[str, str]:
        stream = await client.chat.completions.create(model=model, messages=ASK, stream=True)
        return texts([chunk async for chunk in stream])

    async def together() -> list[list[tuple[str, str]]]:
        http = DefaultAsyncHttpxClient(trust_env=False)
        async with AsyncOpenAI(
            base_url=world.url, api_key="any", max_retries=0, timeout=10, http_client=http
        ) as client:
            return [await asyncio.gather(*(one(client, model) for model in models)) for _ in range(8)]

    assert asyncio.run(together()) == [[("59 times 61.", "No, it is not.")] * len(models)] * 8


def test_models_are_listed_and_found(world: World, client: OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert "house/listed-1" in listed
    found = client.models.retrieve("house/whatever")
    assert (found.id, found.object) == ("house/whatever", "model")


def test_embeddings_are_relayed(world: World, client: OpenAI) -> None:
    value = {
        "object": "list",
        "model": "m",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    model = world.model(Reply.of_json(value))
    found = client.embeddings.create(model=model, input="x", encoding_format="float")
    assert found.data[0].embedding == [0.5, -1.0]
    assert found.usage.prompt_tokens == 2
    assert world.asked(model).path == "/v1/embeddings"
    assert world.asked(model).json["input"] == "x"
