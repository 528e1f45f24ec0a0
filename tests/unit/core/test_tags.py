"""Delimiters: searched leftmost-longest in text that may still go on."""

import pytest

from proxy.core.dialect import Tags
from proxy.core.tags import Delimiters, grammar

ENDS = Delimiters(["</think>", "</think>\n", "[/THINK]"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a</think>b", (1, 9, "</think>")),
        ("a</think>\nb", (1, 10, "</think>\n")),
        ("x[/THINK]</think>", (1, 9, "[/THINK]")),
        ("abc", (3, 3, "")),
        ("abc</thi", (3, 3, "")),
        ("abc</think>", (3, 3, "")),
        ("abc<", (3, 3, "")),
        ("a</thinx", (8, 8, "")),
        ("<</think>x", (1, 9, "</think>")),
        ("", (0, 0, "")),
    ],
)
def test_what_may_still_become_a_longer_delimiter_is_not_decided(text: str, found: tuple[int, int, str]) -> None:
    assert ENDS.search(text, final=False) == found


@pytest.mark.parametrize(
    ("text", "found"), [("abc</think>", (3, 11, "</think>")), ("abc</thi", (8, 8, "")), ("abc", (3, 3, ""))]
)
def test_at_the_end_everything_is_decided(text: str, found: tuple[int, int, str]) -> None:
    assert ENDS.search(text, final=True) == found


@pytest.mark.parametrize(
    ("text", "at", "final", "found"),
    [
        ("a</think>b", 1, False, (9, False)),
        ("a</think>", 1, False, (-1, True)),
        ("a</think>", 1, True, (9, False)),
        ("a</thi", 1, False, (-1, True)),
        ("a</thi", 1, True, (-1, False)),
        ("abc", 1, False, (-1, False)),
        ("abc", 3, False, (-1, True)),
    ],
)
def test_a_match_at_a_place_is_found_or_awaited(text: str, at: int, final: bool, found: tuple[int, bool]) -> None:
    assert ENDS.match(text, at, final=final) == found


def test_letter_case_may_not_matter_in_ascii_and_always_does_elsewhere() -> None:
    folded = Delimiters(["<Think>", "◁É▷"], case_sensitive=False)
    assert folded.search("a<tHINK>", final=False) == (1, 8, "<think>")
    assert folded.match("<THIN", 0, final=False) == (-1, True)
    assert folded.search("◁é▷.", final=False) == (4, 4, "")
    assert Delimiters(["<think>"]).search("<THINK>", final=False) == (7, 7, "")


def test_no_delimiters_match_nothing() -> None:
    none = Delimiters([""])
    assert not none
    assert ENDS
    assert none.search("a<b", final=False) == (3, 3, "")
    assert none.match("", 0, final=False) == (-1, False)


def test_the_same_tags_are_compiled_once() -> None:
    assert grammar(Tags()) is grammar(Tags())
    assert grammar(Tags()) is not grammar(Tags(), (("<thought>", "</thought>"),))
