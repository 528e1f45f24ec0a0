"""The commands, as a user calls them."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).resolve().parents[2]
STREAMS = ROOT / "proxy" / "demo" / "streams"
CALL = [sys.executable, "-m", "proxy.cli"]
MODELS = ["demo-details", "demo-reasoning-content", "demo-think-tags"]

GOOD = """version: 1
providers:
  house: {base_url: "http://127.0.0.1:9/v1"}
routes:
  - model: r1
    targets: [house/r1-large]
  - model: "q*"
    targets: [house/qwen]
"""


def _environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REASONING_PROXY", "COV"))}
    kept.pop("NO_COLOR", None)
    return kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm", **extra}


def _run(folder: Path, *args: str, stdin: bytes = b"", **extra: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*CALL, *args], cwd=folder, env=_environment(**extra), input=stdin, capture_output=True, timeout=60, check=False
    )
    told = subprocess.CompletedProcess(args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in told.stderr
    assert "\x1b" not in told.stdout + told.stderr, "colour in a pipe"
    return told


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(folder: Path, *args: str, port: int, path: str = "/livez") -> Iterator[subprocess.Popen[bytes]]:
    """A command that serves, from the moment it answers until it is told to stop."""
    with subprocess.Popen(
        [*CALL, *args], cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    raise AssertionError(f"did not start: {process.stderr.read().decode() if process.stderr else ''}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a proxy whose upstream replays the demo's recordings without waiting."""
    folder = tmp_path_factory.mktemp("proxy")
    upstream, port = _free_port(), _free_port()
    routes = "".join(f"  - {{model: {model}, targets: [house/{model}]}}\n" for model in MODELS)
    text = f"version: 1\nproviders:\n  house: {{base_url: 'http://127.0.0.1:{upstream}/v1'}}\nroutes:\n{routes}"
    (folder / "proxy.yaml").write_text(text)
    with (
        _running(folder, "replay", str(STREAMS), "--port", str(upstream), "--speed", "inf", port=upstream),
        _running(folder, "serve", "-c", "proxy.yaml", "--listen", f"127.0.0.1:{port}", port=port),
    ):
        yield f"http://127.0.0.1:{port}/v1"


