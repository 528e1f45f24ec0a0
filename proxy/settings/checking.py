"""Nodes + a spec → a tree of finished values, each with its place; everything wrong goes to the report.

A value that is wrong becomes `Special.BROKEN`, so that checks which come later know that something was given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy.settings.document import Entry, ListNode, MappingNode, Node, ScalarNode
from proxy.settings.mistakes import Mark, Path, Report, close_word, did_you_mean
from proxy.settings.spec import (
    Boolean,
    Choice,
    Constant,
    Either,
    Integer,
    Json,
    JsonObject,
    ListOf,
    MapOf,
    Nullable,
    Object,
    Reference,
    Spec,
    Special,
    Text,
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One finished value, replaced as a whole when layers merge."""

    value: Any
    mark: Mark


@dataclass(frozen=True, slots=True)
class Items:
    """A list, replaced as a whole when layers merge."""

    items: tuple["Tree", ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping, merged key by key. `marks` are the places of the keys."""

    children: dict[str, "Tree"]
    marks: dict[str, Mark]
    mark: Mark

    def branch(self, key: str) -> "Branch":
        """The mapping under `key`; an empty one where there is none or a broken one."""
        child = self.children.get(key)
        return child if isinstance(child, Branch) else Branch({}, {}, self.marks.get(key, self.mark))

    def value(self, key: str, default: Any = None) -> Any:
        """The finished value under `key`; the default where it is absent, null or broken."""
        child = self.children.get(key)
        return child.value if isinstance(child, Leaf) and not isinstance(child.value, Special) else default


Tree = Leaf | Items | Branch


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is: `kind` env, file, sha256 or from; `name` the variable, path, digest or `client`."""

    kind: str
    name: str
    mark: Mark

    def __str__(self) -> str:
        return f"{{{self.kind}: {self.name}}}"


def check(spec: Spec, node: Node, path: Path, report: Report) -> Tree:
    """The tree of `node`, which stands at `path`."""
    return _CHECKS[type(spec)](spec, node, path, report)


def _broken(node: Node, path: Path, report: Report, message: str, hint: str | None = None) -> Leaf:
    report.add(node.mark, path, message, hint)
    return Leaf(Special.BROKEN, node.mark)


def _found(node: Node) -> str:
    """What stands there, in a message's words; never the value itself, which may be a secret in the wrong place."""
    match node:
        case MappingNode():
            return "a mapping"
        case ListNode():
            return "a list"
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode(value=bool()):
            return node.text
        case ScalarNode(value=int() | float()):
            return f"the number {node.text}"
    return "a text"


def _text(spec: Text, node: Node, path: Path, report: Report) -> Leaf:
    if not isinstance(node, ScalarNode):
        return _broken(node, path, report, f"expected {spec.what}, found {_found(node)}")
    number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if not isinstance(node.value, str) and not (spec.numbers and number):
        bare = number and spec.pattern is None
        hint = f'put it in quotes: "{node.text}"' if bare or isinstance(node.value, bool) else None
        return _broken(node, path, report, f"expected {spec.what}, found {_found(node)}", hint)
    if not node.text and not spec.may_be_empty:
        return _broken(node, path, report, f"expected {spec.what}, found an empty text")
    try:
        return Leaf(spec.parse(node.text), node.mark)
    except ValueError as error:
        return _broken(node, path, report, f"not {spec.what}", str(error))


def _integer(spec: Integer, node: Node, path: Path, report: Report) -> Tree:
    if not isinstance(node, ScalarNode) or isinstance(node.value, bool) or not isinstance(node.value, int):
        return _broken(node, path, report, f"expected a whole number, found {_found(node)}")
    if node.value < spec.minimum:
        return _broken(node, path, report, f"must be {spec.minimum} or more, is {node.value}")
    return Leaf(node.value, node.mark)


def _boolean(_: Boolean, node: Node, path: Path, report: Report) -> Tree:
    if isinstance(node, ScalarNode) and isinstance(node.value, bool):
        return Leaf(node.value, node.mark)
    words = {"yes": "true", "on": "true", "no": "false", "off": "false", "true": "true", "false": "false"}
    meant = words.get(node.text.lower()) if isinstance(node, ScalarNode) else None
    hint = f"write {meant}, without quotes" if meant else None
    return _broken(node, path, report, f"expected true or false, found {_found(node)}", hint)


def _choice(spec: Choice, node: Node, path: Path, report: Report) -> Tree:
    expected = f"expected {' | '.join(spec.words)}"
    if not isinstance(node, ScalarNode):
        return _broken(node, path, report, f"{expected}, found {_found(node)}")
    word = node.text
    if isinstance(node.value, bool):
        meant = {"on", "yes"} if node.value else {"off", "no"}
        word = next((w for w in spec.words if w in meant), word)
    if word not in spec.words:
        return _broken(node, path, report, f'{expected}, found "{word}"', did_you_mean(word, spec.words))
    return Leaf(word, node.mark)


def _constant(spec: Constant, node: Node, path: Path, report: Report) -> Tree:
    if isinstance(node, ScalarNode) and node.value == spec.value and not isinstance(node.value, bool):
        return Leaf(spec.value, node.mark)
    return _broken(node, path, report, f"must be {spec.value}")


def _json(spec: Json, node: Node, path: Path, report: Report) -> Tree:
    if isinstance(node, ScalarNode):
        return Leaf(node.value, node.mark)
    if spec.scalar_only:
        return _broken(node, path, report, f"expected a single value, found {_found(node)}")
    return Leaf(_json_value(node), node.mark)


def _json_value(node: Node) -> Any:
    match node:
        case MappingNode(entries):
            return {key: _json_value(entry.node) for key, entry in entries.items()}
        case ListNode(items):
            return [_json_value(item) for item in items]
    return node.value


def _json_object(spec: JsonObject, node: Node, path: Path, report: Report) -> Tree:
    if not isinstance(node, MappingNode):
        return _broken(node, path, report, f"expected a mapping, found {_found(node)}")

    def child(_: str, entry: Entry) -> Tree:
        if isinstance(entry.node, MappingNode):
            return _json_object(spec, entry.node, path, report)
        value = _json_value(entry.node)
        return Leaf(Special.RESET if value is None else value, entry.node.mark)

    return _branch(node, child)


def _list(spec: ListOf, node: Node, path: Path, report: Report) -> Tree:
    if not isinstance(node, ListNode):
        return _broken(node, path, report, f"expected a list, found {_found(node)}")
    if spec.length is not None and len(node.items) != spec.length:
        return _broken(node, path, report, f"expected a list of {spec.length}, found {len(node.items)}")
    if len(node.items) < spec.minimum:
        return _broken(node, path, report, "the list is empty")
    items = (check(spec.item, item, (*path, i), report) for i, item in enumerate(node.items))
    return Items(tuple(items), node.mark)


def _map(spec: MapOf, node: Node, path: Path, report: Report) -> Tree:
    if not isinstance(node, MappingNode):
        return _broken(node, path, report, f"expected a mapping, found {_found(node)}")

    def child(key: str, entry: Entry) -> Tree:
        here = (*path, key)
        if not isinstance(entry.node, ScalarNode) or entry.node.value is not None:
            return check(spec.value, entry.node, here, report)
        return Branch({}, {}, entry.mark) if spec.null_is_empty else Leaf(Special.RESET, entry.node.mark)

    named: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        name = _text(spec.key, ScalarNode(key, key, entry.mark), (*path, key), report).value
        if name in named:
            report.add(entry.mark, (*path, key), f"the same as the key in line {named[name].mark.line}")
        elif name is not Special.BROKEN:
            named[name] = entry
    return _branch(MappingNode(named, node.mark), child)


def _object(spec: Object, node: Node, path: Path, report: Report) -> Tree:
    if not isinstance(node, MappingNode):
        return _broken(node, path, report, f"expected a mapping, found {_found(node)}")
    known: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        if key in spec.fields:
            known[key] = entry
        else:
            report.add(entry.mark, (*path, key), "unknown key", _known_keys(key, spec))

    def child(key: str, entry: Entry) -> Tree:
        field = spec.fields[key]
        if (
            isinstance(entry.node, ScalarNode)
            and entry.node.value is None
            and not isinstance(field.spec, Nullable | Json)
        ):
            return Leaf(Special.RESET, entry.node.mark)
        return check(field.spec, entry.node, (*path, key), report)

    branch = _branch(MappingNode(known, node.mark), child)
    for key, field in spec.fields.items():
        given = branch.children.get(key)
        if field.required and (given is None or (isinstance(given, Leaf) and given.value is Special.RESET)):
            report.add(branch.marks.get(key, node.mark), (*path, key), "missing", field.doc)
            branch.children[key] = Leaf(Special.BROKEN, node.mark)
    return branch


def _known_keys(key: str, spec: Object) -> str:
    return did_you_mean(key, spec.fields) or f"known are {', '.join(spec.fields)}"


def _branch(node: MappingNode, child: Callable[[str, Entry], Tree]) -> Branch:
    children = {key: child(key, entry) for key, entry in node.entries.items()}
    return Branch(children, {key: entry.mark for key, entry in node.entries.items()}, node.mark)


def _nullable(spec: Nullable, node: Node, path: Path, report: Report) -> Tree:
    if isinstance(node, ScalarNode) and (node.value is None or (spec.off and node.value in ("off", False))):
        return Leaf(None, node.mark)
    return check(spec.spec, node, path, report)


def _either(spec: Either, node: Node, path: Path, report: Report) -> Tree:
    return check(spec.mapping if isinstance(node, MappingNode) else spec.short, node, path, report)


def _reference(spec: Reference, node: Node, path: Path, report: Report) -> Tree:
    """Says nothing of what it finds: it may be the secret itself."""
    forms = " or ".join(_FORMS[kind] for kind in spec.kinds)
    if not isinstance(node, MappingNode):
        return _broken(
            node, path, report, f"a {spec.name} is given by reference, never in the file itself", f"write {forms}"
        )
    kinds = list(node.entries)
    if len(kinds) != 1 or kinds[0] not in spec.kinds:
        close = close_word(kinds[0], spec.kinds) if len(kinds) == 1 else None
        hint = f'did you mean "{close}"?' if close else None
        return _broken(node, path, report, f"expected {forms}", hint)
    value = node.entries[kinds[0]].node
    wrong_caller = kinds[0] == "from" and (not isinstance(value, ScalarNode) or value.text != "client")
    if wrong_caller or not isinstance(value, ScalarNode) or not value.text or value.value is None:
        return _broken(value, (*path, kinds[0]), report, f"expected {forms}")
    return Leaf(SecretReference(kinds[0], value.text, node.mark), node.mark)


_FORMS = {"env": "{env: NAME}", "file": "{file: PATH}", "sha256": "{sha256: HEX}", "from": "{from: client}"}

_CHECKS: dict[type[Any], Callable[[Any, Node, Path, Report], Tree]] = {
    Text: _text,
    Integer: _integer,
    Boolean: _boolean,
    Choice: _choice,
    Constant: _constant,
    Json: _json,
    JsonObject: _json_object,
    ListOf: _list,
    MapOf: _map,
    Object: _object,
    Nullable: _nullable,
    Either: _either,
    Reference: _reference,
}
