"""What the commands' modules share: each has a `configure(parser)`, and a `run(args) -> int` that gives the exit code."""

import argparse
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Run = Callable[[argparse.Namespace], int]


def describe(
    parser: argparse.ArgumentParser, run: Run, *, description: str, examples: tuple[str, ...], epilog: str = ""
) -> None:
    """Gives `parser` its help, which ends with the examples, and `run` as what it runs."""
    shown = "\n".join(["examples:" if len(examples) > 1 else "example:", *(f"  {example}" for example in examples)])
    parser.description = description
    parser.epilog = f"{epilog}\n\n{shown}" if epilog else shown
    parser.formatter_class = _Formatter
    parser.set_defaults(run=run)


def argument(parse: Callable[[str], T], what: str | None = None) -> Callable[[str], T]:
    """An argument type: `parse`, whose ValueError becomes a usage error; `what` is the thing that it is not, where the message does not say."""

    def typed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: {error}" if what else str(error)) from error

    return typed


def positive(text: str) -> int:
    """An integer above 0. Raises ValueError."""
    return _within(text, 1, None)


def port(text: str) -> int:
    """A TCP port, 0 for a free one. Raises ValueError."""
    return _within(text, 0, 65535)


def _within(text: str, least: int, most: int | None) -> int:
    bounds = f"write a number from {least} to {most}" if most is not None else f"write a number from {least} up"
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        raise ValueError(bounds)
    return int(text)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Wraps descriptions, and keeps the lines of epilogs as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text or text.startswith("example"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)  # noqa: SLF001 - the base class's own hook
