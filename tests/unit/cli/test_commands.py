"""The commands, called in this process: what they print and their exit codes."""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from proxy.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[3]
STREAMS = ROOT / "proxy" / "demo" / "streams"
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


def _run(folder: Path, *args: str, stdin: bytes = b"", **extra: str) -> subprocess.CompletedProcess[str]:
    """One call as a shell would make it from `folder`, with nothing but `extra` in its environment."""
    out, err = io.BytesIO(), io.BytesIO()
    told, complained = (io.TextIOWrapper(buffer, "utf-8", write_through=True) for buffer in (out, err))
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, extra, clear=True),
        mock.patch.multiple(sys, stdin=io.TextIOWrapper(io.BytesIO(stdin)), stdout=told, stderr=complained),
    ):
        try:
            code = main(args)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    done = subprocess.CompletedProcess(args, code, out.getvalue().decode(), err.getvalue().decode())
    assert "\x1b" not in done.stdout + done.stderr, "colour in a pipe"
    return done


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


def test_explain_tells_the_options_of_the_route(tmp_path: Path) -> None:
    route = "targets: [house/r1-large]"
    (tmp_path / "good.yaml").write_text(GOOD.replace(route, f"{route}\n    render: details; steps=line", 1))
    first = _run(tmp_path, "explain", "r1", "-c", "good.yaml").stdout.splitlines()[0]
    assert first.startswith("route r1 (good.yaml:5): strategy failover, retry attempts=2")
    assert first.endswith("render form=details steps=line")


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


# normalize


def _texts(sse: str) -> tuple[str, str]:
    chunks = [json.loads(line[6:]) for line in sse.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
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
    assert streamed.stdout.count('"role"') == 1
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


# replay and serve, where they do not get to serve


def test_replay_of_no_folder_or_an_empty_one_is_told(tmp_path: Path) -> None:
    assert "No such file" in _run(tmp_path, "replay", "nowhere").stderr
    empty = _run(tmp_path, "replay", ".")
    assert empty.returncode == 1
    assert "no recording in it" in empty.stderr


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken, socket.socket() as admin:
        for each in (taken, admin):
            each.bind(("127.0.0.1", 0))
            each.listen()
        port = taken.getsockname()[1]
        admin_address = f"127.0.0.1:{admin.getsockname()[1]}"
        (tmp_path / "admin.yaml").write_text(f"{GOOD}server: {{listen: '127.0.0.1:0', admin: '{admin_address}'}}\n")
        replay = _run(tmp_path, "replay", str(STREAMS), "--port", str(port))
        serve = _run(tmp_path, "serve", "--listen", f"127.0.0.1:{port}")
        with_admin = _run(tmp_path, "serve", "-c", "admin.yaml")
    assert (replay.returncode, serve.returncode, with_admin.returncode) == (1, 1, 1)
    assert "in use; choose another --port" in replay.stderr
    assert "in use; choose another address with --listen" in serve.stderr
    assert "in use; choose another address with --admin or server.admin" in with_admin.stderr


def test_serve_tells_every_mistake_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    told = _run(tmp_path, "serve", "-c", "wrong.yaml")
    assert told.returncode == 1
    assert "wrong.yaml:3:" in told.stderr and "wrong.yaml:7:" in told.stderr


def test_serve_refuses_a_public_address_without_client_keys(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    told = _run(tmp_path, "serve", "-c", "good.yaml", "--listen", "0.0.0.0:0")
    assert told.returncode == 1
    assert "is public and no `clients` are listed" in told.stderr
