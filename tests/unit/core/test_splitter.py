"""Reasoning and answer told apart in text: every knob of `response.tags`, every known edge case."""

from typing import Any

import pytest

from proxy.core.dialect import Tags
from proxy.core.splitter import TagSplitter
from proxy.core.tags import MAX_HELD_WHITE, grammar

HUNYUAN = Tags(pairs=(("<think>\n", "\n</think>\n"),), answer_wrapper=(("<answer>\n", "\n</answer>"),))
GRANITE = Tags(
    pairs=tuple(
        (f"{a} is my thought process:", f"{b} is my response:") for a in ("Here", "Here's") for b in ("Here", "Here's")
    )
)
GEMMA = Tags(pairs=(("<|channel>", "<channel|>"),), labels=("thought\n",))


def split(tags: Tags, text: str, *, inside: bool = False, stopped: bool = False) -> tuple[str, str]:
    """(reasoning, answer), the same whole and character by character."""
    results = []
    for parts in ([text], list(text)):
        splitter = TagSplitter(grammar(tags), inside=inside)
        said = [piece for part in parts for piece in splitter.feed(part)] + splitter.close(stopped=stopped)
        results.append(("".join(t for r, t in said if r), "".join(t for r, t in said if not r)))
    assert results[0] == results[1]
    return results[0]


def tags(**knobs: Any) -> Tags:
    return Tags(**knobs)


