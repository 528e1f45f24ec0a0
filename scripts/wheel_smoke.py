"""Run by scripts/wheel-smoke in an empty environment: does the installed wheel serve? Standard library only."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("reasoning-proxy"))
START_LIMIT_S = 20
MODELS = ("demo-reasoning-content", "demo-details", "demo-think-tags")


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_providers(expected: int) -> None:
    """The built-in providers travelled in the wheel."""
    listed = subprocess.run([COMMAND, "providers", "--json"], check=True, capture_output=True, text=True).stdout
    found = len(json.loads(listed))
    if found != expected:
        sys.exit(f"wheel-smoke: {found} built-in providers are in the wheel, {expected} in the checkout")
    print(f"wheel-smoke: {found} built-in providers")


def wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    """Returns once /readyz answers 200."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"wheel-smoke: the server was not ready within {START_LIMIT_S} s")


def ask(url: str, model: str) -> tuple[str, str]:
    """(reasoning, answer) of one streamed completion."""
    question = {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": "Which is larger, 9.9 or 9.11?"}],
    }
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(question).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        events = [line[6:].strip() for line in response if line.startswith(b"data: ")]
    if events[-1:] != [b"[DONE]"]:
        sys.exit(f"wheel-smoke: the stream of {model} does not end with [DONE]")
    chunks: list[dict[str, Any]] = [json.loads(event) for event in events[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    reasoning = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    return reasoning, "".join(delta.get("content") or "" for delta in deltas)


def main() -> None:
    """Providers, three dialects, and an orderly end."""
    check_providers(int(sys.argv[1]))
    address = f"127.0.0.1:{free_port()}"
    server = subprocess.Popen([COMMAND, "serve", "--listen", address])
    try:
        wait_until_ready(f"http://{address}", server)
        for model in MODELS:
            reasoning, answer = ask(f"http://{address}", model)
            if not reasoning or not answer or "<think" in answer or "</think" in reasoning + answer:
                sys.exit(f"wheel-smoke: {model} gave reasoning {reasoning!r} and answer {answer!r}")
            print(f"wheel-smoke: {model}: {len(reasoning)} characters of reasoning, {len(answer)} of answer")
        server.terminate()
        if server.wait(timeout=30) not in (0, -signal.SIGTERM):
            sys.exit(f"wheel-smoke: the server ended with {server.returncode}")
    finally:
        server.kill()
    print("wheel-smoke: the wheel serves")


if __name__ == "__main__":
    main()
