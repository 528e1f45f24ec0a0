"""`reasoning-proxy replay`: recordings served as an upstream."""

import argparse
import sys
from pathlib import Path

from proxy.cli.command import argument, describe, port
from proxy.cli.failure import Failure
from proxy.demo import background
from proxy.demo.recordings import Library, RecordingError
from proxy.demo.replay import Replay, speed_of
from proxy.edge.listeners import bind

DEFAULT_PORT = 8081
_HOST = "127.0.0.1"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "Serves a folder of recorded answers as an OpenAI-compatible upstream on a loopback port: NAME.sse or "
            "NAME.json answers the model NAME, byte for byte, at its own pace (NAME.timing) or a default one."
        ),
        examples=("reasoning-proxy replay recordings --port 8081 --speed 4",),
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder with the recordings")
    parser.add_argument(
        "--port", type=argument(port, "port"), default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}; 0: a free one"
    )
    parser.add_argument(
        "--speed",
        type=argument(speed_of, "speed"),
        default=1.0,
        metavar="X",
        help="2 is twice as fast as recorded, inf does not wait",
    )


def run(args: argparse.Namespace) -> int:
    """Serves until it is interrupted."""
    try:
        library = Library(args.dir)
    except RecordingError as error:
        raise Failure(str(error)) from error
    try:
        bound = bind(f"{_HOST}:{args.port}")
    except OSError as error:
        raise Failure(f"cannot listen on {_HOST}:{args.port}: {error.strerror}; choose another --port") from error
    names = library.names()
    print(
        f"{len(names)} recordings of {args.dir} on http://{_HOST}:{bound.getsockname()[1]}/v1 "
        f"(models: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''})",  # noqa: PLR2004 - enough to see what they are
        file=sys.stderr,
        flush=True,
    )
    background.silence()
    with bound:
        background.server(Replay(library, speed=args.speed), lifespan=False).run(sockets=[bound])
    return 0
