"""One line per finished request, and the few events of the process itself, on standard error.

JSON lines; plain text where standard error is a terminal. No prompt, answer, tool argument, key, query string or
upstream error text is ever in a line.
"""

import logging
import time
from typing import Any, TextIO

from proxy.core.codec import dumps
from proxy.core.errors import Outcome
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
        self._write({"ts": self._stamp.now(), "level": level, "event": "request", **request_fields(exchange)})

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


def request_fields(exchange: Exchange) -> dict[str, Any]:
    """The fields of a request's line; those that do not apply are left out."""
    timeline, start, target = exchange.timeline, exchange.started, exchange.target
    fields = {
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
        "route": target.route,
        "provider": target.provider or None,
        "model": target.model or None,
        "response_model": timeline.response_model,
        "stream": exchange.stream,
        "status": exchange.status or None,
        "outcome": exchange.outcome.value,
        "error_code": None if exchange.error is None else _own_code(exchange),
        "phase": exchange.phase.value if exchange.outcome is Outcome.CLIENT_DISCONNECT else None,
        "attempts": exchange.attempts,
        "fallback": exchange.targets > 1,
        "ttf_chunk_ms": _ms(timeline.first_chunk, start),
        "ttf_reasoning_ms": _ms(timeline.first_reasoning, start),
        "ttf_answer_ms": _ms(timeline.first_answer, start),
        "reasoning_ms": _ms(timeline.reasoning_s, 0.0) if timeline.first_reasoning is not None else None,
        "duration_ms": _ms(timeline.ended, start),
        "overhead_ms": _ms(exchange.overhead_request_s, 0.0),
        **_tokens(timeline.usage),
        "finish_reason": timeline.finish_reason,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "client": exchange.client,
        "key_id": exchange.key_id,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _tokens(usage: dict[str, Any] | None) -> dict[str, int | None]:
    if not usage:
        return {}
    return {
        "input_tokens": token_count(usage, "prompt_tokens") or None,
        "output_tokens": token_count(usage, "completion_tokens") or None,
        "reasoning_tokens": token_count(usage.get("completion_tokens_details"), "reasoning_tokens") or None,
    }


def _own_code(exchange: Exchange) -> str | int | None:
    # A refused request carries the upstream's own code, which is text of theirs.
    error = exchange.error
    return error.code if error is not None and error.code == type(error).code else "upstream_refused"


def _ms(mark: float | None, start: float) -> float | None:
    return None if mark is None else round((mark - start) * 1000, 3)


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
