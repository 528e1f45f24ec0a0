"""`reasoning-proxy check`: every mistake of a routing table, with its line."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from proxy.cli import configuration
from proxy.cli.command import describe
from proxy.cli.terminal import paint
from proxy.settings import SettingsError, load


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description="Reads the routing table as `serve` would and prints every mistake with its line. Exit code 1 if any.",
        examples=("reasoning-proxy check -c proxy.yaml", "reasoning-proxy check --json | jq '.mistakes[].line'"),
    )
    configuration.add_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints `ok: ...` or the mistakes, on stdout."""
    path = configuration.required(args.config)
    try:
        settings = load(path, os.environ)
    except SettingsError as error:
        if args.json:
            _print_json(path, mistakes=[asdict(mistake) for mistake in error.mistakes])
        else:
            for mistake in error.mistakes:
                print(mistake)
            count = len(error.mistakes)
            print(paint(f"{path}: {count} mistake{'s' * (count != 1)}", "red", sys.stdout))
        return 1
    counts = {"providers": len(settings.providers), "routes": len(settings.routes)}
    if args.json:
        _print_json(path, mistakes=[], **counts)
    else:
        print(f"{paint('ok:', 'green', sys.stdout)} {counts['providers']} providers, {counts['routes']} routes")
    return 0


def _print_json(path: Path, *, mistakes: list[dict[str, object]], **counts: int) -> None:
    report = {"ok": not mistakes, "file": str(path), "mistakes": mistakes, **counts}
    print(json.dumps(report, indent=2, ensure_ascii=False, default=str))
