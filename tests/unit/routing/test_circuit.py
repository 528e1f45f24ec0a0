"""Cooldown, circuit and retry budget, with moments and chance of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routing import Circuit, RetryBudget, Standing
from proxy.routing.circuit import FAILURES, JITTER, LONGEST_S

COOLDOWN = 30.0


def failed(times: int, *, at: float = 0.0, draw: float = 0.0) -> Circuit:
    circuit = Circuit()
    for n in range(times):
        began = at + n / 100
        assert circuit.enter(began)
        circuit.failed(began, began, COOLDOWN, draw)
    return circuit


OPENED = (FAILURES - 1) / 100
"""When the last failure of `failed(FAILURES)` came."""


def test_new_one_is_ready_and_clear() -> None:
    circuit = Circuit()
    assert circuit.clear
    assert circuit.standing(0) is Standing.READY
    assert circuit.back_s(0) == 0
    assert circuit.enter(0)


def test_target_that_failed_once_rests_for_its_cooldown_and_may_still_be_asked() -> None:
    circuit = failed(1)
    assert circuit.standing(29.9) is Standing.RESTING
    assert circuit.back_s(1) == 0
    assert circuit.enter(1)
    assert not circuit.rested(29.9)
    assert circuit.standing(30) is Standing.READY
    assert circuit.rested(30)


def test_success_ends_the_rest() -> None:
    circuit = failed(1)
    circuit.succeeded(1)
    assert circuit.clear
    assert circuit.standing(2) is Standing.READY


def test_failures_in_a_row_open_it() -> None:
    circuit = failed(FAILURES)
    assert circuit.standing(10) is Standing.SHUT
    assert not circuit.enter(10)
    assert circuit.back_s(10) == pytest.approx(20 + OPENED)
    assert not circuit.rested(31)


def test_success_between_failures_keeps_it_closed() -> None:
    circuit = failed(FAILURES - 1)
    circuit.succeeded(1)
    circuit.failed(2, 2, COOLDOWN, 0)
    assert circuit.standing(3) is Standing.RESTING


def test_half_open_circuit_lets_one_request_through() -> None:
    circuit = failed(FAILURES)
    assert circuit.standing(31) is Standing.READY
    assert circuit.enter(31)
    assert circuit.standing(31) is Standing.SHUT
    assert not circuit.enter(32)
    assert circuit.back_s(32) == pytest.approx(29)


def test_trial_whose_answer_begins_closes_it() -> None:
    circuit = failed(FAILURES)
    circuit.enter(31)
    circuit.begun(31)
    assert circuit.standing(32) is Standing.READY
    assert circuit.enter(32)
    assert circuit.enter(32)
    circuit.failed(32, 33, COOLDOWN, 0)
    assert circuit.standing(34) is Standing.SHUT, "a stream that begins and then breaks is no success yet"


def test_trial_that_succeeds_forgets_the_failures() -> None:
    circuit = failed(FAILURES)
    circuit.enter(31)
    circuit.succeeded(31)
    assert circuit.clear
    circuit.failed(40, 40, COOLDOWN, 0)
    assert circuit.standing(41) is Standing.RESTING


def test_each_trial_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    circuit, now, pauses = failed(FAILURES), OPENED, []
    for _ in range(8):
        pauses.append(round(circuit.back_s(now), 6))
        now += circuit.back_s(now)
        assert circuit.enter(now)
        circuit.failed(now, now, COOLDOWN, 0)
    assert pauses == [30, 60, 120, 240, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S]


def test_cooldown_above_the_longest_pause_counts() -> None:
    circuit = Circuit()
    for n in range(FAILURES):
        circuit.failed(n, n, 1000.0, 0)
    assert circuit.back_s(FAILURES - 1) == 1000


def test_trial_of_a_client_that_left_may_be_taken_by_the_next() -> None:
    circuit = failed(FAILURES)
    circuit.enter(31)
    circuit.left(30)
    assert not circuit.enter(32), "another request's end is not the trial's"
    circuit.left(31)
    assert circuit.enter(33)


def test_trial_that_stays_undecided_is_not_waited_for_longer_than_a_cooldown() -> None:
    circuit = failed(FAILURES)
    circuit.enter(31)
    assert not circuit.enter(60.9)
    assert circuit.enter(61)


def test_tries_that_began_before_the_pause_do_not_count() -> None:
    circuit = failed(FAILURES)
    before = circuit.back_s(10)
    for began in (-1.0, OPENED - 0.001):
        circuit.failed(began, 9, COOLDOWN, 1)
        circuit.rest(began, 9, COOLDOWN, 1, 100)
        circuit.begun(began)
        circuit.succeeded(began)
    assert circuit.back_s(10) == before


def test_hundred_streams_that_break_at_once_are_one_failure() -> None:
    circuit = Circuit()
    for _ in range(100):
        circuit.failed(0.0, 5.0, COOLDOWN, 0)
    assert circuit.standing(6) is Standing.RESTING


def test_target_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    circuit = Circuit()
    circuit.rest(0, 0, COOLDOWN, 0, 17)
    assert circuit.standing(16.9) is Standing.SHUT
    assert circuit.back_s(7) == 10
    assert circuit.standing(17) is Standing.READY
    assert circuit.enter(17)
    assert circuit.enter(17), "no trial is needed: it was not broken"


def test_throttled_target_that_does_not_say_when_rests() -> None:
    circuit = Circuit()
    circuit.rest(0, 0, COOLDOWN, 0)
    assert circuit.standing(1) is Standing.RESTING


def test_throttling_never_opens_the_circuit() -> None:
    circuit = Circuit()
    for n in range(20):
        circuit.rest(n, n, COOLDOWN, 0)
    assert circuit.standing(20) is Standing.RESTING


@pytest.mark.parametrize("seconds", [1e9, float(LONGEST_S) + 1])
def test_host_cannot_send_us_away_for_ever(seconds: float) -> None:
    throttled, busy = Circuit(), Circuit()
    throttled.rest(0, 0, COOLDOWN, 0, seconds)
    busy.failed(0, 0, COOLDOWN, 0, seconds)
    assert throttled.back_s(0) == busy.back_s(0) == LONGEST_S


def test_unavailable_host_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    circuit = Circuit()
    circuit.failed(0, 0, COOLDOWN, 0, 60)
    assert circuit.standing(59) is Standing.SHUT
    assert circuit.standing(60) is Standing.READY
    opened = failed(FAILURES - 1)
    opened.failed(1, 1, COOLDOWN, 0, 60)
    assert opened.back_s(1) == 60


def test_no_cooldown_is_no_pause_whatever_happens() -> None:
    circuit = Circuit()
    for n in range(20):
        circuit.failed(n, n, 0.0, 0, 60)
        circuit.rest(n, n, 0.0, 0, 60)
    assert circuit.clear


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_lengthens_and_never_shortens(draw: float) -> None:
    circuit = failed(FAILURES, draw=draw)
    assert COOLDOWN <= circuit.back_s(OPENED) + 1e-9 <= COOLDOWN * (1 + JITTER) + 1e-6


STEPS = st.sampled_from(["fail", "rest", "told", "begin", "succeed", "leave", "wait"])


@given(st.lists(st.tuples(STEPS, st.floats(0, 100)), max_size=60))
def test_whatever_happens_it_can_be_asked_again_within_the_longest_pause(steps: list[tuple[str, float]]) -> None:
    circuit, now, began = Circuit(), 0.0, 0.0
    for step, seconds in steps:
        now += seconds
        if circuit.enter(now):
            began = now
        match step:
            case "fail":
                circuit.failed(began, now, COOLDOWN, 0.5)
            case "rest":
                circuit.rest(began, now, COOLDOWN, 0.5)
            case "told":
                circuit.rest(began, now, COOLDOWN, 0.5, 1000)
            case "begin":
                circuit.begun(began)
            case "succeed":
                circuit.succeeded(began)
            case "leave":
                circuit.left(began)
        wait = circuit.back_s(now)
        assert 0 <= wait <= LONGEST_S * (1 + JITTER)
        assert circuit.standing(now + wait + 1e-6) is not Standing.SHUT


def test_budget_lets_a_few_second_tries_through_and_a_fifth_of_many_requests() -> None:
    budget = RetryBudget()
    assert [budget.take(0.5) for _ in range(31)] == [True] * 30 + [False]
    for _ in range(100):
        budget.asked(1.0)
    assert [budget.take(1.5) for _ in range(21)] == [True] * 20 + [False]


def test_budget_counts_the_last_ten_seconds() -> None:
    budget = RetryBudget()
    while budget.take(100.0):
        pass
    assert not budget.take(109.9)
    assert budget.take(110.0)
    for _ in range(1000):
        budget.asked(110.5)
    assert sum(budget.take(111.0) for _ in range(500)) == 229
    assert sum(budget.take(500.0) for _ in range(500)) == 30


def test_outage_of_a_busy_target_costs_a_fifth_more_requests_not_double() -> None:
    budget, retried = RetryBudget(), 0
    for n in range(10_000):
        now = n / 1000
        budget.asked(now)
        retried += budget.take(now)
    assert retried <= 0.2 * 10_000 + 30
