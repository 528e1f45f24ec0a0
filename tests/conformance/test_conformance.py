"""Every recorded answer, parser case and quirk, served through the running proxy in every cut."""

import pytest

from tests.conformance.course import Course
from tests.conformance.material import FOLDER, Case, cases
from tests.conformance.tally import Tally

pytestmark = pytest.mark.conformance

MISSING = pytest.mark.skip(reason=f"NO RECORDED PROVIDER STREAMS in {FOLDER} (set REASONING_PROXY_FIXTURES)")
CASES = [pytest.param(case, id=case.id) for case in cases()] or [pytest.param(None, id="none", marks=MISSING)]


@pytest.mark.parametrize("case", CASES)
def test_client_hears_what_the_upstream_said_however_it_is_cut(
    case: Case, running_course: Course, tally: Tally
) -> None:
    result = running_course.result(case)
    tally.add(result)
    faults = [fault for found in result.faults.values() for fault in found]
    assert not faults, "\n".join(faults[:20])


if cases():

    def test_nothing_that_was_served_was_a_bug_of_the_proxy(running_course: Course) -> None:
        wrong = [
            line
            for line in running_course.proxy.lines
            if line.get("event") == "bug" or line.get("outcome") == "internal_error"
        ]
        assert not wrong
        assert "Traceback" not in running_course.proxy.log
