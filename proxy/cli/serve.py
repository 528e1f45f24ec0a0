"""`reasoning-proxy serve`: the proxy itself."""

import argparse
import sys
import tempfile
from pathlib import Path

from proxy import app
from proxy.cli import address, configuration
from proxy.cli.command import argument, describe, positive
from proxy.demo import table
from proxy.demo.background import serving
from proxy.demo.replay import Replay
from proxy.settings import Settings, with_admin, with_listen
from proxy.settings.formats import parse_listen

_ROUTES_TOLD = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "Serves the routing table of a configuration file. Where no file is found, it serves the embedded demo "
            "table, whose models are answered by recordings: no key and no network are needed."
        ),
        examples=("reasoning-proxy serve -c proxy.yaml --listen 127.0.0.1:8080",),
    )
    configuration.add_option(parser)
    parser.add_argument(
        "--listen",
        type=argument(parse_listen, "address"),
        metavar="ADDR",
        help="HOST:PORT, instead of server.listen of the file",
    )
    parser.add_argument(
        "--admin",
        type=argument(parse_listen, "address"),
        metavar="ADDR",
        help="HOST:PORT of metrics, readiness and reload, instead of server.admin of the file",
    )
    parser.add_argument(
        "--workers",
        type=argument(positive, "number of processes"),
        default=1,
        metavar="N",
        help="processes (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Serves until it is stopped."""
    path = configuration.locate(args.config)
    if path is None:
        _tell(f"no configuration file found (looked for {configuration.SEARCHED}): serving the embedded demo table")
        # In a file, because several workers each read it for themselves.
        with serving(Replay(table.library())) as upstream, tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "demo-table.yaml"
            written.write_text(table.text(upstream), "utf-8")
            return _serve(configuration.read(written), args)
    _tell(f"configuration: {path}")
    return _serve(configuration.read(path), args)


def _serve(settings: Settings, args: argparse.Namespace) -> int:
    with configuration.mistakes_told():
        settings = with_listen(settings, args.listen) if args.listen else settings
        settings = with_admin(settings, args.admin) if args.admin else settings
        settings = with_listen(settings, address.require_free(settings.server.listen, "--listen or server.listen"))
        if settings.server.admin:
            settings = with_admin(settings, address.require_free(settings.server.admin, "--admin or server.admin"))
    _announce(settings)
    return app.serve(settings, workers=args.workers)


def _announce(settings: Settings) -> None:
    base = f"{address.url_of(settings.server.listen)}/v1"
    _tell(f"listening on {base}" + (f", admin on {settings.server.admin}" if settings.server.admin else ""))
    for route in settings.routes[:_ROUTES_TOLD]:
        targets = ", ".join(f"{target.provider.name}/{target.model}" for target in route.targets)
        _tell(f"  {route.model} -> {targets}")
    if len(settings.routes) > _ROUTES_TOLD:
        _tell(f"  and {len(settings.routes) - _ROUTES_TOLD} more routes (GET {base}/models)")
    model = next((route.model for route in settings.routes if "*" not in route.model), "MODEL")
    key = ' -H "authorization: Bearer $KEY"' if settings.clients else ""
    body = f'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Is 3599 prime?"}}]}}'
    _tell(f"try: curl -N {base}/chat/completions{key} -H 'content-type: application/json' -d '{body}'")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