def _texts(sse: str) -> tuple[str, str]:
    chunks = [json.loads(line[6:]) for line in sse.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
    return (
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
        "".join(delta.get("content") or "" for delta in deltas),
    )


def test_the_commands_work_from_a_shell(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "wrong.yaml").write_text(GOOD.replace("targets", "target"))
    assert _run(tmp_path, "--version").stdout.startswith("reasoning-proxy ")
    assert _run(tmp_path).returncode == 2
    assert _run(tmp_path, "check", "-c", "good.yaml").stdout == "ok: 1 providers, 2 routes\n"
    assert _run(tmp_path, "check", "-c", "wrong.yaml").returncode == 1
    assert "house/r1-large" in _run(tmp_path, "explain", "r1", "-c", "good.yaml").stdout
    assert "openrouter" in _run(tmp_path, "providers").stdout
    told = _run(tmp_path, "normalize", stdin=(STREAMS / "demo-think-tags.sse").read_bytes())
    assert told.returncode == 0
    assert _texts(told.stdout)[1].startswith("No. The next square")


def test_a_reader_that_leaves_is_no_stack_trace(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*CALL, "providers", "--json"],
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


# replay


def test_replay_serves_a_folder_and_stops_quietly_on_ctrl_c(tmp_path: Path) -> None:
    port = _free_port()
    with _running(tmp_path, "replay", str(STREAMS), "--port", str(port), "--speed", "inf", port=port) as process:
        answer = httpx2.post(
            f"http://127.0.0.1:{port}/v1/chat/completions", json={"model": "demo-details"}, trust_env=False
        )
        assert answer.content == (STREAMS / "demo-details.sse").read_bytes()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        told = process.stderr.read().decode()
    assert told.count("\n") == 1
    assert told.startswith("3 recordings of ") and f":{port}/v1" in told


# serve


def test_serve_without_a_file_serves_the_embedded_demo_table(tmp_path: Path) -> None:
    port = _free_port()
    with _running(tmp_path, "serve", "--listen", f"127.0.0.1:{port}", port=port) as process:
        base = f"http://127.0.0.1:{port}/v1"
        listed = httpx2.get(f"{base}/models", trust_env=False).json()
        assert sorted(model["id"] for model in listed["data"]) == MODELS
        body = {"model": "demo-think-tags", "stream": True, "messages": [{"role": "user", "content": "Is 3599 prime?"}]}
        answer = httpx2.post(f"{base}/chat/completions", json=body, trust_env=False, timeout=30)
        assert answer.headers["x-reasoning-proxy-target"] == "tags-upstream/demo-think-tags"
        reasoning, content = _texts(answer.text)
        assert reasoning.startswith("Is there a square") and content.startswith("No.")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr is not None
        told = process.stderr.read().decode()
    assert "embedded demo table" in told
    assert f"listening on {base}" in told
    assert "demo-details -> details-upstream/demo-details" in told
    assert f"curl -N {base}/chat/completions" in told
    assert "Traceback" not in told


# chat


def test_chat_in_a_pipe_gives_the_answer_alone_on_stdout(tmp_path: Path, proxy: str) -> None:
    told = _run(tmp_path, "chat", "--url", proxy, "-m", "demo-think-tags", "Is", "3599", "prime?")
    assert told.returncode == 0
    assert told.stdout.startswith("No. The next square") and told.stdout.count("\n") == 1
    reasoning, figures = told.stderr.splitlines()
    assert reasoning.startswith("Is there a square just above 3599?")
    assert re.fullmatch(
        r"demo-think-tags \| first chunk \d+\.\d\d s \| first reasoning \d+\.\d\d s \| first answer \d+\.\d\d s"
        r" \| total \d+\.\d\d s \| tokens 16 in, \d+ out",
        figures,
    )


def test_chat_takes_its_prompt_from_a_pipe_and_its_url_from_the_environment(tmp_path: Path, proxy: str) -> None:
    told = _run(tmp_path, "chat", "-m", "demo-details", stdin=b"Is 3599 prime?\n", REASONING_PROXY_URL=proxy)
    assert told.returncode == 0
    assert told.stdout.startswith("3599 is not prime")


def test_chat_without_a_model_asks_the_first_one(tmp_path: Path, proxy: str) -> None:
    first = httpx2.get(f"{proxy}/models", trust_env=False).json()["data"][0]["id"]
    assert f"{first} | first chunk" in _run(tmp_path, "chat", "--url", proxy, "hello").stderr


def test_chat_tells_what_goes_wrong(tmp_path: Path, proxy: str) -> None:
    unknown = _run(tmp_path, "chat", "--url", proxy, "-m", "demo-detail", "hello")
    nothing = _run(tmp_path, "chat", "--url", proxy)
    nobody = _run(tmp_path, "chat", "--url", f"http://127.0.0.1:{_free_port()}", "hello")
    assert (unknown.returncode, nothing.returncode, nobody.returncode) == (1, 1, 1)
    assert "answers 404" in unknown.stderr and "demo-details" in unknown.stderr
    assert "no prompt" in nothing.stderr
    assert "cannot reach" in nobody.stderr and "reasoning-proxy serve" in nobody.stderr


class Terminal:
    """A command on a pseudo terminal."""

    def __init__(self, folder: Path, *args: str, **extra: str) -> None:
        self._leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [*CALL, *args],
            cwd=folder,
            env=_environment(**extra),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self.text = ""

    def say(self, line: str) -> None:
        os.write(self._leader, line.encode() + b"\n")

    def wait_for(self, text: str) -> str:
        """Reads until `text` has come; returns what was read up to its end."""
        deadline = time.monotonic() + 30
        while text not in self.text:
            ready, _, _ = select.select([self._leader], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come: {self.text!r}"
            try:
                self.text += os.read(self._leader, 65536).decode("utf-8", "replace")
            except OSError:  # Linux says EIO where the other end is closed.
                raise AssertionError(f"{text!r} did not come: {self.text!r}") from None
        before, _, self.text = self.text.partition(text)
        return before + text

    def close(self) -> int:
        code = self.process.wait(20)
        os.close(self._leader)
        return code


def test_chat_on_a_terminal_is_a_conversation_with_dimmed_reasoning(tmp_path: Path, proxy: str) -> None:
    terminal = Terminal(tmp_path, "chat", "--url", proxy, "-m", "demo-think-tags")
    terminal.wait_for("demo-think-tags at ")
    terminal.wait_for("> ")
    terminal.say("Is 3599 prime?")
    shown = terminal.wait_for("tokens 16 in")
    assert "\x1b[2m" in shown and "\x1b[2mNo." not in shown
    assert shown.index("square") < shown.index("No")
    terminal.wait_for("> ")
    terminal.say("/model nonsense")
    terminal.wait_for("now asking nonsense")
    terminal.say("hello")
    terminal.wait_for("error:")
    terminal.wait_for("404")
    terminal.wait_for("> ")
    terminal.say("/models")
    terminal.wait_for("demo-reasoning-content")
    terminal.say("/model demo-details")
    terminal.wait_for("now asking demo-details")
    terminal.say("And now?")
    terminal.wait_for("tokens 20 in")
    terminal.say("/quit")
    assert terminal.close() == 0


def test_no_color_on_a_terminal_gives_headings_instead(tmp_path: Path, proxy: str) -> None:
    terminal = Terminal(tmp_path, "chat", "--url", proxy, "-m", "demo-details", "Is 3599 prime?", NO_COLOR="1")
    shown = terminal.wait_for("tokens 20 in")
    assert shown.startswith("[reasoning]\r\nTry small") and "[answer]\r\n3599 is" in shown
    assert "\x1b[" not in shown
    assert terminal.close() == 0


def test_ctrl_c_stops_an_answer_and_the_conversation_goes_on(tmp_path: Path) -> None:
    port = _free_port()
    with _running(tmp_path, "replay", str(STREAMS), "--port", str(port), "--speed", "0.5", port=port):
        terminal = Terminal(tmp_path, "chat", "--url", f"http://127.0.0.1:{port}", "-m", "demo-reasoning-content")
        terminal.wait_for("> ")
        terminal.say("Is 3599 prime?")
        terminal.wait_for("square")
        terminal.process.send_signal(signal.SIGINT)
        assert "prime" not in terminal.wait_for("stopped; the question is forgotten")
        terminal.wait_for("> ")
        terminal.say("/new")
        terminal.wait_for("a new conversation")
        terminal.say("/quit")
        assert terminal.close() == 0
        once = Terminal(tmp_path, "chat", "--url", f"http://127.0.0.1:{port}", "-m", "demo-reasoning-content", "x")
        once.wait_for("square")
        once.process.send_signal(signal.SIGINT)
        assert once.close() == 130


def test_ctrl_c_ends_a_conversation_quietly(tmp_path: Path, proxy: str) -> None:
    terminal = Terminal(tmp_path, "chat", "--url", proxy, "-m", "demo-details")
    terminal.wait_for("> ")
    # input() misses a signal that comes between its prompt and its wait.
    for _ in range(20):
        terminal.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            terminal.process.wait(0.5)
            break
    assert terminal.close() == 130
