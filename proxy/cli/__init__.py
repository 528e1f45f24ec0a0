"""The command line. One module per command; see `docs/cli.md`."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence

from proxy import __version__
from proxy.cli.failure import Failure
from proxy.cli.terminal import paint

COMMANDS = {
    "serve": "run the proxy",
    "demo": "see three dialects read by one client; needs no key and no network",
    "chat": "a conversation in the terminal, through a running proxy",
    "check": "validate the configuration",
    "explain": "how a model is resolved, and where each value comes from",
    "normalize": "run a recorded upstream body through the core, offline",
    "replay": "serve recordings as an upstream",
    "doctor": "probe a live upstream: how it speaks, and which YAML reads it",
    "providers": "list the built-in providers",
}
"""Name and summary. The module of a command is imported when it is called: most need a fraction of the others' imports."""

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
        words = sys.argv[1:] if argv is None else list(argv)
        args = _parser(words).parse_args(words)
        code: int = args.run(args)
        sys.stdout.flush()
    except Failure as error:
        return _complain(str(error))
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


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasoning-proxy",
        description="An OpenAI-compatible proxy that gives every provider's reasoning in one schema.",
        epilog="example:\n  reasoning-proxy demo\n\n`reasoning-proxy COMMAND --help` says more about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"reasoning-proxy {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    called = next((word for word in words if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == called:
            importlib.import_module(f"proxy.cli.{name}").configure(command)
    return parser
