"""The limits of one try: which one ends it, and whose cancellation it was."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from proxy.core.errors import ShuttingDown
from proxy.settings.model import Timeouts
from proxy.telemetry.exchange import AttemptOutcome
from proxy.upstream.deadline import FIRST_ANSWER, FIRST_BYTE, Deadline, Deadlines

SHORT = 0.02
LONG = 3600.0
NEVER = Timeouts(0, 0, 0, 0, 0, 0)


def ended(limits: Timeouts, work: Callable[[Deadline], Awaitable[None]]) -> Deadline:
    """Does the work and then waits for the deadline, which must come."""

    async def run() -> Deadline:
        deadline = Deadline(Deadlines("p", limits))
        deadline.start(time.monotonic())
        try:
            await work(deadline)
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            assert deadline.expired()
        finally:
            deadline.stop()
        return deadline

    return asyncio.run(run())


async def nothing(deadline: Deadline) -> None:
    deadline.wait = FIRST_BYTE


async def waits_for_text(deadline: Deadline) -> None:
    deadline.wait = FIRST_BYTE
    deadline.wait = FIRST_ANSWER
    deadline.read_at = time.monotonic()


async def reads_slowly(deadline: Deadline) -> None:
    deadline.answering(time.monotonic())
    for _ in range(3):
        await asyncio.sleep(SHORT / 4)
        deadline.read_at = time.monotonic()


@pytest.mark.parametrize(
    ("limits", "work", "outcome", "said"),
    [
        (Timeouts(first_byte_s=SHORT), nothing, AttemptOutcome.FIRST_BYTE_TIMEOUT, "sent nothing within 0.02 s"),
        (Timeouts(first_answer_s=SHORT), waits_for_text, AttemptOutcome.FIRST_ANSWER_TIMEOUT, "began no answer"),
        (Timeouts(idle_s=SHORT), reads_slowly, AttemptOutcome.IDLE_TIMEOUT, "fell silent"),
        (Timeouts(total_s=SHORT), reads_slowly, AttemptOutcome.TOTAL_TIMEOUT, "did not finish"),
        # A limit that is over before it counts is noticed when the shortest one has passed again.
        (Timeouts(first_byte_s=SHORT, first_answer_s=SHORT), waits_for_text, AttemptOutcome.FIRST_ANSWER_TIMEOUT, "p"),
    ],
)
def test_the_limit_that_is_reached_ends_the_try_and_is_named(
    limits: Timeouts, work: Callable[[Deadline], Awaitable[None]], outcome: AttemptOutcome, said: str
) -> None:
    deadline = ended(limits, work)
    assert deadline.outcome is outcome
    assert said in deadline.error.message


def test_a_slow_client_is_no_silence_of_the_upstream() -> None:
    async def work(deadline: Deadline) -> None:
        deadline.answering(time.monotonic())
        deadline.paused = True
        await asyncio.sleep(SHORT * 4)
        deadline.paused = False
        deadline.read_at = time.monotonic()

    began = time.monotonic()
    assert ended(Timeouts(idle_s=SHORT), work).outcome is AttemptOutcome.IDLE_TIMEOUT
    assert time.monotonic() - began >= SHORT * 5


def test_without_limits_only_an_interruption_ends_the_try_with_its_own_error() -> None:
    error = ShuttingDown("Going.")

    async def work(deadline: Deadline) -> None:
        deadline.wait = FIRST_BYTE
        deadline.interrupt(error)

    deadline = ended(NEVER, work)
    assert deadline.error is error
    assert deadline.outcome is AttemptOutcome.CANCELLED


def test_a_cancellation_of_somebody_else_is_not_taken_for_the_deadlines() -> None:
    async def run(*, both: bool) -> bool:
        deadline = Deadline(Deadlines("p", NEVER))
        deadline.start(time.monotonic())
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if both:
            deadline.interrupt(ShuttingDown("Going."))
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            expired = deadline.expired()
        while task.uncancel():
            pass
        return expired

    assert not asyncio.run(run(both=False))
    assert not asyncio.run(run(both=True))


def test_each_of_many_tries_ends_at_its_own_time_and_those_that_stopped_never() -> None:
    async def one(shared: Deadlines, after_s: float, work_s: float) -> tuple[bool, float]:
        await asyncio.sleep(after_s)
        deadline, began = Deadline(shared), time.monotonic()
        deadline.start(time.monotonic())
        try:
            await asyncio.sleep(work_s)
        except asyncio.CancelledError:
            return deadline.expired(), time.monotonic() - began
        finally:
            deadline.stop()
        return False, time.monotonic() - began

    async def run() -> list[tuple[bool, float]]:
        shared = Deadlines("p", Timeouts(total_s=5 * SHORT))
        work = [LONG, SHORT, LONG, SHORT, LONG, SHORT]
        found = await asyncio.gather(*(one(shared, number * SHORT, work_s) for number, work_s in enumerate(work)))
        assert not shared.sweep._young
        again = await one(shared, 0.0, LONG)  # also where the timer has nobody to wait for in between
        await asyncio.sleep(6 * SHORT)
        return [*found, again, await one(shared, 0.0, LONG)]

    found = asyncio.run(run())
    assert [ended for ended, _ in found] == [True, False, True, False, True, False, True, True]
    assert all(seconds >= 5 * SHORT for ended, seconds in found if ended)
