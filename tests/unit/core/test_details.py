"""`reasoning_details`: read, never altered."""

from typing import Any

import pytest

from proxy.core.details import DetailsReader


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        (
            [{"type": "reasoning.text", "text": "a", "signature": "s"}, {"type": "reasoning.summary", "summary": "b"}],
            "ab",
        ),
        ([{"type": "reasoning.encrypted", "data": "xyz"}], ""),
        ([{"type": "reasoning.text", "text": None}, {"text": 5}, 7, None], ""),
        ([], ""),
        ({"text": "a"}, ""),
        (None, ""),
    ],
)
def test_text_and_summaries_are_read_and_encrypted_data_is_not(entries: Any, text: str) -> None:
    assert DetailsReader(snapshots=False).text(entries) == text


def test_deltas_add_up() -> None:
    reader = DetailsReader(snapshots=False)
    assert [reader.text([{"type": "reasoning.text", "text": one}]) for one in ("a", "a", "b")] == ["a", "a", "b"]


def test_of_snapshots_only_what_is_new_counts_for_each_entry() -> None:
    reader = DetailsReader(snapshots=True)
    first, second = {"type": "reasoning.text", "index": 0}, {"type": "reasoning.text", "index": 1}
    assert reader.text([{**first, "text": "ab"}]) == "ab"
    assert reader.text([{**first, "text": "abcd"}, {**second, "text": "x"}]) == "cdx"
    assert reader.text([{**first, "text": "ab"}]) == ""
    assert reader.text([{**first, "text": "abcde"}]) == "e"


def test_a_snapshot_may_have_an_index_of_any_type() -> None:
    assert DetailsReader(snapshots=True).text([{"type": [], "index": {}, "id": None, "text": "a"}]) == "a"
