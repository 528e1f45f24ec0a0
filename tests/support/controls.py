"""The tables of `docs/controls.md`: what each built-in sends for a wish, what goes back, and which refusals are spared.

`python -m tests.support.controls` prints them; with `--write` they are put into the page.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.core.dialect import History, Request
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


# --- what goes back ---


def returned() -> str:
    """A row for each built-in, and for each model pattern that differs: where earlier reasoning goes, and what helps."""
    head = ["built-in", "models", "earlier reasoning", "where there is none", "memory", "ids of calls", "taken out"]
    rows: list[list[str]] = []
    for name in names():
        merged: dict[tuple[str, ...], list[str]] = {}
        for pattern in ("", *data(name).get("models", {})):
            history = manner(name, pattern.replace("*", "") or "other-models").history
            merged.setdefault(_returned(history), []).append(f"`{pattern}`" if pattern else "others")
        all_ = ["all"]
        rows += [
            [f"`{name}`", ", ".join(models if len(merged) > 1 else all_), *cells] for cells, models in merged.items()
        ]
    return table(head, rows)


def _returned(history: History) -> tuple[str, ...]:
    replay = f"`{history.field}`" if history.replay == "field" else _REPLAYS[history.replay]
    replay += {"all": "", "tool_calls_only": ", beside tool calls", "current_turn": ", in the current turn"}[
        history.scope
    ]
    blanks = {"none": [], "empty_string": [f'`{history.field}: ""`'], "space": [f'`{history.field}: " "`']}
    signature = history.backfill_signature
    if signature is not None:
        blanks[history.backfill].append("a word for the signature")
    ids = history.call_ids
    also = f" and `{ids.also}`" if ids is not None and ids.also else ""
    taken = "any" if ids is None else f"{'' if ids.exact else 'up to '}{ids.length} letters, digits{also}"
    kept = [key for key in ("reasoning", "reasoning_details") if key not in history.strip_fields]
    strict = [f"every field of reasoning and `extra_content`{''.join(f', but not `{key}`' for key in kept)}"]
    out = (strict if len(history.strip_fields) > 2 else [f"`{field}`" for field in history.strip_fields]) + (
        ["think blocks"] if history.strip_tags else []
    )
    memory = "on" if history.memory == "tool_calls" else ""
    return replay, ", ".join(blanks[history.backfill]), memory, taken, ", ".join(out)


_REPLAYS = {
    "auto": "where it was seen",
    "drop": "dropped",
    "passthrough": "as the client sends it",
    "details": "`reasoning_details`",
    "tags": "`<think>` in `content`",
    "content_parts": "list in `content`",
}


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


TABLES = {"controls": controls, "returned": returned, "refusals": refusals}


def filled(page: str) -> str:
    """The page with its tables made anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print("\n".join(make() for make in TABLES.values()))
