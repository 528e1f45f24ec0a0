"""Reasoning memory: what is kept of a message, under which key, and what is put back into which message."""

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.memory import SAID, Conversation, complete, worth_keeping
from proxy.core.render import parse_rendering, render_whole

ME, OTHER = b"a" * 32, b"b" * 32
USER = {"role": "user", "content": "What is the weather in Paris?"}
CALL = {
    "id": "functions.weather:0",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "s1g"}}}
RESULT = {"role": "tool", "tool_call_id": "functions.weather:0", "content": "18 degrees"}
DETAILS = [{"type": "reasoning.text", "text": "I must look.", "signature": "sig", "index": 0}]
BLOCKS = [{"type": "thinking", "thinking": "I must look.", "signature": "sig"}]
ANSWER = {"role": "assistant", "content": None, "reasoning_content": "I must look.", "tool_calls": [CALL]}
BARE = {"role": "assistant", "content": None, "tool_calls": [CALL]}
FORMS = ["reasoning_content", "reasoning", "both", "details", "think_tags", "content_parts", "drop"]


def key(*messages: Any, caller: bytes = ME) -> bytes:
    """The key of the last message with tool calls."""
    return list(Conversation(caller, list(messages)).keys().values())[-1]


def bare(**keys: Any) -> dict[str, Any]:
    return {**BARE, **keys}


def with_call(**function: Any) -> dict[str, Any]:
    return bare(tool_calls=[{**CALL, "function": {**CALL["function"], **function}}])  # type: ignore[dict-item]


# --- keys ---


@pytest.mark.parametrize(
    "returned",
    [
        bare(content=""),
        bare(content="  \n"),
        bare(content=[]),
        {"role": "assistant", "tool_calls": [CALL]},
        bare(content="", refusal=None, annotations=[], name="x"),
        bare(reasoning_content="I must look."),
        bare(reasoning="else", reasoning_details=DETAILS, thinking_blocks=BLOCKS),
        bare(content="<think>I must look.</think>"),
        bare(content="<think>I must look.</think>\n\n"),
        bare(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "I must look."}]}]),
        bare(tool_calls=[SIGNED]),
        bare(tool_calls=[{**CALL, "index": 0}]),
        with_call(arguments='{ "city" : "Par\\u0069s" }\n'),
        with_call(arguments={"city": "Paris"}),
    ],
    ids=lambda m: str(m)[22:90],
)
def test_what_clients_change_on_the_way_back_does_not_change_the_key(returned: dict[str, Any]) -> None:
    assert key(USER, returned) == Conversation(ME, [USER]).key_of(ANSWER)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ('{"a":1,"b":[true,null]}', '{"b": [true, null], "a": 1.0}'),
        ('{"a":1e2}', '{"a":100}'),
        ('{"a":0.5}', '{"a":5e-1}'),
        ('{"a":"é"}', '{"a":"\\u00e9"}'),
        ('{"a":"\\ud83d"}', ' {"a":"\\uD83D"}'),
        ("", "{}"),
        (None, "{}"),
        ('{"a":', '{"a": '),
        ("[" * 100_000, "[" * 100_000 + " "),
        ("9" * 5000, "9" * 5000 + " "),
    ],
    ids=lambda text: str(text)[:20],
)
def test_arguments_are_compared_by_what_they_say(given: Any, same: str) -> None:
    assert key(USER, with_call(arguments=given)) == key(USER, with_call(arguments=same))


@pytest.mark.parametrize(
    ("earlier", "as_well"),
    [
        ([USER], [{"role": "system", "content": "It is 9:00."}, USER]),
        ([{"role": "developer", "content": "a"}, USER], [USER, {"role": "system", "content": "b"}]),
        ([USER], [{"role": "user", "content": [{"type": "text", "text": USER["content"], "cache_control": {}}]}]),
        (
            [USER],
            [{"role": "user", "content": [{"type": "text", "text": t} for t in ("What is ", "the weather in Paris?")]}],
        ),
        ([USER, ANSWER, RESULT], [USER, BARE, RESULT]),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "low"}}]}],
            [{"role": "user", "content": [{"image_url": {"detail": "low", "url": "x"}, "type": "image_url"}]}],
        ),
    ],
)
def test_conversation_before_is_compared_by_what_it_says(earlier: list[Any], as_well: list[Any]) -> None:
    one, other = key(*earlier, BARE), key(*as_well, BARE)
    assert one[:SAID] == other[:SAID]
    rules = [[m for m in messages if m["role"] in ("system", "developer")] for messages in (earlier, as_well)]
    assert (one == other) == (rules[0] == rules[1])


