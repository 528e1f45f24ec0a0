"""What holds for every stream: any cut, stream or whole, canonical bytes kept, rubbish survived, memory bounded."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.dialect import Details, Dialect, Tags
from proxy.core.errors import UpstreamUnavailable
from proxy.core.render import Rendering
from proxy.core.stream import StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from tests.support.strategies import (
    FAMILIES,
    answers,
    cuts,
    odd_chunks,
    pieces,
    plain_tags,
    rubbish,
    told,
    whole_message,
)
from tests.support.streams import DONE, FRAME, Answer, body, context, dumped, event, piped, read, read_whole

USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def whole_of(data: bytes, dialect: Dialect | None = None) -> Answer:
    pipeline = WholePipeline(context(dialect, usage=True), Timeline(0.0))
    pipeline.feed(data, 1.0)
    out = pipeline.close(2.0)
    assert pipeline.error is None, pipeline.error
    return read_whole(out)


def said(answer: Answer) -> dict[str, Any]:
    one = answer.choices[0]
    return {"reasoning": one.reasoning, "content": one.content, "calls": one.calls, "finish": one.finish}


@settings(max_examples=80)
@given(st.data(), answers(), st.sampled_from(FAMILIES), cuts)
def test_every_family_in_any_cut_says_what_the_model_said(
    data: st.DataObject, answer: dict[str, Any], family: str, places: list[int]
) -> None:
    dialect = plain_tags()
    upstream = data.draw(told(answer, family))
    out, _ = piped(pieces(upstream, places), context(dialect, usage=True))
    found = read(out)
    assert said(found) == answer
    assert found.usage == USAGE
    assert piped([upstream], context(dialect, usage=True))[0] == out
    assert said(whole_of(upstream, dialect)) == answer


@settings(max_examples=60)
@given(answers(), st.sampled_from(FAMILIES), cuts)
def test_a_whole_answer_says_the_same_to_both_kinds_of_client(
    answer: dict[str, Any], family: str, places: list[int]
) -> None:
    upstream = dumped(whole_message(answer, family))
    assert said(whole_of(upstream, plain_tags())) == answer
    found = read(piped(pieces(upstream, places), context(plain_tags(), usage=True))[0])
    assert said(found) == answer
    assert found.usage == USAGE


_unknown = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
_extras = st.dictionaries(
    st.sampled_from(["x_a", "citations", "provider", "system_fingerprint", "obfuscation"]), _unknown, max_size=2
)
_texts = st.lists(
    st.sampled_from([" ", "\n", "<", "<th", "<thi", "hello", "é😀", "\ud83d", "\u2028", "</", "<think", "x</think>"]),
    min_size=1,
    max_size=6,
)


@st.composite
def canonical_streams(draw: st.DrawFn) -> bytes:
    """A stream that satisfies C1–C8 already, with unknown keys at any depth and pieces of delimiters in its content."""
    deltas: list[dict[str, Any]] = (
        [{"reasoning_content": one, "content": None} for one in draw(_texts)] if draw(st.booleans()) else []
    )
    if not deltas or draw(st.booleans()):
        deltas += [{"content": one} for one in ["o" if deltas else "", *draw(_texts)] if one]
    deltas[0] = {"role": "assistant", **deltas[0]}
    if "".join(one.get("content") or "" for one in deltas).lstrip().startswith(("<think>", "</think>")):
        deltas = [{"role": "assistant", "content": "no tag"}]
    if draw(st.booleans()):
        deltas.append(
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": ""},
                        **draw(_extras),
                    }
                ]
            }
        )
        deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]})
        finish = "tool_calls"
    else:
        finish = draw(st.sampled_from(["stop", "length", "content_filter"]))
    events: list[bytes] = []
    for delta in [*deltas, {}]:
        reason = None if delta else finish
        choice = {
            "index": 0,
            "delta": {**delta, **draw(_extras)},
            "logprobs": None,
            "finish_reason": reason,
            **draw(_extras),
        }
        value = {**FRAME, **draw(_extras), "choices": [choice]}
        events.append(
            event(
                json.dumps(value, ensure_ascii=draw(st.booleans()), separators=(", ", ": ")).encode(
                    "utf-8", "surrogatepass"
                )
            )
        )
    if draw(st.booleans()):
        events.append(event({**FRAME, "choices": [], "usage": {**USAGE, "x": draw(_unknown)}}))
    return b"".join(events) + DONE


@settings(max_examples=150)
@given(canonical_streams(), cuts)
def test_what_is_canonical_leaves_as_the_very_bytes_that_came(upstream: bytes, places: list[int]) -> None:
    try:
        upstream.decode()
    except UnicodeDecodeError:
        upstream = upstream.replace(b"\xed\xa0\xbd", b"\\ud83d")
    assert piped(pieces(upstream, places), context(usage=True))[0] == upstream


_events = st.one_of(
    odd_chunks().map(lambda value: event(json.dumps(value).encode())),
    rubbish.map(lambda value: event(json.dumps(value).encode())),
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"data: [DONE]\n\n",
            b": note\n\n",
            b"event: error\n",
            b"data\n\n",
            b"\r",
            b"\xef\xbb\xbf",
            b"data: {\n",
            b"{",
            b"[",
            b"<",
        ]
    ),
)
_dialects = st.sampled_from(
    [
        Dialect(),
        Dialect(details=Details(snapshots=True), dedupe_repeated_reasoning=True),
        Dialect(tags=Tags(implicit_start="always", blocks="all", position="anywhere", unclosed="content_if_stop")),
        Dialect(fields=(), details=None, flag=None, content_parts=(), tags=Tags(pairs=())),
    ]
)
_forms = st.sampled_from(
    ["reasoning_content", "think_tags; steps=line; tool_calls=complete", "details", "content_parts"]
)


@settings(max_examples=300)
@given(st.lists(_events, max_size=6).map(b"".join), cuts, _dialects, st.booleans(), st.booleans())
def test_rubbish_in_any_cut_gives_the_same_legible_stream(
    upstream: bytes, places: list[int], dialect: Dialect, breaks: bool, usage: bool
) -> None:
    broken = UpstreamUnavailable("The upstream broke off.") if breaks else None
    out, pipeline = piped(pieces(upstream, places), context(dialect, usage=usage), broken)
    assert pipeline.done
    read(out, strict=False)
    assert piped([upstream], context(dialect, usage=usage), broken)[0] == out
    assert pipeline.feed(b"data: {}\n\n", 9.0) == b"" and pipeline.close(9.0) == b""


@settings(max_examples=150)
@given(st.lists(_events | rubbish.map(lambda v: json.dumps(v).encode()), max_size=3).map(b"".join), cuts, _dialects)
def test_rubbish_gives_a_whole_answer_or_an_error(upstream: bytes, places: list[int], dialect: Dialect) -> None:
    pipeline = WholePipeline(context(dialect), Timeline(0.0))
    for part in pieces(upstream, places):
        assert pipeline.feed(part, 1.0) == b""
    out = pipeline.close(2.0)
    assert bool(out) != bool(pipeline.error)
    if pipeline.error is None:
        assert isinstance(json.loads(out)["choices"], list)
    else:
        assert set(pipeline.error.body()["error"]) == {"message", "type", "param", "code"}


@settings(max_examples=60)
@given(st.lists(odd_chunks(), max_size=5), _dialects, _forms)
def test_rubbish_survives_every_rendering(chunks: list[dict[str, Any]], dialect: Dialect, form: str) -> None:
    from proxy.core.render import parse_rendering

    upstream = b"".join(event(json.dumps(one).encode()) for one in chunks) + DONE
    out, _ = piped([upstream], context(dialect, parse_rendering(form)))
    assert out.endswith(DONE)
    for line in out.split(b"\n\n")[:-2]:
        json.loads(line.removeprefix(b"data: "))


@settings(max_examples=60)
@given(st.binary(max_size=60), cuts)
def test_passthrough_gives_back_every_byte(upstream: bytes, places: list[int]) -> None:
    out, _ = piped(pieces(upstream, places), context(rendering=Rendering("passthrough")))
    assert out == upstream


def test_answers_of_every_family_are_told_apart() -> None:
    """The strategies say something: a stream that says nothing would satisfy everything above."""
    assert len({body(event(b"x")), *FAMILIES}) == 7
    assert StreamPipeline(context(), Timeline(0.0)).feed(b"", 0.0) == b""
