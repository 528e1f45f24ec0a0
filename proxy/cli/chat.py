"""`reasoning-proxy chat`: a conversation in the terminal, through a running proxy."""

import argparse
import contextlib
import importlib
import os
import sys
from typing import Any

from proxy.cli import figures
from proxy.cli.api import Api, Turn
from proxy.cli.command import describe
from proxy.cli.failure import Failure
from proxy.cli.terminal import Transcript, paint

DEFAULT_URL = "http://127.0.0.1:8080/v1"

_HELP = """/model NAME  ask another model from now on
/models      list the models
/new         forget the conversation
/quit        leave (also Ctrl-D); Ctrl-C stops an answer"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "Asks a running proxy and prints reasoning, answer, times and tokens. Without PROMPT it takes the prompt "
            "from a pipe, or starts a conversation on a terminal. If the output is piped, it is the answer alone; "
            "reasoning and times then go to stderr."
        ),
        examples=(
            'reasoning-proxy chat -m demo-think-tags "Is 3599 prime?"',
            "git diff | reasoning-proxy chat -m r1 > review.md",
        ),
        epilog=(
            "environment:\n  REASONING_PROXY_URL  where the proxy is, as --url\n"
            "  REASONING_PROXY_KEY  the client key, where the proxy asks for one"
        ),
    )
    parser.add_argument("-m", "--model", help="model to ask (default: the first one that the proxy lists)")
    parser.add_argument("--url", help=f"base URL of the proxy (default: {DEFAULT_URL})")
    parser.add_argument("prompt", nargs="*", metavar="PROMPT", help="what to ask")


def run(args: argparse.Namespace) -> int:
    """One question, or a conversation until the user leaves."""
    prompt = " ".join(args.prompt).strip()
    if not prompt and not sys.stdin.isatty():
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise Failure("no prompt: give it as an argument or through a pipe")
    url = args.url or os.environ.get("REASONING_PROXY_URL") or DEFAULT_URL
    with Api(url, os.environ.get("REASONING_PROXY_KEY", "")) as api:
        conversation = Conversation(api, args.model or _first_model(api))
        if not prompt:
            return _converse(conversation)
        conversation.ask(prompt)
    return 0


class Conversation:
    """A history of messages, and the model that is asked next. Turns keep their reasoning."""

    def __init__(self, api: Api, model: str) -> None:
        self.api = api
        self.model = model
        self.messages: list[dict[str, Any]] = []

    def ask(self, prompt: str) -> Turn:
        """Asks and prints. The question and the answer join the history only if the answer is complete."""
        apart = not sys.stdout.isatty()
        transcript = Transcript(sys.stderr if apart else sys.stdout, sys.stdout)
        asked = [*self.messages, {"role": "user", "content": prompt}]
        turn = self.api.ask(self.model, asked, transcript)
        self.messages = [*asked, turn.message()]
        told = sys.stderr if apart else sys.stdout
        print(paint(f"{self.model} | {figures.line(turn.timeline)}", "cyan", told), file=told)
        return turn


def _first_model(api: Api) -> str:
    names = [name for name in api.models() if "*" not in name]
    if not names:
        raise Failure("the proxy lists no model by its full name: choose one with -m")
    return names[0]


def _converse(conversation: Conversation) -> int:
    with contextlib.suppress(ImportError):
        # Importing it gives input() line editing and recall; not on every platform.
        importlib.import_module("readline")
    print(f"{conversation.model} at {conversation.api.url}; /help lists the commands")
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            print()
            raise
        try:
            if line in {"/quit", "/exit"}:
                return 0
            if line.startswith("/"):
                _obey(conversation, line)
            elif line:
                conversation.ask(line)
        except Failure as error:
            print(f"{paint('error:', 'red', sys.stderr)} {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped; the question is forgotten", file=sys.stderr)


def _obey(conversation: Conversation, line: str) -> None:
    word, _, rest = line.partition(" ")
    name = rest.strip()
    if word == "/model" and name:
        conversation.model = name
        print(f"now asking {name}")
    elif word == "/models":
        print("\n".join(conversation.api.models()))
    elif word == "/new":
        conversation.messages = []
        print("a new conversation")
    else:
        print(_HELP)
