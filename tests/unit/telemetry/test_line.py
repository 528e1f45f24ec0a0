"""The line of a request has its fields in their order, whatever they hold."""

import io
import json
import random
from typing import Any

import pytest

from proxy.core.errors import Outcome, RateLimited, UpstreamRefused, UpstreamUnavailable
from proxy.core.timeline import Timeline
from proxy.telemetry.exchange import Exchange
from proxy.telemetry.line import request_fields
from proxy.telemetry.logs import Log
from proxy.telemetry.metrics import Metrics

WORDS = (
    "plain",
    "a-b_c.1",
    'a"b',
    "back\\slash",
    "line\nend",
    "\x00\x1f\x7f",
    "zürich",
    "思考",
    "\N{GRINNING FACE}",
    "²",
    "",
)
COUNTS: tuple[Any, ...] = (None, 0, 1, 7, 2**40, -3, True, 2.5, "9", [], {})
METRICS = Metrics("1")
TARGETS = [
    METRICS.target(*key) for key in (("r", "p", "m"), ('q"*', "ü", "{model}"), ("_unmatched", "", ""), ("r", "p", ""))
]


def made(choice: random.Random) -> Exchange:
    """A request whose every field may hold anything that it can."""

    def some(*values: Any) -> Any:
        return choice.choice(values)

    def mark() -> Any:
        return some(
            None, 10.0, 10.0 + choice.random(), 10.0 + choice.randrange(10**6) / 1000, 10.0 + 1e5 * choice.random()
        )

    line = Timeline(10.0)
    line.first_chunk, line.first_reasoning, line.first_answer, line.ended = mark(), mark(), mark(), mark()
    line.reasoning_s = some(0.0, 0.0005, 12.0, 3 * choice.random())
    line.response_model, line.finish_reason = some(None, *WORDS), some(None, "stop", "tool_calls", *WORDS)
    line.usage = some(
        None,
        {},
        {
            "prompt_tokens": some(*COUNTS),
            "completion_tokens": some(*COUNTS),
            "completion_tokens_details": some(*COUNTS, {"reasoning_tokens": some(*COUNTS)}),
        },
    )
    one = Exchange(some("req-0123456789abcdef01234567", *WORDS), 10.0, some(*TARGETS), line)
    one.trace_id, one.client, one.key_id = some(None, "0" * 32), some(None, *WORDS), some(None, "01ab23cd")
    one.stream, one.status, one.attempts, one.targets = (
        some(True, False),
        some(0, 200, 502),
        some(0, 1, 12),
        some(0, 1, 2),
    )
    one.bytes_in, one.bytes_out, one.asked = choice.randrange(10**7), choice.randrange(10**7), mark()
    one.outcome = some(*Outcome)
    if one.outcome is Outcome.UPSTREAM_ERROR:
        one.failed(some(UpstreamUnavailable("no"), UpstreamRefused("no", code='their "word"'), RateLimited("no")))
    return one


def fields(stamp: str, one: Exchange) -> dict[str, Any]:
    """What the line says, in its order; None: left out."""
    line, start, usage, error = one.timeline, one.started, one.timeline.usage or {}, one.error
    details = usage.get("completion_tokens_details")
    reasoned = line.first_reasoning is not None
    found = {
        "ts": stamp,
        "level": "info" if error is None else error.log_level,
        "event": "request",
        "request_id": one.request_id,
        "trace_id": one.trace_id,
        "route": one.target.route,
        "provider": one.target.provider or None,
        "model": one.target.model or None,
        "response_model": one.response_model,
        "stream": one.stream,
        "status": one.status or None,
        "outcome": one.outcome.value,
        "error_code": None if error is None else error.code if error.code == type(error).code else "upstream_refused",
        "phase": one.phase.value if one.outcome is Outcome.CLIENT_DISCONNECT else None,
        "attempts": one.attempts,
        "fallback": one.targets > 1,
        "ttf_chunk_ms": milliseconds(line.first_chunk, start),
        "ttf_reasoning_ms": milliseconds(line.first_reasoning, start),
        "ttf_answer_ms": milliseconds(line.first_answer, start),
        "reasoning_ms": milliseconds(line.reasoning_s, 0.0) if reasoned else None,
        "duration_ms": milliseconds(line.ended, start),
        "overhead_ms": milliseconds(one.asked, start),
        "input_tokens": tokens(usage, "prompt_tokens"),
        "output_tokens": tokens(usage, "completion_tokens"),
        "reasoning_tokens": tokens(details, "reasoning_tokens") if isinstance(details, dict) else None,
        "finish_reason": line.finish_reason,
        "bytes_in": one.bytes_in,
        "bytes_out": one.bytes_out,
        "client": one.client,
        "key_id": one.key_id,
    }
    return {name: value for name, value in found.items() if value is not None}


def milliseconds(mark: float | None, since: float) -> float | None:
    return None if mark is None else int((mark - since) * 1e6 + 0.5) / 1000


def tokens(counts: dict[str, Any], name: str) -> int | None:
    value = counts.get(name)
    return value if type(value) is int and value > 0 else None


@pytest.mark.parametrize("seed", range(8))
def test_line_has_what_applies_in_the_order_of_the_page(seed: int) -> None:
    choice = random.Random(seed)
    for _ in range(150):
        one = made(choice)
        assert list(request_fields("now", one).items()) == list(fields("now", one).items())


def test_line_is_json_whatever_others_chose() -> None:
    choice, out = random.Random(9), io.StringIO()
    for _ in range(50):
        one = made(choice)
        Log(out).request(one)
        told = json.loads(out.getvalue().rpartition("\n")[0].rpartition("\n")[2])
        assert told == fields(told["ts"], one)


def test_half_a_character_in_a_name_ends_no_line() -> None:
    out = io.StringIO()
    Log(out).request(Exchange("id-1", 10.0, TARGETS[0], Timeline(10.0, finish_reason="cut \ud83d")))
    assert json.loads(out.getvalue())["finish_reason"] == "cut \ud83d"
