"""`reasoning-proxy providers`: the built-ins."""

import argparse
import json
from typing import Any

from proxy.cli.command import describe
from proxy.settings import BuiltIn, builtins


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "One built-in a line: the name to write under `providers:`, the variable with its key, how sure its "
            "description is (A best, D least), and its title. --json adds base URL, sources and notes."
        ),
        examples=("reasoning-proxy providers", "reasoning-proxy providers --json | jq -r '.[].base_url'"),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Prints the list."""
    known = sorted(builtins().values(), key=lambda builtin: builtin.name)
    if args.json:
        print(json.dumps([_described(builtin) for builtin in known], indent=2, ensure_ascii=False))
        return 0
    rows = [(each.name, each.key_env or "no key", each.sure, each.title) for each in known]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, title in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), title]))
    return 0


def _described(builtin: BuiltIn) -> dict[str, Any]:
    return {
        "name": builtin.name,
        "title": builtin.title,
        "base_url": builtin.base_url,
        "key_env": builtin.key_env,
        "sure": builtin.sure,
        "checked": str(builtin.checked),
        "sources": list(builtin.sources),
        "notes": list(builtin.notes),
    }
