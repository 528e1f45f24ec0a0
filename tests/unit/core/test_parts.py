"""List-typed content."""

from typing import Any

import pytest

from proxy.core.dialect import ContentPart, Dialect
from proxy.core.parts import read, texts

KINDS = Dialect().content_parts
MISTRAL = {
    "type": "thinking",
    "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    "closed": True,
}
DATABRICKS = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "signature": "s"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        ([MISTRAL, {"type": "text", "text": "x"}], [(True, "ab"), (False, "x")]),
        ([DATABRICKS, {"type": "output_text", "text": "x"}, "y"], [(True, "a"), (False, "x"), (False, "y")]),
        ([{"text": "no type"}], [(False, "no type")]),
        ([{"type": "thinking", "thinking": "flat"}], [(True, "flat")]),
        ([{"type": "thinking", "thinking": [None, 5, {"text": 7}]}], [(True, "")]),
        ([{"type": "thinking"}], [(True, "")]),
        ([], []),
    ],
)
def test_items_are_reasoning_or_text_in_their_order(content: list[Any], pieces: list[tuple[bool, str]]) -> None:
    assert read(content, KINDS).pieces == pieces


def test_items_of_other_kinds_are_kept_as_they_came() -> None:
    parts = read([IMAGE, 5, {"type": "text"}, {"type": ["text"]}], KINDS)
    assert (parts.pieces, parts.others) == ([], [IMAGE, 5, {"type": "text"}, {"type": ["text"]}])


def test_reasoning_with_a_signature_is_kept_whole_beside_its_text() -> None:
    outer = {"type": "thinking", "thinking": "a", "signature": "s"}
    assert read([DATABRICKS, MISTRAL, outer], KINDS).opaque == [DATABRICKS, outer]


def test_what_a_text_item_carries_beside_its_text_stays() -> None:
    parts = read(
        [{"type": "text", "text": "x", "citations": [1]}, {"type": "text", "text": "y", "citations": []}], KINDS
    )
    assert parts.others == [{"type": "text", "citations": [1]}]
    assert parts.pieces == [(False, "x"), (False, "y")]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", ["x"]),
        ("b[]", ["y", "z"]),
        ("c[].d", ["u", "v"]),
        ("c[].e.f", ["w"]),
        ("missing.x", []),
        ("a.b", ["x"]),
        ("c.d", []),
    ],
)
def test_a_path_leads_to_its_texts(path: str, found: list[str]) -> None:
    value = {"a": "x", "b": ["y", 5, "z"], "c": [{"d": "u"}, {"d": "v", "e": {"f": "w"}}, None]}
    assert texts(value, path) == found


def test_a_dialect_names_its_own_kinds() -> None:
    assert read([{"type": "cot", "say": {"it": "r"}}], (ContentPart("cot", "say.it"),)).pieces == [(True, "r")]
