"""Events in, canonical chunks out: what waits, what leaves as it came, what is dropped."""

from typing import Any

import pytest

from proxy.core.chunk import Chunk
from proxy.core.normalizer import Normalizer
from proxy.core.waiting import MAX_WAITING
from tests.support.streams import FRAME, chunk, context, dumped

ROLE = chunk({"role": "assistant"})


def fed(*events: dict[str, Any]) -> tuple[Normalizer, list[list[Chunk]]]:
    normalizer = Normalizer(context())
    return normalizer, [normalizer.feed(dumped(one)) for one in events]


def deltas(chunks: list[Chunk]) -> list[Any]:
    return [choice["delta"] for one in chunks for choice in one.data["choices"]]


def test_an_event_whose_text_may_be_a_delimiter_waits_and_leaves_as_it_came() -> None:
    events = [chunk({"role": "assistant", "content": "\n"}), chunk({"content": " <th"}), chunk({"content": "e"})]
    _, (first, second, third) = fed(*events)
    assert (first, second) == ([], [])
    assert [one.raw for one in third] == [dumped(one) for one in events]


def test_of_events_that_were_a_delimiter_only_extras_leave_and_the_role_comes_later() -> None:
    events = [chunk({"role": "assistant", "content": "<th"}, x=1), chunk({"content": "ink>"}), chunk({"content": "a"})]
    _, (first, second, third) = fed(*events)
    assert first == [] and deltas(second) == [{"role": "assistant"}] and second[0].data["x"] == 1
    assert deltas(third) == [{"reasoning_content": "a"}]
    _, (_, bare, told) = fed(
        chunk({"role": "assistant", "content": "<th"}), chunk({"content": "ink>"}), chunk({"content": "a"})
    )
    assert bare == [] and deltas(told) == [{"role": "assistant", "reasoning_content": "a"}]


def test_empty_events_wait_behind_a_waiting_one_or_vanish() -> None:
    says_nothing, says_more = {"role": "assistant"}, chunk({"role": "assistant"}, "", x=1)
    _, out = fed(
        chunk({"role": "assistant", "content": "<"}), chunk(says_nothing, ""), says_more, chunk({"content": "b"})
    )
    assert out[:3] == [[], [], []]
    assert [(one.data.get("x"), *deltas([one])) for one in out[3]] == [
        (None, {"role": "assistant", "content": "<"}),
        (1, {}),
        (None, {"content": "b"}),
    ]


def test_no_more_than_a_fixed_number_of_events_wait() -> None:
    normalizer, _ = fed(chunk({"role": "assistant", "content": "<"}))
    out = [one for _ in range(3 * MAX_WAITING) for one in normalizer.feed(dumped(chunk({})))]
    assert len(next(iter(normalizer._choices.values())).waiting) <= MAX_WAITING
    out += normalizer.feed(dumped(chunk({"content": "b"})))
    assert "".join(delta.get("content", "") for delta in deltas(out)) == "<b"


def test_chunks_before_the_id_wait_for_it_up_to_a_fixed_number() -> None:
    normalizer = Normalizer(context())
    early = {"choices": [], "x": 1}
    assert normalizer.feed(dumped(early)) == []
    found = normalizer.feed(dumped(ROLE))
    assert [one.data["id"] for one in found] == [FRAME["id"]] * 2
    late = Normalizer(context())
    out = [one for _ in range(2 * MAX_WAITING) for one in late.feed(dumped(early))]
    assert len(out) == 2 * MAX_WAITING


def test_a_repeated_role_alone_says_nothing_but_what_comes_with_it() -> None:
    _, (_, nothing, something) = fed(ROLE, chunk({"role": "assistant"}), chunk({"role": "assistant"}, citations=[1]))
    assert nothing == []
    assert [one.data["citations"] for one in something] == [[1]] and deltas(something) == [{}]


def test_choices_that_are_none_are_left_out() -> None:
    _, (_, out) = fed(ROLE, {**FRAME, "choices": [5, {"index": 0, "delta": {"content": "x"}, "finish_reason": None}]})
    assert deltas(out) == [{"content": "x"}]


@pytest.mark.parametrize("index", [None, "0", 0.5, True, []])
def test_an_index_that_is_none_is_the_position(index: Any) -> None:
    _, (_, out) = fed(ROLE, {**FRAME, "choices": [{"index": index, "delta": {"content": "x"}}]})
    assert [one.data["choices"][0]["index"] for one in out] == [0]


def test_an_event_read_leniently_is_written_anew() -> None:
    normalizer, _ = fed(ROLE, chunk({"content": "x"}))
    (one,) = normalizer.feed(dumped(chunk({"content": "a\tb"})).replace(b"\\t", b"\t"))
    assert one.raw is None and deltas([one]) == [{"content": "a\tb"}]
    (two,) = normalizer.feed(dumped(chunk({"content": "x"})).replace(b",", b",\n", 1))
    assert two.raw is None


def test_a_gateways_own_events_are_skipped() -> None:
    normalizer, _ = fed(ROLE)
    assert normalizer.feed(b'{"type": "ping"}', b"ping") == []
    assert normalizer.feed(b"{}", b"metadata") == []
    assert len(normalizer.feed(dumped(chunk({"content": "x"})), b"delta")) == 1
    assert normalizer.odd == []


def test_what_is_known_at_the_end() -> None:
    normalizer, _ = fed(chunk({"role": "assistant", "reasoning": "a"}), chunk({}, "eos"))
    assert (normalizer.complete, normalizer.finish_reason, normalizer.source) == (True, "stop", "reasoning")
    empty = Normalizer(context())
    assert (empty.complete, empty.finish_reason, empty.source) == (False, None, None)
