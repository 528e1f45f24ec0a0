"""The guarantees C8–C13 of `docs/schema.md`; C1–C7 are in `test_stream.py`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.core.errors import UpstreamUnavailable
from proxy.core.render import Form, Rendering
from proxy.core.stream import StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from tests.support.streams import (
    DONE,
    FRAME,
    body,
    call,
    chunk,
    context,
    dumped,
    event,
    message,
    piped,
    stream,
    text,
    whole,
)

DETAILS = [{"type": "reasoning.text", "text": "abc", "signature": "s", "index": 0}]
CALL = call(0, "c", "f", "{}")


class TestC8TheEnd:
    def test_a_line_that_is_no_json_is_skipped_and_counted(self) -> None:
        answer = stream(body(*text("x", finish=None), b"oops", b"5", b"[]", chunk({"content": "y"}, "stop")))
        assert (answer.content, answer.odd) == ("xy", {"malformed_json": 3})

    def test_what_comes_after_done_is_ignored(self) -> None:
        data = body(*text("x"))
        assert stream(data + body(*text("y"))).out == data

    @pytest.mark.parametrize("broken", [None, UpstreamUnavailable("The upstream broke off.")])
    def test_a_broken_stream_ends_with_an_error_and_no_reason(self, broken: UpstreamUnavailable | None) -> None:
        answer = stream(body(*text("x", finish=None), done=False), broken=broken)
        assert (answer.content, answer.finish, answer.begun) == ("x", None, True)
        assert answer.error is not None
        assert answer.out.endswith(event({"error": answer.error}) + DONE)


class TestC9TheRestPasses:
    def test_a_canonical_event_leaves_as_its_bytes(self) -> None:
        odd = b'{"id":"up-1", "object":"chat.completion.chunk","created":1764000000,"model":"m-1","x":{"y":[1.0,1e2]},"choices":[{"index":0,"delta":{"role":"assistant","content":"\\u00e9","z":null},"finish_reason":null,"logprobs":null}]}'
        data = b"data: " + odd + b"\n\n" + body(*text("x")[1:])
        assert stream(data).out == data
        assert stream(b"data:" + data[6:]).out == data

    def test_unknown_keys_survive_in_a_changed_event(self) -> None:
        answer = stream(
            body(
                chunk({"role": "assistant", "reasoning": "a", "token_id": 5}, citations=[1], provider="p"),
                chunk({"content": "x"}, "stop"),
            )
        )
        assert answer.events[0]["citations"] == [1]
        assert answer.events[0]["choices"][0]["delta"]["token_id"] == 5

    def test_text_that_only_looked_like_a_delimiter_leaves_as_its_bytes(self) -> None:
        data = body(*text("\n", " <", "th", "e", "<think>"))
        assert stream(data).out == data


class TestC10OpaqueState:
    def test_signatures_and_blocks_pass(self) -> None:
        blocks = {"thinking_blocks": [{"type": "thinking", "thinking": "a", "signature": "s"}], "reasoning_opaque": "o"}
        entry = {**CALL, "extra_content": {"google": {"thought_signature": "t"}}}
        data = body(
            chunk({"role": "assistant", "reasoning_content": "a", **blocks}),
            chunk({"tool_calls": [entry]}, "tool_calls"),
        )
        assert stream(data).out == data

    def test_typed_parts_with_signatures_stay_as_details(self) -> None:
        item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "signature": "s"}]}
        for data in (
            body(chunk({"role": "assistant", "content": [item]}), chunk({"content": "x"}, "stop")),
            dumped(message(content=[item, {"type": "text", "text": "x"}])),
        ):
            answer = stream(data)
            assert (answer.reasoning, answer.content, answer.details) == ("a", "x", [item])

    def test_a_reasoning_object_with_a_signature_stays_as_details(self) -> None:
        given = {"text": "a", "signature": "s"}
        for key in ("reasoning_content", "reasoning"):
            answer = stream(body(chunk({"role": "assistant", key: given}), chunk({"content": "x"}, "stop")))
            assert (answer.reasoning, answer.details) == ("a", [given])
            assert whole(dumped(message(content="x", **{key: given}))).details == [given]

    def test_a_signature_alone_is_no_text_and_is_not_lost(self) -> None:
        answer = stream(
            body(chunk({"role": "assistant", "reasoning_content": {"signature": "s"}}), chunk({"content": "x"}, "stop"))
        )
        assert (answer.reasoning, answer.details) == ("", [{"signature": "s"}])


class TestC11NoWaiting:
    def test_what_arrives_in_one_read_leaves_in_one_write(self) -> None:
        pipeline = StreamPipeline(context(), Timeline(0.0))
        for one in text("<think>a", "b</think>", "x", "y"):
            out = pipeline.feed(event(one), 1.0)
            said = one["choices"][0]["delta"].get("content")
            assert bool(out) == bool(said or one["choices"][0]["finish_reason"] or "role" in one["choices"][0]["delta"])

    def test_a_role_alone_does_not_begin_the_response(self) -> None:
        pipeline = StreamPipeline(context(), Timeline(0.0))
        pipeline.feed(event(chunk({"role": "assistant", "content": ""})) + b": still here\n\n", 1.0)
        assert not pipeline.begun
        pipeline.feed(event(chunk({"refusal": "no"})), 2.0)
        assert pipeline.begun

    def test_comments_pass_once_the_response_has_begun(self) -> None:
        first, *rest = text("x")
        comment = b": still here\n\n"
        data = comment + event(first) + comment + event(rest[0]) + comment + body(*rest[1:])
        assert stream(data).out == event(first) + event(rest[0]) + comment + body(*rest[1:])

    def test_the_timeline_knows_when_what_came(self) -> None:
        line = Timeline(0.0)
        pipeline = StreamPipeline(context(), line)
        for at, one in enumerate(text("<think>a", "b</think>x")):
            pipeline.feed(event(one), float(at))
        pipeline.close(9.0)
        assert (line.first_reasoning, line.first_answer, line.reasoning_s, line.finish_reason) == (
            1.0,
            2.0,
            1.0,
            "stop",
        )


class TestC12StreamAndWholeAgree:
    @pytest.mark.parametrize(
        "said",
        [
            {"content": "<think>a</think>x"},
            {"content": "x", "reasoning": "a", "reasoning_details": DETAILS},
            {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]},
                    {"type": "text", "text": "x"},
                ]
            },
            {"content": "", "refusal": "no"},
        ],
    )
    def test_one_message_both_ways(self, said: dict[str, Any]) -> None:
        data = dumped(message("end_turn", **said))
        one, other = stream(data), whole(data)
        assert one.choices == other.choices
        as_delta = {**said, "role": "assistant"}
        assert whole(body(chunk(as_delta), chunk({}, "end_turn"))).choices == other.choices

    def test_several_choices_keep_their_index(self) -> None:
        data = dumped(
            {
                **FRAME,
                "choices": [
                    {"index": index, "message": {"content": str(index)}, "finish_reason": "stop"} for index in (1, 0)
                ],
            }
        )
        for answer in (stream(data), whole(data)):
            assert {index: one.content for index, one in answer.choices.items()} == {0: "0", 1: "1"}


class TestC13TruncatedThinking:
    def test_it_stays_reasoning_and_the_content_is_empty(self) -> None:
        for data in (body(*text("<think>a", "b", finish="length")), dumped(message("length", content="<think>ab"))):
            for answer in (stream(data), whole(data)):
                assert (answer.reasoning, answer.content, answer.finish) == ("ab", "", "length")


def test_nothing_comes_after_the_end() -> None:
    out, pipeline = piped([body(*text("x"))], context())
    assert pipeline.feed(b"data: {}\n\n", 5.0) == b""
    assert pipeline.close(5.0) == b""
    assert json.loads(out.split(b"\n\n")[0][6:])["choices"]


def test_a_whole_pipeline_reports_what_broke_the_body() -> None:
    pipeline = WholePipeline(context(), Timeline(0.0))
    pipeline.feed(body(*text("x", finish=None), done=False), 1.0)
    error = UpstreamUnavailable("The upstream broke off.")
    assert pipeline.close(2.0, error) == b""
    assert pipeline.error is error


@pytest.mark.parametrize("form", ["reasoning_content", "drop", "passthrough"])
@pytest.mark.parametrize("data", [body(*text("<think>a</think>", "x")), dumped(message(content="<think>a</think>x"))])
def test_the_whole_message_is_kept_for_whoever_asked_whatever_its_form(data: bytes, form: Form) -> None:
    for kind in (StreamPipeline, WholePipeline):
        kept: list[dict[str, Any]] = []
        pipeline = kind(replace(context(rendering=Rendering(form)), keep=kept.append), Timeline(0.0))
        pipeline.feed(data, 1.0)
        pipeline.close(2.0)
        assert [(one["reasoning_content"], one["content"]) for one in kept] == [("a", "x")]
