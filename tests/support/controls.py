"""The two tables of `docs/controls.md`: what each built-in sends for a wish, and which refusals the proxy's help spares.

`python -m tests.support.controls` prints them; with `--write` they are put into the page.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.core.dialect import Request
from proxy.core.request import prepare
from tests.support.builtin_files import ROOT, data, manner, names
from tests.support.conversing import DROPS
from tests.support.refusals import UNMENDED, refusal
from tests.support.refusing import CASES, SIGNED, Case

PAGE = ROOT / "docs" / "controls.md"
WISHES: Mapping[str, dict[str, Any]] = {
    "on": {"reasoning": {"enabled": True}},
    "off": {"reasoning": {"enabled": False}},
    "low": {"reasoning_effort": "low"},
    "high": {"reasoning_effort": "high"},
    "budget 2048": {"reasoning": {"max_tokens": 2048}},
    "hide": {"reasoning": {"exclude": True}},
}
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


# --- what is sent ---


def controls() -> str:
    """A row for each built-in, and for each model pattern that differs; relays in one row of their own."""
    rows: list[list[str]] = []
    relays: list[str] = []
    for name in names():
        found = _rows(name)
        if found is None:
            relays.append(f"`{name}`")
        else:
            rows += found
    return (
        table(["built-in", "models", *WISHES], rows) + f"\nThe client's words pass as they are: {', '.join(relays)}.\n"
    )


def _rows(name: str) -> list[list[str]] | None:
    """The rows of one built-in; models for which the same is sent share one. None: it never writes words of its own."""
    merged: dict[tuple[str, ...], list[str]] = {}
    for pattern in ("", *data(name).get("models", {})):
        model = pattern.replace("*", "") or "other-models"
        merged.setdefault(_cells(name, model), []).append(f"`{pattern}`" if pattern else "others")
    if list(merged) == [_RELAYED]:
        return None
    return [[f"`{name}`", ", ".join(sorted(models, key="others".__eq__)), *cells] for cells, models in merged.items()]


_RELAYED = ("as the client says it",) * len(WISHES)


def _cells(name: str, model: str) -> tuple[str, ...]:
    speaks = manner(name, model)
    if not _controls(speaks.request):
        return _RELAYED
    found: list[str] = []
    for wish in WISHES.values():
        prepared = prepare({"model": model, "messages": [], **wish}, speaks, model=model)
        sent = {key: value for key, value in prepared.body.items() if key not in ("model", "messages")}
        cell = f"`{flow(sent)[1:-1]}`" if sent else "nothing"
        found.append(cell + "".join(f"<br>*{note}*" for note in prepared.notes))
    return tuple(found)


def _controls(request: Request) -> bool:
    return any(x is not None for x in (request.on, request.off, request.effort, request.budget, request.hide))


def flow(value: Any) -> str:
    """YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what is refused ---


def refusals() -> str:
    """A row for each case of `refusing.py`; that the first fails and the second passes is what the tests assert."""
    head = ["host", "wants", "client", "without help", "with help", "the help"]
    return table(head, map(_refusal, CASES))


_CLIENTS = {
    "mistral-options": "asks for usage",
    "mistral-ids": "returns calls of another host",
    "openai-ids": "returns calls of another host",
    "ollama-null": "returns an answer that was cut while the model reasoned",
}


def _refusal(case: Case) -> list[str]:
    if case.refusal in UNMENDED:
        told, status = UNMENDED[case.refusal]
    else:
        told, status = refusal(case.refusal).said, refusal(case.refusal).status
    text = f" `` {_text(told)} ``" if case.told else ""
    heals = "self_heal" in case.entry.get("history", {})
    passes = "passes, after one refusal that was mended" if heals else "passes"
    what = "signatures" if case.before is SIGNED or case.refusal == "gemini" else "reasoning"
    client = f"{'drops' if case.client == DROPS else 'returns'} {what}"
    if case.before:
        client += " of another host"
    if case.refusal in _CLIENTS:
        client = _CLIENTS[case.refusal]
    if case.asks:
        client = f"sends `{flow(case.asks['extra_body'])[1:-1]}`"
    entry = f"`{flow(case.entry)[1:-1]}`" if case.entry else ""
    help_ = " with ".join(part for part in (f"built-in `{case.name}`" if case.name != "house" else "", entry) if part)
    return [case.host, case.wants, client, f"request {case.at}: {status}{text}", passes, help_]


def _text(said: Any) -> str:
    """The words of a refusal, without what the host wraps them in."""
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        return _text(said[0])
    if "detail" in said:
        return json.dumps(said["detail"][0])
    return str(said.get("error", said)["message"])


TABLES = {"controls": controls, "refusals": refusals}


def filled(page: str) -> str:
    """The page with both tables made anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print("\n".join(make() for make in TABLES.values()))