DIFFERENT: list[list[Any]] = [
    [USER, BARE],
    [{**USER, "content": "What is the weather in Rome?"}, BARE],
    [{**USER, "role": "assistant"}, BARE],
    [
        {
            "role": "user",
            "content": [{"type": "text", "text": USER["content"]}, {"type": "image_url", "image_url": "a"}],
        },
        BARE,
    ],
    [
        {
            "role": "user",
            "content": [{"type": "text", "text": USER["content"]}, {"type": "image_url", "image_url": "b"}],
        },
        BARE,
    ],
    [{**USER, "content": {"odd": 1}}, BARE],
    [USER, bare(content="Let me look.")],
    [USER, bare(tool_calls=[{**CALL, "id": "functions.weather:1"}])],
    [USER, bare(tool_calls=[CALL, CALL])],
    [USER, bare(tool_calls=[{**CALL, "id": None}])],
    [USER, bare(tool_calls=["odd"])],
    [USER, bare(tool_calls=[{"id": "c", "type": "function"}])],
    [USER, bare(tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "weather", "input": "Paris"}}])],
    [USER, bare(tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "weather", "input": "Rome"}}])],
    [USER, with_call(name="climate")],
    [USER, with_call(arguments='{"city":"Rome"}')],
    [USER, with_call(arguments='{"city":"Paris","n":1.5}')],
    [USER, with_call(arguments='{"city":"Paris","n":15}')],
    [USER, BARE, RESULT, BARE],
    [USER, BARE, {**RESULT, "content": "19 degrees"}, BARE],
    [USER, BARE, {**RESULT, "tool_call_id": "x"}, BARE],
    [USER, with_call(arguments='{"city":"Rome"}'), RESULT, BARE],
    [USER, {"role": "assistant", "content": "18 degrees."}, USER, BARE],
    [BARE],
]


def test_every_difference_in_what_was_said_makes_another_key() -> None:
    keys = [key(*messages) for messages in DIFFERENT]
    same = [(a, b) for (a, x), (b, y) in itertools.combinations(enumerate(keys), 2) if x == y]
    assert not same
    assert {len(one) for one in keys} == {48}


def test_callers_have_keys_of_their_own() -> None:
    keys = {key(USER, BARE, caller=caller) for caller in (b"", ME, OTHER, ME[:31])}
    assert len(keys) == 4


def test_each_message_of_a_conversation_has_the_key_that_it_was_kept_under() -> None:
    second = {**ANSWER, "tool_calls": [{**CALL, "id": "functions.weather:1"}]}
    rules = {"role": "system"}
    first_key = Conversation(ME, [rules, USER]).key_of(ANSWER)
    second_key = Conversation(ME, [rules, USER, BARE, RESULT]).key_of(second)
    conversation = Conversation(ME, [rules, USER, BARE, RESULT, {**second, "reasoning_content": ""}, RESULT])
    assert conversation.calling == [2, 4]
    assert conversation.keys() == {2: first_key, 4: second_key}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [None, "Let me look.", " two\n\nlines "])
def test_message_is_found_in_whatever_rendering_its_client_got_it(form: str, content: str | None) -> None:
    answer = {**ANSWER, "content": content, "reasoning_details": DETAILS}
    whole = {"choices": [{"index": 0, "message": answer, "finish_reason": "tool_calls"}]}
    returned = render_whole(whole, parse_rendering(form))["choices"][0]["message"]
    assert key(USER, returned) == Conversation(ME, [USER]).key_of(answer)


