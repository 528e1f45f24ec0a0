"""One line per finished request, and the few events of the process itself, on standard error.

JSON lines; plain text where standard error is a terminal. No prompt, answer, tool argument, key, query string or
upstream error text is ever in a line.
"""

import logging
import time
from io import RawIOBase
from typing import Any, TextIO

from proxy.core.codec import dumps
from proxy.telemetry.exchange import Exchange
from proxy.telemetry.line import request_fields

_SECOND_MS = 1000
_MILLISECONDS = tuple([f"{n:03}Z" for n in range(_SECOND_MS)])


class Log:
    """Writes lines to `out`."""

    def __init__(self, out: TextIO, *, as_text: bool | None = None) -> None:
        self._out = out
        self._stamp = _Stamp()
        self._as_text = out.isatty() if as_text is None else as_text
        # Bytes that go past two buffers, where there are any to go past.
        self._raw: RawIOBase | None = None if self._as_text else getattr(getattr(out, "buffer", None), "raw", None)

    def event(self, level: str, event: str, **fields: Any) -> None:
        """Something that happened to the process: `level` debug, info, warning or error."""
        self._write({"ts": self._stamp.now(), "level": level, "event": event, **fields})

    def request(self, exchange: Exchange) -> None:
        """A request that has ended."""
        self._write(request_fields(self._stamp.now(), exchange))

    def _write(self, fields: dict[str, Any]) -> None:
        try:
            if self._raw is not None:
                line = dumps(fields) + b"\n"
                sent = self._raw.write(line)
                if sent != len(line):
                    self._rest(line[sent or 0 :])
            else:
                text = _as_text(fields) if self._as_text else dumps(fields).decode()
                self._out.write(text + "\n")
                self._out.flush()
        except (OSError, ValueError):
            # A closed or full standard error must not end a request.
            return

    def _rest(self, rest: bytes) -> None:
        """Standard error does not wait, and took but a part: its buffer has the rest, and all that comes after it."""
        self._raw = None
        self._out.buffer.write(rest)
        self._out.flush()


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


class _Stamp:
    """Times as text. Most lines come in the second of the line before, so that only its milliseconds are new."""

    def __init__(self) -> None:
        self._second = 0
        """As milliseconds."""
        self._text = ""

    def now(self) -> str:
        """UTC, in milliseconds."""
        past = time.time_ns() // 1_000_000 - self._second
        if not 0 <= past < _SECOND_MS:
            second, past = divmod(self._second + past, _SECOND_MS)
            self._second, self._text = second * _SECOND_MS, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return self._text + _MILLISECONDS[past]


def _first_line(record: logging.LogRecord) -> str:
    return record.getMessage().strip().partition("\n")[0]


def _as_text(line: dict[str, Any]) -> str:
    shown = [f"{key}={value}" for key, value in line.items() if key not in ("ts", "level", "event")]
    return " ".join([line["ts"][11:19], line["level"].upper(), line["event"], *shown])
