"""`config/schema.json` is what the shapes say, takes every file of the repository, and refuses what is wrong."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from proxy.core.dialect import Dialect, History, Request
from proxy.settings.checking import check
from proxy.settings.document import Node, compose
from proxy.settings.mistakes import Report
from proxy.settings.schema import json_schema
from proxy.settings.spec import Json

CONFIG = Path(__file__).parents[3] / "config"
SCHEMA = json_schema()


def data(text: str) -> Any:
    report = Report()
    node: Node | None = compose(text, "t.yaml", report)
    assert node is not None, report.mistakes
    return check(Json(), node, (), report).value  # type: ignore[union-attr]


KINDS: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def is_kind(value: Any, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def same(value: Any, word: Any) -> bool:
    return bool(value == word) and type(value) is type(word)


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """JSON Schema validation for the keywords that the schema uses; an unknown keyword fails the test."""
    return all(obeys(schema, keyword, rule, value) for keyword, rule in schema.items())


def obeys(schema: dict[str, Any], keyword: str, rule: Any, value: Any) -> bool:
    match keyword:
        case "$schema" | "title" | "description" | "default" | "$defs" | "then" | "else":
            return True
        case "$ref":
            return accepts(SCHEMA["$defs"][rule.removeprefix("#/$defs/")], value)
        case "if":
            return accepts(schema["then"] if accepts(rule, value) else schema["else"], value)
        case "anyOf":
            return any(accepts(one, value) for one in rule)
        case "type":
            return any(is_kind(value, kind) for kind in (rule if isinstance(rule, list) else [rule]))
        case "enum":
            return any(same(value, word) for word in rule)
        case "const":
            return same(value, rule)
        case "minimum":
            return not is_kind(value, "number") or bool(value >= rule)
    if isinstance(value, dict):
        return obeys_as_mapping(schema, keyword, rule, value)
    if isinstance(value, list):
        sizes = {"minItems": len(value) >= rule, "maxItems": len(value) <= rule} if isinstance(rule, int) else {}
        return sizes.get(keyword, True) and (keyword != "items" or all(accepts(rule, item) for item in value))
    if isinstance(value, str) and keyword in {"pattern", "minLength"}:
        return re.search(rule, value) is not None if keyword == "pattern" else len(value) >= rule
    return True


def obeys_as_mapping(schema: dict[str, Any], keyword: str, rule: Any, value: dict[str, Any]) -> bool:
    known = schema.get("properties", {})
    match keyword:
        case "required":
            return set(rule) <= set(value)
        case "propertyNames":
            return all(accepts(rule, key) for key in value)
        case "properties":
            return all(accepts(rule[key], item) for key, item in value.items() if key in rule)
        case "additionalProperties":
            rest = [item for key, item in value.items() if key not in known]
            return not rest if rule is False else all(accepts(rule, item) for item in rest)
    return keyword in {"pattern", "minLength", "items", "minItems", "maxItems"}


def test_check_above_knows_every_keyword_of_the_schema() -> None:
    def keywords(schema: Any, names: bool = False) -> set[str]:
        if isinstance(schema, list):
            return set().union(*(keywords(one) for one in schema)) if schema else set()
        if not isinstance(schema, dict):
            return set()
        below = [
            keywords(item, key in {"properties", "$defs"} and not names)
            for key, item in schema.items()
            if key != "default"
        ]
        return (set() if names else set(schema)).union(*below)

    known = (
        "$schema title description default $defs $ref if then else anyOf type enum const minimum required propertyNames"
    )
    more = "properties additionalProperties pattern minLength items minItems maxItems"
    assert keywords(SCHEMA) == {*known.split(), *more.split()}


def test_file_is_what_the_program_prints() -> None:
    # After a change of the shapes: python -m proxy.settings.schema > config/schema.json
    assert json.loads((CONFIG / "schema.json").read_text()) == json.loads(json.dumps(SCHEMA))


def test_module_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(CONFIG.parent / "proxy" / "settings" / "schema.py"), run_name="__main__")
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SCHEMA))


def test_every_file_of_the_repository_is_accepted() -> None:
    files = [CONFIG / "proxy.yaml", *sorted((CONFIG / "providers").glob("*.yaml"))]
    assert len(files) > 1
    assert [file.name for file in files if not accepts(SCHEMA, data(file.read_text()))] == []


@pytest.mark.parametrize(
    "text",
    [
        "{version: 1, providers: {deepseek: , x: {base_url: http://h, api_key: null}}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, server: {max_request_bytes: 1024, heartbeat: 0s}, clients: , routes: [{model: m, targets: [{provider: x, model: m}]}]}",
        "{version: 1, providers: {x: {response: {tags: off, details: null, flag: off}}}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, providers: {x: {request: {default: off, on: {a: {b: [1, null]}}}}}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, providers: {x: {headers: {a: {env: B}, b: 5}, models: {'*': {history: {replay: drop}}}}}, routes: [{model: m, targets: [x/m]}]}",
    ],
)
def test_forms_of_the_contract_are_accepted(text: str) -> None:
    assert accepts(SCHEMA, data(text))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{version: 2, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, routes: []}",
        "{version: 1, sever: {}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, routes: [{model: m, targets: [m]}]}",
        "{version: 1, routes: [{model: m, targets: [{provider: x}]}]}",
        "{version: 1, providers: {x: {api_key: sk-abc}}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, providers: {a/b: {}}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, providers: {x: {response: {tags: {trim: inn}}}}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, providers: {x: {response: {tags: {pairs: [[a]]}}}}, routes: [{model: m, targets: [x/m]}]}",
        "{version: 1, server: {drain: 5}, routes: [{model: m, targets: [x/m]}]}",
        "{title: T, base_url: http://h, sources: [], checked: 2026-01-01, sure: A}",
        "{title: T, base_url: http://h, sources: [s], checked: yesterday, sure: A}",
        "{title: T, base_url: http://h, sources: [s], checked: 2026-01-01, sure: E}",
    ],
)
def test_wrong_files_are_refused(text: str) -> None:
    assert not accepts(SCHEMA, data(text))


@pytest.mark.parametrize(("definition", "cls"), [("dialect", Dialect), ("request", Request), ("history", History)])
def test_each_field_of_the_blocks_is_there_with_its_type(definition: str, cls: type[Any]) -> None:
    assert set(SCHEMA["$defs"][definition]["properties"]) == set(cls.__dataclass_fields__)


def test_descriptions_are_the_docstrings_below_the_fields() -> None:
    history = SCHEMA["$defs"]["history"]["properties"]
    assert history["field"]["description"] == "The key for `replay: field`."
    assert history["field"]["default"] == "reasoning_content"
    assert SCHEMA["$defs"]["timeouts"]["properties"]["idle"]["default"] == "120s"
