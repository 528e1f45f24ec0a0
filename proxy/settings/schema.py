"""The JSON Schema (draft 2020-12) of the two kinds of file, printed from the shapes: `python -m proxy.settings.schema`.

It says what a file may look like. What only the program knows (whether a provider exists, whether a variable is set)
is left to `reasoning-proxy check`.
"""

import json
from typing import Any

from proxy.settings.layers import as_json
from proxy.settings.shapes import BUILT_IN, TABLE
from proxy.settings.spec import (
    Boolean,
    Choice,
    Constant,
    Either,
    Field,
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

Schema = dict[str, Any]

_REFERENCE_VALUES: dict[str, Schema] = {
    "env": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "description": "Name of an environment variable."},
    "file": {"type": "string", "minLength": 1, "description": "Path of a file, from this file's folder."},
    "sha256": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "SHA-256 of the key, hexadecimal."},
    "from": {"const": "client", "description": "The caller's own key."},
}


def json_schema() -> Schema:
    """The schema of the routing table, and of a built-in provider's file where the file has a `title`."""
    definitions: dict[str, Schema] = {}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "reasoning-proxy configuration",
        "description": "The routing table, or one built-in provider. YAML is read as YAML 1.2: only true and false are booleans.",
        "if": {"required": ["title"]},
        "then": _schema(BUILT_IN, definitions),
        "else": _schema(TABLE, definitions),
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(spec: Spec, definitions: dict[str, Schema]) -> Schema:  # noqa: C901, PLR0911 - one line for each kind
    match spec:
        case Text():
            return _text(spec)
        case Integer():
            return {"type": "integer", "minimum": spec.minimum}
        case Boolean():
            return {"type": "boolean"}
        case Choice(words):
            booleans = [b for b, names in ((True, {"on", "yes"}), (False, {"off", "no"})) if names & set(words)]
            return {"enum": [*words, *booleans]}
        case Constant(value):
            return {"const": value}
        case Json():
            return {"type": ["string", "number", "boolean", "null"]} if spec.scalar_only else {}
        case JsonObject():
            return {"type": "object"}
        case ListOf():
            return _list(spec, definitions)
        case MapOf():
            values = _or_null(_schema(spec.value, definitions))
            return {"type": "object", "propertyNames": _text(spec.key), "additionalProperties": values}
        case Nullable():
            off: list[Schema] = [{"enum": ["off", False]}] if spec.off else []
            return _any_of([*off, _or_null(_schema(spec.spec, definitions))])
        case Either():
            return _any_of([_schema(spec.short, definitions), _schema(spec.mapping, definitions)])
        case Reference(kinds):
            return _any_of([_reference(kind) for kind in kinds])
        case Object():
            return _object(spec, definitions)


def _text(spec: Text) -> Schema:
    schema: Schema = {"type": ["string", "number"] if spec.numbers else "string"}
    if spec.pattern:
        schema["pattern"] = spec.pattern
    elif not spec.may_be_empty:
        schema["minLength"] = 1
    return schema


def _list(spec: ListOf, definitions: dict[str, Schema]) -> Schema:
    schema: Schema = {"type": "array", "items": _schema(spec.item, definitions)}
    if spec.minimum or spec.length:
        schema["minItems"] = spec.length or spec.minimum
    if spec.length:
        schema["maxItems"] = spec.length
    return schema


def _reference(kind: str) -> Schema:
    properties = {kind: _REFERENCE_VALUES[kind]}
    return {"type": "object", "properties": properties, "required": [kind], "additionalProperties": False}


def _object(spec: Object, definitions: dict[str, Schema]) -> Schema:
    if spec.name not in definitions:
        definitions[spec.name] = {}
        properties = {key: _property(field, definitions) for key, field in spec.fields.items()}
        schema = {"description": spec.doc, "type": "object", "properties": properties, "additionalProperties": False}
        required = [key for key, field in spec.fields.items() if field.required]
        definitions[spec.name] = schema | ({"required": required} if required else {})
    return {"$ref": f"#/$defs/{spec.name}"}


def _property(field: Field, definitions: dict[str, Schema]) -> Schema:
    schema = _schema(field.spec, definitions)
    if not field.required:
        schema = _or_null(schema)
    if field.doc:
        schema = {"description": field.doc} | schema
    if field.default is not Special.RESET:
        shown = field.spec.show(field.default) if isinstance(field.spec, Text) and field.spec.show else field.default
        schema["default"] = as_json(shown)
    return schema


def _or_null(schema: Schema) -> Schema:
    """The same, or an explicit null: back to the default."""
    if "anyOf" in schema:
        return _any_of([schema, {"type": "null"}])
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    kind = schema.get("type")
    if kind is None:
        return _any_of([schema, {"type": "null"}]) if schema else schema
    kinds = kind if isinstance(kind, list) else [kind]
    return schema | {"type": kinds if "null" in kinds else [*kinds, "null"]}


def _any_of(schemas: list[Schema]) -> Schema:
    """One of several; nested alternatives become one list without repetitions."""
    flat: list[Schema] = []
    for schema in schemas:
        for one in schema.get("anyOf", [schema]):
            if one not in flat:
                flat.append(one)
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
