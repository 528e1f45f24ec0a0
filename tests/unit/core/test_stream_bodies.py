"""Bodies that are not what was asked for, or break in an awkward place; and the renderings of a whole pipeline."""

import json
from typing import Any

import pytest

from proxy.core import reader as module
from proxy.core import sse
from proxy.core.dialect import Details, Dialect, Tags
from proxy.core.errors import ProxyError, UpstreamUnavailable
from proxy.core.render import Form, Rendering, parse_rendering
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
    read,
    stream,
    text,
    whole,
)

RESET = UpstreamUnavailable("The upstream broke off.")
HTML = b"<!doctype html><title>502</title>"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HTML, "it looks like HTML"),
        (b" \n" + HTML, "it looks like HTML"),
        (b"", "without a completion"),
        (b" \n\n", "without a completion"),
        (b"\xef\xbb\xbf", "without a completion"),
        (DONE, "without a completion"),
        (b": only comments\n\n", "without a completion"),
        (b"upstream connect error", "without a completion"),
        (body({"choices": []}), "without a completion"),
        (b"{", "no valid JSON"),
        (b'{"a": 1}', "the JSON object has no choices"),
        (b'{"choices": []}', "it has no choices"),
        (b'{"choices": [5]}', "it has no choices"),
        (b"[1]", "the body is a JSON list"),
        (b"[]", "the body is a JSON list"),
    ],
)
def test_what_is_no_completion_is_an_error_before_anything_was_sent(data: bytes, words: str) -> None:
    streamed = stream(data)
    assert not streamed.begun
    for answer in (streamed, whole(data)):
        assert answer.error is not None
        assert words in answer.error["message"]
        assert answer.raised is not None and answer.raised.status == 502


def test_an_error_before_any_content_is_told_apart_from_one_after_it() -> None:
    error = {"error": {"message": "slow down", "code": 429}}
    before = stream(body(chunk({"role": "assistant", "content": ""}), error))
    assert (before.begun, before.raised and before.raised.status) == (False, 429)
    after = stream(body(*text("x", finish=None), error))
    assert (after.begun, after.content, after.error and after.error["code"]) == (True, "x", 429)


CUT = {
    "an event": (event(chunk({"content": "y"}))[:30], ""),
    "a character": (event(chunk({"content": "é"})).split("é".encode())[0] + b"\xc3", ""),
    "half a start": (event(chunk({"content": "<thi"}, index=1)), ""),
    "a think block": (event(chunk({"content": "<think>a </th"}, index=1)), ""),
    "a tool call": (event(chunk({"tool_calls": [call(0, "a", None, '{"x')]})), ""),
}


@pytest.mark.parametrize("broken", [None, RESET])
@pytest.mark.parametrize("where", CUT)
def test_a_body_that_ends_in_the_middle_loses_nothing_and_says_so(where: str, broken: ProxyError | None) -> None:
    answer = stream(body(*text("x", finish=None), done=False) + CUT[where][0], broken=broken)
    assert (answer.content, answer.finish) == ("x", None)
    assert answer.error is not None
    other = answer.choices.get(1)
    assert (other.content, other.reasoning) if other else True
    if where == "half a start":
        assert other and other.content == "<thi"
    if where == "a think block":
        assert other and (other.reasoning, other.content) == ("a </th", "")
    if where == "a tool call":
        assert answer.calls == [("a", "", '{"x')]


def test_a_reset_after_the_last_chunk_takes_nothing_away() -> None:
    answer = stream(body(*text("x"), done=False), broken=RESET)
    assert (answer.content, answer.finish, answer.error) == ("x", "stop", None)


def test_a_reset_after_done_is_none() -> None:
    assert stream(body(*text("x")), broken=RESET).error is None


def test_done_without_its_line_end_is_done() -> None:
    for data in (body(*text("x", finish=None), done=False) + b"data: [DONE]", body(*text("x", finish=None))[:-1]):
        answer = stream(data)
        assert (answer.finish, answer.error, answer.odd) == ("stop", None, {})
        assert whole(data).finish == "stop"


def test_a_comment_without_its_line_end_is_none() -> None:
    assert stream(body(*text("x"), done=False) + b": bye").error is None


def test_an_error_event_without_its_line_end_is_read() -> None:
    data = body(*text("x", finish=None), done=False) + event({"error": {"message": "m", "code": "c"}})[:-2]
    for broken in (None, RESET):
        answer = stream(data, broken=broken)
        assert answer.error is not None and answer.error["message"] == "m"
    found = whole(data)
    assert found.error is not None and found.error["message"] == "m"


def test_a_reset_in_a_json_body_is_an_error() -> None:
    answer = stream(dumped(message(content="x"))[:-5], broken=RESET)
    assert (answer.begun, answer.error) == (False, RESET.body()["error"])


