"""The course, the tally, and the report at the end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.course import Course, Effort, course
from tests.conformance.material import Case, cases
from tests.conformance.tally import Tally

TALLY = pytest.StashKey[Tally]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where this folder is named on the command line, as `scripts/conformance` does."""
    parser.addoption("--report", metavar="FILE", help="write the conformance table to FILE, as Markdown")


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    return pytestconfig.stash.setdefault(TALLY, Tally(Effort.of_environment()))


@pytest.fixture(scope="session")
def running_course(request: pytest.FixtureRequest, tally: Tally) -> Iterator[Course]:
    """Every case that is to be tested is on its way once this is there."""
    print(f"conformance: random cuts with REASONING_PROXY_CONFORMANCE_SEED={tally.effort.seed}")
    with course(cases(), tally.effort) as built:
        built.start(case for item in request.session.items if (case := _case_of(item)) is not None)
        yield built


def _case_of(item: pytest.Item) -> Case | None:
    case = item.callspec.params.get("case") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    return case if isinstance(case, Case) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash.get(TALLY, None)
    if tally is None or not tally.results:
        return
    report = tally.markdown()
    terminalreporter.section("conformance")
    terminalreporter.write_line(report)
    if file := config.getoption("report", default=None):
        Path(file).write_text(report, "utf-8")
        terminalreporter.write_line(f"written to {file} at {time.strftime('%H:%M:%S')}")
