"""One line per finished request, and the few events of the process itself, on standard error.

JSON lines; plain text where standard error is a terminal. No prompt, answer, tool argument, key, query string or
upstream error text is ever in a line.
"""

import logging
import time
from typing import Any, TextIO

from proxy.core.codec import dumps
from proxy.core.errors import Outcome, ProxyError
from proxy.telemetry.exchange import Exchange
from proxy.telemetry.target import token_count


class Log:
    """Writes lines to `out`."""

    def __init__(self, out: TextIO, *, as_text: bool | None = None) -> None:
        self._out = out
        self._stamp = _Stamp()
        self._as_text = out.isatty() if as_text is None else as_text

    def event(self, level: str, event: str, **fields: Any) -> None:
        """Something that happened to the process: `level` debug, info, warning or error."""
        line = {"ts": self._stamp.now(), "level": level, "event": event, **fields}
        self._write(line)

    def request(self, exchange: Exchange) -> None:
        """A request that has ended."""
        level = exchange.error.log_level if exchange.error is not None else "info"
        line: dict[str, Any] = {"ts": self._stamp.now(), "level": level, "event": "request"}
        _add_fields(line, exchange)
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        text = _as_text(line) if self._as_text else dumps(line).decode()
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):
            # A closed or full standard error must not end a request.
            return


class Forward(logging.Handler):
    """Takes records of libraries (the web server's warnings) into our lines, without their tracebacks' values."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One record → one line; of an exception only its type is told."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        extra = {} if kind is None else {"exception": kind}
        self._log.event(record.levelname.lower(), "log", logger=record.name, message=_first_line(record), **extra)


def _add_fields(fields: dict[str, Any], exchange: Exchange) -> None:
    """Those of a request's line; what does not apply is left out."""
    timeline, target = exchange.timeline, exchange.target
    fields["request_id"] = exchange.request_id
    if exchange.trace_id is not None:
        fields["trace_id"] = exchange.trace_id
    fields["route"] = target.route
    if target.provider:
        fields["provider"] = target.provider
    if target.model:
        fields["model"] = target.model
    if timeline.response_model is not None and (named := exchange.response_model) is not None:
        fields["response_model"] = named
    fields["stream"] = exchange.stream
    if exchange.status:
        fields["status"] = exchange.status
    fields["outcome"] = exchange.outcome.value
    if exchange.error is not None:
        fields["error_code"] = _own_code(exchange.error)
    if exchange.outcome is Outcome.CLIENT_DISCONNECT:
        fields["phase"] = exchange.phase.value
    fields["attempts"] = exchange.attempts
    fields["fallback"] = exchange.targets > 1
    _add_times(fields, exchange, exchange.started)
    if timeline.usage:
        _add_tokens(fields, timeline.usage)
    if timeline.finish_reason is not None:
        fields["finish_reason"] = timeline.finish_reason
    fields["bytes_in"] = exchange.bytes_in
    fields["bytes_out"] = exchange.bytes_out
    if exchange.client is not None:
        fields["client"] = exchange.client
    if exchange.key_id is not None:
        fields["key_id"] = exchange.key_id


def _add_times(fields: dict[str, Any], exchange: Exchange, start: float) -> None:
    timeline = exchange.timeline
    if timeline.first_chunk is not None:
        fields["ttf_chunk_ms"] = _ms(timeline.first_chunk - start)
    if timeline.first_reasoning is not None:
        fields["ttf_reasoning_ms"] = _ms(timeline.first_reasoning - start)
    if timeline.first_answer is not None:
        fields["ttf_answer_ms"] = _ms(timeline.first_answer - start)
    if timeline.first_reasoning is not None:
        fields["reasoning_ms"] = _ms(timeline.reasoning_s)
    if timeline.ended is not None:
        fields["duration_ms"] = _ms(timeline.ended - start)
    if exchange.asked is not None:
        fields["overhead_ms"] = _ms(exchange.asked - start)


def _add_tokens(fields: dict[str, Any], usage: dict[str, Any]) -> None:
    if count := token_count(usage, "prompt_tokens"):
        fields["input_tokens"] = count
    if count := token_count(usage, "completion_tokens"):
        fields["output_tokens"] = count
    if count := token_count(usage.get("completion_tokens_details"), "reasoning_tokens"):
        fields["reasoning_tokens"] = count


def _own_code(error: ProxyError) -> str | int | None:
    # A refused request carries the upstream's own code, which is text of theirs.
    return error.code if error.code == type(error).code else "upstream_refused"


def _ms(seconds: float) -> float:
    """Milliseconds to a thousandth; `round` would take as long as all the rest of a line's times together."""
    return int(seconds * 1e6 + 0.5) / 1000


class _Stamp:
    """Times as text. Most lines come in the second of the line before, so that only its milliseconds are new."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def now(self) -> str:
        """UTC, in milliseconds."""
        milliseconds = time.time_ns() // 1_000_000
        second, rest = divmod(milliseconds, 1000)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest:03d}Z"


def _first_line(record: logging.LogRecord) -> str:
    return record.getMessage().strip().partition("\n")[0]


def _as_text(line: dict[str, Any]) -> str:
    shown = [f"{key}={value}" for key, value in line.items() if key not in ("ts", "level", "event")]
    return " ".join([line["ts"][11:19], line["level"].upper(), line["event"], *shown])
