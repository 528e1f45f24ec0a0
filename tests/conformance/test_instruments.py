"""The instruments themselves: a check that finds nothing wrong anywhere would be worth nothing."""

import asyncio
import json
import random
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from tests.conformance.comparison import judge
from tests.conformance.material import EXACT, Case, Expected
from tests.support import cuts
from tests.support.canonical_check import CONTENT_TYPE, Heard, check
from tests.support.upstream import Reply, Upstream

FRAME = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
CALL = {"index": 0, "id": "call", "type": "function", "function": {"name": "f", "arguments": "{"}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {**FRAME, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


GOOD = (
    chunk({"role": "assistant", "reasoning_content": "Hm"}),
    chunk({"content": "Hi"}),
    chunk({"tool_calls": [CALL]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
    chunk({}, "tool_calls"),
    {**FRAME, "choices": [], "usage": USAGE},
)


def stream(*chunks: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks) + end


def with_chunk(at: int, new: dict[str, Any]) -> bytes:
    return stream(*GOOD[:at], new, *GOOD[at + 1 :])


def listen(body: bytes, *, usage_asked: bool = True) -> Heard:
    return check(200, CONTENT_TYPE, body, stream=True, usage_asked=usage_asked)


def test_canonical_stream_has_no_fault_and_is_heard_in_full() -> None:
    heard = listen(b": hm\n\n" + stream(*GOOD))
    assert heard.faults == []
    voice = heard.voice
    assert (voice.reasoning, voice.content, voice.finish) == ("Hm", "Hi", ["tool_calls"])
    assert voice.tool_calls == [{"id": "call", "name": "f", "arguments": "{}"}]
    assert voice.kinds == ["reasoning_content", "content", "tool_calls"]
    assert heard.usage == USAGE


BROKEN = {
    "C1 tag at the beginning of the answer": with_chunk(1, chunk({"content": "</think>Hi"})),
    "C1 tag at the end of the reasoning": with_chunk(
        0, chunk({"role": "assistant", "reasoning_content": "a</think> "})
    ),
    "C1 content is a list": with_chunk(1, chunk({"content": [{"type": "text", "text": "Hi"}]})),
    "C2 two kinds in one delta": with_chunk(1, chunk({"reasoning_content": "x", "content": "y"})),
    "C2 text after the finish": stream(*GOOD[:5], chunk({"content": "x"}), GOOD[5]),
    "C3 alias beside the field": with_chunk(
        0, chunk({"role": "assistant", "reasoning_content": "x", "reasoning": "x"})
    ),
    "C4 role twice": with_chunk(1, chunk({"role": "assistant", "content": "Hi"})),
    "C4 role missing": with_chunk(0, chunk({"reasoning_content": "Hm"})),
    "C4 another id": with_chunk(1, {**GOOD[1], "id": "c-2"}),
    "C4 created is 0": with_chunk(1, {**GOOD[1], "created": 0}),
    "C4 model is empty": with_chunk(1, {**GOOD[1], "model": ""}),
    "C4 object is another": with_chunk(1, {**GOOD[1], "object": "chat.completion"}),
    "C4 choices missing": with_chunk(1, dict(FRAME)),
    "C5 finish twice": stream(*GOOD[:5], GOOD[4], GOOD[5]),
    "C5 finish missing": stream(*GOOD[:4], GOOD[5]),
    "C5 word of its own": with_chunk(4, chunk({}, "eos")),
    "C5 stop with calls": with_chunk(4, chunk({}, "stop")),
    "C6 index with a gap": with_chunk(2, chunk({"tool_calls": [{**CALL, "index": 1}]})),
    "C6 no id": with_chunk(2, chunk({"tool_calls": [{**CALL, "id": ""}]})),
    "C6 name again": with_chunk(3, chunk({"tool_calls": [{"index": 0, "function": {"name": "", "arguments": "}"}}]})),
    "C7 usage beside choices": with_chunk(4, {**GOOD[4], "usage": USAGE}),
    "C7 usage twice": stream(*GOOD, GOOD[5]),
    "C7 total is wrong": with_chunk(5, {**GOOD[5], "usage": {**USAGE, "total_tokens": 8}}),
    "C7 reasoning is left out": with_chunk(
        5, {**GOOD[5], "usage": {**USAGE, "completion_tokens_details": {"reasoning_tokens": 5}}}
    ),
    "C8 no [DONE]": stream(*GOOD, end=b""),
    "C8 [DONE] twice": stream(*GOOD, end=b"data: [DONE]\n\n" * 2),
    "C8 event of two lines": stream(*GOOD, end=b"event: x\ndata: [DONE]\n\n"),
    "C8 last event without blank line": stream(*GOOD, end=b"data: [DONE]\n"),
    "C8 line that is no JSON": stream(*GOOD, end=b"data: {\n\ndata: [DONE]\n\n"),
    "C8 error of another shape": stream(*GOOD[:4], {"error": {"message": "x"}}),
    "C8 chunk after the error": stream(
        *GOOD[:4], {"error": {"message": "x", "type": "t", "param": None, "code": None}}, GOOD[1]
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_breach_of_a_guarantee_is_found(what: str) -> None:
    assert [fault for fault in listen(BROKEN[what]).faults if fault.startswith(what[:2])], what


def test_usage_that_nobody_asked_for_is_found() -> None:
    assert [fault[:2] for fault in listen(stream(*GOOD), usage_asked=False).faults] == ["C7"]


@pytest.mark.parametrize(
    ("change", "guarantee"),
    [
        ({"reasoning": "x"}, "C3"),
        ({"role": "user"}, "C4"),
        ({"content": 1}, "C1"),
        ({"tool_calls": [{**CALL, "id": None}]}, "C6"),
    ],
)
def test_breach_in_a_whole_answer_is_found(change: dict[str, Any], guarantee: str) -> None:
    def whole(message: dict[str, Any]) -> list[str]:
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi", **message}, "finish_reason": "stop"}
        body = {**FRAME, "object": "chat.completion", "choices": [choice]}
        return check(200, "application/json", json.dumps(body).encode(), stream=False).faults

    assert whole({}) == []
    assert guarantee in {fault[:2] for fault in whole(change)}


CASE = Case(
    "quirk", "plain", "x", Expected("Hm", "Hi", [], "stop", None, None), EXACT, stream(*GOOD[:2], chunk({}, "stop"))
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reasoning": "Hmm"}, "reasoning:"),
        ({"content": "Hi "}, "content:"),
        ({"tool_calls": [{"id": "c", "name": "f", "arguments": ""}]}, "tool_calls:"),
        ({"finish_reason": "length"}, "finish_reason:"),
        ({"usage": USAGE}, "usage:"),
        ({"error": {"message": "x"}}, "error:"),
    ],
)
def test_what_is_not_as_expected_fails(change: dict[str, Any], says: str) -> None:
    heard = listen(CASE.body)
    assert judge(CASE, heard, stream=True, usage_asked=True, strip=False).faults == []
    other = replace(CASE, expected=replace(CASE.expected, **change))
    faults = judge(other, heard, stream=True, usage_asked=True, strip=False).faults
    assert [fault for fault in faults if fault.startswith(says)]


def test_lost_details_changed_ids_and_another_order_fail() -> None:
    details = chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "s"}]})
    swapped = stream(
        chunk({"role": "assistant", "content": "Hi"}), chunk({"reasoning_content": "Hm"}), chunk({}, "stop")
    )
    for sent, guarantee in (
        (stream(details, *GOOD[:2], chunk({}, "stop")), "C10"),
        (CASE.body.replace(b"c-1", b"c-2"), "C4"),
        (swapped, "C2"),
    ):
        verdict = judge(replace(CASE, body=sent), listen(CASE.body), stream=True, usage_asked=True, strip=False)
        assert [fault.partition(":")[0] for fault in verdict.faults] == [guarantee]


def test_cuts_lose_nothing() -> None:
    body = "data: {é\u2028}\r\n\r\ndata: x\n\n: c\n\nrest".encode()
    rng = random.Random(1)
    assert len(cuts.per_event(body)) == 4
    assert set(map(len, cuts.per_byte(body))) == {1}
    assert list(map(len, cuts.by_lengths(body, (5, len(body) - 5)))) == [5, len(body) - 5]
    for cut in (cuts.per_event(body), cuts.per_byte(body), *(cuts.at_random(body, rng) for _ in range(50))):
        assert b"".join(cut) == body
        assert all(cut)
    assert all("".join(cuts.text_at_random("abc", rng)) == "abc" for _ in range(50))
    with pytest.raises(ValueError, match="add up"):
        cuts.by_lengths(body, (1,))


def test_paced_pieces_of_the_upstream_arrive_one_by_one() -> None:
    pieces = [bytes([65 + number]) for number in range(20)]

    async def read() -> list[bytes]:
        upstream = Upstream(lambda _: Reply(pieces, pace_s=0.01))
        server = await upstream.start()
        try:
            async with (
                httpx2.AsyncClient(trust_env=False) as client,
                client.stream("POST", f"{upstream.url}/x", content=b"{}") as response,
            ):
                return [piece async for piece in response.aiter_raw()]
        finally:
            await upstream.stop(server)

    assert asyncio.run(read()) == pieces
