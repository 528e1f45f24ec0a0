"""A whole answer, read all at once."""

from typing import Any

import pytest

from proxy.core.context import AnswerContext
from proxy.core.errors import UpstreamProtocol, UpstreamRateLimited
from proxy.core.whole import WholeAnswer
from tests.support.streams import call, context, message

CONTEXT: AnswerContext = context()


def test_a_canonical_answer_is_the_same() -> None:
    value = message(content="x", reasoning_content="a", refusal=None, annotations=[])
    answer = WholeAnswer(value, CONTEXT)
    assert answer.same and answer.body == value
    assert (answer.finish_reason, answer.source, answer.usage) == ("stop", "reasoning_content", None)


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"object": "x"},
        {"usage": {"prompt_tokens": 1}},
        {"choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "eos"}]},
        {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]},
        {
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop", "delta": {}}
            ]
        },
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}, 5]},
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "x", "tool_calls": {}},
                    "finish_reason": "stop",
                }
            ]
        },
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": [], "function_call": {}},
                    "finish_reason": "stop",
                }
            ]
        },
    ],
)
def test_an_answer_that_needs_mending_is_not(change: dict[str, Any]) -> None:
    answer = WholeAnswer({**message(content="x"), **change}, CONTEXT)
    assert not answer.same
    assert WholeAnswer(answer.body, CONTEXT).same


def test_calls_get_what_they_lack() -> None:
    answer = WholeAnswer(
        message("stop", content="", tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}]), CONTEXT
    )
    one = answer.body["choices"][0]
    assert one["message"]["tool_calls"][0] == {
        "id": "call_0123456789abcdef01234567",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a":1}'},
    }
    assert (one["finish_reason"], one["native_finish_reason"]) == ("tool_calls", "stop")
    right = {key: value for key, value in call(0, "c", "f", "{}").items() if key != "index"}
    assert WholeAnswer(message("tool_calls", content=None, tool_calls=[right]), CONTEXT).same


def test_the_upstreams_own_native_reason_stays() -> None:
    value = message("eos", content="x")
    value["choices"][0]["native_finish_reason"] = "EOS"
    assert WholeAnswer(value, CONTEXT).body["choices"][0]["native_finish_reason"] == "EOS"


def test_errors_and_other_things_are_raised() -> None:
    with pytest.raises(UpstreamRateLimited, match="slow"):
        WholeAnswer({"error": {"message": "slow", "code": 429}}, CONTEXT)
    other: list[Any] = [5, None, "x", [], {}, {"choices": 5}, {"choices": []}]
    for value in other:
        with pytest.raises(UpstreamProtocol, match="not a chat completion"):
            WholeAnswer(value, CONTEXT)
