"""Finding and reading the routing table of a command."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.cli.failure import Failure
from proxy.settings import Settings, SettingsError, find_config, load

SEARCHED = "-c FILE, REASONING_PROXY_CONFIG, ./config/proxy.yaml"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `-c FILE`."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="the routing table (default: REASONING_PROXY_CONFIG, then ./config/proxy.yaml)",
    )


def locate(explicit: Path | None) -> Path | None:
    """The file to read, None where there is none to be found. Raises Failure for one that was named and is missing."""
    path = find_config(explicit, os.environ, Path.cwd())
    # Not is_file(): a pipe such as /dev/stdin may be read as well.
    if path is not None and (path.is_dir() or not path.exists()):
        named = "" if explicit else " (named by REASONING_PROXY_CONFIG)"
        raise Failure(f"{path}: {'not a file' if path.is_dir() else 'no such file'}{named}")
    return path


def required(explicit: Path | None) -> Path:
    """As `locate`, but raises Failure where there is no file."""
    path = locate(explicit)
    if path is None:
        raise Failure(f"no configuration file found (looked for {SEARCHED})")
    return path


def read(path: Path) -> Settings:
    """The settings of `path`. Raises Failure with every mistake in it."""
    with mistakes_told():
        return load(path, os.environ)


@contextmanager
def mistakes_told() -> Iterator[None]:
    """Turns a SettingsError into a Failure that lists its mistakes."""
    try:
        yield
    except SettingsError as error:
        raise Failure("\n".join(["the configuration is wrong", *map(str, error.mistakes)])) from error
