"""`explain` with a request, and against a running proxy."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import live, main
from proxy.core.healing import Remedy
from tests.support.scripted import scripted
from tests.support.served import good
from tests.support.server import running, settings_of

TABLE = """version: 1
providers:
  switched:
    base_url: "http://127.0.0.1:9/v1"
    api_key: {env: KEY}
    request:
      on: {thinking: {type: enabled}}
      off: {thinking: {type: disabled}}
      effort: {field: reasoning_effort, levels: [low, high]}
      hide: {include_reasoning: false}
      default: off
    history: {replay: field, field: reasoning, self_heal: true}
  plain: {base_url: "http://127.0.0.1:9/v1"}
  stern: {base_url: "http://127.0.0.1:9/v1", request: {on: {}, on_unsupported: reject}}
routes:
  - {model: r1, targets: [switched/big, plain/small]}
  - {model: "s*", targets: [stern/big]}
  - {model: verbatim, targets: [plain/small], render: passthrough}
"""
QUESTION = {"role": "user", "content": "Is 3599 prime?"}


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str

    @property
    def targets(self) -> list[dict[str, Any]]:
        targets: list[dict[str, Any]] = json.loads(self.out)["targets"]
        return targets


Explain = Callable[..., Told]


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Explain:
    """Calls the command in a folder with the table, and with a key in the environment."""
    (tmp_path / "proxy.yaml").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    for name in ("REASONING_PROXY_URL", "REASONING_PROXY_KEY", "REASONING_PROXY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY", "sk-canary-77")

    def call(*args: str, config: bool = True, stdin: bytes = b"") -> Told:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = main(["explain", *args, *(["-c", "proxy.yaml"] if config else [])])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert "canary" not in out + err
        return Told(code, out, err)

    return call


@pytest.mark.parametrize(
    ("options", "switched", "plain", "notes"),
    [
        (
            ["--effort", "high"],
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
            {"reasoning_effort": "high"},
            [],
        ),
        (
            ["--budget", "2048"],
            {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            ["budget=2048->effort=low"],
        ),
        (["--no-reasoning"], {"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}, []),
        (["--hide"], {}, {"include_reasoning": False}, []),
        (
            ["--hide", "--effort", "max"],
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high", "include_reasoning": False},
            {"reasoning_effort": "max", "include_reasoning": False},
            ["effort=max->high"],
        ),
        (["--stream"], *[{"stream": True, "stream_options": {"include_usage": True}}] * 2, []),
    ],
    ids=" ".join,
)
def test_the_body_of_each_target_is_the_very_one_that_would_be_sent(
    explain: Explain, options: list[str], switched: Any, plain: Any, notes: list[str]
) -> None:
    told = explain("r1", *options, "--json")
    assert told.code == 0
    first, second = told.targets
    assert first == {
        "provider": "switched",
        "model": "big",
        "body": {"model": "big", "messages": [QUESTION], **switched},
        "notes": notes,
        "refused": None,
    }
    assert second["body"] == {"model": "small", "messages": [QUESTION], **plain}


def test_the_rendering_of_the_route_counts(explain: Explain) -> None:
    assert "stream_options" not in explain("verbatim", "--stream", "--json").targets[0]["body"]


def test_bodies_are_printed_for_people_with_their_notes(explain: Explain) -> None:
    told = explain("r1", "--effort", "max")
    lines = told.out.splitlines()
    assert lines[0] == "target 1: switched/big"
    assert "notes: effort=max->high" in lines
    assert "target 2: plain/small" in lines
    assert json.loads(told.out.split("target 1: switched/big\n")[1].split("notes:")[0])["reasoning_effort"] == "high"


def test_what_a_target_refuses_is_told_in_place_of_its_body(explain: Explain) -> None:
    told = explain("s1", "--effort", "high")
    assert told.code == 0
    assert "refused with a 400: reasoning_effort: this target cannot express effort=high. Leave it out." in told.out
    assert explain("s1", "--effort", "high", "--json").targets[0]["body"] is None


def test_a_body_of_the_users_own_is_taken_from_a_file_or_from_stdin(explain: Explain, tmp_path: Path) -> None:
    turn = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm"}
    own = json.dumps({"messages": [QUESTION, turn, QUESTION], "seed": 7, "model": "x"})
    (tmp_path / "own.json").write_text(own)
    for told in (
        explain("r1", "--body", "own.json", "--json"),
        explain("r1", "--body", "-", "--json", stdin=own.encode()),
    ):
        sent = told.targets[0]["body"]
        assert (sent["model"], sent["seed"]) == ("big", 7)
        assert sent["messages"][1] == {"role": "assistant", "content": "Yes.", "reasoning": "Hm"}


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"{", "stdin: no JSON"), (b"[]", "stdin: a request is a JSON object"), (b'{"messages": 1}', "stdin: a request")],
)
def test_what_is_no_request_is_told(explain: Explain, body: bytes, message: str) -> None:
    told = explain("r1", "--body", "-", stdin=body)
    assert (told.code, told.out) == (1, "")
    assert message in told.err


def test_a_body_that_is_not_there_is_told(explain: Explain) -> None:
    told = explain("r1", "--body", "nowhere.json")
    assert told.code == 1
    assert "nowhere.json: No such file or directory" in told.err


@pytest.mark.parametrize(
    "options",
    [
        ["--effort", "high", "--budget", "7"],
        ["--no-reasoning", "--effort", "high"],
        ["--budget", "0"],
        ["--live", "--effort", "high"],
        ["--live", "--stream"],
        ["--url", "http://127.0.0.1:9"],
    ],
    ids=" ".join,
)
def test_options_that_exclude_each_other_are_wrong_usage(explain: Explain, options: list[str]) -> None:
    told = explain("r1", *options)
    assert told.code == 2
    assert told.err.startswith("usage: reasoning-proxy explain")


# --live


def test_a_running_proxy_tells_what_it_has_learnt(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(settings_of(TABLE, {"KEY": "sk-canary-77"})) as proxy:
        before = explain("r1", "--live", "--url", proxy.url, config=False)
        proxy.service.seen.learn("switched", "big", "reasoning_content")
        target = proxy.service.metrics.target("r1", "switched", "big")
        proxy.service.healings.learn("switched", "big", [Remedy("drop", "reasoning", "message")], target)
        monkeypatch.setenv("REASONING_PROXY_URL", f"{proxy.url}/v1/")
        after = explain("r1", "--live", config=False)
        machine = explain("r1", "--live", "--json", config=False)
        unknown = explain("r/ä?", "--live", config=False)
    assert before.out.splitlines() == [
        f"route r1 at {proxy.url}",
        "",
        "target 1: switched/big",
        "  reasoning seen in  nothing yet",
        "  self_heal          on; learnt: nothing",
        "",
        "target 2: plain/small",
        "  reasoning seen in  nothing yet",
        "  self_heal          off; learnt: nothing",
    ]
    assert after.out.splitlines()[3:5] == [
        "  reasoning seen in  reasoning_content",
        "  self_heal          on; learnt: drop reasoning (message)",
    ]
    assert machine.targets[0]["remedies"] == [{"action": "drop", "field": "reasoning", "place": "message"}]
    assert unknown.code == 1
    assert "No route serves 'r/ä?'" in unknown.err


def test_the_address_comes_from_the_configuration_where_nothing_else_says_it(explain: Explain, tmp_path: Path) -> None:
    with running(settings_of(TABLE, {"KEY": "x"})) as proxy:
        address = proxy.url.removeprefix("http://")
        for server in (f"listen: '{address}'", f"listen: '127.0.0.1:9', admin: '{address}'"):
            (tmp_path / "proxy.yaml").write_text(f"{TABLE}server: {{{server}}}\n")
            assert explain("r1", "--live").out.startswith(f"route r1 at {proxy.url}\n")


def test_no_proxy_there_is_told(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://127.0.0.1:9", "nonsense", "http://[", "ftp://127.0.0.1"):
        told = explain("r1", "--live", "--url", url, config=False)
        assert (told.code, told.out) == (1, "")
        assert f"cannot ask {url}" in told.err
    monkeypatch.setattr(live, "DEFAULT_URL", "http://127.0.0.1:1")
    assert "cannot ask http://127.0.0.1:1 " in explain("r1", "--live", config=False).err
    monkeypatch.setenv("REASONING_PROXY_KEY", "b\nd")
    assert "REASONING_PROXY_KEY" in explain("r1", "--live", "--url", "http://127.0.0.1:9", config=False).err


def test_an_address_without_operations_is_told(explain: Explain) -> None:
    guarded = TABLE + "server: {listen: '0.0.0.0:8080', open: true}\n"
    with running(settings_of(guarded, {"KEY": "x"})) as proxy, scripted(good) as other:
        hidden = explain("r1", "--live", "--url", proxy.url, config=False)
        foreign = explain("r1", "--live", "--url", other.url, config=False)
    assert hidden.code == foreign.code == 1
    assert "server.admin" in hidden.err
    assert "not as this proxy does" in foreign.err
