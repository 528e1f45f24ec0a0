"""Several processes that count together."""

import subprocess
import sys
from pathlib import Path

import pytest

from proxy.telemetry.metrics import Metrics
from proxy.telemetry.shared import SLOTS, SharedStore, prepare
from tests.support.samples import samples, total

WORKER = """
import sys
from pathlib import Path
from proxy.telemetry.exchange import AttemptOutcome
from proxy.telemetry.metrics import Metrics
metrics = Metrics("1", folder=Path(sys.argv[1]))
target = metrics.target("r", "p", "m")
target.attempt(AttemptOutcome.OK, {})
target.retry(AttemptOutcome.HTTP_429)
target.opened()
target.available(False)
metrics.reloaded(ok=False)
metrics.lag.observe(0.002)
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_a_dead_process_counted_stays_and_its_gauges_go(repository: Path, tmp_path: Path) -> None:
    ours = Metrics("1", folder=tmp_path)
    ours.target("r", "p", "m").opened()
    ours.reloaded(ok=True)
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=repository, env={"PYTHONPATH": str(repository)}
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        ours.lag.observe(0.002)
        both = samples(ours.render())
        worker.kill()
        worker.wait()
        alone = samples(ours.render())
    counters = [("upstream_attempts_total", 1.0), ("retries_total", 1.0), ("event_loop_lag_seconds_count", 2.0)]
    for name, count in counters:
        assert (total(both, name), total(alone, name)) == (count, count)
    assert (total(both, "streams_in_flight"), total(alone, "streams_in_flight")) == (2.0, 1.0)
    assert (total(both, "upstream_available"), total(alone, "upstream_available")) == (0.0, 1.0)
    assert total(both, "config_last_reload_successful") == 0.0
    assert total(alone, "config_last_reload_successful") == 1.0
    assert total(both, "build_info") == 1.0
    ours.close()


def test_series_that_only_another_process_knows_are_shown(tmp_path: Path) -> None:
    one, two = Metrics("1", folder=tmp_path), Metrics("1", folder=tmp_path)
    two.render()
    one.target("new", "p", "m").opened()
    found = samples(two.render())
    assert total(found, "streams_in_flight", route="new") == 1.0
    one.target("newer", "p", "m").opened()
    assert total(samples(two.render()), "streams_in_flight", route="newer") == 1.0
    assert total(samples(one.render()), "streams_in_flight", route="newer") == 1.0
    for metrics in (one, two):
        metrics.close()


def test_folder_is_emptied_of_counters_alone(tmp_path: Path) -> None:
    metrics = Metrics("1", folder=tmp_path)
    metrics.close()
    (tmp_path / "mine").write_text("stays")
    prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    prepare(tmp_path / "new")
    assert (tmp_path / "new").is_dir()


def test_full_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics("1", folder=tmp_path)
    store = metrics._store
    assert isinstance(store, SharedStore)
    store._used = SLOTS - 1
    with pytest.raises(MemoryError, match="no room"):
        metrics.target("r", "p", "m")
    metrics.close()
