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
COMMANDS = ["serve", "demo", "chat", "check", "explain", "normalize", "replay", "providers"]
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
WRONG = """version: 1
providers:
  house: {base_ur: "http://127.0.0.1:9/v1"}
routes:
  - model: r1
    targets: [hause/r1-large]
    strategy: fastes
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


# Help and usage


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(tmp_path: Path, command: str) -> None:
    told = _run(tmp_path, command, "--help")
    assert told.returncode == 0
    assert re.search(rf"examples?:\n  .*reasoning-proxy {command}", told.stdout)


def test_the_help_lists_every_command(tmp_path: Path) -> None:
    told = _run(tmp_path, "--help")
    assert told.returncode == 0
    assert all(re.search(rf"^    {command}\b", told.stdout, re.MULTILINE) for command in COMMANDS)


def test_version_is_the_packages(tmp_path: Path) -> None:
    told = _run(tmp_path, "--version")
    assert (told.returncode, told.stdout) == (0, "reasoning-proxy 0.1.0\n")


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("swerve",),
        ("serve", "--what"),
        ("serve", "--workers", "0"),
        ("serve", "--listen", "8080"),
        ("serve", "--listen", "127.0.0.1:99999"),
        ("explain",),
        ("replay",),
        ("replay", ".", "--port", "-1"),
        ("replay", ".", "--speed", "0"),
        ("normalize", "--stream", "maybe"),
        ("normalize", "--render", "think_tag"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_the_usage(tmp_path: Path, args: tuple[str, ...]) -> None:
    told = _run(tmp_path, *args)
    assert told.returncode == 2
    assert told.stderr.startswith("usage: reasoning-proxy")
    assert told.stdout == ""


def test_a_wrong_rendering_names_the_near_one(tmp_path: Path) -> None:
    assert "think_tags" in _run(tmp_path, "normalize", "--render", "think_tag").stderr


# check


def test_check_counts_what_is_well(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    told = _run(tmp_path, "check", "-c", "good.yaml")
    assert (told.returncode, told.stdout, told.stderr) == (0, "ok: 1 providers, 2 routes\n", "")


def test_check_tells_every_mistake_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    told = _run(tmp_path, "check", "-c", "wrong.yaml")
    assert told.returncode == 1
    lines = [int(match[1]) for match in re.finditer(r"wrong\.yaml:(\d+):\d+ ", told.stdout)]
    assert {3, 6, 7} <= set(lines)
    assert 'did you mean "base_url"?' in told.stdout


def test_check_json_tells_the_same_to_machines(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "wrong.yaml").write_text(WRONG)
    good = _run(tmp_path, "check", "-c", "good.yaml", "--json")
    wrong = _run(tmp_path, "check", "-c", "wrong.yaml", "--json")
    assert good.returncode == 0 and wrong.returncode == 1
    assert json.loads(good.stdout) == {"ok": True, "file": "good.yaml", "mistakes": [], "providers": 1, "routes": 2}
    mistakes = json.loads(wrong.stdout)["mistakes"]
    assert {"file", "line", "column", "path", "message", "hint"} == set(mistakes[0])
    assert (3, "providers.house.base_ur") in [(mistake["line"], mistake["path"]) for mistake in mistakes]


@pytest.mark.parametrize("text", ["", "version: 1\n\tproviders:", "a: [1", "- 1", "\x00", "&a [*a]"])
def test_check_tells_what_is_no_configuration_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    told = _run(tmp_path, "check", "-c", "wrong.yaml")
    assert told.returncode == 1
    assert "wrong.yaml" in told.stdout


def test_the_configuration_is_found_where_the_documentation_says(tmp_path: Path) -> None:
    nothing = _run(tmp_path, "check")
    assert nothing.returncode == 1
    assert "no configuration file found" in nothing.stderr
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "proxy.yaml").write_text(GOOD)
    assert _run(tmp_path, "check").stdout.startswith("ok:")
    (tmp_path / "wrong.yaml").write_text(WRONG)
    assert _run(tmp_path, "check", REASONING_PROXY_CONFIG="wrong.yaml").returncode == 1
    assert _run(tmp_path, "check", "-c", "config/proxy.yaml", REASONING_PROXY_CONFIG="wrong.yaml").returncode == 0


@pytest.mark.parametrize("command", [("check",), ("explain", "r1"), ("serve",)])
def test_a_named_file_that_is_not_there_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    by_option = _run(tmp_path, *command, "-c", "nowhere.yaml")
    by_variable = _run(tmp_path, *command, REASONING_PROXY_CONFIG="elsewhere.yaml")
    folder = _run(tmp_path, *command, "-c", ".")
    assert (by_option.returncode, by_variable.returncode, folder.returncode) == (1, 1, 1)
    assert "nowhere.yaml: no such file" in by_option.stderr
    assert "elsewhere.yaml: no such file (named by REASONING_PROXY_CONFIG)" in by_variable.stderr
    assert ".: not a file" in folder.stderr


# explain


def test_explain_shows_the_target_and_where_values_come_from(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD.replace("}", ", response: {tags: {blocks: all}}}", 1))
    told = _run(tmp_path, "explain", "r1", "-c", "good.yaml")
    assert told.returncode == 0
    assert "house/r1-large" in told.stdout
    line = next(line for line in told.stdout.splitlines() if "response.tags.blocks" in line)
    assert "all" in line and "good.yaml:3" in line
    other = next(line for line in told.stdout.splitlines() if "response.tags.position" in line)
    assert "start" in other and "default" in other


def test_explain_resolves_wildcards_to_the_upstream_model(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(
        GOOD.replace("house/qwen", "house/{model}-x", 1).replace("[house/{", '["house/{').replace("-x]", '-x"]')
    )
    told = _run(tmp_path, "explain", "qwen3", "-c", "good.yaml")
    assert told.returncode == 0
    assert "house/qwen3-x" in told.stdout


def test_explain_json_is_an_object(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    told = _run(tmp_path, "explain", "r1", "-c", "good.yaml", "--json")
    assert told.returncode == 0
    assert json.loads(told.stdout)["targets"][0]["model"] == "r1-large"


def test_explain_of_an_unknown_model_names_close_ones(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    told = _run(tmp_path, "explain", "r11", "-c", "good.yaml")
    assert told.returncode == 1
    assert "r11" in told.stderr and "r1" in told.stderr.replace("r11", "")


def test_explain_and_check_never_show_a_secret(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD.replace("}", ", api_key: {env: HOUSE_KEY}}", 1))
    for args in (("check",), ("check", "--json"), ("explain", "r1"), ("explain", "r1", "--json")):
        told = _run(tmp_path, *args, "-c", "good.yaml", HOUSE_KEY="sk-canary-77")
        assert told.returncode == 0
        assert "canary" not in told.stdout + told.stderr


# providers


def test_providers_prints_one_built_in_a_line_its_name_first(tmp_path: Path) -> None:
    told = _run(tmp_path, "providers")
    names = [line.split()[0] for line in told.stdout.splitlines()]
    assert told.returncode == 0
    assert names == sorted(path.stem for path in (ROOT / "config" / "providers").glob("*.yaml"))
    assert "openrouter" in names


def test_providers_json_has_the_same_names(tmp_path: Path) -> None:
    listed = json.loads(_run(tmp_path, "providers", "--json").stdout)
    assert [each["name"] for each in listed] == [
        line.split()[0] for line in _run(tmp_path, "providers").stdout.splitlines()
    ]
    assert all(each["base_url"].startswith("http") and each["sources"] for each in listed)


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


# normalize


def _texts(sse: str) -> tuple[str, str]:
    chunks = [json.loads(line[6:]) for line in sse.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return (
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
        "".join(delta.get("content") or "" for delta in deltas),
    )


@pytest.mark.parametrize("model", MODELS)
def test_normalize_gives_one_schema_streamed_and_whole(tmp_path: Path, model: str) -> None:
    body = (STREAMS / f"{model}.sse").read_bytes()
    streamed = _run(tmp_path, "normalize", stdin=body)
    whole = _run(tmp_path, "normalize", "--stream", "no", stdin=body)
    assert (streamed.returncode, whole.returncode) == (0, 0)
    reasoning, answer = _texts(streamed.stdout)
    assert reasoning.endswith(".") and "59 × 61" in answer
    assert "<" not in reasoning + answer
    assert streamed.stdout.endswith("data: [DONE]\n\n")
    message = json.loads(whole.stdout)["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == (reasoning, answer)
    assert json.loads(whole.stdout)["usage"]["completion_tokens"] > 100


def test_normalize_answers_json_with_json_and_with_a_stream_if_asked(tmp_path: Path) -> None:
    answer = {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "<think>why</think>because"},
                "finish_reason": "stop",
            }
        ],
    }
    body = b"\n \n" + json.dumps(answer).encode()
    whole = _run(tmp_path, "normalize", stdin=body)
    streamed = _run(tmp_path, "normalize", "--stream", "yes", stdin=body)
    message = json.loads(whole.stdout)["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("why", "because")
    assert _texts(streamed.stdout) == ("why", "because")


def test_normalize_renders_as_asked(tmp_path: Path) -> None:
    body = (STREAMS / "demo-details.sse").read_bytes()
    told = _run(tmp_path, "normalize", "--render", "think_tags", stdin=body)
    reasoning, content = _texts(told.stdout)
    assert reasoning == ""
    assert content.startswith("<think>Try small") and "</think>3599 is" in content


def test_normalize_reads_as_the_provider_of_a_file_speaks(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD.replace("}", ", response: {tags: {pairs: [['[R]', '[/R]']]}}}", 1))
    answer = {"choices": [{"message": {"content": "[R]why[/R]because"}, "finish_reason": "stop"}]}
    told = _run(tmp_path, "normalize", "--provider", "house", "-c", "good.yaml", stdin=json.dumps(answer).encode())
    assert json.loads(told.stdout)["choices"][0]["message"]["reasoning_content"] == "why"


def test_normalize_reads_as_every_built_in_speaks(tmp_path: Path) -> None:
    answer = {"choices": [{"message": {"content": "x", "reasoning_content": "why"}, "finish_reason": "stop"}]}
    told = _run(tmp_path, "normalize", "--provider", "deepseek", stdin=json.dumps(answer).encode())
    assert json.loads(told.stdout)["choices"][0]["message"]["reasoning_content"] == "why"


def test_normalize_names_close_providers(tmp_path: Path) -> None:
    told = _run(tmp_path, "normalize", "--provider", "deepsek", stdin=b"{}")
    assert told.returncode == 1
    assert 'did you mean "deepseek"?' in told.stderr


@pytest.mark.parametrize("stream", ["auto", "yes", "no"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "stdin is empty"),
        (b" \n", "stdin is empty"),
        (b'{"error": {"message": "overloaded", "type": "x"}}', "overloaded"),
        (b'data: {"error": {"message": "overloaded"}}\n\ndata: [DONE]\n\n', "overloaded"),
        (b"<html>no</html>", "reasoning-proxy: 502"),
        (b'{"choices": [', "reasoning-proxy: 502"),
    ],
)
def test_normalize_of_an_error_is_exit_code_1_with_its_message(
    tmp_path: Path, body: bytes, told: str, stream: str
) -> None:
    done = _run(tmp_path, "normalize", "--stream", stream, stdin=body)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr


def test_normalize_of_a_stream_that_breaks_off_writes_what_there_was_and_the_error(tmp_path: Path) -> None:
    body = (STREAMS / "demo-reasoning-content.sse").read_bytes()[:4000]
    done = _run(tmp_path, "normalize", stdin=body)
    assert done.returncode == 1
    assert _texts(done.stdout)[0].startswith("Look for a square")
    assert "upstream_protocol" in done.stderr
    assert '"error":' in done.stdout and '"finish_reason":"stop"' not in done.stdout


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


def test_replay_of_no_folder_or_an_empty_one_is_told(tmp_path: Path) -> None:
    assert "No such file" in _run(tmp_path, "replay", "nowhere").stderr
    empty = _run(tmp_path, "replay", ".")
    assert empty.returncode == 1
    assert "no recording in it" in empty.stderr


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        replay = _run(tmp_path, "replay", str(STREAMS), "--port", port)
        serve = _run(tmp_path, "serve", "--listen", f"127.0.0.1:{port}")
    assert (replay.returncode, serve.returncode) == (1, 1)
    assert "in use; choose another --port" in replay.stderr
    assert "in use; choose another address with --listen" in serve.stderr


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
        assert process.wait(30) == 130
        assert process.stderr is not None
        told = process.stderr.read().decode()
    assert "embedded demo table" in told
    assert f"listening on {base}" in told
    assert "demo-details -> details-upstream/demo-details" in told
    assert f"curl -N {base}/chat/completions" in told
    assert "Traceback" not in told


def test_serve_tells_every_mistake_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    told = _run(tmp_path, "serve", "-c", "wrong.yaml")
    assert told.returncode == 1
    assert "wrong.yaml:3:" in told.stderr and "wrong.yaml:7:" in told.stderr


def test_serve_refuses_a_public_address_without_client_keys(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    told = _run(tmp_path, "serve", "-c", "good.yaml", "--listen", f"0.0.0.0:{_free_port()}")
    assert told.returncode == 1
    assert "is public and no `clients` are listed" in told.stderr


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


def test_ctrl_c_ends_a_conversation_quietly(tmp_path: Path, proxy: str) -> None:
    terminal = Terminal(tmp_path, "chat", "--url", proxy, "-m", "demo-details")
    terminal.wait_for("> ")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.close() == 130
