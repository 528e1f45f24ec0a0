"""YAML text → nodes: YAML 1.2 words, places, merge keys, bounds."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.settings import document
from proxy.settings.document import ListNode, MappingNode, Node, ScalarNode, compose
from proxy.settings.mistakes import Report


def read(text: str) -> tuple[Node | None, list[str]]:
    report = Report()
    return compose(text, "t.yaml", report), [str(m) for m in report.mistakes]


def value(node: Node | None) -> Any:
    match node:
        case MappingNode(entries):
            return {key: value(entry.node) for key, entry in entries.items()}
        case ListNode(items):
            return [value(item) for item in items]
    assert node is not None
    return node.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("off", "off"), ("on", "on"), ("no", "no"), ("yes", "yes"), ("y", "y"), ("Off", "Off"),
        ("true", True), ("True", True), ("FALSE", False), ('"true"', "true"),
        ("null", None), ("~", None), ("", None), ("'~'", "~"),
        ("12", 12), ("-3", -3), ("+4", 4), ("007", 7), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"),
        ("12:30:45", "12:30:45"), ("2026-11-22", "2026-11-22"), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("5m", "5m"),
        ("!!str 12", "12"), ("1" * 30, 1e29 * 10 / 9),
    ],
)  # fmt: skip
def test_plain_words_mean_what_yaml_1_2_says(text: str, expected: object) -> None:
    node, mistakes = read(f"key: {text}")
    assert mistakes == []
    found = value(node)["key"]
    assert found == (pytest.approx(expected) if isinstance(expected, float) else expected)
    assert type(found) is type(expected)


def test_keys_are_the_text_that_was_written() -> None:
    node, mistakes = read("{on: 1, off: 2, true: 3, 4: 4, no: 5}")
    assert mistakes == []
    assert value(node) == {"on": 1, "off": 2, "true": 3, "4": 4, "no": 5}


def test_nodes_know_their_line_and_column() -> None:
    node, _ = read("a:\n  b: [1,\n    two]\n")
    assert isinstance(node, MappingNode)
    inner = node.entries["a"].node
    assert isinstance(inner, MappingNode)
    assert (inner.entries["b"].mark.line, inner.entries["b"].mark.column) == (2, 3)
    items = inner.entries["b"].node
    assert isinstance(items, ListNode)
    assert (items.items[1].mark.line, items.items[1].mark.column) == (3, 5)


def test_merge_keys_and_aliases_are_written_out_and_own_keys_win() -> None:
    node, mistakes = read(
        "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\none: {<<: *b, x: 9}\ntwo: {<<: [*b, *m]}\nthree: *b\n"
    )
    assert mistakes == []
    assert value(node)["one"] == {"x": 9, "y": 2}
    assert value(node)["two"] == {"x": 1, "y": 2, "z": 4}
    assert value(node)["three"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "t.yaml:1:1: the file is empty (a first line could be `version: 1`)"),
        ("# only a comment\n", "t.yaml:1:1: the file is empty (a first line could be `version: 1`)"),
        ("---\n...\n", "t.yaml:1:1: the file is empty (a first line could be `version: 1`)"),
        ("a: 1\n\tb: 2\n", "t.yaml:2:1: a tab where YAML wants spaces"),
        ("a: 1\nb: \x00\n", "t.yaml:2:4: character U+0000 is not allowed in YAML"),
        ("a: [1, 2\n", "t.yaml:2:1: …"),
        ("a: 'x\n", "t.yaml:2:1: …"),
        ("a: 1\na: 2\n", "t.yaml:2:1 a: this key is already given in line 1"),
        ("a: *nothing\n", "t.yaml:1:4: found undefined alias…"),
        ("a: &x [*x]\n", "t.yaml:1:4 a[0]: an alias inside the very value that it names"),
        ("a: !!python/object:os.system {}\n", "t.yaml:1:4 a: YAML tags such as !name are not used here"),
        ("a: !secret x\n", "t.yaml:1:4 a: YAML tags such as !name are not used here"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document (`---`); one file is one table"),
        ("a: .inf\n", "t.yaml:1:4 a: a number that JSON cannot carry (put it in quotes if it is text)"),
        ("a: .nan\n", "t.yaml:1:4 a: a number that JSON cannot carry (put it in quotes if it is text)"),
        ("a: 1e999\n", "t.yaml:1:4 a: a number that JSON cannot carry (put it in quotes if it is text)"),
        ("? [1]\n: 2\n", "t.yaml:1:3: a key must be a word"),
        ('"": 2\n', "t.yaml:1:1: a key must be a word"),
        ("a: {<<: 5}\n", "t.yaml:1:9 a: `<<` takes a mapping, or a list of mappings"),
        ('a: "\\U00110000"\n', "t.yaml:1:1: not readable as YAML"),
        ("[" * 100, "t.yaml:1:60: nested more than 60 deep"),
        ('a: "\\ud800"\n', "t.yaml:1:4 a: half of a surrogate pair, which is no character"),
        ('"\\ud800": 1\n', "t.yaml:1:1: a key must be a word"),
        ("a: b: c\n", "t.yaml:1:5: mapping values are not allowed here"),
    ],
)
def test_unusable_yaml_is_one_mistake_with_its_line(text: str, mistake: str) -> None:
    _, mistakes = read(text)
    (found,) = mistakes
    assert found == mistake or (mistake.endswith("…") and found.startswith(mistake[:-1]))


def test_alias_bomb_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    started = time.monotonic()
    _, mistakes = read("\n".join(lines))
    assert time.monotonic() - started < 5
    assert mistakes == [f"t.yaml:1:1: more than {document.MAX_NODES} values with all aliases written out"]


def test_nesting_through_aliases_is_bounded_too() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100)]
    _, mistakes = read("\n".join(lines))
    assert mistakes
    assert all("nested more than 60 deep" in mistake for mistake in mistakes)


def test_what_cannot_be_merged_is_told_beside_what_can() -> None:
    node, mistakes = read("m: &m {a: 1}\nx: {<<: [*m, 5, !tag {b: 2}]}\n")
    assert value(node) == {"m": {"a": 1}, "x": {"a": 1}}
    assert [mistake.split(": ", 1)[1] for mistake in mistakes] == [
        "`<<` takes a mapping, or a list of mappings",
        "YAML tags such as !name are not used here",
    ]


def test_large_file_is_refused_unread() -> None:
    _, mistakes = read("a" * (document.MAX_TEXT_BYTES + 1))
    assert mistakes == ["t.yaml:1:1: the file is larger than 1024 KiB"]


def test_byte_order_mark_is_no_part_of_the_first_key() -> None:
    node, mistakes = read("\ufeffversion: 1\n")
    assert mistakes == []
    assert value(node) == {"version": 1}


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("ab:-?[]{},&*!|>'\"%@`#\n \t~<=.01eE\\U\x00\ufeff\u2028")))
def test_no_text_raises(text: str) -> None:
    node, mistakes = read(text)
    assert node is None or isinstance(node, ScalarNode | ListNode | MappingNode)
    assert node is not None or mistakes
