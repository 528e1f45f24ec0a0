"""The guarantees C1–C7 of `docs/schema.md`, one section each; every body is read in every cut. C8–C13: `test_stream_course.py`."""

from typing import Any, ClassVar

import pytest

from proxy.core.dialect import Dialect, FinishReasons
from tests.support.streams import (
    CREATED,
    FALLBACK_ID,
    FRAME,
    TARGET,
    body,
    call,
    chunk,
    context,
    dumped,
    message,
    stream,
    text,
    whole,
)

DETAILS = [{"type": "reasoning.text", "text": "abc", "signature": "s", "index": 0}]
CALL = call(0, "c", "f", "{}")


class TestC1ReasoningAndAnswerAreApart:
    def test_no_tag_is_left_in_either(self) -> None:
        answer = stream(body(*text("<th", "ink>", "a\n</thi", "nk>\n\n", "x")))
        assert (answer.reasoning, answer.content, answer.source) == ("a", "x", "tags")

    @pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "reasoning_text", "thinking", "thought"])
    def test_a_field_of_any_name_is_reasoning(self, key: str) -> None:
        answer = stream(body(chunk({"role": "assistant", key: "a"}), chunk({"content": "x"}, "stop")))
        assert (answer.reasoning, answer.content, answer.source) == ("a", "x", key)


class TestC2OneDeltaSaysOneThing:
    def test_reasoning_then_content_then_calls_and_the_finish_last(self) -> None:
        answer = stream(
            body(
                chunk(
                    {"role": "assistant", "reasoning_content": "a", "content": "x", "tool_calls": [CALL]}, "tool_calls"
                )
            )
        )
        kinds = [
            next(key for key in ("reasoning_content", "content", "tool_calls") if delta.get(key))
            for delta in answer.deltas
        ]
        assert kinds == ["reasoning_content", "content", "tool_calls"]
        assert [one["choices"][0]["finish_reason"] for one in answer.events] == [None, None, "tool_calls"]

    def test_an_empty_or_null_twin_may_stay(self) -> None:
        data = body(
            chunk({"role": "assistant", "reasoning_content": "a", "content": None}),
            chunk({"content": "x", "reasoning_content": None}, "stop"),
        )
        assert stream(data).out == data


class TestC3NothingIsSaidTwice:
    def test_two_fields_and_details_with_one_text(self) -> None:
        both = {"reasoning": "abc", "reasoning_content": "abc", "reasoning_details": DETAILS}
        answer = stream(body(chunk({"role": "assistant", **both}), chunk({"content": "x"}, "stop")))
        assert (answer.reasoning, answer.details, answer.odd) == ("abc", DETAILS, {"both_reasoning_fields": 1})

    def test_details_alone_are_reasoning(self) -> None:
        data = body(chunk({"role": "assistant", "reasoning_details": DETAILS}), chunk({"content": "x"}, "stop"))
        answer = stream(data)
        assert (answer.reasoning, answer.details, answer.source) == ("abc", DETAILS, "details")
        assert whole(data).reasoning == "abc"

    @pytest.mark.parametrize("length", [30, 3000])
    def test_details_that_repeat_the_whole_at_the_end(self, length: int) -> None:
        said = ("word " * length)[:length]
        chunks = [chunk({"reasoning": said[at : at + 100]}) for at in range(0, length, 100)]
        last = chunk({"reasoning_details": [{"type": "reasoning.text", "text": said, "signature": "s"}]})
        answer = stream(body(chunk({"role": "assistant"}), *chunks, last, chunk({"content": "x"}, "stop")))
        assert (answer.reasoning, answer.details[0]["signature"]) == (said, "s")

    def test_details_first_and_then_the_field(self) -> None:
        answer = stream(
            body(
                chunk({"role": "assistant", "reasoning_details": DETAILS}),
                chunk({"reasoning_content": "abc"}),
                chunk({"content": "x"}, "stop"),
            )
        )
        assert answer.reasoning == "abc"

    def test_tags_in_content_beside_the_field_in_lockstep(self) -> None:
        pairs = [("<think>", None), ("I ", "I "), ("see", "see"), ("</think>", None), ("x", None)]
        chunks = [chunk({"content": content, **({"reasoning_content": r} if r else {})}) for content, r in pairs]
        answer = stream(body(chunk({"role": "assistant"}), *chunks, chunk({}, "stop")))
        assert (answer.reasoning, answer.content) == ("I see", "x")

    def test_tags_in_content_beside_the_field_in_a_whole_message(self) -> None:
        answer = whole(dumped(message(content="<think>I see</think>x", reasoning_content="I see")))
        assert (answer.reasoning, answer.content) == ("I see", "x")

    def test_repeated_deltas_where_the_dialect_says_so(self) -> None:
        data = body(*text("First", "First", "ha", finish="stop", key="reasoning_content"))
        assert stream(data, context(Dialect(dedupe_repeated_reasoning=True))).reasoning == "Firstha"
        assert stream(data).reasoning == "FirstFirstha"


