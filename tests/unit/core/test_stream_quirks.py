"""One test for each row of the table of stream quirks in `docs/dialects.md`; the number is the row's."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.core.dialect import Dialect, FinishReasons, ToolCallRules
from tests.support.streams import (
    DONE,
    FRAME,
    Answer,
    body,
    call,
    chunk,
    context,
    dumped,
    event,
    message,
    stream,
    text,
    whole,
)

ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
LAST = {**FRAME, "choices": [], "usage": USAGE}
F, G = ("a", "f", '{"x":1}'), ("b", "g", "{}")


@dataclass
class Row:
    number: str
    upstream: bytes
    reasoning: str = ""
    content: str = ""
    finish: str | None = "stop"
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    native: str | None = None
    usage: dict[str, Any] | None = None
    error: str | int | None = None
    dialect: Dialect = field(default_factory=Dialect)
    stream_only: bool = False


def without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in keys}


def said(delta: Any, finish: Any = None, **more: Any) -> bytes:
    """A role, one delta, `[DONE]`."""
    return body(ROLE, chunk(delta, finish, **more), *([] if finish else [STOP]))


X = chunk({"content": "x"})
R = chunk({"reasoning_content": "r"})
HIDDEN = {"choices": [], "id": "", "model": "", "object": "", "created": 0, "prompt_filter_results": [{}]}
ERROR = {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": "busy"}}
FAILED = [{"index": 0, "delta": {"content": "y"}, "finish_reason": "error"}]

ROWS = [
    Row("1 usage with no choices", body(ROLE, X, STOP, LAST), content="x", usage=USAGE),
    Row("2 an empty first chunk", body(HIDDEN, ROLE, X, STOP), content="x"),
    Row("3 choices absent", body(ROLE, X, STOP, without(LAST, "choices")), content="x", usage=USAGE),
    Row("4 delta null", body(ROLE, X, {**FRAME, "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}), content="x"),
    Row("4 delta absent", body(ROLE, X, {**FRAME, "choices": [{"index": 0, "finish_reason": "stop"}]}), content="x"),
    Row("5 no frame", body(*({**without(one, "object", "model"), "id": "", "created": 0} for one in (ROLE, X, STOP))), content="x"),
    Row("6 role in every chunk", body(ROLE, *(chunk({"role": "assistant", "content": one}) for one in "xy"), STOP), content="xy"),
    Row("7 role null or empty later", body(ROLE, chunk({"role": None, "content": "x"}), chunk({"role": "", "content": "y"}), STOP), content="xy"),
    Row("8 null and empty beside reasoning", body(ROLE, chunk({"content": None, "reasoning": "r"}), chunk({"content": "", "reasoning": "s"}), X, STOP), "rs", "x"),
    Row("9 two aliases", body(ROLE, chunk({"reasoning": "r", "reasoning_content": "r"}), X, STOP), "r", "x"),
    Row("10 both in one delta", said({"reasoning": "r", "content": "x"}), "r", "x"),
    Row("11 content beside the finish", body(ROLE, chunk({"content": "x"}, "stop")), content="x"),
    Row("12 list, then string", body(ROLE, chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]}), X, STOP), "r", "x"),
    Row("13 an object", body(ROLE, chunk({"reasoning_content": {"text": "r"}}), X, STOP), "r", "x"),
    Row("14 repeated reasoning", body(ROLE, R, R, X, STOP), "r", "x", dialect=Dialect(dedupe_repeated_reasoning=True)),
    Row("15 no DONE", body(ROLE, X, STOP, done=False), content="x"),
    Row("16 no finish reason", body(ROLE, X, done=False), content="x", dialect=Dialect(finish_reason=FinishReasons(missing="infer"))),
    Row("16 no finish reason, an error", body(ROLE, X, done=False), content="x", finish=None, error="upstream_protocol"),
    Row("17 an empty finish reason", body(ROLE, chunk({"content": "x"}, ""), chunk({}, "")), content="x"),
    *(Row(f"18 {word}", body(ROLE, X, chunk({}, word)), content="x", finish=reason, native=word) for word, reason in
      [("end", "stop"), ("network_error", "stop"), ("error", "stop"), ("eos", "stop"), ("COMPLETE", "stop"), ("end_turn", "stop"), ("sensitive", "content_filter"),
       ("insufficient_system_resource", "stop"), ("model_context_window_exceeded", "length"), ("repetition", "stop")]),
    Row("19 stop with calls", said({"tool_calls": [call(0, *F)]}, "stop"), calls=[F], finish="tool_calls", native="stop"),
    Row("20 a chunk after the finish", body(ROLE, X, chunk({}, "length"), chunk({"role": "assistant", "content": ""}, None, usage=USAGE)), content="x", finish="length", usage=USAGE),
    Row("21 data after DONE", body(ROLE, X, STOP) + event(X) + DONE, content="x"),
    Row("22 no space", body(ROLE, X, STOP).replace(b"data: ", b"data:"), content="x"),
    Row("23 a bare data line", b"data:\n\n" + body(ROLE).removesuffix(DONE) + b"data\n\ndata: \n\n" + body(X, STOP), content="x"),
    Row("24 comments", b": OPENROUTER PROCESSING\n\n" + body(ROLE, X, done=False) + b": keep-alive\n\n" + body(STOP), content="x"),
    Row("25 blank lines before a body", b"\n\n \r\n" + dumped(message(content="x")), content="x"),
    Row("26 event names", b"event: message\n" + body(ROLE, done=False) + b'event: ping\ndata: {"type": "ping"}\n\n' + body(X, STOP), content="x"),
    Row("26 an error event", body(ROLE, X, done=False) + b"event: error\ndata: overloaded\n\n", content="x", finish=None, error="upstream_unavailable"),
    Row("27 CRLF", body(ROLE, X, STOP).replace(b"\n", b"\r\n"), content="x"),
    Row("27 lone CR and a BOM", b"\xef\xbb\xbf" + body(ROLE, X, STOP).replace(b"\n", b"\r"), content="x"),
    Row("27 several data lines", body(ROLE, dumped(X).replace(b',"choices"', b',\ndata: "choices"'), STOP), content="x"),
    Row("28 cut characters", said({"content": "é😀"}), content="é😀"),
    Row("29 an error in a 200", body(ROLE, X, ERROR), content="x", finish=None, error="busy"),
    Row("29 an error with choices and text", body(ROLE, X, {**FRAME, **ERROR, "choices": FAILED}), content="xy", finish=None, error="busy"),
    Row("30 an error body", dumped({"code": "quota", "error": "no credits"}), finish=None, error="quota"),
    Row("30 another one", dumped({"base_resp": {"status_code": 1008, "status_msg": "balance"}}), finish=None, error="upstream_unavailable"),
    Row("31 a whole body", dumped(message(content="<think>r</think>x")), "r", "x"),
    Row("32 a stream where none was asked for", body(ROLE, R, X, STOP), "r", "x"),
    Row("33 JSON and stray events", dumped(message(content="x")) + b"\n\ndata: {}\n\ndata: [DONE]\n\n", content="x"),
    Row("34 an error in a list", dumped([{"error": {"code": 429, "message": "slow", "status": "X"}}]), finish=None, error=429),
    Row("35 calls without index", body(ROLE, chunk({"tool_calls": [call(None, *F)]}), chunk({"tool_calls": [call(None, *G)]}), chunk({}, "tool_calls")), calls=[F, G], finish="tool_calls"),
    Row("36 all calls at index 0", body(ROLE, chunk({"tool_calls": [call(0, *F)]}), chunk({"tool_calls": [call(0, *G)]}), chunk({}, "tool_calls")), calls=[F, G], finish="tool_calls"),
    Row("37 indexes with gaps", body(ROLE, chunk({"tool_calls": [call(1, *F), call(4, *G)]}), chunk({}, "tool_calls")), calls=[F, G], finish="tool_calls"),
    Row("38 ids repeated, empty", body(ROLE, chunk({"tool_calls": [call(0, "a", "f", '{"x"')]}), chunk({"tool_calls": [call(0, "", None, ":")]}), chunk({"tool_calls": [call(0, "a", None, "1}")]}, "tool_calls")), calls=[F], finish="tool_calls"),
    Row("39 a late name", body(ROLE, chunk({"tool_calls": [call(0, "a", None, '{"x"')]}), chunk({"tool_calls": [call(0, None, "f", ":1}")]}, "tool_calls")), calls=[F], finish="tool_calls"),
    Row("40 dummy arguments", body(ROLE, chunk({"tool_calls": [call(0, "a", "f", "{}")]}), chunk({"tool_calls": [call(0, None, None, '{"x":1}')]}, "tool_calls")), calls=[F], finish="tool_calls", dialect=Dialect(tool_calls=ToolCallRules(drop_dummy_args=True))),
    Row("41 empty twins", said({"content": "x", "tool_calls": None, "refusal": "", "function_call": {}}), content="x"),
    Row("45 a large event", said({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e" * 70_000}], "content": "x"}), content="x"),
    Row("46 a cut stream", body(ROLE, X, done=False) + event(STOP)[:40], content="x", finish=None, error="upstream_protocol"),
    Row("47 a whole message in a stream", body({**message(content="x", reasoning_content="r"), "object": "chat.completion"}), "r", "x"),
    Row("47 messages", body({**FRAME, "choices": [{"index": 0, "finish_reason": "stop", "messages": [{"role": "assistant", "content": "x"}]}]}), content="x"),
    Row("47 a growing message beside the delta", body(*({**FRAME, "choices": [{"index": 0, "delta": {"content": "x"}, "message": {"content": "x" * n}, "finish_reason": None}]} for n in (1, 2)), STOP), content="xx"),
    Row("48 citations on each chunk", body(*(chunk({"content": one}, citations=["u"], usage=USAGE) for one in "xy"), chunk({}, "stop", citations=["u"])), content="xy", usage=USAGE),
    Row("48b line separators in strings", said({"content": "a\u2028b\u2029c\x85d\x0be".replace("\x0b", "")}), content="a\u2028b\u2029c\x85de"),
]  # fmt: skip


def check(row: Row, answer: Answer) -> None:
    assert (answer.reasoning, answer.content, answer.calls) == (row.reasoning, row.content, row.calls)
    assert (answer.finish, answer.native) == (row.finish, row.native)
    assert (answer.error and answer.error["code"]) == row.error
    if row.error is None:
        assert answer.usage == row.usage


def slow(row: Row) -> bool:
    return len(row.upstream) > 20_000


@pytest.mark.parametrize("row", [row for row in ROWS if not slow(row)], ids=lambda row: row.number)
def test_the_stream_is_canonical(row: Row) -> None:
    check(row, stream(row.upstream, context(row.dialect, usage=True)))


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.error is None and not slow(row)], ids=lambda row: row.number
)
def test_the_whole_answer_is_the_same(row: Row) -> None:
    check(row, whole(row.upstream, context(row.dialect, usage=True)))


@pytest.mark.parametrize("row", [row for row in ROWS if slow(row)], ids=lambda row: row.number)
def test_large_events_pass_in_reads_of_any_size(row: Row) -> None:
    from tests.support.streams import piped, read

    for size in (1000, 65536, 10**6):
        out, _ = piped([row.upstream[at : at + size] for at in range(0, len(row.upstream), size)], context(row.dialect))
        check(row, read(out))


def test_42_interleaved_choices_have_a_state_each() -> None:
    pieces = [("<th", 0), ("<", 1), ("ink>a", 0), ("b", 1), ("</think>x", 0), ("c", 1)]
    chunks = [chunk({"content": one}, index=index) for one, index in pieces]
    answer = stream(body(*chunks, chunk({}, "length", index=1), chunk({}, "stop")))
    assert (answer.choices[0].reasoning, answer.choices[0].content, answer.choices[0].finish) == ("a", "x", "stop")
    assert (answer.choices[1].reasoning, answer.choices[1].content, answer.choices[1].finish) == ("", "<bc", "length")


def test_42_several_choices_in_one_event() -> None:
    def both(one: Any, other: Any, finish: str | None = None) -> dict[str, Any]:
        return {
            **FRAME,
            "choices": [
                {"index": 0, "delta": one, "finish_reason": finish},
                {"index": 1, "delta": other, "finish_reason": finish},
            ],
        }

    data = body(
        both({"role": "assistant", "content": "<"}, {"role": "assistant", "reasoning": "r"}),
        both({"content": "x"}, {"content": "y"}),
        both({}, {}, "stop"),
    )
    answer = stream(data)
    assert (answer.choices[0].content, answer.choices[1].reasoning, answer.choices[1].content) == ("<x", "r", "y")
    assert whole(data).choices == answer.choices
    plain = body(
        both({"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}), both({}, {}, "stop")
    )
    assert stream(plain).out == plain


def test_43_log_probabilities_stay_with_their_text() -> None:
    logprobs = {"content": [{"token": "x", "logprob": -0.5}]}
    one = {"index": 0, "delta": {"reasoning": "r", "content": "x"}, "logprobs": logprobs, "finish_reason": None}
    answer = stream(body(ROLE, {**FRAME, "choices": [{**one, "reasoning_logprobs": {"content": []}}]}, STOP))
    assert [
        (c["delta"].get("content"), c["logprobs"]) for e in answer.events for c in e["choices"] if "logprobs" in c
    ] == [("x", logprobs)]
    assert any("reasoning_logprobs" in c for e in answer.events for c in e["choices"])


def test_every_row_of_the_table_that_the_core_can_see_is_here() -> None:
    """Row 44 (compressed bodies) and row 49 (silence) are the relay's."""
    tested = {row.number.split()[0] for row in ROWS} | {"42", "43"}
    assert tested == {*map(str, range(1, 50)), "48b"} - {"44", "49"}


def test_text_is_told_from_a_role() -> None:
    assert [one["choices"][0]["delta"] for one in text("x")] == [{"role": "assistant"}, {"content": "x"}, {}]