ALL = {"blocks": "all"}
ANYWHERE = {"position": "anywhere"}
CASES: list[tuple[str, Tags, str, tuple[str, str]]] = [
    ("a block, then the answer", tags(), "<think>a</think>b", ("a", "b")),
    ("no block", tags(), "just <b>text</b>", ("", "just <b>text</b>")),
    ("white space goes on all sides", tags(), " \n<think>\n a \n</think>\n\n b \n", ("a", "b \n")),
    ("trim inner", tags(trim="inner"), "\n<think>\na\n</think>\n\nb", ("a", "\n\n\nb")),
    ("trim none", tags(trim="none"), "\n<think>\na\n</think>\n\nb", ("\na\n", "\n\n\nb")),
    ("white space inside the reasoning stays", tags(), "<think>a\n\n b</think>c", ("a\n\n b", "c")),
    ("an empty block gives nothing", tags(), "<think>\n\n</think>\n\nb", ("", "b")),
    ("an empty block untrimmed", tags(trim="none"), "<think>\n\n</think>\n\nb", ("\n\n", "\n\nb")),
    ("text before the tag makes it literal", tags(), "x <think>a</think>", ("", "x <think>a</think>")),
    ("anywhere: text before the tag", tags(**ANYWHERE), "x <think>a</think> b", ("a", "x b")),
    ("anywhere: text before, not trimmed", tags(**ANYWHERE, trim="none"), "x <think>a</think> b", ("a", "x  b")),
    ("only the first block counts", tags(), "<think>a</think>b<think>c</think>d", ("a", "b<think>c</think>d")),
    (
        "anywhere, first: the second block is literal",
        tags(**ANYWHERE),
        "x<think>a</think>b<think>c",
        ("a", "xb<think>c"),
    ),
    (
        "all at the start: blocks in a row",
        tags(**ALL),
        "<think>a</think>\n<think>b</think>c<think>d",
        ("ab", "c<think>d"),
    ),
    ("all, anywhere", tags(**ALL, **ANYWHERE), "<think>a</think>b<think>c</think>d", ("ac", "bd")),
    ("after the end everything is literal", tags(), "<think>a</think>say `</think>`", ("a", "say `</think>`")),
    ("a tag in a code fence", tags(), "```\n<think>a</think>\n```", ("", "```\n<think>a</think>\n```")),
    ("a tag in a JSON string", tags(), '{"t": "<think>a</think>"}', ("", '{"t": "<think>a</think>"}')),
    ("JSON after the block", tags(), '<think>a</think>{"b": 1}', ("a", '{"b": 1}')),
    ("nested: the first end closes", tags(), "<think><think>a</think>b", ("a", "b")),
    ("repeated starts go", tags(), "<think>\n<think>\n<think>a</think>b", ("a", "b")),
    ("a start in mid-reasoning stays", tags(), "<think>a<think>b</think>c", ("a<think>b", "c")),
    ("a stray end goes", tags(), "</think>\n\nb", ("", "b")),
    ("only one stray end goes", tags(), "</think></think>b", ("", "</think>b")),
    ("a stray end is kept", tags(stray_end="keep"), "</think>b", ("", "</think>b")),
    ("a stray end after text stays", tags(), "a</think>b", ("", "a</think>b")),
    ("several pairs", tags(pairs=(("<a>", "</a>"), ("[B]", "[/B]"))), "[B]x</a>[/B]y", ("x</a>", "y")),
    ("one start, several ends", tags(pairs=(("<a>", "</a>"), ("<a>", "[/A]"))), "<a>x[/A]y", ("x", "y")),
    ("a longer start wins", tags(pairs=(("<a>", "</a>"), ("<a>b", "!"))), "<a>bx!y", ("x", "y")),
    ("letter case matters", tags(), "<THINK>a</THINK>b", ("", "<THINK>a</THINK>b")),
    ("letter case does not matter", tags(case_sensitive=False, **ANYWHERE), "É<Think>a</THINK>b", ("a", "Éb")),
    (
        "an implicit end stays in the answer",
        tags(implicit_end=("<tool_call>",)),
        "<think>a\n<tool_call>{}",
        ("a", "<tool_call>{}"),
    ),
    (
        "an implicit end in either case",
        tags(implicit_end=("<tool_call>",), case_sensitive=False),
        "<think>a<TOOL_CALL>",
        ("a", "<TOOL_CALL>"),
    ),
    (
        "an implicit end with no block is text",
        tags(implicit_end=("<tool_call>",)),
        "<tool_call>{}",
        ("", "<tool_call>{}"),
    ),
    ("a wrapped answer", tags(), "<think>a</think>\n<answer>\nb\n</answer>\n", ("a", "b\n")),
    ("a wrapped answer untrimmed", tags(trim="none"), "<think>a</think> <answer> b </answer>", ("a", "  b ")),
    ("a wrapper without a block is text", tags(), "<answer>b</answer>", ("", "<answer>b</answer>")),
    (
        "a wrapper after answer text is text",
        tags(),
        "<think>a</think>b<answer>c</answer>",
        ("a", "b<answer>c</answer>"),
    ),
    ("a wrapper that stays open", tags(), "<think>a</think><answer>b", ("a", "b")),
    ("an empty wrapper", tags(), "<think>a</think><answer></answer>", ("a", "")),
    ("text after the wrapper", tags(), "<think>a</think><answer>b</answer>c", ("a", "bc")),
    ("a wrapper after a stray end", tags(), "</think><answer>b</answer>", ("", "b")),
    ("a label goes", GEMMA, "<|channel>thought\na<channel|>b", ("a", "b")),
    ("a label that is none stays", GEMMA, "<|channel>thoughts<channel|>b", ("thoughts", "b")),
    ("Hunyuan", HUNYUAN, "<think>\na\n</think>\n<answer>\nb\n</answer>", ("a", "b")),
    ("Hunyuan, empty", HUNYUAN, "<think>\n\n</think>\n<answer>\nb\n</answer>", ("", "b")),
    ("Granite", GRANITE, "Here's my thought process:".replace("my", "is my") + " a Here is my response: b", ("a", "b")),
    ("Kimi", tags(pairs=(("◁think▷", "◁/think▷"),)), "◁think▷a◁/think▷b", ("a", "b")),
    ("pieces of tags are text", tags(), "<thin>< </think", ("", "<thin>< </think")),
    ("tags off", tags(pairs=()), "<think>a</think>b", ("", "<think>a</think>b")),
    ("nothing but white space", tags(), " \n ", ("", " \n ")),
    ("an unclosed block is reasoning", tags(), "<think>a </thi", ("a </thi", "")),
    ("an unclosed block keeps its last white space", tags(), "<think>a \n", ("a \n", "")),
    ("the position is that of the first text", tags(), "\n\nx<think>", ("", "\n\nx<think>")),
]