class TestC4TheFrame:
    def test_what_is_missing_is_made_up_and_stays_the_same(self) -> None:
        bare = [{"choices": [{"delta": {"content": one}}]} for one in "ab"]
        answer = stream(body(*bare))
        assert {(one["id"], one["created"], one["model"]) for one in answer.events} == {(FALLBACK_ID, CREATED, TARGET)}
        assert (answer.content, answer.roles) == ("ab", 1)

    def test_the_role_comes_once_for_each_choice(self) -> None:
        chunks = [chunk({"role": "assistant", "content": "a"}, index=index) for index in (0, 1, 0, 1)]
        answer = stream(body(*chunks))
        assert [one.roles for one in answer.choices.values()] == [1, 1]

    def test_an_id_that_comes_late_is_on_all_chunks(self) -> None:
        answer = stream(body({**chunk({"role": "assistant"}), "id": ""}, *text("a")))
        assert {one["id"] for one in answer.events} == {FRAME["id"]}

    def test_a_whole_answer_has_the_same(self) -> None:
        (value,) = whole(dumped({"choices": [{"message": {"content": "a"}}]})).events
        assert (value["id"], value["created"], value["model"], value["object"]) == (
            FALLBACK_ID,
            CREATED,
            TARGET,
            "chat.completion",
        )
        assert value["choices"][0] == {
            "index": 0,
            "message": {"role": "assistant", "content": "a"},
            "finish_reason": "stop",
        }


class TestC5TheFinish:
    @pytest.mark.parametrize(
        ("word", "reason", "native"),
        [
            ("stop", "stop", None),
            ("eos", "stop", "eos"),
            ("MAX_TOKENS", "length", "MAX_TOKENS"),
            ("odd", "stop", "odd"),
            ("", "stop", None),
        ],
    )
    def test_the_word_is_openais_and_the_upstreams_is_kept(self, word: str, reason: str, native: str | None) -> None:
        for answer in (
            stream(body(*text("x", finish=None), chunk({}, word))),
            whole(dumped(message(word, content="x"))),
        ):
            assert (answer.finish, answer.native) == (reason, native)

    def test_stop_with_calls_made_is_tool_calls(self) -> None:
        answer = stream(body(chunk({"role": "assistant", "tool_calls": [CALL]}), chunk({}, "stop")))
        assert (answer.finish, answer.native) == ("tool_calls", "stop")

    def test_a_second_reason_is_ignored(self) -> None:
        assert stream(body(*text("x"), chunk({}, "length"), chunk({"content": "y"}, "stop"))).finish == "stop"

    def test_done_without_a_reason_is_inferred(self) -> None:
        assert stream(body(*text("x", finish=None))).finish == "stop"
        assert stream(body(chunk({"role": "assistant", "tool_calls": [CALL]}))).finish == "tool_calls"

    def test_a_bare_end_without_a_reason_is_an_error_unless_the_dialect_accepts_it(self) -> None:
        data = body(*text("x", finish=None), done=False)
        answer = stream(data)
        assert (answer.finish, answer.error and answer.error["code"]) == (None, "upstream_protocol")
        lenient = stream(data, context(Dialect(finish_reason=FinishReasons(missing="infer"))))
        assert (lenient.finish, lenient.error) == ("stop", None)


