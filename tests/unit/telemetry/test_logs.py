"""The log's lines."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import Outcome, UpstreamRefused, UpstreamUnavailable
from proxy.core.timeline import Timeline
from proxy.telemetry.exchange import Exchange
from proxy.telemetry.logs import Forward, Log
from proxy.telemetry.metrics import Metrics


def exchange() -> Exchange:
    one = Exchange("id-1", 10.0, Metrics("1").target("r", "p", "m"), Timeline(10.0, first_chunk=10.5), stream=True)
    one.status = 200
    return one


def lines_of(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_request_is_one_json_line_without_what_does_not_apply() -> None:
    out, one = io.StringIO(), exchange()
    one.timeline.end(11.0)
    Log(out).request(one)
    (line,) = lines_of(out)
    assert line.pop("ts")
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "id-1",
        "route": "r",
        "provider": "p",
        "model": "m",
        "stream": True,
        "status": 200,
        "outcome": "ok",
        "attempts": 0,
        "fallback": False,
        "ttf_chunk_ms": 500.0,
        "duration_ms": 1000.0,
        "bytes_in": 0,
        "bytes_out": 0,
    }


def test_failure_gives_our_code_but_never_the_upstreams_words() -> None:
    out = io.StringIO()
    for error in (UpstreamUnavailable("their words"), UpstreamRefused("their words", code="their code")):
        one = exchange()
        one.failed(error)
        one.timeline.end(11.0)
        Log(out).request(one)
    ours, theirs = lines_of(out)
    assert (ours["level"], ours["outcome"], ours["error_code"]) == ("warning", "upstream_error", "upstream_unavailable")
    assert (theirs["level"], theirs["outcome"], theirs["error_code"]) == ("info", "client_error", "upstream_refused")
    assert "their" not in out.getvalue()


def test_model_is_logged_only_where_it_looks_like_one() -> None:
    out = io.StringIO()
    for named in ("vendor/m-1:free@2", "two words", "x" * 129, "", None):
        one = exchange()
        one.timeline.response_model = named
        one.timeline.end(11.0)
        Log(out).request(one)
    assert [line.get("response_model") for line in lines_of(out)] == ["vendor/m-1:free@2", None, None, None, None]


def test_terminal_gets_text() -> None:
    out, one = io.StringIO(), exchange()
    one.outcome = Outcome.CLIENT_DISCONNECT
    one.timeline.end(11.0)
    Log(out, as_text=True).request(one)
    assert " INFO request request_id=id-1 route=r " in out.getvalue()
    assert "phase=waiting" in out.getvalue()


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("buffered", [False, True])
def test_closed_standard_error_ends_no_request(as_text: bool, buffered: bool) -> None:
    out = io.TextIOWrapper(io.BytesIO()) if buffered else io.StringIO()
    log = Log(out, as_text=as_text)
    out.close()
    log.event("info", "x")
    log.request(exchange())


def test_full_standard_error_ends_no_request() -> None:
    with Path("/dev/full").open("w") as out:
        Log(out).request(exchange())


def test_lines_are_utf_8_at_once_whatever_the_encoding_of_standard_error() -> None:
    written = Written()
    log, one = Log(io.TextIOWrapper(io.BufferedWriter(written), encoding="ascii")), exchange()
    one.client = "zürich"
    log.request(one)
    log.event("info", "x", place="思考")
    first, second = written.data.decode().splitlines()
    assert (json.loads(first)["client"], json.loads(second)["place"]) == ("zürich", "思考")


def test_standard_error_that_does_not_wait_gets_the_rest_before_the_next_line() -> None:
    written = Written()
    log = Log(io.TextIOWrapper(io.BufferedWriter(written)))
    log.event("info", "one")
    written.room = 20
    log.event("info", "two")
    log.event("info", "three")
    assert len(written.data.splitlines()) == 2
    written.room = 9999
    log.event("info", "four")
    assert [json.loads(line)["event"] for line in written.data.splitlines()] == ["one", "two", "three", "four"]


class Written(io.RawIOBase):
    """A stream that takes at most `room` bytes, and then says that it would have to wait."""

    def __init__(self) -> None:
        self.data = b""
        self.room = 9999

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        taken = bytes(data)[: self.room]
        self.room -= len(taken)
        self.data += taken
        return len(taken) or None


def test_warning_of_a_library_becomes_a_line_without_the_exceptions_text() -> None:
    out = io.StringIO()
    logger = logging.Logger("lib")  # noqa: LOG001 - not to be found by others
    logger.addHandler(Forward(Log(out)))
    try:
        int("secret")
    except ValueError:
        logger.exception("it %s\nsecret", "failed")
    logger.info("not told")
    (line,) = lines_of(out)
    assert (line["event"], line["logger"], line["message"], line["exception"]) == (
        "log",
        "lib",
        "it failed",
        "ValueError",
    )
    assert "secret" not in out.getvalue()
