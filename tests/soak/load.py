"""The soak's clients: each asks once, and compares what comes with what must come, byte by byte."""

import asyncio
import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import httptools

from tests.soak.upstream import DONE, FAULTS, events, whole

PATIENCE_S = 60.0
"""An answer that takes longer than its pace and this is lost."""


@dataclass
class Result:
    """What became of all requests."""

    healthy: int = 0
    events: int = 0
    """Of the healthy ones, compared."""
    lost: int = 0
    """Healthy answers that did not come to their end."""
    altered: int = 0
    """Healthy answers with another byte, event or status."""
    faulty: int = 0
    untold: list[str] = field(default_factory=list)
    """Faults that the client could take for a whole answer, or that never ended."""
    left: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


class Client(asyncio.Protocol):
    """One connection. `done` gives (status, whether the answer was complete)."""

    def __init__(self, request: bytes, leaves_after: int | None) -> None:
        self._request = request
        self._leaves_after = leaves_after
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self.done: asyncio.Future[tuple[int, bool]] = asyncio.get_running_loop().create_future()
        self.hash = hashlib.sha256()
        self.tail = b""
        self.size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.hash.update(body)
        self.tail = (self.tail + body)[-400:]
        self.size += len(body)
        if self._leaves_after is not None and self.size > self._leaves_after:
            self.leave()

    def on_message_complete(self) -> None:
        self._finish(complete=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(complete=False)

    def leave(self) -> None:
        """Closes without waiting for the rest."""
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, *, complete: bool) -> None:
        if not self.done.done():
            self.done.set_result((self._parser.get_status_code(), complete))
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True)
class Asking:
    """Requests of one kind. `faults` and `leaving` are shares of 1."""

    port: int
    stream: bool
    count: int = 0
    pace_ms: int = 0
    faults: float = 0.0
    leaving: float = 0.0

    async def once(self, seed: int, result: Result) -> None:
        """One request, judged."""
        chance = random.Random(-seed)
        point = chance.random()
        kind = chance.choice(FAULTS) if point < self.faults else "healthy"
        leaves = self.faults <= point < self.faults + self.leaving
        pieces = events(seed, self.count) if self.stream else [whole(seed)]
        size = sum(map(len, pieces))
        client = Client(self._request(kind, seed), chance.randrange(size) // 2 if leaves else None)
        await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", self.port)
        try:
            async with asyncio.timeout(PATIENCE_S + self.count * self.pace_ms / 1000):
                status, complete = await client.done
        except TimeoutError:
            status, complete = 0, False
        client.leave()
        if leaves:
            result.left += 1
        elif kind == "healthy":
            _judge_healthy(result, client, pieces, status, complete=complete)
        else:
            result.faulty += 1
            result.kinds[kind] += 1
            told = status >= 500 or (status == 200 and b'"error"' in client.tail and client.tail.endswith(DONE))
            if not (told and complete):
                result.untold.append(f"{kind} {seed} status {status} {client.tail[-200:]!r}")

    def _request(self, kind: str, seed: int) -> bytes:
        body = {"model": "m", "stream": self.stream, "messages": [{"role": "user", "content": "x"}]}
        text = json.dumps({**body, "user": f"{kind} {seed} {self.count} {self.pace_ms}"}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(text)}\r\n\r\n"
        return head.encode() + text


def _judge_healthy(result: Result, client: Client, pieces: list[bytes], status: int, *, complete: bool) -> None:
    result.healthy += 1
    result.events += len(pieces)
    expected = hashlib.sha256(b"".join(pieces)).digest()
    if not complete:
        result.lost += 1
    elif status != 200 or client.hash.digest() != expected:
        result.altered += 1


async def keep_asking(asking: Asking, result: Result, *, at_once: int, total: int, first_seed: int) -> None:
    """`total` requests, `at_once` of them at any moment; they begin spread over one pace."""
    seeds = iter(range(first_seed, first_seed + total))

    async def one_after_another(number: int) -> None:
        await asyncio.sleep(number / at_once * asking.pace_ms / 1000)
        for seed in seeds:
            await asking.once(seed, result)

    await asyncio.gather(*(partial(one_after_another, number)() for number in range(at_once)))
