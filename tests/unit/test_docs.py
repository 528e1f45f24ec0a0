"""The documentation says what the code does: each key, default, error, rendering, example and link."""

import dataclasses
import json
import re
import shlex
import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.core import dialect
from proxy.core.chunk import Chunk
from proxy.core.errors import ProxyError, UpstreamError, UpstreamRefused
from proxy.core.render import Form, Renderer, Rendering, Steps, parse_rendering
from proxy.core.stream import AnswerContext, StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from proxy.settings import loads

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
BLOCKS = {"response": dialect.Dialect, "request": dialect.Request, "history": dialect.History}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Defaults(yaml.SafeLoader):
    """YAML in which only `true` and `false` are booleans."""


Defaults.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Defaults.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(text) if found == language]


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows."""
    return [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in text.split("\n")
        if line.startswith("| ")
    ]


def sections(text: str, level: int) -> dict[str, str]:
    """Heading → its text, up to the next heading of that level or above."""
    parts = re.split(rf"^#{{1,{level}}} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dataclass_in(hint: Any) -> type | None:
    """The dataclass in `X`, `X | None` or `tuple[X, ...]`."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint
    if typing.get_origin(hint) in (types.UnionType, typing.Union, tuple):
        return next((found for part in typing.get_args(hint) if (found := dataclass_in(part))), None)
    return None


def keys_of(owner: type, prefix: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, default) of a block; a key without a default has `dataclasses.MISSING`."""
    hints = typing.get_type_hints(owner)
    for field in dataclasses.fields(owner):
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        yield f"{prefix}.{field.name}", default
        if inner := dataclass_in(hints[field.name]):
            yield from keys_of(inner, f"{prefix}.{field.name}")


def all_keys() -> dict[str, Any]:
    return {key: default for name, owner in BLOCKS.items() for key, default in keys_of(owner, name)}


def plain(value: Any) -> Any:
    """Dataclasses and tuples as what YAML gives."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return dict(value) if isinstance(value, typing.Mapping) else value


def documented_keys() -> dict[str, str]:
    """Dotted key → the text of its default cell."""
    return {
        cells[0].strip("`"): cells[1]
        for cells in rows(page("configuration"))
        if re.match(r"`(response|request|history)\.", cells[0])
    }


def test_every_key_of_the_three_blocks_is_documented_and_no_other() -> None:
    assert sorted(documented_keys()) == sorted(all_keys())


@pytest.mark.parametrize("key", all_keys())
def test_the_default_in_the_documentation_is_the_codes(key: str) -> None:
    default, cell = all_keys()[key], documented_keys()[key]
    if default is dataclasses.MISSING:
        assert cell == "required"
        return
    written, actual = yaml.load(cell.strip("`"), Defaults), plain(default)
    if isinstance(actual, dict) and isinstance(written, dict):
        # A block's row shows the part of its default that a reader must know; the rest stands in the rows below.
        assert written.items() <= actual.items()
    elif isinstance(actual, dict):
        assert written == actual["field"]
    else:
        assert written == actual