def test_an_event_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse.EventParser.__init__, "__defaults__", (100,))
    for pipeline in (StreamPipeline(context(), Timeline(0.0)), WholePipeline(context(), Timeline(0.0))):
        pipeline.feed(b"data: " + b"x" * 200, 1.0)
        pipeline.feed(b"y", 1.0)
        pipeline.close(2.0)
        assert pipeline.error is not None and "an event of more than" in pipeline.error.message


def test_an_endless_json_body_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 100)
    for pipeline in (StreamPipeline(context(), Timeline(0.0)), WholePipeline(context(), Timeline(0.0))):
        for _ in range(20):
            pipeline.feed(b'{"x": "yyyyyyyyyyy', 1.0)
        pipeline.close(2.0)
        assert pipeline.error is not None and "a body of more than 100 bytes" in pipeline.error.message


class TestJsonBodies:
    def test_a_canonical_body_leaves_as_its_bytes(self) -> None:
        data = b'{"id":"a","object":"chat.completion", "created":5,"model":"m","x":1e2,"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}'
        assert whole(b"\n \n" + data + b"\n").out == data
        assert whole(b"\xef\xbb\xbf" + data).out == data
        assert whole(data + b"\n\ndata: [DONE]\n\n").events[0]["x"] == 100

    def test_usage_is_mended_and_streamed_only_if_asked(self) -> None:
        data = dumped({**message(content="x"), "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        assert whole(data).usage == usage
        assert stream(data, context(usage=True)).usage == usage
        assert stream(data).usage is None

    def test_aliases_leave_a_whole_message(self) -> None:
        answer = whole(dumped(message(content="x", reasoning="a", thinking="a", tool_calls={}, function_call={})))
        assert answer.events[0]["choices"][0]["message"] == {
            "role": "assistant",
            "reasoning_content": "a",
            "content": "x",
        }
        assert answer.odd == {"both_reasoning_fields": 1}

    def test_a_delta_or_messages_stand_in_for_the_message(self) -> None:
        for said in (
            {"delta": {"content": "x"}},
            {"messages": [{"content": "x"}]},
            {"message": None, "messages": [5], "delta": {"content": "x"}},
        ):
            assert whole(dumped({**FRAME, "choices": [{**said, "usage": {"prompt_tokens": 1}}]})).content == "x"
        assert whole(dumped({**FRAME, "choices": [{"message": 5}]})).content == ""

    def test_implicit_starts_and_unclosed_blocks_are_read_as_in_a_stream(self) -> None:
        dialect = Dialect(tags=Tags(implicit_start="when_thinking", unclosed="content_if_stop"))
        data = dumped(message(content="a"))
        answer = whole(data, context(dialect))
        assert (answer.reasoning, answer.content) == ("a", "a")
        off = whole(data, context(dialect, thinking=False))
        assert (off.reasoning, off.content) == ("", "a")


class TestImplicitStart:
    ALWAYS = Dialect(tags=Tags(implicit_start="always"))

    def test_text_is_reasoning_until_the_end(self) -> None:
        answer = stream(body(*text("a", "b</think>", "x")), context(self.ALWAYS))
        assert (answer.reasoning, answer.content) == ("ab", "x")

    def test_reasoning_in_a_field_means_that_the_content_has_none(self) -> None:
        answer = stream(
            body(chunk({"role": "assistant", "reasoning": "a"}), chunk({"content": "x"}, "stop")), context(self.ALWAYS)
        )
        assert (answer.reasoning, answer.content) == ("a", "x")

    def test_after_a_tool_call_text_is_answer(self) -> None:
        answer = stream(
            body(
                chunk({"role": "assistant", "tool_calls": [call(0, "a", "f", "{}")]}), chunk({"content": "x"}, "stop")
            ),
            context(self.ALWAYS),
        )
        assert (answer.reasoning, answer.content) == ("", "x")


def test_details_that_repeat_the_text_so_far_are_read_as_snapshots() -> None:
    dialect = Dialect(details=Details(snapshots=True))
    chunks = [
        chunk({"reasoning_details": [{"type": "reasoning.text", "text": one, "index": 0}]})
        for one in ("L", "Let", "Let me")
    ]
    data = body(chunk({"role": "assistant"}), *chunks, chunk({"content": "x"}, "stop"))
    for answer in (stream(data, context(dialect)), whole(data, context(dialect))):
        assert (answer.reasoning, answer.content) == ("Let me", "x")


class TestRenderings:
    DATA = body(*text("<think>a", "b</think>x"))
    CUT = body(*text("<think>a", "b", finish=None), done=False)

    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ("reasoning", [{"reasoning": "a"}, {"reasoning": "b"}, {"content": "x"}]),
            (
                "both",
                [
                    {"reasoning_content": "a", "reasoning": "a"},
                    {"reasoning_content": "b", "reasoning": "b"},
                    {"content": "x"},
                ],
            ),
            (
                "think_tags",
                [{"content": "<think>"}, {"content": "a"}, {"content": "b"}, {"content": "</think>"}, {"content": "x"}],
            ),
            ("drop", [{"content": "x"}]),
            ("reasoning_content; steps=line", [{"reasoning_content": "ab"}, {"content": "x"}]),
        ],
    )
    def test_a_stream_has_the_form_that_was_asked_for(self, form: str, expected: list[dict[str, Any]]) -> None:
        answer = stream(self.DATA, context(rendering=parse_rendering(form)))
        assert [
            {k: v for k, v in delta.items() if k != "role"} for delta in answer.deltas if delta.keys() - {"role"}
        ] == expected
        assert (answer.finish, answer.source) == ("stop", "tags")

    @pytest.mark.parametrize("form", ["details", "content_parts"])
    def test_typed_forms_pass_the_pipeline(self, form: Form) -> None:
        out, _ = piped([self.DATA], context(rendering=Rendering(form)))
        assert b'"text":"a"' in out and out.endswith(DONE)

    def test_an_error_in_mid_think_closes_the_tag_first(self) -> None:
        out, pipeline = piped([self.CUT], context(rendering=Rendering("think_tags")))
        answer = read(out, strict=False)
        assert answer.content == "<think>ab</think>"
        assert answer.error is not None and pipeline.error is not None

    def test_held_steps_leave_before_the_error(self) -> None:
        answer = stream(self.CUT, context(rendering=Rendering(steps="paragraph")), broken=RESET)
        assert (answer.reasoning, answer.error and answer.error["code"]) == ("ab", "upstream_unavailable")

    def test_whole_answers_have_forms_too(self) -> None:
        for data in (self.DATA, dumped(message(content="<think>ab</think>x"))):
            assert whole(data, context(rendering=Rendering("think_tags"))).content == "<think>ab</think>x"
            assert whole(data, context(rendering=Rendering("drop"))).reasoning == ""


