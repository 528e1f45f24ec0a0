"""Every value with its origin; secrets as references only."""

import json
from collections.abc import Callable
from pathlib import Path

from proxy.core.dialect import History, Manner
from proxy.settings import Provider, Route, Server, Settings, Target
from proxy.settings.explain import TargetExplanation, explain

Reading = Callable[..., Settings]

TABLE = """\
providers:
  local: {}
  mine:
    like: alpha
    api_key: {file: k}
    headers: {x-signed: {env: SIGNED}}
    timeouts: {connect: 2s}
    response:
      tags: {trim: inner}
      details: null
      fields: null
    models:
      "b*": {request: {set: {top_k: 5}}}
routes:
  - model: "r-*"
    render: drop
    targets:
      - provider: mine
        model: "{*}"
        history: {scope: current_turn}
      - local/x
"""


def explained(read: Reading, tmp_path: Path) -> tuple[dict[str, object], dict[str, str], TargetExplanation]:
    (tmp_path / "k").write_text("file-secret")
    explanation = explain(read(TABLE, {"SIGNED": "signed-secret"}), "r-big")
    assert explanation is not None
    first = explanation.targets[0]
    values = first.connection + first.manner
    return (
        {e.path: e.value for e in values},
        {e.path: e.origin.replace(f"{tmp_path}/", "") for e in values},
        explanation.targets[1],
    )


def test_each_value_names_who_gave_it_and_where(read: Reading, tmp_path: Path) -> None:
    values, origins, _ = explained(read, tmp_path)
    assert (values["base_url"], origins["base_url"]) == (
        "https://api.alpha.example/v1",
        "built-in alpha (config/providers/alpha.yaml:2)",
    )
    assert (values["api_key"], origins["api_key"]) == ("{file: k}", "provider mine (t.yaml:5)")
    assert (values["timeouts.connect"], origins["timeouts.connect"]) == ("2s", "provider mine (t.yaml:7)")
    assert (values["timeouts.idle"], origins["timeouts.idle"]) == (
        "60s",
        "built-in alpha (config/providers/alpha.yaml:5)",
    )
    assert (values["timeouts.total"], origins["timeouts.total"]) == ("0s", "default")
    assert (values["response.tags.trim"], origins["response.tags.trim"]) == ("inner", "provider mine (t.yaml:9)")
    assert (values["response.tags.blocks"], origins["response.tags.blocks"]) == (
        "all",
        "built-in alpha (config/providers/alpha.yaml:8)",
    )
    assert (values["request.default_effort"], origins["request.default_effort"]) == (
        "high",
        'built-in alpha, models "big*" (config/providers/alpha.yaml:15)',
    )
    assert (values["request.set.top_k"], origins["request.set.top_k"]) == (5, 'provider mine, models "b*" (t.yaml:13)')
    assert (values["history.scope"], origins["history.scope"]) == ("current_turn", 'route "r-*", target 1 (t.yaml:20)')
    assert (values["history.memory"], origins["history.memory"]) == ("off", "default")


def test_null_is_told_as_a_return_to_the_default(read: Reading, tmp_path: Path) -> None:
    values, origins, _ = explained(read, tmp_path)
    assert origins["response.fields"] == "default, by null in provider mine (t.yaml:11)"
    assert isinstance(values["response.fields"], list)
    assert (values["response.details"], origins["response.details"]) == (None, "provider mine (t.yaml:10)")


def test_every_leaf_of_the_blocks_is_listed(read: Reading, tmp_path: Path) -> None:
    _, _, second = explained(read, tmp_path)
    paths = {e.path for e in second.manner}
    assert {"response.details.snapshots", "response.flag.equals", "response.tags.pairs", "request.budget"} <= paths
    assert {e.origin for e in second.manner} == {"default"}
    assert len(paths) == len(second.manner)


def test_the_route_is_told_too(read: Reading, tmp_path: Path) -> None:
    (tmp_path / "k").write_text("file-secret")
    explanation = explain(read(TABLE, {"SIGNED": "signed-secret"}), "r-big")
    assert explanation is not None
    assert (explanation.route, explanation.wildcard, explanation.strategy) == ("r-*", "big", "failover")
    assert explanation.origin.endswith("t.yaml:15")
    assert explanation.render == {"form": "drop", "steps": None, "complete_tool_calls": False}
    assert [(t.provider, t.model) for t in explanation.targets] == [("mine", "big"), ("local", "x")]


def test_no_secret_is_in_the_explanation(read: Reading, tmp_path: Path) -> None:
    (tmp_path / "k").write_text("file-secret")
    explanation = explain(read(TABLE, {"SIGNED": "signed-secret"}), "r-big")
    assert explanation is not None
    text = json.dumps(explanation.as_dict()) + repr(explanation)
    assert "{env: SIGNED}" in text
    assert "file-secret" not in text
    assert "signed-secret" not in text


def test_model_without_a_route_has_no_explanation(read: Reading) -> None:
    assert explain(read(""), "nobody") is None
    assert explain(read(""), "any", allowed=("other",)) is None


def test_tags_off_is_one_value(read: Reading) -> None:
    explanation = explain(read("providers: {local: {response: {tags: off, details: steps}, request: {on: {}}}}"), "any")
    assert explanation is not None
    values = {e.path: e.value for e in explanation.targets[0].manner}
    assert (values["response.tags"], values["response.details"], values["request.on"]) == ("off", "steps", {})


def test_keys_taken_away_by_null_are_not_listed(read: Reading) -> None:
    explanation = explain(read("providers: {local: {request: {set: {a: 1, b: null, c: {d: null}}}}}"), "any")
    assert explanation is not None
    values = {e.path: e.value for e in explanation.targets[0].manner if e.path.startswith("request.set")}
    assert values == {"request.set.a": 1, "request.set.c": {}}


def test_settings_made_in_code_are_explained_as_such() -> None:
    provider = Provider("p", "http://h/v1")
    target = Target(provider, "m", manner_of=lambda _: Manner(history=History(replay="drop")))
    settings = Settings(Server(), (), {"p": provider}, (Route("m", (target,)),), "code")
    explanation = explain(settings, "m")
    assert explanation is not None
    manner = {e.path: (e.value, e.origin) for e in explanation.targets[0].manner}
    assert manner["history.replay"] == ("drop", "made in code")
    assert explanation.targets[0].connection == ()
