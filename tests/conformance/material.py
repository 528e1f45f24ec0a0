"""The cases: recordings, parser tables and quirks, read from the fixtures folder (its README says what the fields mean)."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.conformance.knobs import UNSAYABLE, compared_stripped, tags_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / os.environ.get("REASONING_PROXY_FIXTURES", "../shared/fixtures")

EXACT: dict[str, Any] = {"tags": {"trim": "none"}}
"""Detection, with no white space removed, so that texts can be compared character by character."""
DETECTION: dict[str, Any] = {}
"""No configuration at all."""
SNAPSHOTS = {"field": "reasoning_details", "snapshots": True}
BOTH_DEFENSIBLE = {"content-equals-reasoning"}
"""Quirks whose policy calls another behaviour defensible, the one of this proxy."""


@dataclass(frozen=True)
class Expected:
    """What the meta or table says must come out; `error` is the upstream's own."""

    reasoning: str
    content: str
    tool_calls: list[dict[str, Any]]
    finish_reason: str | None
    usage: dict[str, Any] | None
    error: Any
    contains: bool = False
    """Texts need only be contained."""
    strip: bool = False
    """Texts are compared without the white space around them."""


@dataclass(frozen=True)
class Case:
    """One body, or for a table one text, and what must become of it."""

    family: str
    """`recording`, `quirk`, or for tables `generic`, `policy`, `model-specific`."""
    dialect: str
    name: str
    expected: Expected
    response: dict[str, Any]
    """The provider's `response` block."""
    body: bytes = b""
    sse: bool = True
    status: int = 200
    content_type: str = "text/event-stream"
    lengths: tuple[int, ...] = ()
    """Of the pieces as recorded."""
    text: str | None = None
    """A table's input."""
    parts: tuple[str, ...] = ()
    """The same, as the original feeds it."""
    unsayable: str | None = None
    """Why the expected texts cannot be had."""

    @property
    def id(self) -> str:
        return f"{self.family}-{self.name}"


@cache
def cases() -> tuple[Case, ...]:
    """All of them; none where the folder is not there."""
    if not FOLDER.is_dir():
        return ()
    return (*_recordings(), *_quirks(), *_tables())


def _metas(folder: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    for path in sorted((FOLDER / folder).glob("*.meta.json")):
        meta = json.loads(path.read_text("utf-8"))
        if meta["api"] == "chat.completions":
            yield meta, (path.parent / meta["file"]).read_bytes()


def _recordings() -> Iterator[Case]:
    for meta, body in _metas("streams"):
        sse = meta["file"].endswith(".sse")
        yield Case(
            "recording",
            meta["dialect"],
            meta["name"],
            _expected(meta["expected"]),
            EXACT,
            body,
            sse,
            meta["http_status"],
            "text/event-stream" if sse else "application/json",
            tuple(meta.get("recorded_chunk_lengths") or ()),
        )


def _quirks() -> Iterator[Case]:
    for meta, body in _metas("quirks"):
        yield Case(
            "quirk",
            meta["dialect"],
            meta["name"],
            _expected(meta["must_deliver"]),
            _quirk_response(meta),
            body,
            meta["file"].endswith(".sse"),
            meta["http"]["status"],
            meta["http"]["content_type"],
        )


def _quirk_response(meta: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {**EXACT}
    if tags := meta["tags"]:
        wrapper = [[tags["content_prefix"], tags["content_suffix"]]] if "content_prefix" in tags else []
        response["tags"] = {"pairs": [[tags["start"], tags["end"]]], "answer_wrapper": wrapper, "trim": "none"}
    if "(cumulative)" in meta["dialect"]:
        response["details"] = SNAPSHOTS  # its policy: only a route that declares snapshots can be expected to pass
    return response


def _expected(told: dict[str, Any]) -> Expected:
    return Expected(
        told["reasoning"] or "",
        told["content"] or "",
        told["tool_calls"] or [],
        told["finish_reason"],
        told["usage"],
        told.get("error"),
    )


def _tables() -> Iterator[Case]:
    for path in sorted((FOLDER / "tables").glob("*.jsonl")):
        seen: set[str] = set()
        for line in path.read_text("utf-8").rstrip("\n").split("\n"):
            case = json.loads(line)
            name = f"{case['suite']}-{case['id']}"
            while name in seen:
                name += "+"
            seen.add(name)
            yield Case(
                case["kind"],
                f"table:{case['suite']}",
                name,
                Expected(
                    case["expected_reasoning"] or "",
                    case["expected_content"] or "",
                    [],
                    "stop",
                    None,
                    None,
                    contains=case["match"] == "contains",
                    strip=compared_stripped(case),
                ),
                {"tags": tags_of(case)},
                text=case["input_whole"],
                parts=tuple(case["input_chunks"]),
                unsayable=UNSAYABLE.get((case["suite"], case["id"])),
            )
