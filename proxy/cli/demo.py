"""`reasoning-proxy demo`: one question, three dialects, one client."""

import argparse
import importlib
import math
import os
import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from proxy.app import create_app
from proxy.cli import figures
from proxy.cli.command import describe
from proxy.cli.failure import Failure
from proxy.cli.terminal import Transcript, paint
from proxy.core import sse
from proxy.core.codec import loads
from proxy.core.timeline import Timeline
from proxy.demo import background, table
from proxy.demo.background import serving
from proxy.demo.recordings import Recording
from proxy.demo.replay import Replay
from proxy.telemetry.logs import Log

QUESTION = "Is 3599 prime?"

MODELS = {
    "demo-reasoning-content": "sends reasoning_content",
    "demo-details": "sends reasoning and reasoning_details",
    "demo-think-tags": "writes <think> tags into content, cut across chunks",
}

_WIRE_LINES = 2
_SHOWN_CHARACTERS = 190
"""Of a line, on a terminal: what follows is the same in every line."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds help and options."""
    describe(
        parser,
        run,
        description=(
            "Starts the proxy and an embedded replay upstream in this process, asks one question of three providers "
            "that each speak another dialect, and reads all three answers with the same OpenAI SDK code. Reasoning is "
            "yellow, the answer green."
        ),
        examples=("reasoning-proxy demo", "reasoning-proxy demo --fast"),
    )
    parser.add_argument("--fast", action="store_true", help="without the recordings' pace")


def run(args: argparse.Namespace) -> int:
    """Prints what the upstreams send, then what the client reads."""
    openai = _import_openai()
    library = table.library()
    print(f"Question: {paint(QUESTION, 'bold', sys.stdout)}\n\nWhat the three upstreams put on the wire:\n")
    for model, title in MODELS.items():
        recording = library.find(model)
        if recording is None:
            raise Failure(f"the recording of {model} is missing from this installation")
        print(f"{paint(model, 'cyan', sys.stdout)}: {title}")
        for line in wire_lines(recording):
            print(_wrapped(line))
    print("\nWhat one client reads through the proxy, from delta.reasoning_content and delta.content:\n")
    background.silence()
    with (
        Path(os.devnull).open("w") as nowhere,
        serving(Replay(library, speed=math.inf if args.fast else 1.0)) as upstream,
        serving(create_app(table.settings(upstream), log=Log(nowhere)), lifespan=True) as proxy,
        openai.OpenAI(
            base_url=f"{proxy}/v1",
            api_key="unused",
            max_retries=0,
            # A proxy of the environment cannot reach this machine's own loopback addresses.
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as client,
    ):
        # The first request of an SDK client spends its time on imports; that is not what the figures are about.
        client.models.list()
        for model in MODELS:
            _show(openai, client, model)
    return 0


def read_answer(client: Any, model: str, transcript: Transcript) -> Timeline:
    """Streams one answer of the OpenAI SDK's `client` into `transcript`: the same code for every upstream."""
    timeline = Timeline(time.monotonic())
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        if chunk.usage:
            timeline.usage = chunk.usage.model_dump()
        for choice in chunk.choices:
            if reasoning := getattr(choice.delta, "reasoning_content", None):
                timeline.reasoning(time.monotonic())
                transcript.reasoning(reasoning)
            if choice.delta.content:
                timeline.answer(time.monotonic())
                transcript.answer(choice.delta.content)
    timeline.end(time.monotonic())
    return timeline


def wire_lines(recording: Recording) -> list[str]:
    """The first two lines of a recorded stream that carry text, as they are on the wire."""
    lines: list[str] = []
    for event in recording.events:
        for name, payload in sse.EventParser().feed(event):
            if name is not None and payload != sse.DONE and _carries_text(payload):
                lines.append(event.decode().rstrip())
    return lines[:_WIRE_LINES]


def _carries_text(payload: bytes) -> bool:
    deltas = (choice["delta"] for choice in loads(payload)["choices"])
    return any(value for delta in deltas for key, value in delta.items() if key != "role")


def _show(openai: Any, client: Any, model: str) -> None:
    print(paint(f"{model}", "cyan", sys.stdout))
    transcript = Transcript(sys.stdout, sys.stdout, reasoning_style="yellow", answer_style="green")
    try:
        timeline = read_answer(client, model, transcript)
    except openai.OpenAIError as error:
        raise Failure(f"{model}: {error}") from error
    finally:
        transcript.close()
    print(f"{paint(figures.line(timeline), 'bold', sys.stdout)}\n")


def _wrapped(line: str) -> str:
    if not sys.stdout.isatty():
        return f"  {line}"
    if len(line) > _SHOWN_CHARACTERS:
        line = f"{line[:_SHOWN_CHARACTERS]}…"
    width = max(20, shutil.get_terminal_size().columns - 2)
    return textwrap.indent("\n".join(line[at : at + width] for at in range(0, len(line), width)), "  ")


def _import_openai() -> Any:
    try:
        return importlib.import_module("openai")
    except ImportError as error:
        raise Failure("the demo reads with the OpenAI SDK, which is not installed: pip install openai") from error
