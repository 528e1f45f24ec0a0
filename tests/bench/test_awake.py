"""The kit that polls: it does the same work as the one that sleeps, nothing sleeps, and all sleeps again afterwards."""

import json
import os
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.bench import idle as idling
from tests.bench import processes
from tests.bench.answers import answer
from tests.bench.cells import cpu_cells
from tests.bench.extents import extent_cells
from tests.bench.idle import LATENCY, Idle, idle_of
from tests.bench.kit import Kit, Loaded

PACED = "paced.reasoning_content.40.5"
"""Its 39 pieces are written one by one, 5 ms apart: whoever sleeps in between sleeps about as often."""
BRIEF = "burst.reasoning_content.9.0"
CORE = processes.cores()[0]
WAYS: list[Idle] = sorted({"kept busy", idle_of(CORE)})
"""In which a core can be kept from halting on this machine."""


@pytest.fixture(params=WAYS)
def idle(request: pytest.FixtureRequest) -> Idle:
    way: Idle = request.param
    return way


def test_an_awake_kit_counts_what_a_sleeping_one_counts(kit: Kit, idle: Idle) -> None:
    for context in (nullcontext(), kit.awake(CORE, idle)):
        with context:
            before = kit.stats()
            paced = kit.streams(kit.port, PACED, 3, 0.01, 20)
            closed = kit.closed(kit.port, BRIEF, 2, 0.05)
            after = kit.stats()
        assert (paced.answers, paced.errors, paced.marks) == (3, 0, 3 * answer(PACED).marks)
        assert (paced.first.timed, paced.delay.timed) == (3, paced.marks)
        assert closed.answers >= 2 and closed.marks == closed.answers * answer(BRIEF).marks
        assert after["answers"] - before["answers"] == 3 + closed.answers
        assert after["marks"] - before["marks"] == paced.marks + closed.marks


def test_the_upstream_sleeps_again_after_the_context_also_after_an_error(kit: Kit, idle: Idle) -> None:
    awake = int(kit.kind == "c")
    assert kit.stats()["awake"] == 0
    with kit.awake(CORE, idle):
        assert kit.stats()["awake"] == awake
    assert kit.stats()["awake"] == 0
    with pytest.raises(ZeroDivisionError), kit.awake(CORE, idle):
        raise ZeroDivisionError
    assert kit.stats()["awake"] == 0


def keeping_core() -> list[int]:
    """Processes of this one that run on the peers' core, and come after every other one there."""
    children = [pid for pid in processes.tree(os.getpid()) if os.sched_getscheduler(pid) == os.SCHED_IDLE]
    return [pid for pid in children if os.sched_getaffinity(pid) == {CORE}]


def files_open() -> list[Path]:
    return [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]


def test_the_peers_core_does_not_halt_within_the_context_alone(kit: Kit, idle: Idle) -> None:
    assert keeping_core() == [] and LATENCY not in files_open()
    with kit.awake(CORE, idle):
        assert len(keeping_core()) == (kit.kind == "c" and idle == "kept busy")
        assert (LATENCY in files_open()) == (kit.kind == "c" and idle == "polls")
    assert keeping_core() == [] and LATENCY not in files_open()


def test_a_core_looks_for_work_in_the_kernel_only_where_it_can_and_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(idling, "LATENCY", tmp_path / "latency")
    monkeypatch.setattr(idling, "_STATES", tmp_path)
    assert idle_of(3) == "kept busy"
    shallowest = tmp_path / "cpu3" / "cpuidle" / "state0" / "name"
    shallowest.parent.mkdir(parents=True)
    shallowest.write_text("POLL\n", encoding="ascii")
    assert idle_of(3) == "kept busy"
    (tmp_path / "latency").touch()
    assert idle_of(3) == "polls"
    assert (tmp_path / "latency").read_bytes() == bytes(4)
    shallowest.write_text("C1\n", encoding="ascii")
    assert idle_of(3) == "kept busy"


def test_a_core_that_is_not_there_is_told_of(kit: Kit) -> None:
    if kit.kind != "c":
        pytest.skip("the kit in Python is never awake")
    with pytest.raises(OSError, match="core 1000"), kit.awake(1000, "kept busy"):
        pytest.fail("nothing keeps that core")
    assert kit.stats()["awake"] == 0


def slept(kit: Kit, context: AbstractContextManager[None]) -> tuple[int, int]:
    """How often upstream and clients slept during one paced answer."""
    with context:
        before = switches(kit.pid)
        with kit.opening(kit.port, PACED, 1, 0, 20) as load:
            _, status, used = os.wait4(load.pid, 0)  # what it prints fits into the pipe
            load.returncode = os.waitstatus_to_exitcode(status)
            assert load.stdout is not None
            assert Loaded.of(json.loads(load.stdout.read())).answers == 1
        return switches(kit.pid) - before, used.ru_nvcsw


def switches(pid: int) -> int:
    """How often the process gave its core away because it had nothing to do; to yield does not count."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_neither_upstream_nor_clients_sleep_while_they_are_awake(kit: Kit, idle: Idle) -> None:
    if kit.kind != "c":
        pytest.skip("the kit in Python is never awake")
    asleep = slept(kit, nullcontext())
    awake = slept(kit, kit.awake(CORE, idle))
    assert awake[0] < 20 and awake[1] < 20
    assert asleep[0] > awake[0] and asleep[1] > awake[1]


def test_the_kit_is_asleep_where_it_shares_a_core_or_has_nothing_to_do() -> None:
    cells = [*cpu_cells(), *extent_cells()]
    assert {cell.name.partition(".")[0] for cell in cells if not cell.awake} == {"workers", "start", "slow", "leave"}
