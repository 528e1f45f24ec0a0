"""Whole answers that are canonical at first sight leave as a closer look would have them leave."""

import dataclasses
import json
from typing import Any

import pytest

from proxy.core import usage, whole
from proxy.core.dialect import Dialect, FinishReasons, Tags
from proxy.core.render import Form, Rendering
from proxy.core.short_way import is_plain
from proxy.core.stream import WholePipeline
from proxy.core.timeline import Timeline
from tests.support.streams import FRAME, context, dumped

ANYWHERE = Dialect(tags=Tags(position="anywhere", blocks="all"))
INSIDE = Dialect(tags=Tags(implicit_start="always"))
RENAMED = Dialect(finish_reason=FinishReasons({"stop": "length"}))
READ_FROM_CONTENT = Dialect(fields=("content", "role"))
UNTAGGED = Dialect(tags=Tags(pairs=()))
COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def answered(body: bytes, dialect: Dialect | None) -> tuple[Any, ...]:
    timeline = Timeline(0.0)
    pipeline = WholePipeline(context(dialect), timeline)
    pipeline.feed(body, 1.0)
    out = pipeline.close(2.0)
    return out, pipeline.source, pipeline.error and pipeline.error.body(), timeline


MESSAGES: list[tuple[dict[str, Any], bool]] = [
    ({"content": "x"}, True),
    ({"content": "x", "reasoning_content": "a"}, True),
    ({"content": None, "reasoning_content": "a", "refusal": None, "tool_calls": []}, True),
    ({"content": "", "reasoning_content": None, "reasoning": "", "annotations": None}, True),
    ({"content": " \n x <think>", "channel": "final"}, True),
    ({}, True),
    ({"content": "<think>a</think>x"}, False),
    ({"content": "\n</think>x"}, False),
    ({"content": " \n"}, False),
    ({"content": ["x"]}, False),
    ({"content": "x", "reasoning": "a"}, False),
    ({"content": "x", "reasoning_content": {"text": "a"}}, False),
    ({"content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}, False),
    ({"content": "x", "extra_content": {"google": {"thought": True}}}, False),
    ({"content": "x", "function_call": {}}, False),
    ({"role": "", "content": "x"}, False),
    ({"role": None, "content": "x"}, False),
    ({"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, False),
]
CHOICES: list[dict[str, Any]] = [
    {},
    {"finish_reason": "end_turn"},
    {"finish_reason": None},
    {"finish_reason": {"x": 1}},
    {"index": None},
    {"index": True},
    {"index": 3},
    {"logprobs": {"content": []}, "stop_reason": None},
    {"message": None},
    {"message": None, "delta": {"role": "assistant", "content": "x"}},
    {"messages": [{"role": "assistant", "content": "y"}]},
    {"usage": COUNTS},
    {"content_filter_results": {"hate": {"filtered": False}}},
]


WRONG: dict[str, list[Any]] = {
    "id": [None, "", 7],
    "created": [None, 0, -1, True, 1.5, 12.0, 2**53, 2**70, "1"],
    "model": [None, "", {}],
    "object": [None, "chat.completion.chunk", "error", "text_completion"],
    "usage": [None, {}, [], "5", COUNTS, {"prompt_tokens": None}, {**COUNTS, "total_tokens": 9}, {**COUNTS, "x": 0.1}],
    "choices": [[], None, ["x"], {"0": {}}],
}
ANSWERS: list[dict[str, Any]] = [
    *({key: value} for key, values in WRONG.items() for value in values),
    {"error": None},
    {"error": {"message": "slow"}},
    {"type": "error"},
    {"detail": "no"},
    {"x_groq": {"usage": COUNTS}},
    {"x_groq": {"usage": COUNTS}, "usage": None},
    {"prompt_logprobs": None, "kv_transfer_params": None, "system_fingerprint": "f", "service_tier": None},
    {"base_resp": {"status_code": 1000, "status_msg": "slow"}},
]


@pytest.mark.parametrize("dialect", [None, ANYWHERE, INSIDE, RENAMED, READ_FROM_CONTENT, UNTAGGED])
def test_a_first_sight_says_what_a_closer_look_says(dialect: Dialect | None, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = [{"message": {"role": "assistant", **message}} for message, _ in MESSAGES] + CHOICES
    full = [
        {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop", **one}
        for one in choices
    ]
    frame = {**FRAME, "object": "chat.completion"}
    bodies = [dumped({**frame, "choices": some}) for some in [*([one] for one in full), full]]
    bodies += [dumped({**frame, "choices": full[:1], **answer}) for answer in ANSWERS]
    bodies += [b"[]", b"[" + bodies[0] + b"]", b"7", b" \n" + bodies[0] + b"\n", bodies[0] + b"data: x"]
    at_sight = [answered(body, dialect) for body in bodies]
    monkeypatch.setattr(whole, "is_plain", lambda *_: False)
    assert [answered(body, dialect) for body in bodies] == at_sight


@pytest.mark.parametrize("form", ["reasoning_content", "reasoning", "think_tags", "drop", "passthrough"])
@pytest.mark.parametrize(
    "message", [{"content": "x"}, {"content": "x", "reasoning": "a"}, {"content": "<think>a</think>x"}]
)
def test_large_numbers_are_exact_whatever_leaves(form: Form, message: dict[str, Any]) -> None:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    choice["content_filter_results"] = {"n": -(2**70)}
    body = {**FRAME, "object": "chat.completion", "prompt_token_ids": [2**70], "choices": [choice]}
    kept: list[dict[str, Any]] = []
    for keep in (None, kept.append):
        pipeline = WholePipeline(dataclasses.replace(context(None, Rendering(form)), keep=keep), Timeline(0.0))
        pipeline.feed(dumped(body), 1.0)
        told = json.loads(pipeline.close(2.0))
        assert told["prompt_token_ids"] == [2**70]
        assert told["choices"][0]["content_filter_results"] == {"n": -(2**70)}
    assert len(kept) == 1


@pytest.mark.parametrize("form", ["reasoning_content", "think_tags", "drop", "passthrough"])
@pytest.mark.parametrize(("message", "source"), [({"reasoning_content": "a"}, "reasoning_content"), ({}, None)])
def test_where_reasoning_was_seen_is_told_whatever_leaves(
    form: Form, message: dict[str, Any], source: str | None
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x", **message}, "finish_reason": "stop"}
    pipeline = WholePipeline(context(None, Rendering(form)), Timeline(0.0))
    pipeline.feed(dumped({**FRAME, "object": "chat.completion", "choices": [choice]}), 1.0)
    assert pipeline.close(2.0) and pipeline.source == source


@pytest.mark.parametrize(("message", "plain"), MESSAGES)
def test_a_message_is_plain_where_nothing_of_it_wants_to_be_read(message: dict[str, Any], plain: bool) -> None:
    from proxy.core.choice import DialectReader

    reader = DialectReader(Dialect(), thinking=True)
    assert is_plain({"role": "assistant", **message}, reader) is plain
    for dialect in (INSIDE, READ_FROM_CONTENT):
        assert not is_plain({"role": "assistant", **message}, DialectReader(dialect, thinking=True))


@pytest.mark.parametrize(("text", "leaves"), [("a b", True), ("a <b", False), ("<think>", False)])
def test_text_anywhere_is_plain_only_without_a_delimiters_first_character(text: str, leaves: bool) -> None:
    from proxy.core.tags import grammar

    assert grammar(ANYWHERE.tags).leaves(text) is leaves


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (COUNTS, COUNTS),
        ({**COUNTS, "completion_tokens_details": {"reasoning_tokens": 2}, "prompt_tokens_details": None}, None),
        ({**COUNTS, "completion_tokens_details": {"reasoning_tokens": 2.0}}, 2),
        ({**COUNTS, "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0}}, None),
        ({**COUNTS, "prompt_tokens_details": []}, None),
        ({**COUNTS, "completion_tokens": 5.0}, COUNTS),
        (
            {**COUNTS, "completion_tokens": True, "total_tokens": 3},
            {**COUNTS, "completion_tokens": 0, "total_tokens": 3},
        ),
        ({**COUNTS, "total_tokens": 9}, {**COUNTS, "completion_tokens": 6, "total_tokens": 9}),
    ],
)
def test_counts_that_add_up_stay_and_all_others_are_mended(given: dict[str, Any], wanted: Any) -> None:
    found = usage.canonical(given)
    if wanted is None or (wanted is COUNTS and given is COUNTS):
        assert found is given
    elif wanted == 2:
        assert found["completion_tokens_details"]["reasoning_tokens"].__class__ is int
    else:
        assert {key: found[key] for key in COUNTS} == wanted
        assert all(found[key].__class__ is int for key in COUNTS)
