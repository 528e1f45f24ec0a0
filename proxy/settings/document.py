"""YAML text → a tree of nodes that know their place. Booleans as in YAML 1.2: only `true` and `false`.

PyYAML reads YAML 1.1, where `off`, `no` and `12:30:00` are a boolean, a boolean and a number; here every plain
scalar is resolved by the core schema of YAML 1.2.2, section 10.3.2.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from proxy.settings.mistakes import Mark, Path, Report

MAX_TEXT_BYTES = 1024 * 1024
"""Size of one file; a table of thousands of routes is far below it."""
MAX_NODES = 50_000
"""Nodes of one file with every alias written out: what stops an alias bomb."""
MAX_DEPTH = 60
"""Nesting; below what Python's own recursion limit would stop with a stack trace."""

_PLAIN = "plain"
_TEXT, _LIST, _MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value, with the text it was written as."""

    value: str | int | float | bool | None
    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple["Node", ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping: where the key stands, and its value."""

    mark: Mark
    node: "Node"


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys are the text they were written as, so `on:` and `1:` are "on" and "1"."""

    entries: dict[str, Entry]
    mark: Mark


Node = ScalarNode | ListNode | MappingNode


def compose(text: str, file: str, report: Report) -> Node | None:
    """The root node of `text`, or None where it is no usable YAML; mistakes go to `report`, nothing is raised."""
    start = Mark(file, 1, 1)
    if len(text) > MAX_TEXT_BYTES:
        report.add(start, (), f"the file is larger than {MAX_TEXT_BYTES // 1024} KiB")
        return None
    try:
        root = _Loader(text.removeprefix("\ufeff")).get_single_node()
    except yaml.reader.ReaderError as error:
        report.add(_mark_at(text, error.position, file), (), f"character U+{_code(error):04X} is not allowed in YAML")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Mark(file, mark.line + 1, mark.column + 1) if mark else start
        report.add(place, (), _syntax_message(error))
    except (yaml.YAMLError, ValueError, OverflowError, IndexError, AttributeError, RecursionError):
        # PyYAML lets some of Python's own errors through, such as chr() of "\U00110000".
        report.add(start, (), "not readable as YAML")
    else:
        if root is None or (root.tag == _PLAIN and root.value in {"", "~", "null"}):
            report.add(start, (), "the file is empty", "a first line could be `version: 1`")
            return None
        reader = _Reader(file, report)
        node = reader.node(root, ())
        return None if reader.exhausted else node
    return None


class _Loader(yaml.SafeLoader):
    """Composes nodes only; plain scalars keep the tag `plain` and are resolved by `_Reader`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def resolve(self, kind: type[yaml.Node], _value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        if kind is yaml.ScalarNode:
            return _TEXT
        return _LIST if kind is yaml.SequenceNode else _MAPPING

    def descend_resolver(self, current_node: yaml.Node | None, _index: Any) -> None:
        """Counts the depth: the composer calls it before each node's children."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = current_node.start_mark if current_node is not None else None
            raise yaml.MarkedYAMLError(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1


class _Reader:
    """PyYAML's nodes → ours: values resolved, keys unique, merge keys and aliases written out, all bounded."""

    def __init__(self, file: str, report: Report) -> None:
        self._file = file
        self._report = report
        self._count = 0
        self._open: set[int] = set()

    @property
    def exhausted(self) -> bool:
        """Whether the file was too large, written out, to be read to its end."""
        return self._count > MAX_NODES

    def node(self, raw: yaml.Node, path: Path) -> Node | None:
        self._count += 1
        if self._count > MAX_NODES:
            if self._count == MAX_NODES + 1:
                self._report.add(
                    Mark(self._file, 1, 1), (), f"more than {MAX_NODES} values with all aliases written out"
                )
            return None
        if id(raw) in self._open:
            self._report.add(self._mark(raw), path, "an alias inside the very value that it names")
            return None
        if len(self._open) > MAX_DEPTH:
            self._report.add(self._mark(raw), path, f"nested more than {MAX_DEPTH} deep with all aliases written out")
            return None
        if raw.tag not in {_PLAIN, _TEXT, _LIST, _MAPPING}:
            self._report.add(self._mark(raw), path, "YAML tags such as !name are not used here")
            return None
        self._open.add(id(raw))
        try:
            if isinstance(raw, yaml.MappingNode):
                return MappingNode(self._entries(raw, path), self._mark(raw))
            if isinstance(raw, yaml.SequenceNode):
                items = [self.node(item, (*path, i)) for i, item in enumerate(raw.value)]
                return ListNode(tuple(item for item in items if item is not None), self._mark(raw))
            return self._scalar(raw, path)
        finally:
            self._open.discard(id(raw))

    def _entries(self, raw: yaml.MappingNode, path: Path) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in raw.value:
            name, mark = key.value, self._mark(key)
            if not isinstance(key, yaml.ScalarNode) or not name or not _is_unicode(name):
                self._report.add(mark, path, "a key must be a word")
            elif key.tag == _PLAIN and name == "<<":
                for entry_name, entry in self._merged(value, path):
                    merged.setdefault(entry_name, entry)
            elif name in entries:
                first = entries[name].mark.line
                self._report.add(mark, (*path, name), f"this key is already given in line {first}")
            elif (node := self.node(value, (*path, name))) is not None:
                entries[name] = Entry(mark, node)
        return entries | {name: entry for name, entry in merged.items() if name not in entries}

    def _merged(self, value: yaml.Node, path: Path) -> Iterator[tuple[str, Entry]]:
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            node = self.node(source, path)
            if isinstance(node, MappingNode):
                yield from node.entries.items()
            elif node is not None:
                self._report.add(self._mark(source), path, "`<<` takes a mapping, or a list of mappings")

    def _scalar(self, raw: yaml.Node, path: Path) -> ScalarNode | None:
        text: str = raw.value
        mark = self._mark(raw)
        if not _is_unicode(text):
            self._report.add(mark, path, "half of a surrogate pair, which is no character")
            return None
        if raw.tag != _PLAIN:
            return ScalarNode(text, text, mark)
        if text in _WORDS:
            return ScalarNode(_WORDS[text], text, mark)
        if _INTEGER.fullmatch(text):
            return ScalarNode(int(text, 0) if text[:2] in {"0o", "0x"} else int(text), text, mark)
        number = float(text) if _DECIMAL.fullmatch(text) else None
        if _NO_NUMBER.fullmatch(text) or (number is not None and not math.isfinite(number)):
            self._report.add(mark, path, "a number that JSON cannot carry", "put it in quotes if it is text")
            return None
        return ScalarNode(text if number is None else number, text, mark)

    def _mark(self, raw: yaml.Node) -> Mark:
        return Mark(self._file, raw.start_mark.line + 1, raw.start_mark.column + 1)


def _is_unicode(text: str) -> bool:
    """False for text with a lone surrogate, which a quoted escape can write and nothing can send."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not readable as YAML"
    if "'\\t'" in problem:
        return "a tab where YAML wants spaces"
    if problem.startswith("but found another document"):
        return "a second document (`---`); one file is one table"
    return f"{problem} ({error.context})" if error.context else problem


def _code(error: yaml.reader.ReaderError) -> int:
    return ord(error.character) if isinstance(error.character, str) else int(error.character)


def _mark_at(text: str, position: int, file: str) -> Mark:
    before = text[:position]
    return Mark(file, before.count("\n") + 1, position - before.rfind("\n"))