# --- what is kept, and what is put back ---


class Kept(dict[bytes, bytes]):
    """A store without bounds."""

    def add(self, answer: dict[str, Any], *before: Any, caller: bytes = ME) -> None:
        kept = worth_keeping(answer)
        assert kept is not None
        self[Conversation(caller, list(before)).key_of(answer)] = kept


def put_back(answer: dict[str, Any], returned: dict[str, Any]) -> Any:
    """What `returned` becomes after `answer` was kept, the counts, and whether it is the same object."""
    store = Kept()
    store.add(answer, USER)
    messages = [USER, returned, RESULT]
    before = copy.deepcopy(messages)
    completed = complete(Conversation(ME, messages), store.get)
    assert messages == before
    assert completed.messages[0] is USER and completed.messages[2] is RESULT
    assert (completed.messages is messages) == (completed.hits == 0)
    return completed.messages[1], completed.hits, completed.misses


def test_reasoning_details_blocks_and_state_of_calls_are_put_back() -> None:
    answer = {**ANSWER, "reasoning_details": DETAILS, "thinking_blocks": BLOCKS, "tool_calls": [SIGNED]}
    assert put_back(answer, bare(content="")) == ({**answer, "content": ""}, 1, 0)


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_blank_reasoning_counts_as_none(blank: Any) -> None:
    assert put_back(ANSWER, bare(reasoning_content=blank)) == (ANSWER, 1, 0)


@pytest.mark.parametrize(
    "own",
    [
        bare(reasoning_content="mine"),
        bare(reasoning="mine"),
        bare(reasoning_text="mine"),
        bare(reasoning_details=[{"type": "reasoning.encrypted", "data": "…"}]),
        bare(thinking_blocks=[{"type": "redacted_thinking", "data": "x"}]),
        bare(content="<think>mine</think>"),
        bare(content=[{"type": "thinking", "thinking": "mine"}]),
        bare(reasoning="I must look.", reasoning_details=[{"type": "reasoning.text", "text": "mine"}]),
    ],
    ids=lambda m: str(m)[40:100],
)
def test_message_with_reasoning_of_its_own_is_never_touched(own: dict[str, Any]) -> None:
    answer = {**ANSWER, "reasoning_details": DETAILS, "thinking_blocks": BLOCKS}
    found, hits, misses = put_back(answer, own)
    assert found is own
    assert (hits, misses) == (0, 0)


@pytest.mark.parametrize("key_of_text", ["reasoning_content", "reasoning"])
def test_client_that_returns_the_text_alone_gets_its_signatures_back(key_of_text: str) -> None:
    answer = {**ANSWER, "reasoning_details": DETAILS}
    returned = bare(**{key_of_text: "I must look."})
    assert put_back(answer, returned) == ({**returned, "reasoning_details": DETAILS}, 1, 0)


def test_think_block_with_the_same_words_is_no_field_that_a_host_could_find() -> None:
    returned = bare(content="<think>I must look.</think>")
    assert put_back(ANSWER, returned) == ({**returned, "reasoning_content": "I must look."}, 1, 0)


def test_state_of_a_call_is_put_back_beside_reasoning_that_came_back() -> None:
    returned = bare(reasoning_content="mine")
    answer = {**ANSWER, "tool_calls": [SIGNED]}
    assert put_back(answer, returned) == ({**returned, "tool_calls": [SIGNED]}, 1, 0)


def test_state_is_put_back_into_the_call_it_belongs_to_and_nothing_is_overwritten() -> None:
    second = {**CALL, "id": "functions.weather:1", "thought_signature": "top"}
    answer = {**BARE, "tool_calls": [SIGNED, CALL, second]}
    own = {**second, "thought_signature": "own"}
    found, hits, _ = put_back(answer, bare(tool_calls=[CALL, CALL, own]))
    assert (found["tool_calls"], hits) == ([SIGNED, CALL, own], 1)
    assert found.keys() == BARE.keys()