def test_every_key_of_the_schema_is_in_the_configuration_page() -> None:
    text = page("configuration")

    def properties(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from node.get("properties", {})
            for child in node.values():
                yield from properties(child)
        elif isinstance(node, list):
            for child in node:
                yield from properties(child)

    schema = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    only_of_built_ins = {"title", "sources", "checked", "sure", "notes"}
    known = set(properties(schema)) - only_of_built_ins
    assert {"listen", "base_url", "targets", "cooldown"} <= known
    assert [
        key for key in sorted(known) if not re.search(rf"`(?:[\w\[\].]*\.)?{re.escape(key)}`|\b{re.escape(key)}:", text)
    ] == []


def whole_files() -> list[tuple[str, str]]:
    return [
        (path.name, body)
        for path in PAGES
        for body in blocks(path.read_text(encoding="utf-8"), "yaml")
        if body.startswith("version: 1")
    ]


@pytest.mark.parametrize(("name", "text"), whole_files())
def test_every_whole_yaml_example_is_accepted(name: str, text: str) -> None:
    variables = re.findall(r"env: (\w+)", text)
    built_in = re.findall(r"env: (\w+)", "".join(p.read_text() for p in (ROOT / "config" / "providers").glob("*.yaml")))
    settings = loads(text, name, dict.fromkeys([*variables, *built_in], "k" * 40))
    assert settings.routes


def classes(root: type[ProxyError]) -> Iterator[type[ProxyError]]:
    for child in root.__subclasses__():
        if child.__module__ == ProxyError.__module__:
            yield child
            yield from classes(child)


def test_every_error_stands_in_the_table_with_its_status_and_type() -> None:
    told = {(cells[0].strip("`"), cells[1], cells[2].strip("`")) for cells in rows(page("errors"))}
    raised = {
        (str(c.code), str(c.status), c.type) for c in classes(ProxyError) if c not in (UpstreamError, UpstreamRefused)
    }
    assert told - raised == {("code", "status", "type"), ("the upstream's",) * 3}
    assert raised - told == set()


def test_every_rendering_and_option_has_its_section() -> None:
    headings = re.findall(r"^##+ (.+)$", page("renderings"), re.MULTILINE)
    assert {f"`{form}`" for form in typing.get_args(Form)} <= set(headings)
    assert ", ".join(f"`steps={step}`" for step in typing.get_args(Steps)) in headings
    assert "`tool_calls=complete`" in headings


def rendered(lines: str, rendering: Rendering) -> list[Any]:
    """Deltas, one a line, through a rendering; the last line is the finish."""
    deltas = [json.loads(line) for line in lines.splitlines()]
    renderer, out = Renderer(rendering), []
    for number, delta in enumerate(deltas):
        reason = "stop" if number == len(deltas) - 1 else None
        out += renderer.feed(Chunk({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
    out += renderer.close()
    return [chunk.data["choices"][0]["delta"] for chunk in out]


@pytest.mark.parametrize("form", [form for form in typing.get_args(Form) if form != "passthrough"])
def test_the_example_of_each_rendering_is_what_it_gives(form: Form) -> None:
    text = page("renderings")
    example = blocks(sections(text, 2)[f"`{form}`"], "rendered")[0]
    assert rendered(blocks(text, "canonical")[0], Rendering(form)) == [
        json.loads(line) for line in example.splitlines()
    ]


def test_the_example_of_whole_steps_is_what_they_give() -> None:
    section = sections(page("renderings"), 3)["`steps=line`, `steps=paragraph`"]
    expected = [json.loads(line) for line in blocks(section, "rendered")[0].splitlines()]
    assert rendered(blocks(section, "canonical")[0], parse_rendering("reasoning_content; steps=line")) == expected


def test_every_guarantee_has_its_section() -> None:
    assert [h for h in sections(page("schema"), 3) if re.fullmatch(r"C\d+", h)] == [f"C{n}" for n in range(1, 14)]


CONTEXT = AnswerContext(dialect.Dialect(), Rendering(), "m", lambda: ("chatcmpl-1", 1_760_000_000))


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_the_example_stream_of_the_schema_is_what_leaves(size: int) -> None:
    upstream, expected = blocks(page("schema"), "upstream")[0].encode(), blocks(page("schema"), "canonical")[0]
    pipeline, out = StreamPipeline(CONTEXT, Timeline(0.0)), b""
    for start in range(0, len(upstream), size):
        out += pipeline.feed(upstream[start : start + size], 0.0)
    out += pipeline.close(0.0)
    events, expected_events = out.decode().split("\n\n"), expected.split("\n\n")
    if size == len(upstream) or size > len(upstream):
        assert [parsed(event) for event in events] == [parsed(event) for event in expected_events]
    assert said(events) == said(expected_events)


def parsed(event: str) -> Any:
    text = event.removeprefix("data: ")
    return json.loads(text) if text.startswith("{") else text


def said(events: list[str]) -> tuple[str, str]:
    """(reasoning, answer) of a stream."""
    deltas = [event["choices"][0]["delta"] for event in map(parsed, events) if isinstance(event, dict)]
    return tuple("".join(delta.get(key) or "" for delta in deltas) for key in ("reasoning_content", "content"))  # type: ignore[return-value]


def test_the_example_of_a_whole_answer_is_what_leaves() -> None:
    pipeline = WholePipeline(CONTEXT, Timeline(0.0))
    pipeline.feed(blocks(page("schema"), "upstream")[0].encode(), 0.0)
    assert json.loads(pipeline.close(0.0)) == json.loads(blocks(page("schema"), "json")[0])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", path.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        if not target.exists():
            dead.append(link)
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            dead += [] if anchor in map(slug, headings) else [link]
    assert not dead, "\n".join(dead)


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((\w+)\.md\)", page("index")))
    assert linked == {path.stem for path in DOCS.glob("*.md")} - {"index"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_script_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"\bscripts/([a-z][a-z_-]*)", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / "scripts" / name).exists()] == []


def test_every_script_is_in_the_development_page() -> None:
    scripts = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix}
    assert scripts == set(re.findall(r"^\| `scripts/([a-z-]+)`", page("development"), re.MULTILINE))


def test_every_command_that_the_readme_shows_is_one_of_the_command_line() -> None:
    named = re.findall(
        r"^reasoning-proxy .+$|`reasoning-proxy ([a-z]+)",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert named
    commands = {path.stem for path in (ROOT / "proxy" / "cli").glob("*.py")}
    assert [name for name in named if shlex.split(name)[0] not in commands] == []


def test_every_dependency_is_argued_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    wanted += [item for name, items in extras.items() if name != "dev" for item in items]
    names = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in wanted}
    argued = {
        cells[0].strip("`")
        for cells in rows(page("dependencies"))
        if len(cells) == 3 and not cells[0].endswith(".lock`")
    }
    assert argued - {"package", "file"} == names


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-demo.lock", "requirements-dev.lock", "requirements-clients.lock"]
)
def test_every_locked_package_has_a_version_and_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-z])", (ROOT / name).read_text(encoding="utf-8").replace("\\\n", ""))
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert len(packages) > 10
    assert [entry.split()[0] for entry in packages if "==" not in entry or "--hash=sha256:" not in entry] == []
