"""`explain --effort high` prints the very body that the running proxy sends, for every built-in."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from proxy.cli import main
from tests.support.builtin_files import data, key_of, names
from tests.support.scripted import Asked, Wire, answer, delta, scripted
from tests.support.server import running, settings_of

OPTIONS: list[tuple[list[str], dict[str, Any]]] = [
    (["--effort", "high"], {"reasoning_effort": "high"}),
    (["--budget", "3000"], {"thinking": {"type": "enabled", "budget_tokens": 3000}}),
    (["--no-reasoning"], {"reasoning_effort": "none"}),
    (["--hide", "--stream"], {"include_reasoning": False, "stream": True}),
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "?"},
    {"role": "assistant", "content": "<think>Hm</think>", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    {"role": "assistant", "content": "So.", "reasoning_content": "Aha"},
    {"role": "user", "content": "And?"},
]


def model_of(name: str) -> str:
    """A model that the most of the built-in's patterns are about."""
    patterns = list(data(name).get("models", {}))
    return patterns[-1].replace("*", "") if patterns else "some-model"


async def silent(asked: Asked, wire: Wire) -> None:
    """Shows no reasoning, so that nothing is learnt of where it stands."""
    if asked.json.get("stream"):
        await wire.events(delta({"content": "Hi"}), delta({}, "stop"))
    else:
        await wire.whole(answer(reasoning=""))


def test_what_explain_prints_is_what_each_built_in_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {key: "secret-key-0123" for name in names() if (key := key_of(name))}
    for key, value in keys.items():
        monkeypatch.setenv(key, value)
    with scripted(silent) as upstream:
        targets = [{"provider": name, "model": model_of(name)} for name in names()]
        table = {
            "version": 1,
            "providers": {name: {"base_url": upstream.url} for name in names()},
            "routes": [
                {"model": "all", "targets": targets},
                *({"model": f"{target['provider']}/m", "targets": [target]} for target in targets),
            ],
        }
        file = tmp_path / "proxy.yaml"
        file.write_text(json.dumps(table))
        settings = settings_of(file.read_text(), keys)
        for options, words in OPTIONS:
            body = json.dumps({"model": "all", "messages": MESSAGES}).encode()
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
            assert main(["explain", "all", *options, "--body", "-", "--json", "-c", str(file)]) == 0
            told = json.loads(capsys.readouterr().out)["targets"]
            # A new proxy for each: what it learns of its targets is in no configuration.
            with running(settings) as proxy, httpx2.Client(base_url=proxy.url) as client:
                for name, each in zip(names(), told, strict=True):
                    sent = {"model": f"{name}/m", "messages": MESSAGES, **words}
                    response = client.post("/v1/chat/completions", json=sent)
                    assert response.status_code == 200, response.text
                    assert each["body"] == upstream.asked[-1].json, name
                    assert ", ".join(each["notes"]) == response.headers.get("x-reasoning-proxy-notes", ""), name
