"""The reasoning memory of this process: what clients drop, kept for a while within bounds (`docs/memory.md`).

It belongs to the event loop; nothing here waits. No content of it reaches a log, a metric or an error.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from proxy.core.dialect import History
from proxy.core.history import Message
from proxy.core.memory import BOUNDS, SAID, Bounds, Conversation, Keep, complete, worth_keeping
from proxy.telemetry.exchange import MemoryResult
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.target import TargetMetrics

ENTRY_BYTES = 768
"""What an entry needs beside its content: key, two places in an order, time, objects' heads (a test measures it)."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds."""


class Memory:
    """Key → bytes. Within `bounds`, the entry used longest ago leaves first; what is too old leaves by itself.

    `clock` gives monotonic seconds.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float], later: Later, *, bounds: Bounds = BOUNDS) -> None:
        self._metrics = metrics
        self._clock = clock
        self._later = later
        self._bounds = bounds
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()  # used longest ago first
        self._stored: OrderedDict[bytes, float] = OrderedDict()  # the oldest first
        self._alike: dict[bytes, tuple[bytes, ...]] = {}  # the first bytes of keys → the keys
        self._size = 0
        self._waiting = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes that all entries need, with `ENTRY_BYTES` for each."""
        return self._size

    def get(self, key: bytes) -> bytes | None:
        """What is kept under this key, or else under the only one that differs in its system messages alone.

        Where several do, which is meant cannot be told. What is found has been used then.
        """
        self._expire()
        found = self._entries.get(key)
        if found is None:
            alike = self._alike.get(key[:SAID], ())
            if len(alike) != 1:
                return None
            key = alike[0]
            found = self._entries[key]
        self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, kept: bytes) -> bool:
        """Keeps it instead of what was there; False where it alone is too large."""
        if len(kept) > self._bounds.answer_bytes:
            return False
        self._expire()
        if key in self._entries:
            self._drop(key)
        self._entries[key] = kept
        self._alike[key[:SAID]] = (*self._alike.get(key[:SAID], ()), key)
        self._stored[key] = self._clock()
        self._size += len(kept) + ENTRY_BYTES
        while len(self._entries) > self._bounds.entries or self._size > self._bounds.bytes:
            self._drop(next(iter(self._entries)))
            self._metrics.forgot(MemoryResult.EVICTED)
        self._metrics.remembers(len(self._entries), self._size)
        self._wait()
        return True

    def _drop(self, key: bytes) -> None:
        self._size -= len(self._entries.pop(key)) + ENTRY_BYTES
        del self._stored[key]
        alike = tuple(each for each in self._alike.pop(key[:SAID]) if each != key)
        if alike:
            self._alike[key[:SAID]] = alike

    def _expire(self) -> None:
        oldest = self._clock() - self._bounds.age_s
        expired = False
        while self._stored and next(iter(self._stored.values())) <= oldest:
            self._drop(next(iter(self._stored)))
            self._metrics.forgot(MemoryResult.EXPIRED)
            expired = True
        if expired:
            self._metrics.remembers(len(self._entries), self._size)

    def _wait(self) -> None:
        """Sees to it that the oldest entry leaves in time, also where nobody asks any more."""
        if self._stored and not self._waiting:
            self._waiting = True
            due = next(iter(self._stored.values())) + self._bounds.age_s - self._clock()
            self._later(max(due, 1.0), self._due)

    def _due(self) -> None:
        self._waiting = False
        self._expire()
        self._wait()


class Recall:
    """One request before the memory. `caller`: a digest of who asks, of at most 64 bytes; b"" where nobody is told apart.

    `keeps`: whether its answers are kept.
    """

    def __init__(self, memory: Memory, caller: bytes, messages: list[Any], *, keeps: bool) -> None:
        self._memory = memory
        self._conversation = Conversation(caller, messages)
        self._keeps = keeps
        self._completed: list[Any] | None = None

    def messages(self, history: History, metrics: TargetMetrics) -> list[Any]:
        """The request's messages for a target, with what their client dropped where that target's memory is on.

        They are looked up once, and counted with the target that asks first.
        """
        if history.memory == "off":
            return self._conversation.messages
        if self._completed is None:
            completed = complete(self._conversation, self._memory.get if len(self._memory) else None)
            metrics.remembered(MemoryResult.HIT, completed.hits)
            metrics.remembered(MemoryResult.MISS, completed.misses)
            self._completed = completed.messages
        return self._completed

    def settle(self) -> None:
        """The messages are not asked for any more: only what tells the answer's key stays."""
        self._completed = None
        if self._keeps:
            self._conversation.keys()
        self._conversation.messages = []

    def keeper(self, metrics: TargetMetrics) -> Keep | None:
        """What takes the messages of a target's answer; None where none are kept."""

        def keep(answer: Message) -> None:
            kept = worth_keeping(answer)
            if kept is not None and self._memory.put(self._conversation.key_of(answer), kept):
                metrics.remembered(MemoryResult.STORED, 1)

        return keep if self._keeps else None
