"""`load.c` in Python, for machines without a compiler: the same command line, the same counts, the same output.

It takes `awake`, and sleeps all the same, as an event loop does.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

_MARK = re.compile(rb"@@(\d{13})")
_TAIL = 16
_MARK_BYTES = 15
_GRACE_S = 30.0
_GOLDEN = 0.6180339887498949


def now_us() -> int:
    return time.monotonic_ns() // 1000


@dataclass
class Seen:
    """What all connections share."""

    port: int
    request: bytes
    marks_wanted: int
    answers: int = 0
    marks: int = 0
    errors: int = 0
    first_error: str = ""
    firsts: list[int] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)

    def fail(self, why: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or why[:400]

    def result(self, seconds: float) -> dict[str, Any]:
        counts = {"answers": self.answers, "marks": self.marks, "errors": self.errors, "seconds": seconds}
        times = {"first_us": percentiles(self.firsts), "delay_us": percentiles(self.delays)}
        return {**counts, "first_error": self.first_error, **times}


def percentiles(values: list[int]) -> dict[str, int]:
    """The value below which such a share of the values lies, for each of three shares."""
    values = sorted(values)
    found = {f"p{share}": values[len(values) * share // 100] for share in (50, 90, 99) if values}
    return {"count": len(values), **found, **({"max": values[-1]} if values else {})}


class Connection(asyncio.Protocol):
    """The parser calls its `on_…` methods."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._ended: asyncio.Future[str]
        self._asked_us = self._read_us = self._marks = 0
        self._body = b""
        """The end of the body, as much as a mark that was cut can need."""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ended = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._end(f"closed: {error}")

    def ask(self, asked_us: int) -> "asyncio.Future[str]":
        """Sends the request; the future's result is what is wrong with the answer, or nothing."""
        self._ended = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._asked_us, self._marks, self._body = asked_us, 0, b""
        self._transport.write(self._seen.request)
        return self._ended

    def data_received(self, data: bytes) -> None:
        self._read_us = now_us()
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        data = self._body + data
        last = 0
        for mark in _MARK.finditer(data):
            last = mark.end()
            if not self._marks:
                self._seen.firsts.append(self._read_us - self._asked_us)
            self._marks += 1
            if stamp := int(mark[1]):
                self._seen.delays.append(self._read_us - stamp)
        self._body = data[max(last, len(data) - _TAIL) :]

    def on_message_complete(self) -> None:
        seen = self._seen
        seen.marks += self._marks
        if (status := self._parser.get_status_code()) != 200:
            self._end(f"status {status}: {self._body!r}")
        elif self._marks != seen.marks_wanted:
            self._end(f"marks: {self._marks} instead of {seen.marks_wanted}")
        elif b'"stream":true' in seen.request and b"[DONE]" not in self._body:
            self._end(f"no [DONE], but {self._body!r}")
        else:
            self._end("")

    def _end(self, why: str) -> None:
        if not self._ended.done():
            self._ended.set_result(why)

    def close(self) -> None:
        self._transport.close()


async def opened(seen: Seen) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(seen), "127.0.0.1", seen.port)
    return connection


async def closed(seen: Seen, connections: int, seconds: float) -> None:
    until = time.monotonic() + seconds

    async def one() -> None:
        connection = await opened(seen)
        while time.monotonic() < until:
            if why := await asyncio.wait_for(connection.ask(now_us()), seconds + _GRACE_S):
                seen.fail(why)
                break
            seen.answers += 1
            if connection.lost:
                connection = await opened(seen)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))


async def streams(seen: Seen, count: int, ramp_s: float, patience_s: float) -> None:
    begun = time.monotonic()

    async def one(number: int) -> None:
        place = number * _GOLDEN % 1  # in a step of its own: as in load.c, else streams share a few phases
        await asyncio.sleep(begun + (number + place) * ramp_s / count - time.monotonic())
        asked_us = now_us()
        try:
            connection = await opened(seen)
            why = await asyncio.wait_for(connection.ask(asked_us), begun + ramp_s + patience_s - time.monotonic())
        except TimeoutError:
            why = "not answered in time"
        except OSError as error:
            seen.fail(f"connect: {error}")
            return
        connection.close()
        if why:
            seen.fail(why)
        else:
            seen.answers += 1

    await asyncio.gather(*(one(number) for number in range(count)))


async def main(arguments: list[str]) -> None:
    port, request, marks, mode, *numbers = arguments
    seen = Seen(int(port), Path(request).read_bytes(), int(marks))
    begun = time.monotonic()
    if mode == "closed":
        await closed(seen, int(numbers[0]), float(numbers[1]))
    else:
        await streams(seen, int(numbers[0]), float(numbers[1]), float(numbers[2]))
    print(json.dumps(seen.result(time.monotonic() - begun)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
