"""The command line. One module per command; see `docs/cli.md`."""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from proxy import __version__
from proxy.cli import chat, check, demo, explain, normalize, providers, replay, serve
from proxy.cli.failure import Failure
from proxy.cli.terminal import paint
from proxy.settings import SettingsError

COMMANDS = (serve, demo, chat, check, explain, normalize, replay, providers)

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""
BROKEN_PIPE = 141
"""128 + SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 well, 1 the user's mistake or a failed check, 2 usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Text of models may hold what an encoding lacks, such as half an emoji.
            stream.reconfigure(errors="replace")
    try:
        args = _parser().parse_args(argv)
        code: int = args.run(args)
        sys.stdout.flush()
    except Failure as error:
        return _complain(str(error))
    except SettingsError as error:
        return _complain("\n".join(str(mistake) for mistake in error.mistakes))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _complain(message: str) -> int:
    print(f"{paint('reasoning-proxy:', 'red', sys.stderr)} {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasoning-proxy",
        description="An OpenAI-compatible proxy that gives every provider's reasoning in one schema.",
        epilog="example:\n  reasoning-proxy demo\n\n`reasoning-proxy COMMAND --help` says more about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"reasoning-proxy {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(commands)
    return parser
