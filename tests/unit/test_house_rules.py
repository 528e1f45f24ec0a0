"""The rules of docs/architecture.md that a machine can check."""

import ast
import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
BANNED_MODULES = {
    "util",
    "utils",
    "helper",
    "helpers",
    "manager",
    "managers",
    "handler",
    "handlers",
    "base",
    "common",
    "misc",
}
# "openai" is also the name of the API, "together" an English word.
NOT_ONLY_NAMES = {"openai", "together"}
BINARY = {".png", ".ico", ".gz", ".whl"}
MACHINE_PATH = re.compile(r"(?<![\w.~*:})-])/(?:work|root|home|tmp|Users)/\w")
REGISTRY_HOST = re.compile(r"pypi\.(?:org|python\.org)|pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def repository_files() -> list[Path]:
    """What git has or would add; in an unpacked source archive, everything outside of dot folders."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        files = [ROOT / name for name in listed.split("\0") if name]
    else:
        files = [
            path
            for path in ROOT.rglob("*")
            if not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts[:-1])
        ]
    return sorted(path for path in files if path.is_file())


def python_files(*folders: str) -> list[Path]:
    return [
        path
        for path in repository_files()
        if path.suffix == ".py" and (not folders or path.relative_to(ROOT).parts[0] in folders)
    ]


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def provider_names() -> frozenset[str]:
    return frozenset(path.stem for path in (ROOT / "config" / "providers").glob("*.yaml")) - NOT_ONLY_NAMES


def words_of_code(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of every name and every string that is not a docstring."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, str):
                yield node.lineno, node.value
            elif isinstance(node.value, bytes):
                yield node.lineno, node.value.decode("latin-1")
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.lineno, node.arg or ""
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


@functools.cache
def any_of(names: frozenset[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, sorted(names)))})(?![a-z0-9])")


def names_in(text: str, names: frozenset[str]) -> set[str]:
    """Names that stand in a text as whole words; `_`, `-` and camel case separate words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").lower()
    return set(any_of(names).findall(spaced))


def test_no_file_is_longer_than_a_reader_keeps_in_mind() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").split("\n")) - 1 for path in python_files()}
    assert lengths
    too_long = [where(path, length) for path, length in lengths.items() if length > MAX_FILE_LINES]
    assert not too_long, "\n".join(too_long)


def test_no_function_is_longer_than_a_screen() -> None:
    too_long = [
        f"{where(path, node.lineno)} {node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for path in python_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, Function) and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not too_long, "\n".join(too_long)


def test_no_providers_name_stands_in_the_code() -> None:
    names = provider_names()
    assert len(names) > 30
    found = [
        f"{where(path, line)}: {', '.join(sorted(hits))}"
        for path in python_files("proxy")
        for line, text in words_of_code(tree_of(path))
        if (hits := names_in(text, names))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if name == 'groq'", {"groq"}),
        ("is_groq", {"groq"}),
        ("GroqStream", {"groq"}),
        ("https://api.groq.com", {"groq"}),
        ("groquet", set()),
        ("reasoning_content", set()),
    ],
)
def test_a_name_is_found_as_a_word_and_not_inside_one(text: str, expected: set[str]) -> None:
    assert names_in(text, frozenset({"groq", "xai"})) == expected


def test_docstrings_may_cite_providers_and_code_may_not() -> None:
    tree = ast.parse('"""As groq does."""\nKIND = "groq"\n"""Seen at groq."""\n')
    assert [(line, text) for line, text in words_of_code(tree) if names_in(text, frozenset({"groq"}))] == [(2, "groq")]


def test_modules_are_named_after_what_they_hold() -> None:
    vague = [
        path.relative_to(ROOT).as_posix()
        for path in python_files("proxy", "tests", "scripts")
        for part in path.relative_to(ROOT).with_suffix("").parts
        if BANNED_MODULES & set(part.strip("_").split("_"))
    ]
    assert not vague, "\n".join(vague)


def test_no_file_names_a_machines_folders_or_a_package_registry() -> None:
    found = []
    for path in repository_files():
        if path.suffix in BINARY or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if MACHINE_PATH.search(line) or REGISTRY_HOST.search(line):
                found.append(f"{where(path, number)}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text", ["cd @work/main", 'open("@tmp/x")', "see @home/me", "index https:@@files.pythonhosted.org@x"]
)
def test_a_machine_path_is_recognised(text: str) -> None:
    text = text.replace("@", "/")  # this file, too, names no such place
    assert MACHINE_PATH.search(text) or REGISTRY_HOST.search(text)


@pytest.mark.parametrize(
    "text", ["https://example.com/home/page", "docs/work/x", "/v1/tmp/x", "${HOME}/tmp/x", "/homework/x"]
)
def test_a_path_of_another_kind_is_none(text: str) -> None:
    assert not MACHINE_PATH.search(text)


def test_streams_go_through_no_framework_layer_that_buffers_them() -> None:
    banned = {"BaseHTTPMiddleware", "StreamingResponse"}
    found = [
        where(path, line)
        for path in python_files("proxy")
        for line, text in words_of_code(tree_of(path))
        if text in banned
    ]
    assert not found, "\n".join(found)


def test_every_script_can_be_run_and_stops_at_its_first_failure() -> None:
    scripts = [path for path in repository_files() if path.parent == ROOT / "scripts" and not path.suffix]
    assert scripts
    for path in [*scripts, *(p for p in repository_files() if p.parent == ROOT / ".ci")]:
        lines = path.read_text(encoding="utf-8").split("\n")
        assert lines[0] == "#!/usr/bin/env bash", path
        assert "set -euo pipefail" in lines, path
        assert os.access(path, os.X_OK), f"{path} is not executable"
