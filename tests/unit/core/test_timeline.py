"""When what happened."""

from proxy.core.timeline import GAPS, Timeline


def test_reasoning_ends_with_the_first_answer() -> None:
    line = Timeline(0.0)
    line.reasoning(1.0)
    line.reasoning(2.0)
    line.answer(4.0)
    line.answer(5.0)
    assert (line.first_chunk, line.first_reasoning, line.first_answer, line.last_content) == (1.0, 1.0, 4.0, 5.0)
    assert line.reasoning_s == 3.0
    line.end(9.0)
    assert (line.reasoning_s, line.ended) == (3.0, 9.0)


def test_several_runs_of_reasoning_add_up() -> None:
    line = Timeline(0.0)
    for start in (1.0, 10.0):
        line.reasoning(start)
        line.answer(start + 2.0)
    assert line.reasoning_s == 4.0


def test_an_answer_without_reasoning_took_no_reasoning_time() -> None:
    line = Timeline(0.0)
    line.answer(3.0)
    assert (line.first_chunk, line.first_reasoning, line.reasoning_s) == (3.0, None, 0.0)


def test_an_open_run_ends_with_its_last_delta() -> None:
    line = Timeline(0.0)
    line.reasoning(1.0)
    line.reasoning(3.0)
    line.end(60.0)
    assert line.reasoning_s == 2.0
    assert line.reasoning_since is None


def test_an_open_run_of_which_no_delta_is_known_ends_with_the_request() -> None:
    line = Timeline(0.0, reasoning_since=1.0)
    line.end(5.0)
    assert line.reasoning_s == 4.0


def test_a_request_without_content_just_ends() -> None:
    line = Timeline(0.0)
    line.end(5.0)
    assert (line.reasoning_s, line.first_chunk, line.ended) == (0.0, None, 5.0)


def test_oddities_are_counted_by_kind() -> None:
    line = Timeline(0.0)
    for kind in ("a", "b", "a"):
        line.count(kind)
    assert line.events == {"a": 2, "b": 1}


def test_gaps_are_counted_by_what_was_waited_for() -> None:
    line = Timeline(0.0)
    for now in (1.0, 1.5, 1.5, 2.0):
        line.reasoning(now)
    for now in (2.0, 32.0, 32.001):
        line.answer(now)
    reasoning, answer = line.reasoning_gaps, line.answer_gaps
    assert reasoning is not None
    assert answer is not None
    assert {GAPS[place]: count for place, count in enumerate(reasoning[:-2]) if count} == {0.64: 2.0}
    assert reasoning[-2:] == [0.0, 1.0]
    assert [count for count in answer[:-2] if count] == [1.0]
    assert answer[-2] == 1.0  # longer than all classes
    assert round(answer[-1], 3) == 30.001


def test_first_content_ends_no_gap() -> None:
    line = Timeline(0.0)
    line.answer(5.0)
    assert line.answer_gaps is line.reasoning_gaps is None


def test_reads_that_bring_more_of_the_same_are_entered_later_and_count_the_same() -> None:
    quick, slow = Timeline(0.0), Timeline(0.0)
    moments = [1.0, 1.25, 1.25, 4.0, 9.5]
    for line, more_reasoning, more_answer in ((quick, quick.again, quick.again), (slow, slow.reasoning, slow.answer)):
        line.reasoning(0.5)
        for now in moments:
            more_reasoning(now)
        line.enter()
        line.answer(10.0)
        for now in moments:
            more_answer(10.0 + now)
        line.end(20.0)
    assert quick == slow
    assert (quick.last_content, quick.reads) == (19.5, [])


def test_few_reads_wait_to_be_entered() -> None:
    line, most = Timeline(0.0), 0
    line.answer(0.0)
    for now in range(1, 5000):
        line.again(float(now))
        most = max(most, len(line.reads))
    line.end(5000.0)
    assert 0 < most < 1000
    assert line.answer_gaps is not None
    assert sum(line.answer_gaps[:-1]) == 4999
