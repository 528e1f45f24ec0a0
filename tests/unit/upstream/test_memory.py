"""The store of the reasoning memory: its bounds, and what is counted."""

import gc
import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.dialect import History
from proxy.core.memory import BOUNDS, Bounds
from proxy.telemetry.metrics import Metrics
from proxy.upstream.memory import ENTRY_BYTES, Memory, Recall
from tests.support.samples import samples, total

KIB = b"x" * 1024
DAY = BOUNDS.age_s
ON, OFF = History(memory="tool_calls"), History()
USER = {"role": "user", "content": "Why?"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BARE = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWER = {**BARE, "reasoning_content": "Hm"}


class World:
    """A memory with a clock and timers that a test moves."""

    def __init__(self, **bounds: Any) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.metrics = Metrics("1")
        self.memory = Memory(self.metrics, lambda: self.now, self.later, bounds=Bounds(**bounds))
        self.target = self.metrics.target("r", "p", "m")

    def later(self, seconds: float, then: Callable[[], None]) -> None:
        self.timers.append((self.now + seconds, then))

    def pass_time(self, seconds: float) -> None:
        """Runs the timers that fall due on the way."""
        until = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= until]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = until

    def count(self, result: str, provider: str = "p", model: str = "m") -> float:
        labels = {"provider": provider, "model": model, "result": result}
        return total(samples(self.metrics.render()), "memory_total", **labels)

    @property
    def gauges(self) -> tuple[float, float]:
        found = samples(self.metrics.render())
        return total(found, "memory_entries"), total(found, "memory_bytes")

    def recall(self, *messages: Any, caller: bytes = b"", keeps: bool = True) -> Recall:
        return Recall(self.memory, caller, list(messages), keeps=keeps)


def test_bounds_are_those_that_are_documented() -> None:
    assert (BOUNDS.entries, BOUNDS.bytes, BOUNDS.age_s) == (10_000, 64 * 1024 * 1024, 86_400.0)


def test_what_is_put_is_got_and_counted_in_the_gauges() -> None:
    world = World()
    assert world.gauges == (0.0, 0.0)
    assert world.memory.put(b"a", KIB)
    assert world.memory.get(b"a") == KIB
    assert world.memory.get(b"b") is None
    assert world.gauges == (len(world.memory), world.memory.size) == (1, 1024 + ENTRY_BYTES)


def test_same_key_holds_the_last_answer_once() -> None:
    world = World()
    world.memory.put(b"a", KIB)
    world.memory.put(b"a", b"y")
    assert (world.memory.get(b"a"), world.gauges) == (b"y", (1.0, 1.0 + ENTRY_BYTES))
    assert world.count("evicted", "", "") == 0


def test_entry_used_longest_ago_leaves_when_there_are_too_many() -> None:
    world = World(entries=2)
    world.memory.put(b"a", KIB)
    world.memory.put(b"b", KIB)
    world.memory.get(b"a")
    world.memory.put(b"c", KIB)
    assert [world.memory.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]
    assert (world.count("evicted", "", ""), world.gauges[0]) == (1, 2)


def test_entries_used_longest_ago_leave_when_bytes_run_out() -> None:
    world = World(bytes=3 * (1024 + ENTRY_BYTES))
    for key in (b"a", b"b", b"c"):
        world.memory.put(key, KIB)
    world.memory.get(b"a")
    world.memory.put(b"d", 2 * KIB)
    assert [world.memory.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, False, True]
    assert world.count("evicted", "", "") == 2
    assert world.memory.size <= 3 * (1024 + ENTRY_BYTES)


def test_one_answer_that_is_too_large_evicts_nobody() -> None:
    world = World(answer_bytes=2000)
    world.memory.put(b"a", KIB)
    assert world.memory.put(b"b", 2 * KIB) is False
    assert (world.memory.get(b"a"), world.memory.get(b"b"), world.count("evicted", "", "")) == (KIB, None, 0)


def test_entry_is_gone_after_its_time_however_often_it_was_used() -> None:
    world = World()
    world.memory.put(b"a", KIB)
    world.now += DAY - 1
    world.memory.put(b"b", KIB)
    assert world.memory.get(b"a") == KIB
    world.now += 1
    assert (world.memory.get(b"a"), world.memory.get(b"b")) == (None, KIB)
    assert (world.count("expired", "", ""), world.gauges[0]) == (1, 1)


def test_time_begins_anew_when_the_message_is_kept_again() -> None:
    world = World()
    world.memory.put(b"a", KIB)
    world.pass_time(DAY / 2)
    world.memory.put(b"a", KIB)
    world.pass_time(DAY / 2 + 1)
    assert world.memory.get(b"a") == KIB
    world.pass_time(DAY / 2)
    assert len(world.memory) == 0


