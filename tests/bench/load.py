"""The clients of the bench: keep-alive connections on one asyncio protocol, each with one request at a time."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Self, cast

import httptools
import orjson

from tests.bench.answers import MARK, Answer, WrongAnswerError, answer

PATIENCE_S = 20.0
"""An answer that takes longer fails the run."""


def request_of(model: str) -> bytes:
    """A request's bytes, of the size that a short question has."""
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a careful assistant. Show your steps, then answer in one sentence."},
            {"role": "user", "content": "Is 3599 a prime number? If it is not, name its factors."},
        ],
        "temperature": 0.6,
        "max_tokens": 4096,
    }
    if not model.startswith("whole"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    data = orjson.dumps(body)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}authorization: Bearer bench\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


class Connection(asyncio.Protocol):
    """One connection. The parser calls its `on_…` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._answered: asyncio.Future[bytes]
        self._parser: httptools.HttpResponseParser
        self._body: list[bytes] = []
        self.first_text = 0.0
        """When the first text of the last answer arrived; seconds of `time.perf_counter`."""

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        transport, protocol = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        try:
            yield protocol
        finally:
            transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if hasattr(self, "_answered") and not self._answered.done():
            self._answered.set_exception(WrongAnswerError(f"the connection broke: {error}"))

    async def answer(self, request: bytes, patience_s: float) -> bytes:
        """Sends a request; gives the body of its answer. Raises WrongAnswerError where it does not come."""
        try:
            return await asyncio.wait_for(self._ask(request), patience_s)
        except TimeoutError:
            got = b"".join(self._body)
            raise WrongAnswerError(f"no complete answer within {patience_s:.0f} s, but {got[-300:]!r}") from None

    def _ask(self, request: bytes) -> asyncio.Future[bytes]:
        self._answered = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body = []
        self.first_text = 0.0
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        if not self.first_text and MARK in data:
            self.first_text = time.perf_counter()
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        if self._answered.done():
            return
        if (status := self._parser.get_status_code()) != 200:
            self._answered.set_exception(WrongAnswerError(f"status {status}: {body[:300]!r}"))
        else:
            self._answered.set_result(body)


class Load:
    """Asks for one model's answer through one port, and checks every answer that comes."""

    def __init__(self, port: int, model: str, *, parts_tags: bool) -> None:
        self._port = port
        self._request = request_of(model)
        self._expected: Answer = answer(model)
        self._parts_tags = parts_tags
        self._right: set[bytes] = set()
        self.answers = 0

    def _check(self, body: bytes) -> None:
        self.answers += 1
        digest = hashlib.blake2b(body).digest()
        if digest not in self._right:  # equal bytes need no second look
            self._expected.check(body, parts_tags=self._parts_tags)
            self._right.add(digest)

    async def closed_loop(self, connections: int, seconds: float) -> None:
        """Each connection asks again as soon as it is answered, for so long."""
        until = time.perf_counter() + seconds

        async def one() -> None:
            async with Connection.to(self._port) as connection:
                while time.perf_counter() < until:
                    self._check(await connection.answer(self._request, PATIENCE_S))

        await _together(one() for _ in range(connections))

    async def staggered(self, streams: int, interval_s: float) -> None:
        """So many streams at once, begun one after another within one interval."""
        started = time.perf_counter()
        lasting = interval_s * len(self._expected.pieces)

        async def one(number: int) -> None:
            async with Connection.to(self._port) as connection:
                await asyncio.sleep(started + 0.1 + number * interval_s / streams - time.perf_counter())
                self._check(await connection.answer(self._request, lasting + PATIENCE_S))

        await _together(one(number) for number in range(streams))

    async def first_texts(self, count: int) -> list[float]:
        """Seconds from a request to its first text, of so many requests, one after another."""
        times = []
        async with Connection.to(self._port) as connection:
            for _ in range(count):
                asked = time.perf_counter()
                self._check(await connection.answer(self._request, PATIENCE_S))
                times.append(connection.first_text - asked)
        return times


async def _together(works: Iterable[Coroutine[None, None, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
