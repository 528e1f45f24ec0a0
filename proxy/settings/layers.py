"""Layers of values, one over the other, where every value remembers where it came from.

Mappings merge key by key; lists and single values replace what was there; an explicit null goes back to the default.
"""

import dataclasses
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from proxy.settings.checking import Branch, Items, Leaf, SecretReference, Tree
from proxy.settings.mistakes import Mark
from proxy.settings.spec import Either, JsonObject, ListOf, MapOf, Nullable, Object, Spec, Special, Text


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose value it is, and the place where it was written."""

    who: str
    """Such as `built-in NAME`, `provider house`, `route r1, target 2`."""
    mark: Mark

    def __str__(self) -> str:
        return f"{self.who} ({self.mark.file}:{self.mark.line})"


@dataclass(frozen=True, slots=True)
class Layer:
    """A mapping and whose it is."""

    who: str
    branch: Branch


@dataclass(frozen=True, slots=True)
class Sourced:
    """A finished value and its origin."""

    value: Any
    origin: Origin


class Merged(dict[str, "Merged | Sourced"]):
    """The mapping that layers made together; `origin` is the last layer's that had this mapping."""

    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """One value of a merged mapping, as `explain` shows it."""

    path: str
    value: Any
    """JSON data; secrets are their references."""
    origin: str
    """`default`, or who gave it and in which line of which file."""


def merge(layers: Iterable[Layer], keys: Container[str]) -> Merged:
    """All layers together, the last one wins; of their top level only `keys`."""
    merged = Merged()
    for layer in layers:
        children = {key: child for key, child in layer.branch.children.items() if key in keys}
        _add(merged, Branch(children, layer.branch.marks, layer.branch.mark), layer.who)
    return merged


def _add(into: Merged, branch: Branch, who: str) -> None:
    for key, child in branch.children.items():
        origin = Origin(who, branch.marks[key])
        if isinstance(child, Branch):
            below = into.get(key)
            if not isinstance(below, Merged):
                below = into[key] = Merged()
            below.origin = origin
            _add(below, child, who)
        else:
            into[key] = Sourced(plain(child), origin)


def plain(tree: Tree) -> Any:
    """The finished values of a tree without their places: dicts, tuples and single values."""
    match tree:
        case Leaf(value):
            return value
        case Items(items):
            return tuple(plain(item) for item in items)
    return {key: plain(child) for key, child in tree.children.items() if not is_reset(child)}


def is_reset(tree: Tree | Sourced) -> bool:
    return not isinstance(tree, Branch | Items) and tree.value is Special.RESET


def construct(spec: Spec, merged: Merged | Sourced) -> Any:
    """The finished value of what was merged: dataclasses where the spec names one, else dicts and single values."""
    if isinstance(spec, Nullable):
        return None if isinstance(merged, Sourced) and merged.value is None else construct(spec.spec, merged)
    if isinstance(spec, Either):
        if isinstance(merged, Merged):
            return construct(spec.mapping, merged)
        return spec.from_short(merged.value) if spec.from_short else merged.value
    if isinstance(merged, Sourced):
        return _finished(spec, merged.value)
    given = {key: child for key, child in merged.items() if isinstance(child, Merged) or not is_reset(child)}
    if isinstance(spec, Object):
        values = {key: construct(spec.fields[key].spec, child) for key, child in given.items()}
        return spec.make(**values) if spec.make else values
    value_spec: Spec = spec.value if isinstance(spec, MapOf) else JsonObject()
    return {key: construct(value_spec, child) for key, child in given.items()}


def _finished(spec: Spec, value: Any) -> Any:
    """Items of lists become the dataclasses that the spec names."""
    if isinstance(spec, ListOf):
        return tuple(_finished(spec.item, item) for item in value)
    if isinstance(spec, Object) and spec.make:
        return spec.make(**value)
    return value


def explain(spec: Object, merged: Merged, path: str = "") -> Iterator[Explained]:
    """Every value below `spec`, given or default, in the order of the spec."""
    for key, field in spec.fields.items():
        here = f"{path}.{key}" if path else key
        yield from _explain_field(field.spec, field.default, merged.get(key), here)


def explain_object(spec: Object, value: Any, origin: str) -> Iterator[Explained]:
    """Every value of a finished dataclass, all with one origin."""
    for key, field in spec.fields.items():
        yield from _explain_default(field.spec, getattr(value, key), key, origin)


def _explain_field(spec: Spec, default: Any, given: Merged | Sourced | None, path: str) -> Iterator[Explained]:
    mapping = _mapping_form(spec)
    if isinstance(given, Merged):
        yield from explain(mapping, given, path) if isinstance(mapping, Object) else _explain_map(given, path)
    elif given is not None and given.value is not Special.RESET:
        yield Explained(path, _shown(spec, given.value), str(given.origin))
    else:
        origin = "default" if given is None else f"default, by null in {given.origin}"
        yield from _explain_default(spec, default, path, origin)


def _explain_map(given: Merged, path: str) -> Iterator[Explained]:
    found = False
    for key, child in given.items():
        if isinstance(child, Merged):
            found = True
            yield from _explain_map(child, f"{path}.{key}")
        elif child.value is not Special.RESET:
            found = True
            yield Explained(f"{path}.{key}", as_json(child.value), str(child.origin))
    if not found:
        yield Explained(path, {}, str(given.origin))


def _explain_default(spec: Spec, default: Any, path: str, origin: str) -> Iterator[Explained]:
    mapping = _mapping_form(spec)
    if isinstance(mapping, Object) and (default is Special.RESET or dataclasses.is_dataclass(default)):
        for key, field in mapping.fields.items():
            value = field.default if default is Special.RESET else getattr(default, key)
            yield from _explain_default(field.spec, value, f"{path}.{key}", origin)
    else:
        yield Explained(path, _shown(spec, default), origin)


def _mapping_form(spec: Spec) -> Spec:
    inner = spec.spec if isinstance(spec, Nullable) else spec
    return inner.mapping if isinstance(inner, Either) else inner


def _shown(spec: Spec, value: Any) -> Any:
    """JSON data of a value as a person would write it."""
    if value is Special.RESET:
        return None
    return spec.show(value) if isinstance(spec, Text) and spec.show else as_json(value)


def as_json(value: Any) -> Any:
    """JSON data of a finished value; a secret's reference, never the secret."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type | SecretReference):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, SecretReference):
        return str(value)
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in cast("Mapping[str, Any]", value).items()}
    return [as_json(item) for item in value] if isinstance(value, tuple | list) else value
