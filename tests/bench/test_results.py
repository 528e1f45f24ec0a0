"""Figures are kept, put together, and held against the committed ratios."""

import json
from pathlib import Path
from typing import get_args

import pytest

from tests.bench import results
from tests.bench.cells import cpu_cells
from tests.bench.idle import Idle
from tests.bench.results import Results
from tests.support.figures import taken

IDLE = get_args(Idle)


def test_only_a_ratio_beyond_the_tolerance_is_worse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(results, "RATIOS", tmp_path / "ratios.json")
    taken("whole", ours=50, bare=100, nginx=5).write_ratios()
    assert taken("whole", ours=74, bare=100, nginx=5).worse() == {}
    assert taken("whole", ours=37, bare=50, nginx=3).worse() == {}
    assert taken("another", ours=500, bare=100).worse() == {}
    assert list(taken("whole", ours=76, bare=100).worse()) == ["whole"]
    assert list(taken("whole", ours=76, bare=100, nginx=5).worse()) == ["whole"]
    assert taken("whole", ours=76, bare=200, nginx=5).worse() == {}
    assert taken("whole", ours=76, bare=100, nginx=6).worse() == {}
    other_kit = taken("whole", ours=500, bare=100)
    other_kit.kit = "python"
    assert other_kit.worse() == {}


def test_a_run_is_held_against_runs_whose_idle_core_did_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(results, "RATIOS", tmp_path / "ratios.json")
    run = taken("whole", ours=50, bare=100)
    run.idle = "kept busy"
    run.write_ratios()
    new = taken("whole", ours=80, bare=100)
    for new.idle in IDLE:
        assert list(new.worse()) == ["whole"], "judged by the usual ones where there are none of its own"
    new.idle = "polls"
    new.write_ratios()
    new = taken("whole", ours=100, bare=100)
    for new.idle, worse in (("polls", []), ("kept busy", ["whole"])):
        assert list(new.worse()) == worse


@pytest.mark.parametrize("mode", ["c, kept busy", "c, polls", "python, halts"])
def test_every_cell_of_the_short_form_has_committed_ratios(mode: str) -> None:
    committed = json.loads(results.RATIOS.read_text(encoding="utf-8"))["ratios"][mode]
    for cell in cpu_cells():
        assert not cell.short or "bare" in committed[cell.name]


def test_samples_of_two_runs_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    first = taken("whole", ours=10)
    first.add_points("open", "ours", [(1, 2.5)])
    first.write(path)
    second = Results.read(path)
    second.add("whole", "ours", {"cpu_us": 30})
    second.write(path)
    found = Results.read(path)
    assert found.taken("whole", "cpu_us", "ours") == [10, 30]
    assert found.middle("whole", "cpu_us", "ours") == 20
    assert found.points == {"open": {"ours": [[1, 2.5]]}}
    assert found.facts["versions"]["python"] and found.peers == ["ours"]


def test_figures_of_an_earlier_bench_are_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    taken("whole", ours=10).write(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    del found["idle"]
    path.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(SystemExit, match="has no idle"):
        Results.read(path)
