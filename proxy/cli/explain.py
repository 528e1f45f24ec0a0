"""`reasoning-proxy explain`: how a model is resolved, what would be sent for it, and what a running proxy has learnt."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from proxy.cli import configuration, live, sample
from proxy.cli.command import describe
from proxy.cli.failure import Failure
from proxy.cli.terminal import paint
from proxy.routing import Match, Table
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
            "target is called and speaks, with its origin. Secrets appear as references only. With options that make "
            "a request, prints the body that each target would be sent instead, and with --live what a running proxy "
            "has learnt of each target."
        ),
        examples=(
            "reasoning-proxy explain r1 -c proxy.yaml",
            "reasoning-proxy explain r1 --effort high",
            "reasoning-proxy explain r1 --live",
        ),
        epilog=(
            "environment:\n  REASONING_PROXY_URL  where the running proxy is, as --url\n"
            "  REASONING_PROXY_KEY  a key for it, where something in front of it asks for one"
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="a model as a client would ask for it")
    configuration.add_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    sample.add_options(parser)
    running = parser.add_argument_group("a running proxy")
    running.add_argument("--live", action="store_true", help="ask a running proxy what it has learnt")
    running.add_argument("--url", help="its address (default: server.admin or server.listen of the configuration)")
    parser.set_defaults(misused=parser.error)


def run(args: argparse.Namespace) -> int:
    """Prints what was asked for."""
    if args.live and sample.wanted(args):
        args.misused("--live takes no options that make a request")
    if args.url and not args.live:
        args.misused("--url says where to ask with --live")
    if args.live:
        _print_learnt(args)
        return 0
    settings = configuration.read(configuration.required(args.config))
    table = Table(settings.routes)
    match, explanation = table.match(args.model), explained(settings, args.model)
    if match is None or explanation is None:
        near = table.close_names(args.model)
        hint = f"; close names: {', '.join(near)}" if near else ""
        raise Failure(f"no route of {settings.source} serves {args.model!r}{hint}")
    if sample.wanted(args):
        _print_bodies(match, sample.told(match, sample.request_of(args)), as_json=args.json)
    elif args.json:
        _print_json(explanation.as_dict())
    else:
        _print(explanation)
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _print(explanation: Explanation) -> None:
    options = f"strategy {explanation.strategy}, retry {_brief(explanation.retry)}"
    if explanation.render:
        options += f", render {_brief(explanation.render)}"
    print(f"route {paint(explanation.route, 'bold', sys.stdout)} ({explanation.origin}): {options}")
    for number, target in enumerate(explanation.targets, 1):
        print(f"\n{_head(number, target.provider, target.model)} (weight {target.weight})")
        _print_values([*target.connection, *target.manner])


def _print_values(values: Iterable[Explained]) -> None:
    rows = [(each.path, json.dumps(each.value, ensure_ascii=False), each.origin) for each in values]
    path_width = max((len(path) for path, _, _ in rows), default=0)
    value_width = min(_WIDEST_VALUE, max((len(value) for _, value, _ in rows), default=0))
    for path, value, origin in rows:
        shown = origin if origin != "default" else paint(origin, "dim", sys.stdout)
        print(f"  {path.ljust(path_width)}  {value.ljust(value_width)}  {shown}")


def _head(number: int, provider: str, model: str) -> str:
    return f"target {number}: {paint(f'{provider}/{model}', 'cyan', sys.stdout)}"


def _print_bodies(match: Match, told: Sequence[sample.Told], *, as_json: bool) -> None:
    if as_json:
        targets = [each.as_dict() for each in told]
        _print_json({"model": match.model, "route": match.route.model, "targets": targets})
        return
    for number, each in enumerate(told, 1):
        print(("\n" if number > 1 else "") + _head(number, each.provider, each.model))
        if each.refused is not None:
            print(f"refused with a 400: {each.refused}")
            continue
        _print_json(each.body)
        if each.notes:
            print(f"notes: {', '.join(each.notes)}")


def _print_learnt(args: argparse.Namespace) -> None:
    url = live.place(args)
    answer = live.learnt(url, args.model)
    if args.json:
        _print_json(answer)
        return
    print(f"route {paint(str(answer.get('route')), 'bold', sys.stdout)} at {url}")
    for number, target in enumerate(answer["targets"], 1):
        healing = "on" if target["self_heal"] else "off"
        remedies = [f"{each['action']} {each['field']} ({each['place']})" for each in target["remedies"]]
        print(f"\n{_head(number, target['provider'], target['model'])}")
        print(f"  reasoning seen in  {target['reasoning_seen_in'] or 'nothing yet'}")
        print(f"  self_heal          {healing}; learnt: {', '.join(remedies) or 'nothing'}")


def _brief(value: dict[str, Any]) -> str:
    """Such as `attempts=2 cooldown_s=30.0`; what is not set is left out."""
    return " ".join(f"{key}={each}" for key, each in value.items() if each is not None and each is not False)