class TestPassthrough:
    PASS = context(rendering=Rendering("passthrough"))

    @pytest.mark.parametrize(
        "data", [body(*text("x")) + b"more", dumped(message(content="<think>a</think>x")), b"{", HTML, b": hi\n\n"]
    )
    def test_every_byte_leaves_as_it_came(self, data: bytes) -> None:
        for parts in ([data], [data[at : at + 1] for at in range(len(data))]):
            assert piped(parts, self.PASS)[0] == data

    def test_the_timeline_is_kept_all_the_same(self) -> None:
        _, pipeline = piped([body(*text("<think>a</think>x"))], self.PASS)
        assert (pipeline.begun, pipeline._timeline.finish_reason) == (True, "stop")
        _, pipeline = piped([dumped(message(content="x"))], self.PASS)
        assert (pipeline.begun, pipeline._timeline.finish_reason) == (True, "stop")

    def test_what_breaks_the_body_is_told(self) -> None:
        data = body(*text("x", finish=None), done=False)
        assert piped([data], self.PASS, RESET)[0] == data + event(RESET.body()) + DONE

    def test_a_stream_that_nobody_asked_for_becomes_a_body_all_the_same(self) -> None:
        pipeline = WholePipeline(self.PASS, Timeline(0.0))
        pipeline.feed(body(*text("x")), 1.0)
        assert json.loads(pipeline.close(2.0))["choices"][0]["message"]["content"] == "x"

    def test_a_whole_body_leaves_as_it_came_unless_it_is_an_error(self) -> None:
        data = b" " + dumped(message(content="<think>a</think>x"))
        pipeline = WholePipeline(self.PASS, Timeline(0.0))
        pipeline.feed(data, 1.0)
        assert pipeline.close(2.0) == data
        pipeline = WholePipeline(self.PASS, Timeline(0.0))
        pipeline.feed(b'{"error": {"message": "no"}}', 1.0)
        assert pipeline.close(2.0) == b""
        assert pipeline.error is not None


@pytest.mark.parametrize(
    ("data", "done"),
    [
        (body(*text("x")), True),
        (body({"error": "no"}, done=False), True),
        (HTML, True),
        (body(*text("x"), done=False), False),
        (dumped(message(content="x")), False),
    ],
)
def test_a_whole_pipeline_knows_when_nothing_more_counts(data: bytes, done: bool) -> None:
    pipeline = WholePipeline(context(), Timeline(0.0))
    pipeline.feed(data, 1.0)
    assert pipeline.done is done
