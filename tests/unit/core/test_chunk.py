from typing import Any

import pytest

from proxy.core.chunk import Chunk, kind_of


@pytest.mark.parametrize(
    ("delta", "kind"),
    [
        ({"reasoning_content": "r", "content": None}, "reasoning"),
        ({"content": "x"}, "answer"),
        ({"tool_calls": [{"index": 0}]}, "answer"),
        ({"refusal": "no"}, "answer"),
        ({"function_call": {"name": "f"}}, "answer"),
        ({"audio": {"id": "a"}}, "answer"),
        ({"role": "assistant", "content": "", "reasoning_content": ""}, None),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_chunk_is_of_the_kind_that_it_generates(delta: Any, kind: str | None) -> None:
    assert kind_of({"choices": [{"delta": delta}]}) == kind


def test_a_chunk_without_choices_generates_nothing() -> None:
    assert kind_of({"choices": []}) is None


def test_the_first_choice_that_generates_gives_the_kind() -> None:
    assert kind_of({"choices": [{"delta": {}}, {"delta": {"content": "x"}}]}) == "answer"


def test_a_chunk_shows_its_data_and_whether_its_bytes_are_kept() -> None:
    assert repr(Chunk({"choices": []})) == "Chunk({'choices': []}, raw=False)"
    assert Chunk({"choices": []}, b"{}", "answer").kind == "answer"
