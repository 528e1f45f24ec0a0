"""Names with `*`."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.patterns import literal_length, matched, overlap

TEXT = st.text(alphabet="ab", max_size=6)
PATTERN = st.text(alphabet="ab*", max_size=6)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("qwen3", "qwen3", ""), ("qwen3", "qwen", None), ("qwen*", "qwen3:8b", "3:8b"), ("qwen*", "qwen", ""),
        ("*", "anything/at all", "anything/at all"), ("*-r1", "deepseek-r1", "deepseek"), ("a*c", "ac", ""),
        ("aba*aba", "aba", None), ("a*b*c", "a1b2c", "1"), ("a*b*c", "acb", None), ("x/*", "x/y/z", "y/z"),
        ("qwen*", "Qwen3", None), ("a.c", "abc", None),
    ],
)  # fmt: skip
def test_star_stands_for_any_run_of_characters(pattern: str, name: str, expected: str | None) -> None:
    assert matched(pattern, name) == expected


@given(PATTERN, TEXT)
def test_same_names_match_as_with_a_regular_expression(pattern: str, name: str) -> None:
    regex = "(.*?)".join(re.escape(part) for part in pattern.split("*"))
    found = re.fullmatch(regex, name)
    assert matched(pattern, name) == (None if found is None else found[1] if found.groups() else "")


@given(PATTERN, PATTERN, TEXT)
def test_patterns_that_share_a_name_overlap(one: str, other: str, name: str) -> None:
    if matched(one, name) is not None and matched(other, name) is not None:
        assert overlap(one, other)


@given(st.text(alphabet="ab*", max_size=4), st.text(alphabet="ab*", max_size=4))
def test_patterns_that_overlap_share_a_name(one: str, other: str) -> None:
    import itertools

    names = ("".join(letters) for size in range(9) for letters in itertools.product("ab", repeat=size))
    shared = any(matched(one, name) is not None and matched(other, name) is not None for name in names)
    assert overlap(one, other) is shared
    assert overlap(other, one) is shared


def test_long_hostile_name_costs_little() -> None:
    started = time.monotonic()
    assert matched("*a" * 50 + "b", "a" * 1_000_000) is None
    assert time.monotonic() - started < 1


def test_literal_length_leaves_the_stars_out() -> None:
    assert literal_length("qwen*-*") == 5
