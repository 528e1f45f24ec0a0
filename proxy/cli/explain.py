"""`reasoning-proxy explain`: how a model is resolved, and where each value comes from."""

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any

from proxy.cli import configuration
from proxy.cli.command import describe
from proxy.cli.failure import Failure
from proxy.cli.terminal import paint
from proxy.routing.table import Table
from proxy.settings.explain import Explanation
from proxy.settings.explain import explain as explained
from proxy.settings.layers import Explained

_WIDEST_VALUE = 44


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "Prints the route that a request for MODEL takes, its targets in order, and every value of how each "
            "target is called and speaks, with its origin. Secrets appear as references only."
        ),
        examples=("reasoning-proxy explain r1 -c proxy.yaml",),
    )
    parser.add_argument("model", metavar="MODEL", help="a model as a client would ask for it")
    configuration.add_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints the explanation."""
    settings = configuration.read(configuration.required(args.config))
    explanation = explained(settings, args.model)
    if explanation is None:
        near = Table(settings.routes).close_names(args.model)
        hint = f"; close names: {', '.join(near)}" if near else ""
        raise Failure(f"no route of {settings.source} serves {args.model!r}{hint}")
    if args.json:
        print(json.dumps(explanation.as_dict(), indent=2, ensure_ascii=False))
    else:
        _print(explanation)
    return 0


def _print(explanation: Explanation) -> None:
    options = f"strategy {explanation.strategy}, retry {_brief(explanation.retry)}"
    if explanation.render:
        options += f", render {_brief(explanation.render)}"
    print(f"route {paint(explanation.route, 'bold', sys.stdout)} ({explanation.origin}): {options}")
    for number, target in enumerate(explanation.targets, 1):
        name = paint(f"{target.provider}/{target.model}", "cyan", sys.stdout)
        print(f"\ntarget {number}: {name} (weight {target.weight})")
        _print_values([*target.connection, *target.manner])


def _print_values(values: Iterable[Explained]) -> None:
    rows = [(each.path, json.dumps(each.value, ensure_ascii=False), each.origin) for each in values]
    path_width = max((len(path) for path, _, _ in rows), default=0)
    value_width = min(_WIDEST_VALUE, max((len(value) for _, value, _ in rows), default=0))
    for path, value, origin in rows:
        shown = origin if origin != "default" else paint(origin, "dim", sys.stdout)
        print(f"  {path.ljust(path_width)}  {value.ljust(value_width)}  {shown}")


def _brief(value: dict[str, Any]) -> str:
    """Such as `attempts=2 cooldown_s=30.0`; what is not set is left out."""
    return " ".join(f"{key}={each}" for key, each in value.items() if each is not None and each is not False)
