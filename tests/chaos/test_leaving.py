"""A client that leaves ends its upstream request, whatever phase it is in. How soon is measured by `scripts/chaos --leaving`."""

import pytest

from tests.support.leaving import PHASES, Phase, beside, measure


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_upstream_is_left_alone(phase: Phase) -> None:
    assert len(measure(phase, 3, beside)) == 3
