"""Where the bench runs what: a peer that shares its core with clients and upstream is measured with them."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.bench import __main__ as bench
from tests.bench import kit as kits
from tests.bench import processes
from tests.bench.cells import Cell, Figures, Turn

ANSWER = "whole.reasoning_content.200.0"


@pytest.fixture(autouse=True)
def cores() -> Iterator[tuple[int, int]]:
    """The cores as they were; the bench leaves itself on one of them."""
    before = os.sched_getaffinity(0)
    yield processes.cores()
    os.sched_setaffinity(0, before)


def test_a_peer_has_the_first_core_and_clients_and_upstream_the_last(
    monkeypatch: pytest.MonkeyPatch, cores: tuple[int, int]
) -> None:
    seen: dict[str, set[int]] = {}

    def measure(turn: Turn) -> Figures:
        assert turn.pid is not None
        seen["peer"] = os.sched_getaffinity(turn.pid)
        seen["clients"] = os.sched_getaffinity(0)
        seen["upstream"] = os.sched_getaffinity(turn.kit.pid)
        for workers in (1, 2):
            with turn.fresh(workers) as running:
                seen[f"{workers} workers"] = os.sched_getaffinity(running.pid)
        return {}

    monkeypatch.setattr(sys, "argv", ["bench", "--repeats", "1", "--peers", "ours", "--kit", "python"])
    bench.measured(bench.arguments(), [Cell("cores", "", "", ANSWER, measure)])
    first, last = cores
    one, two, other = {first}, {first, last}, {last}
    assert seen == {"peer": one, "clients": other, "upstream": other, "1 workers": one, "2 workers": two}


@pytest.mark.parametrize("apart", [True, False])
def test_the_kit_is_awake_in_cells_that_want_it_if_peers_have_a_core_of_their_own(
    monkeypatch: pytest.MonkeyPatch, cores: tuple[int, int], *, apart: bool
) -> None:
    if kits.kind() != "c":
        pytest.skip("the kit in Python is never awake")
    if apart and cores[0] == cores[1]:
        pytest.skip("there is one core only")
    seen: list[int] = []

    def measure(turn: Turn) -> Figures:
        seen.append(turn.kit.stats()["awake"])
        return {}

    monkeypatch.setattr(processes, "cores", lambda: cores if apart else (cores[1], cores[1]))
    monkeypatch.setattr(sys, "argv", ["bench", "--repeats", "1", "--peers", "direct"])
    cells = [
        Cell(f"awake {awake}", "", "", ANSWER, measure, direct=True, awake=awake) for awake in (False, True, False)
    ]
    bench.measured(bench.arguments(), cells)
    assert seen == [0, int(apart), 0]
