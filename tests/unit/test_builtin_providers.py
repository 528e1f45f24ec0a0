"""The built-in provider files: complete, sourced, and readable."""

import dataclasses
import datetime
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from proxy.core import dialect
from proxy.core.dialect import Manner
from proxy.settings import SettingsError, loads
from tests.support.builtin_files import FOLDER, built_ins, data, key_of, names

HOSTS = {
    *("anthropic", "azure", "baseten", "bedrock", "cerebras", "chutes", "cloudflare", "cohere", "copilot", "dashscope"),
    *("databricks", "deepinfra", "deepseek", "fireworks", "gemini", "github-models", "groq", "huggingface", "hunyuan"),
    *("minimax", "mistral", "moonshot", "nebius", "novita", "nvidia", "openai", "openrouter", "ovhcloud", "perplexity"),
    *("qianfan", "sambanova", "siliconflow", "snowflake", "stepfun", "together", "vercel", "vertex", "volcengine"),
    *("watsonx", "xai", "zai"),
}
SERVERS = {"litellm", "llamacpp", "lmstudio", "mlx", "ollama", "one-api", "sglang", "vllm"}
ASKING_FOR_A_KEY = {"litellm", "one-api"}
"""Servers on one's own machine that still want a key."""

REQUIRED = {"title", "base_url", "sources", "checked", "sure"}
OPTIONAL = {"api_key", "auth", "headers", "query", "response", "request", "history", "models", "notes"}
BLOCKS: dict[str, type] = {"response": dialect.Dialect, "request": dialect.Request, "history": dialect.History}
FREE = {"on", "off", "hide", "set", "map"}
"""Keys whose value is the provider's own JSON, or words of its own."""
SHORT: dict[str, type[str] | None] = {"details": str, "tags": str, "flag": None}
"""Keys that also take something shorter than a mapping."""


def blocks_of(provider: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for place in (provider, *provider.get("models", {}).values()):
        for block in BLOCKS:
            if place.get(block):
                yield block, place[block]


@pytest.mark.parametrize("name", sorted(HOSTS | SERVERS))
def test_every_host_and_server_has_a_built_in(name: str) -> None:
    assert name in names()


def test_nothing_else_lies_in_the_folder() -> None:
    assert all(file.suffix == ".yaml" for file in FOLDER.iterdir())
    assert set(names()) == HOSTS | SERVERS


@pytest.mark.parametrize("name", names())
def test_a_file_has_all_required_keys_and_only_known_ones(name: str) -> None:
    keys = set(data(name))
    assert keys >= REQUIRED
    assert keys <= REQUIRED | OPTIONAL
    for pattern, place in data(name).get("models", {}).items():
        assert set(place) <= set(BLOCKS), pattern


@pytest.mark.parametrize("name", names())
def test_a_name_is_what_a_user_types(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


@pytest.mark.parametrize("name", names())
def test_the_blocks_hold_only_keys_and_values_of_the_dialect_schema(name: str) -> None:
    for block, values in blocks_of(data(name)):
        check_mapping(values, BLOCKS[block], f"{name}.{block}")


def check_mapping(values: Any, cls: type, path: str) -> None:
    assert isinstance(values, dict), path
    hints = typing.get_type_hints(cls)
    assert set(values) <= set(hints), f"{path}: unknown {set(values) - set(hints)}"
    for key, value in values.items():
        if value is not None:
            check_value(value, hints[key], key, f"{path}.{key}")


def check_value(value: Any, hint: Any, key: str, path: str) -> None:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if key in FREE:
        assert isinstance(value, dict), path
    elif origin is typing.Literal:
        assert value in arguments, path
    elif origin in (typing.Union, types.UnionType):
        others = [each for each in arguments if each is not type(None)]
        if len(others) > 1:
            assert type(value) in others, path
        else:
            check_value(value, others[0], key, path)
    elif dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        short = SHORT.get(key)
        if short is None or not isinstance(value, short):
            check_mapping(value, hint, path)
    elif origin is tuple:
        assert isinstance(value, list), path
        for item in value:
            check_value(item, arguments[0], "", path)
    elif hint is bool or hint is str:
        assert type(value) is hint, path
    elif hint is int:
        assert type(value) is int and value >= 0, path


@pytest.mark.parametrize("name", names())
def test_the_date_of_the_check_is_an_iso_date(name: str) -> None:
    assert datetime.date.fromisoformat(data(name)["checked"]) >= datetime.date(2026, 11, 22)


@pytest.mark.parametrize("name", names())
def test_a_file_names_where_its_facts_can_be_read_again(name: str) -> None:
    sources = data(name)["sources"]
    assert sources
    for source in sources:
        assert isinstance(source, str)
        assert re.search(r"https?://|/|documentation|recording|captures|public c", source), source


@pytest.mark.parametrize("name", names())
def test_what_could_not_be_checked_is_said(name: str) -> None:
    notes = data(name).get("notes", [])
    assert data(name)["sure"] in ("A", "B", "C", "D")
    assert all(isinstance(note, str) and note.strip() == note for note in notes)
    if data(name)["sure"] in ("C", "D"):
        assert any(note.startswith("unsure:") for note in notes)


@pytest.mark.parametrize("name", names())
def test_the_address_is_a_url_that_a_path_can_be_added_to(name: str) -> None:
    url = data(name)["base_url"]
    assert re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._-]+)*", url)
    if placeholder := placeholder_of(name):
        assert any("base_url must be given" in note and placeholder in note for note in data(name)["notes"])


