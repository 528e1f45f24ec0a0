"""The body that each target would be sent for a sample request, or for one of the user's own."""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from proxy.cli.command import argument, positive
from proxy.cli.failure import Failure
from proxy.core.codec import loads_exact
from proxy.core.errors import RequestInvalid
from proxy.core.request import prepare
from proxy.routing import Match, targets

_MESSAGES = [{"role": "user", "content": "Is 3599 prime?"}]


@dataclass(frozen=True, slots=True)
class Told:
    """What one target would get. Without a body, `refused` says why the client would get a 400 instead."""

    provider: str
    model: str
    body: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    """What `x-reasoning-proxy-notes` would say."""
    refused: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The whole as JSON data."""
        return asdict(self)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that make a request."""
    group = parser.add_argument_group("the body that would be sent")
    grade = group.add_mutually_exclusive_group()
    grade.add_argument("--effort", metavar="LEVEL", help="ask for this effort, such as high")
    grade.add_argument("--budget", type=argument(positive), metavar="N", help="ask for at most N tokens of reasoning")
    grade.add_argument("--no-reasoning", action="store_true", help="ask for no reasoning")
    group.add_argument("--hide", action="store_true", help="ask for reasoning that is not returned")
    group.add_argument("--stream", action="store_true", help="ask for a stream")
    group.add_argument("--body", metavar="FILE", help="take this JSON body instead of a sample; - is stdin")


def wanted(args: argparse.Namespace) -> bool:
    """Whether any of these options was given."""
    graded = args.effort is not None or args.budget is not None or args.no_reasoning
    return bool(graded or args.hide or args.stream or args.body is not None)


def request_of(args: argparse.Namespace) -> dict[str, Any]:
    """The client's request that the options describe, in the spellings that most clients use. Raises Failure."""
    body: dict[str, Any] = {"messages": _MESSAGES} if args.body is None else _read(args.body)
    body = {"model": args.model, **body} | {"model": args.model}
    if args.effort is not None:
        body["reasoning_effort"] = args.effort
    if args.no_reasoning:
        body["reasoning_effort"] = "none"
    if args.budget is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": args.budget}
    if args.hide:
        body["include_reasoning"] = False
    if args.stream:
        body["stream"] = True
    return body


def told(match: Match, body: dict[str, Any]) -> list[Told]:
    """What each target of the route would get for this request, in the order of the file."""
    found = []
    verbatim = match.route.render is not None and match.route.render.form == "passthrough"
    for resolved in targets(match):
        name = resolved.target.provider.name
        try:
            manner = resolved.target.manner_of(resolved.model)
            prepared = prepare(body, manner, model=resolved.model, verbatim=verbatim)
        except RequestInvalid as error:
            found.append(Told(name, resolved.model, refused=error.message))
        else:
            found.append(Told(name, resolved.model, prepared.body, prepared.notes))
    return found


def _read(name: str) -> dict[str, Any]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Failure(f"{name}: {error.strerror}") from error
    where = "stdin" if name == "-" else name
    try:
        body = loads_exact(data)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{where}: no JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise Failure(f"{where}: a request is a JSON object with a list of messages")
    return body