@pytest.mark.parametrize(
    "answer",
    [
        BARE,
        {**ANSWER, "tool_calls": []},
        {**ANSWER, "tool_calls": None},
        {"role": "assistant", "content": "18 degrees.", "reasoning_content": "Easy."},
        {**ANSWER, "reasoning_content": ""},
        bare(tool_calls=[{**CALL, "extra_content": {}}]),
    ],
)
def test_answer_without_calls_or_without_anything_to_lose_is_not_kept(answer: dict[str, Any]) -> None:
    assert worth_keeping(answer) is None


def test_large_numbers_and_half_characters_come_back_exactly() -> None:
    details = [{"type": "reasoning.encrypted", "data": "\ud83d", "id": 2**70, "score": 0.1}]
    assert put_back({**ANSWER, "reasoning_details": details}, BARE)[0]["reasoning_details"] == details


def test_same_call_ids_in_another_conversation_get_nothing() -> None:
    store = Kept()
    store.add({**ANSWER, "reasoning_content": "of Paris"}, USER)
    rome = {**USER, "content": "What is the weather in Rome?"}
    store.add({**ANSWER, "reasoning_content": "of Rome"}, rome)
    for user, text in ((USER, "of Paris"), (rome, "of Rome")):
        assert complete(Conversation(ME, [user, BARE, RESULT]), store.get).messages[1]["reasoning_content"] == text
    third = complete(Conversation(ME, [{**USER, "content": "And in Oslo?"}, BARE, RESULT]), store.get)
    assert (third.hits, third.misses) == (0, 1)
    assert "reasoning_content" not in third.messages[1]


def test_another_caller_gets_nothing_though_it_knows_the_whole_conversation() -> None:
    store = Kept()
    store.add(ANSWER, USER, caller=ME)
    for caller in (OTHER, b""):
        assert complete(Conversation(caller, [USER, BARE, RESULT]), store.get).misses == 1
    assert complete(Conversation(ME, [USER, BARE, RESULT]), store.get).hits == 1


def test_only_messages_that_lack_reasoning_are_missed() -> None:
    messages = [USER, ANSWER, RESULT, bare(content="x"), RESULT, {"role": "assistant", "content": "Hot."}]
    nothing = Kept()
    for find in (None, nothing.get):
        completed = complete(Conversation(ME, messages), find)
        assert (completed.messages is messages, completed.hits, completed.misses) == (True, 0, 1)


def test_empty_store_costs_no_digest() -> None:
    conversation = Conversation(ME, [USER, BARE])
    complete(conversation, None)
    assert conversation._keys is None


def test_what_calls_no_tool_is_not_looked_up() -> None:
    messages = [USER, {"role": "assistant", "content": "x"}, {"role": "user", "tool_calls": [CALL]}, 7, {"role": []}]
    looked: list[bytes] = []
    completed = complete(Conversation(ME, messages), looked.append)
    assert (completed.messages is messages, looked) == (True, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(
    JSON | st.fixed_dictionaries({"id": JSON, "function": JSON | st.fixed_dictionaries({"arguments": JSON})}),
    max_size=2,
)
ANY = JSON | st.fixed_dictionaries(
    {"role": st.sampled_from(["assistant", "tool"]) | JSON, "content": JSON, "tool_calls": JSON | CALLS}
)


@given(st.lists(ANY, max_size=4), JSON)
def test_nothing_that_a_client_sends_breaks_the_memory(messages: list[Any], content: Any) -> None:
    conversation = Conversation(ME, messages)
    completed = complete(conversation, Kept().get)
    assert completed.messages is messages
    assert set(conversation.keys()) == set(conversation.calling)
    answer = {**ANSWER, "content": content}
    store = Kept()
    store.add(answer, *messages)
    again = complete(Conversation(ME, [*messages, {**BARE, "content": content}]), store.get)
    assert again.messages[-1] == answer


def test_nesting_without_end_is_no_obstacle() -> None:
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    assert key({"role": "user", "content": {"a": deep}}, BARE) != key({"role": "user", "content": "x"}, BARE)
    assert key(USER, with_call(arguments=deep)) != key(USER, BARE)