def placeholder_of(name: str) -> str | None:
    found = re.search(r"\b[A-Z]{4,}\b", data(name)["base_url"])
    return found and found[0]


@pytest.mark.parametrize("name", names())
def test_hosts_take_a_key_over_tls_and_servers_listen_on_this_machine(name: str) -> None:
    provider = data(name)
    if name in SERVERS:
        assert provider["base_url"].startswith("http://127.0.0.1:")
    else:
        assert provider["base_url"].startswith("https://")
    if name in HOSTS or name in ASKING_FOR_A_KEY:
        assert list(provider["api_key"]) == ["env"]
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", provider["api_key"]["env"])
    else:
        assert "api_key" not in provider


@pytest.mark.parametrize("name", names())
def test_the_settings_read_a_file_as_a_provider(name: str) -> None:
    built_in = built_ins()[name]
    provider = data(name)
    assert (built_in.title, built_in.base_url, built_in.sure) == (
        provider["title"],
        provider["base_url"],
        provider["sure"],
    )
    assert built_in.key_env == key_of(name)
    for pattern in ("some-model", *provider.get("models", {})):
        assert isinstance(built_in.manner_of(pattern.replace("*", "-x-")), Manner)


@pytest.mark.parametrize("name", names())
def test_a_route_needs_only_the_name_of_a_built_in_and_its_key(name: str) -> None:
    own = {"base_url": "https://somewhere.example/v1"} if placeholder_of(name) else {}
    table = {"version": 1, "providers": {name: own}, "routes": [{"model": "m", "targets": [f"{name}/model"]}]}
    key = key_of(name)
    settings = loads(yaml.safe_dump(table), "table.yaml", {key: "a-key-of-the-test"} if key else {}, FOLDER)
    assert settings.providers[name].base_url == own.get("base_url", data(name)["base_url"])


def test_a_placeholder_in_an_address_is_refused_until_it_is_filled_in() -> None:
    assert {name for name in names() if placeholder_of(name)} == {
        "azure",
        "cloudflare",
        "databricks",
        "snowflake",
        "vertex",
    }
    text = "version: 1\nproviders: {azure: {}}\nroutes: [{model: m, targets: [azure/m]}]\n"
    with pytest.raises(SettingsError, match="RESOURCE is yours to fill in"):
        loads(text, "table.yaml", {"AZURE_OPENAI_API_KEY": "a-key-of-the-test"}, FOLDER)


def test_a_pattern_that_resets_a_switch_is_no_dead_letter() -> None:
    """A later pattern cannot empty a mapping, since mappings merge: `{}` over a full one would change nothing."""
    for name in names():
        for pattern, place in data(name).get("models", {}).items():
            for key in ("on", "off", "hide"):
                if place.get("request", {}).get(key) == {}:
                    below = data(name).get("request", {}).get(key)
                    assert not below, f"{name} {pattern}: {key} stays {below}"


def test_azure_knows_the_same_models_as_openai() -> None:
    azure = dict(data("azure")["models"])
    del azure["*DeepSeek-V4*"]
    assert azure == data("openai")["models"]
    assert data("azure")["auth"] == {"header": "api-key", "scheme": ""}


def test_both_servers_know_the_same_model_families() -> None:
    vllm, sglang = data("vllm")["models"], data("sglang")["models"]
    assert list(vllm) == list(sglang)
    for pattern, place in vllm.items():
        request = {key: value for key, value in place.get("request", {}).items() if key != "hide"}
        assert {**place, "request": request} == {"request": {}, **sglang[pattern]}