class TestC6ToolCalls:
    def test_indexes_are_dense_and_names_come_once(self) -> None:
        deltas = [call(1, "a", "f", '{"x"'), call(1, "", "f", ":1}"), call(3, None, "g", "{}")]
        answer = stream(
            body(
                chunk({"role": "assistant"}), *(chunk({"tool_calls": [one]}) for one in deltas), chunk({}, "tool_calls")
            )
        )
        assert answer.calls == [("a", "f", '{"x":1}'), ("call_0123456789abcdef01234567_1", "g", "{}")]

    def test_arguments_are_byte_true(self) -> None:
        arguments = '{ "a" :\t"\\u00e9é\\n" }'
        assert (
            stream(
                body(chunk({"role": "assistant", "tool_calls": [call(0, "a", "f", arguments)]}, "tool_calls"))
            ).calls[0][2]
            == arguments
        )

    def test_each_choice_has_its_own_calls_and_made_up_ids(self) -> None:
        chunks = [chunk({"tool_calls": [call(None, None, "f", "{}")]}, index=index) for index in (0, 1)]
        answer = stream(body(*chunks))
        assert {one.calls[0][0] for one in answer.choices.values()} == {
            "call_0123456789abcdef01234567",
            "call_0123456789abcdef01234567_1",
        }


class TestC7Usage:
    USAGE: ClassVar[dict[str, Any]] = {
        "prompt_tokens": 307,
        "completion_tokens": 26,
        "total_tokens": 560,
        "completion_tokens_details": {"reasoning_tokens": 227},
        "cost": 1,
    }
    PLACES: ClassVar[dict[str, bytes]] = {
        "in a last chunk": body(*text("x"), {**FRAME, "choices": [], "usage": USAGE}),
        "with the finish": body(*text("x", finish=None), chunk({}, "stop", usage=USAGE)),
        "in the choice": body(
            *text("x", finish=None),
            {**FRAME, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        ),
        "after the finish": body(*text("x"), chunk({}, None, usage=USAGE)),
        "on every chunk": body(
            *(chunk({"content": one}, usage={"prompt_tokens": 1, "completion_tokens": 1}) for one in "x"),
            chunk({}, "stop", usage=USAGE),
        ),
        "before the finish": body(*text("x", finish=None), {"choices": [], "usage": USAGE}, chunk({}, "stop")),
        "beside the choices": body(*text("x", finish=None), chunk({}, "stop", x_groq={"usage": USAGE})),
        "at the end of a body without done": body(*text("x"), {**FRAME, "choices": [], "usage": USAGE}, done=False),
    }

    @pytest.mark.parametrize("place", PLACES)
    def test_it_comes_once_at_the_end_if_and_only_if_asked(self, place: str) -> None:
        answer = stream(self.PLACES[place], context(usage=True))
        assert answer.usage == {**self.USAGE, "completion_tokens": 253}
        assert answer.events[-1]["choices"] == []
        assert stream(self.PLACES[place]).usage is None
        assert whole(self.PLACES[place]).usage == answer.usage

    def test_of_two_the_last_one_counts_streamed_and_whole(self) -> None:
        first = {**FRAME, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
        last = {**FRAME, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}}
        data = body(*text("x"), first, last)
        assert stream(data, context(usage=True)).usage == last["usage"]
        assert whole(data).usage == last["usage"]

    def test_what_came_before_a_late_error_is_not_lost(self) -> None:
        usage = {**FRAME, "choices": [], "usage": self.USAGE}
        answer = stream(body(*text("x", finish="length"), usage, {"error": {"message": "no"}}), context(usage=True))
        assert (answer.usage or {})["total_tokens"] == 560
        assert answer.error is not None

    def test_a_second_one_is_counted(self) -> None:
        again = {**FRAME, "choices": [], "usage": self.USAGE}
        assert stream(body(*text("x"), again, again), context(usage=True)).odd == {"duplicate_usage": 1}