@pytest.mark.parametrize(
    ("settings", "text", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_text_is_split(settings: Tags, text: str, expected: tuple[str, str]) -> None:
    assert split(settings, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a</think>b", ("a", "b")),
        ("<think>a</think>b", ("a", "b")),
        ("\n<think>\n<think>a</think>b", ("a", "b")),
        ("a", ("a", "")),
        ("</think>b", ("", "b")),
        ("\n\n</think>\n\nb", ("", "b")),
    ],
)
def test_an_implicit_start_begins_inside_a_block(text: str, expected: tuple[str, str]) -> None:
    assert split(Tags(), text, inside=True) == expected


def test_inside_any_end_closes() -> None:
    pairs = Tags(pairs=(("<a>", "</a>"), ("[B]", "[/B]")), implicit_end=("!",))
    assert split(pairs, "x[/B]y", inside=True) == ("x", "y")
    assert split(pairs, "x!y", inside=True) == ("x", "!y")


class TestUnclosed:
    SETTINGS = Tags(unclosed="content_if_stop", blocks="all")

    def test_it_is_repeated_as_content_where_the_model_stopped_by_itself(self) -> None:
        assert split(self.SETTINGS, "<think>a", stopped=True) == ("a", "a")

    def test_truncated_it_stays_reasoning(self) -> None:
        assert split(self.SETTINGS, "<think>a") == ("a", "")

    def test_by_default_it_stays_reasoning_in_any_case(self) -> None:
        assert split(Tags(), "<think>a", stopped=True) == ("a", "")

    def test_only_the_open_block_is_repeated(self) -> None:
        assert split(self.SETTINGS, "<think>a</think><think>b", stopped=True) == ("ab", "b")

    def test_with_answer_text_before_it_nothing_is_repeated(self) -> None:
        settings = Tags(unclosed="content_if_stop", blocks="all", position="anywhere")
        assert split(settings, "x<think>b", stopped=True) == ("b", "x")

    def test_a_closed_block_is_not_repeated(self) -> None:
        assert split(self.SETTINGS, "<think>a</think>", stopped=True) == ("a", "")


class TestToolCall:
    """A tool call ends an open block; what is held goes."""

    def test_an_open_block_ends_and_what_follows_is_answer(self) -> None:
        splitter = TagSplitter(grammar(Tags()))
        assert splitter.feed("<think>a \n</thi") == [(True, "a")]
        assert splitter.end_block() == [(True, " \n</thi")]
        assert splitter.feed("\nb") == [(False, "b")]

    def test_its_last_white_space_goes(self) -> None:
        splitter = TagSplitter(grammar(Tags()))
        assert splitter.feed("<think>a \n") == [(True, "a")]
        assert splitter.end_block() == []

    def test_untrimmed_it_stays(self) -> None:
        splitter = TagSplitter(grammar(Tags(trim="none")))
        assert splitter.feed("<think>a \n</") + splitter.end_block() == [(True, "a \n"), (True, "</")]

    def test_half_a_start_is_answer(self) -> None:
        splitter = TagSplitter(grammar(Tags()))
        assert splitter.feed("<th") == []
        assert splitter.undecided == "<th"
        assert splitter.end_block() == [(False, "<th")]
        assert splitter.literal


@pytest.mark.parametrize("trim", ["none", "inner", "both"])
def test_endless_white_space_is_not_held_for_ever(trim: Any) -> None:
    for head in ("", "<think>", "<think>a", "<think>a</think>", "<think>a</think><answer>b"):
        splitter = TagSplitter(grammar(Tags(trim=trim)))
        splitter.feed(head)
        for _ in range(50):
            splitter.feed("\n" * 100)
        assert len(splitter._text) <= MAX_HELD_WHITE
