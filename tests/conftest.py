"""What all tests share: Hypothesis profiles, and where the recorded provider streams are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from proxy.core import byte_path

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / os.environ.get("REASONING_PROXY_FIXTURES", "../shared/fixtures")

# Time says nothing about the code on a shared machine, and coverage slows the first example of a test most.
settings.register_profile(
    "local",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=DirectoryBasedExampleDatabase(ROOT / ".cache" / "hypothesis"),
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session", autouse=True)
def _quick_learner() -> Iterator[None]:
    """Frames are learned from the second event of a kind on, so that short streams test them too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_path, "PATIENCE", 2)
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """The folder of recorded provider streams; the test is skipped where it is not there."""
    if not FIXTURES.is_dir():
        pytest.skip(f"no recorded provider streams in {FIXTURES} (set REASONING_PROXY_FIXTURES)")
    return FIXTURES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A run without the recordings says so at its end."""
    if not FIXTURES.is_dir():
        terminalreporter.section("CONFORMANCE NOT TESTED", red=True, bold=True)
        terminalreporter.line(f"The recorded provider streams are not in {FIXTURES}. Set REASONING_PROXY_FIXTURES.")
