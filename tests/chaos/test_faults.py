"""Every fault of an upstream: a clear error, nothing lost that had come, nobody else disturbed, counted, and documented."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.support.chaos import KEY, PAGE, Chaos, chaos, row
from tests.support.faults import FAULTS, Fault

DONE = "data: [DONE]\n\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Chaos]:
    with chaos() as one:
        yield one


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_told_counted_and_felt_by_nobody_else(running: Chaos, fault: Fault) -> None:
    seen = running.run(fault)
    assert (seen.status, None if seen.error is None else seen.error["code"]) == (fault.status, fault.code)
    for text in fault.kept:
        assert text in seen.reasoning + seen.answer, "what had come is lost"
    if fault.code is None:
        assert seen.finish == ("stop",)
    else:
        assert seen.finish == (), "half an answer can be taken for a whole one"
        assert seen.error is not None
        assert set(seen.error) == {"message", "type", "param", "code"}
        assert seen.error["message"]
    if seen.status == 200 and fault.stream:
        assert seen.body.endswith(DONE)
        assert seen.body.count(DONE) == 1
    assert KEY not in seen.body
    assert seen.undisturbed, "a stream beside it was changed"
    assert [name.split()[0] for name in seen.counted if not name.startswith("oddity")] == ["attempt", "request"]
    assert row(fault, seen) in PAGE.read_text("utf-8"), "docs/resilience.md says otherwise: scripts/chaos --write"
    assert not [line for line in running.proxy.lines if line["event"] == "bug"]


def test_nothing_is_left_open_after_the_faults(running: Chaos) -> None:
    for fault in FAULTS[:12]:
        running.run(fault)
    proxy = running.proxy

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    until = time.monotonic() + 10
    while True:
        users = [engine.users for engine in proxy.service.state.engines.values()]  # type: ignore[attr-defined]
        left = asyncio.run_coroutine_threadsafe(tasks(), proxy.loop).result(5)
        if (not any(users) and left <= 4) or time.monotonic() > until:
            break
        time.sleep(0.05)
    assert not any(users)
    # The server's own, its lifespan, and this question.
    assert left <= 4
    assert all(proxy.service.health.of((name, "big")).in_flight == 0 for name in ("house", "quick", "gone", "well"))


def test_every_row_of_the_table_is_a_fault_that_is_tested() -> None:
    page = PAGE.read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "request `" in line]
    assert len(rows) == len(FAULTS)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
