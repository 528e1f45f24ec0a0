"""`reasoning-proxy normalize`: a recorded upstream body through the core, offline."""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from proxy.cli import configuration
from proxy.cli.command import argument, describe
from proxy.cli.failure import Failure
from proxy.core.dialect import Dialect
from proxy.core.errors import ProxyError
from proxy.core.render import Rendering, parse_rendering
from proxy.core.stream import AnswerContext, StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from proxy.settings import BuiltIn, Provider, builtins
from proxy.settings.mistakes import did_you_mean

_READ_BYTES = 64 * 1024
_WHITE_SPACE = b" \t\r\n\xef\xbb\xbf"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "Reads an upstream's answer (SSE or JSON) from stdin and writes what a client of the proxy would get. "
            "Exit code 1, with the message on stderr, where the answer is an error or is broken."
        ),
        examples=(
            "reasoning-proxy normalize < recordings/answer.sse",
            "reasoning-proxy normalize --render 'think_tags' --stream no < recordings/answer.sse",
        ),
    )
    parser.add_argument(
        "--provider", metavar="NAME", help="read it as this provider speaks: a built-in, or one of -c FILE"
    )
    configuration.add_option(parser)
    parser.add_argument("--model", default="", help="upstream model: chooses the provider's `models:` block")
    parser.add_argument(
        "--render",
        type=argument(parse_rendering),
        default=Rendering(),
        metavar="RENDERING",
        help="as X-Reasoning-Render",
    )
    parser.add_argument(
        "--stream",
        choices=("auto", "yes", "no"),
        default="auto",
        help="what the client asks for; auto: SSE for SSE, JSON for JSON (default)",
    )


def run(args: argparse.Namespace) -> int:
    """Copies stdin to stdout, normalised."""
    dialect = _dialect(args)
    reads = _reads(sys.stdin.buffer)
    head = b""
    for data in reads:
        head += data
        if head.strip(_WHITE_SPACE):
            break
    if not head.strip(_WHITE_SPACE):
        raise Failure("stdin is empty: give it an upstream's body")
    stream = _is_sse(head) if args.stream == "auto" else args.stream == "yes"
    context = AnswerContext(
        dialect=dialect,
        rendering=args.render,
        model=args.model or "unknown",
        # The same body gives the same ids, so that two runs can be compared.
        fresh=lambda: (f"chatcmpl-{hashlib.sha256(head).hexdigest()[:24]}", int(time.time())),
        include_usage=True,
    )
    error = _stream(context, head, reads) if stream else _whole(context, head, reads)
    if error:
        raise Failure(f"{error.status} {error.code or error.type}: {error.message}")
    return 0


def _stream(context: AnswerContext, head: bytes, reads: Iterator[bytes]) -> ProxyError | None:
    """Writes events as they become complete. What precedes the first content is thrown away if an error comes first."""
    pipeline = StreamPipeline(context, Timeline(time.monotonic()))
    held = b""
    for data in chain([head], reads):
        held += pipeline.feed(data, time.monotonic())
        if pipeline.begun:
            _write(held)
            held = b""
        if pipeline.done:
            break
    held += pipeline.close(time.monotonic())
    if pipeline.begun or not pipeline.error:
        _write(held)
    return pipeline.error


def _whole(context: AnswerContext, head: bytes, reads: Iterator[bytes]) -> ProxyError | None:
    pipeline = WholePipeline(context, Timeline(time.monotonic()))
    for data in chain([head], reads):
        pipeline.feed(data, time.monotonic())
    body = pipeline.close(time.monotonic())
    if not pipeline.error:
        _write(body + b"\n" if sys.stdout.isatty() else body)
    return pipeline.error


def _is_sse(head: bytes) -> bool:
    return head.lstrip(_WHITE_SPACE)[:1] not in {b"{", b"["}


def _reads(source: BinaryIO) -> Iterator[bytes]:
    while data := getattr(source, "read1", source.read)(_READ_BYTES):
        yield data


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _dialect(args: argparse.Namespace) -> Dialect:
    if not args.provider:
        return Dialect()
    known: dict[str, Provider | BuiltIn] = dict(builtins())
    if args.config:
        known |= configuration.read(configuration.required(args.config)).providers
    provider = known.get(args.provider)
    if provider is None:
        hint = did_you_mean(args.provider, known) or "see `reasoning-proxy providers`"
        raise Failure(
            f"no built-in{' or provider of the file' if args.config else ''} is named {args.provider!r}: {hint}"
        )
    return provider.manner_of(args.model).response
