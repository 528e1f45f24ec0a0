"""`reasoning-proxy doctor`: probes a live upstream, and says which YAML reads it."""

import argparse
import asyncio
import json
import os
import sys
from typing import Any

from proxy.cli import configuration
from proxy.cli.command import argument, describe, positive
from proxy.cli.examination import Examination, Finding
from proxy.cli.failure import Failure
from proxy.cli.probes import Prober, brief
from proxy.cli.terminal import Style, paint
from proxy.core.codec import loads_first
from proxy.settings import Settings, builtins
from proxy.settings import loads as settings_of
from proxy.settings.mistakes import did_you_mean
from proxy.settings.model import Provider
from proxy.upstream.listing import names_in

_MARKS: dict[bool | None, tuple[str, Style]] = {True: ("ok", "green"), False: ("!!", "red"), None: ("--", "dim")}
_SHOWN = 12
_OK = 200


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "Asks a provider a few short questions, as the proxy would: whether it streams, where its reasoning is, "
            "whether it can be switched off, whether a second turn and a tool's result are taken. Says what the "
            "configuration does not fit, and which YAML does. At most a dozen requests, which cost tokens. Exit code "
            "1 where something does not fit."
        ),
        examples=(
            "reasoning-proxy doctor house --model qwen3-8b",
            "reasoning-proxy doctor house -c proxy.yaml --json",
        ),
        epilog="environment:\n  REASONING_PROXY_KEY  the key for a provider with `api_key: {from: client}`",
    )
    parser.add_argument("provider", metavar="PROVIDER", help="a provider of the configuration, or a built-in")
    parser.add_argument("--model", metavar="M", help="as the provider calls it (default: the first that a route names)")
    configuration.add_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--timeout",
        type=argument(positive, "number of seconds"),
        default=120,
        metavar="S",
        help="seconds that a request may take (default: 120)",
    )


def run(args: argparse.Namespace) -> int:
    """Probes and reports."""
    settings = _settings(args)
    return asyncio.run(_examine(settings, settings.providers[args.provider], args))


def _settings(args: argparse.Namespace) -> Settings:
    """The configuration where it has this provider, else one of the built-in alone. Raises Failure."""
    path = configuration.locate(args.config)
    settings = configuration.read(path) if path else None
    if settings is not None and args.provider in settings.providers:
        return settings
    known = builtins()
    if args.provider not in known:
        names = [*known, *(settings.providers if settings else ())]
        hint = did_you_mean(args.provider, names) or "see `reasoning-proxy providers`"
        where = f"no built-in and no provider of {path}" if path else "no built-in"
        raise Failure(f"{where} is named {args.provider!r}: {hint}")
    route = f'{{model: "*", targets: [{{provider: {args.provider}, model: "{{model}}"}}]}}'
    with configuration.mistakes_told():
        return settings_of(
            f"version: 1\nproviders: {{{args.provider}: {{}}}}\nroutes: [{route}]\n", "built-in", os.environ
        )


async def _examine(settings: Settings, provider: Provider, args: argparse.Namespace) -> int:
    prober = Prober(provider, args.timeout)
    try:
        listed, finding = await _listed(prober)
        model = args.model or _routed(settings, provider) or (listed[0] if len(listed) == 1 else None)
        if model is None:
            raise Failure(f"say which model with --model{_choice(listed)}")
        if listed and model not in listed:
            finding = Finding("models", None, f"{finding.says}; {model} is not among them")
        examination = Examination(prober, provider.manner_of(model), model, builtins().values())
        examination.findings.append(finding)
        await examination.run()
    finally:
        await prober.aclose()
    (_print_json if args.json else _print)(provider, model, examination)
    return 0 if all(each.ok is not False for each in examination.findings) else 1


async def _listed(prober: Prober) -> tuple[list[str], Finding]:
    heard = await prober.get("/models")
    if heard.status != _OK:
        return [], Finding("models", None, f"no list ({heard.status})")
    try:
        told: Any = loads_first(heard.body)
    except (ValueError, RecursionError):
        told = None
    found = list(names_in(told))
    return found, Finding("models", True if found else None, f"{len(found)} listed")


def _routed(settings: Settings, provider: Provider) -> str | None:
    """The first model of this provider that a route names."""
    targets = (target for route in settings.routes for target in route.targets)
    return next((t.model for t in targets if t.provider.name == provider.name and "{" not in t.model), None)


def _choice(listed: list[str]) -> str:
    if not listed:
        return ""
    rest = len(listed) - _SHOWN
    return f"; the provider lists {', '.join(listed[:_SHOWN])}" + (f" and {rest} more" if rest > 0 else "")


def _print(provider: Provider, model: str, examination: Examination) -> None:
    print(f"{paint(f'{provider.name}/{model}', 'cyan', sys.stdout)} at {provider.base_url}")
    width = max(len(each.probe) for each in examination.findings)
    for each in examination.findings:
        mark, style = _MARKS[each.ok]
        print(f"  {paint(mark, style, sys.stdout)}  {each.probe.ljust(width)}  {each.says}")
    if examination.blocks:
        print(f"\nwhat fits it (in `providers:`, under `{provider.name}:`):\n")
        for block, values in examination.blocks.items():
            print(f"  {block}:")
            for key, value in values.items():
                print(f"    {key}: {brief(value)}")
    elif all(each.ok is not False for each in examination.findings):
        print("\nthe configuration fits it")


def _print_json(provider: Provider, model: str, examination: Examination) -> None:
    findings = [{"probe": each.probe, "ok": each.ok, "says": each.says} for each in examination.findings]
    told = {"provider": provider.name, "model": model, "base_url": provider.base_url, "findings": findings}
    print(json.dumps({**told, "yaml": examination.blocks}, indent=2, ensure_ascii=False))
