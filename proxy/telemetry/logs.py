"""One line per finished request, and the few events of the process itself, on standard error.

JSON lines; plain text where standard error is a terminal. No prompt, answer, tool argument, key, query string or
upstream error text is ever in a line.
"""

import logging
from datetime import UTC, datetime
from typing import Any, TextIO

from proxy.core.codec import dumps
from proxy.core.errors import Outcome
from proxy.telemetry.exchange import Exchange, Stage
from proxy.telemetry.metrics import tokens


class Log:
    """Writes lines to `out`."""

    def __init__(self, out: TextIO, *, as_text: bool | None = None) -> None:
        self._out = out
        self._as_text = out.isatty() if as_text is None else as_text

    def event(self, level: str, event: str, **fields: Any) -> None:
        """Something that happened to the process: `level` debug, info, warning or error."""
        line = {"ts": _timestamp(), "level": level, "event": event, **fields}
        self._write(line)

    def request(self, exchange: Exchange) -> None:
        """A request that has ended."""
        level = exchange.error.log_level if exchange.error is not None else "info"
        self._write({"ts": _timestamp(), "level": level, "event": "request", **request_fields(exchange)})

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
    timeline, start = exchange.timeline, exchange.started
    usage = timeline.usage or {}
    fields = {
        "request_id": exchange.request_id,
        "route": exchange.target.route,
        "provider": exchange.target.provider or None,
        "model": exchange.target.model or None,
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
        "overhead_ms": _ms(exchange.overheads.get(Stage.REQUEST), 0.0),
        "input_tokens": tokens(usage, "prompt_tokens") or None,
        "output_tokens": tokens(usage, "completion_tokens") or None,
        "reasoning_tokens": tokens(usage, "completion_tokens_details", "reasoning_tokens") or None,
        "finish_reason": timeline.finish_reason,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "key_id": exchange.client,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _own_code(exchange: Exchange) -> str | int | None:
    # A refused request carries the upstream's own code, which is text of theirs.
    error = exchange.error
    return error.code if error is not None and error.code == type(error).code else "upstream_refused"


def _ms(mark: float | None, start: float) -> float | None:
    return None if mark is None else round((mark - start) * 1000, 3)


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _first_line(record: logging.LogRecord) -> str:
    return record.getMessage().strip().partition("\n")[0]


def _as_text(line: dict[str, Any]) -> str:
    shown = [f"{key}={value}" for key, value in line.items() if key not in ("ts", "level", "event")]
    return " ".join([line["ts"][11:19], line["level"].upper(), line["event"], *shown])