def test_idle_process_forgets_in_time_too() -> None:
    world = World()
    world.memory.put(b"a", KIB)
    world.pass_time(DAY / 3)
    world.memory.put(b"b", KIB)
    assert len(world.timers) == 1, "one timer for all entries"
    world.pass_time(DAY * 2 / 3)
    assert (len(world.memory), world.gauges[0]) == (1, 1)
    world.pass_time(DAY / 3)
    assert (len(world.memory), world.gauges, world.timers) == (0, (0.0, 0.0), [])
    assert world.count("expired", "", "") == 2
    world.memory.put(b"c", KIB)
    world.pass_time(DAY)
    assert len(world.memory) == 0


def test_other_system_messages_do_not_matter_until_they_tell_two_conversations_apart() -> None:
    world = World()
    one, two, three = (b"said".ljust(32) + rules.ljust(16) for rules in (b"one", b"two", b"three"))
    world.memory.put(one, b"of one")
    assert [world.memory.get(key) for key in (one, two)] == [b"of one", b"of one"]
    world.memory.put(two, b"of two")
    assert [world.memory.get(key) for key in (one, two, three)] == [b"of one", b"of two", None]
    assert world.memory.get(b"else".ljust(32) + b"one".ljust(16)) is None
    world.pass_time(DAY / 2)
    world.memory.put(two, b"of two")
    world.pass_time(DAY / 2)
    assert [world.memory.get(key) for key in (one, three)] == [b"of two", b"of two"], "the other one is too old"
    world.pass_time(DAY)
    assert world.memory._alike == {}


@pytest.mark.parametrize("length", [100, 5000])
def test_size_is_no_less_than_what_python_needs(length: int) -> None:
    world = World()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(3000):
            world.memory.put(os.urandom(48), os.urandom(length))
        gc.collect()
        needed = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.5 * world.memory.size < needed <= world.memory.size


# --- one request ---


def test_kept_answer_is_put_back_and_counted_for_the_target() -> None:
    world = World()
    keep = world.recall(USER).keeper(world.target)
    assert keep is not None
    keep(ANSWER)
    assert world.recall(USER, BARE).messages(ON, world.target) == [USER, ANSWER]
    assert [world.count(one) for one in ("stored", "hit", "miss")] == [1, 1, 0]


def test_unknown_message_is_a_miss_also_in_an_empty_memory() -> None:
    world = World()
    messages = [USER, BARE, USER, {**BARE, "content": "x"}, USER, ANSWER]
    assert world.recall(*messages).messages(ON, world.target) == messages
    assert [world.count(one) for one in ("hit", "miss")] == [0, 2]


def test_target_whose_memory_is_off_gets_what_the_client_sent() -> None:
    world = World()
    keep = world.recall(USER).keeper(world.target)
    assert keep is not None
    keep(ANSWER)
    recall = world.recall(USER, BARE)
    assert recall.messages(OFF, world.target) == [USER, BARE]
    assert world.count("hit") == 0
    assert recall.messages(ON, world.target) == [USER, ANSWER]


def test_second_target_of_a_request_is_not_counted_again() -> None:
    world = World()
    recall = world.recall(USER, BARE)
    for target in (world.target, world.metrics.target("r", "p2", "m")):
        recall.messages(ON, target)
    assert (world.count("miss"), world.count("miss", "p2")) == (1, 0)


def test_nothing_is_kept_where_no_target_asks_for_it() -> None:
    assert World().recall(USER, keeps=False).keeper(World().target) is None


def test_answer_with_nothing_to_lose_and_one_that_is_too_large_are_not_counted_as_stored() -> None:
    world = World(answer_bytes=1000)
    keep = world.recall(USER).keeper(world.target)
    assert keep is not None
    keep(BARE)
    keep({**ANSWER, "reasoning_content": "x" * 1000})
    assert (world.count("stored"), len(world.memory)) == (0, 0)


def test_callers_never_share() -> None:
    world = World()
    for caller, text in ((b"a" * 32, "of a"), (b"b" * 32, "of b")):
        keep = world.recall(USER, caller=caller).keeper(world.target)
        assert keep is not None
        keep({**ANSWER, "reasoning_content": text})
    found = [world.recall(USER, BARE, caller=c).messages(ON, world.target)[1] for c in (b"a" * 32, b"b" * 32, b"")]
    assert [one.get("reasoning_content") for one in found] == ["of a", "of b", None]
