"""A right file becomes the settings that it says."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.core.render import Rendering
from proxy.settings import Settings, SettingsError, Timeouts, find_config, load, with_admin, with_listen
from proxy.settings.formats import is_loopback, parse_duration, parse_size
from proxy.settings.model import SecretText, Server

Reading = Callable[..., Settings]

_DIGEST = hashlib.sha256(b"another key").hexdigest()
FULL = """\
version: 1
server:
  listen: 0.0.0.0:8080
  admin: 127.0.0.1:9091
  max_request_bytes: 10MB
  heartbeat: 0s
  drain: 5m
  byte_path: false
clients:
  - name: agents
    key: {env: AGENTS_KEY}
    routes: [r1, "qwen*"]
    render: think_tags; steps=line
    limits: {requests_per_minute: 600, concurrent_streams: 50}
  - name: other
    key: {sha256: "DIGEST"}
providers:
  alpha:
  open: {like: alpha, api_key: {file: alpha.key}}
  house:
    base_url: http://vllm:8000/v1/
  all:
    like: local
    base_url: http://10.0.0.5:8000/v1
    api_key: {from: client}
    auth: {header: X-Api-Key, scheme: ""}
    headers: {X-Team: search, x-number: 5, x-signed: {env: SIGNED}}
    query: {api-version: 2026-01-31}
    timeouts: {connect: 500ms, total: 1h}
    max_connections: 100
    proxy: {env: PROXY}
    tls: {ca: ca.pem, verify: false}
routes:
  - model: r1
    targets: [alpha/a1, open/group/a1]
    strategy: weighted
    retry: {attempts: 3, cooldown: 1.5s}
    render: drop
  - model: "qwen*"
    targets:
      - {provider: house, model: "{model}", weight: 3, request: {default_effort: medium}}
""".replace("DIGEST", _DIGEST)

ENV = {"AGENTS_KEY": "agents-key-0123", "ALPHA_KEY": "alpha-secret", "SIGNED": "sig", "PROXY": "http://u:pw@proxy:3128"}


@pytest.fixture
def full(read: Reading, tmp_path: Path) -> Settings:
    (tmp_path / "alpha.key").write_text("key-from-file\n")
    (tmp_path / "ca.pem").write_text("certificate")
    return read(FULL, ENV)


def test_server_values_are_bytes_and_seconds(full: Settings) -> None:
    server = full.server
    assert (server.listen, server.admin, server.open) == ("0.0.0.0:8080", "127.0.0.1:9091", False)
    assert (server.max_request_bytes, server.heartbeat_s, server.drain_s) == (10_000_000, 0.0, 300.0)
    assert not server.byte_path and Server().byte_path


def test_clients_keep_a_digest_and_no_key(full: Settings) -> None:
    agents, other = full.clients
    assert agents.key_sha256 == hashlib.sha256(b"agents-key-0123").digest()
    assert other.key_sha256 == hashlib.sha256(b"another key").digest()
    assert agents.routes == ("r1", "qwen*")
    assert agents.render == Rendering("think_tags", "line")
    assert (agents.limits.requests_per_minute, agents.limits.concurrent_streams) == (600, 50)
    assert (other.routes, other.render, other.limits.requests_per_minute) == (None, None, None)


def test_built_in_brings_url_key_and_headers(full: Settings) -> None:
    alpha = full.providers["alpha"]
    assert alpha.base_url == "https://api.alpha.example/v1"
    assert alpha.api_key is not None
    assert alpha.api_key.reveal() == "alpha-secret"
    assert alpha.headers == {"x-from": "alpha"}
    assert alpha.timeouts == Timeouts(idle_s=60.0)


def test_like_takes_the_connection_and_own_keys_win(full: Settings) -> None:
    provider = full.providers["open"]
    assert provider.base_url == "https://api.alpha.example/v1"
    assert provider.api_key is not None
    assert (provider.api_key.reveal(), provider.api_key.source) == ("key-from-file", "file alpha.key")


def test_provider_without_built_in_needs_a_base_url_alone(full: Settings) -> None:
    house = full.providers["house"]
    assert house.base_url == "http://vllm:8000/v1"
    assert (house.api_key, house.auth_header, house.auth_scheme, house.tls_verify) == (
        None,
        "authorization",
        "Bearer",
        True,
    )


def test_every_connection_key_arrives(full: Settings, tmp_path: Path) -> None:
    provider = full.providers["all"]
    assert (provider.pass_client_key, provider.api_key) == (True, None)
    assert (provider.auth_header, provider.auth_scheme) == ("x-api-key", "")
    assert provider.headers == {"x-team": "search", "x-number": "5", "x-signed": "sig"}
    assert provider.query == {"api-version": "2026-01-31"}
    assert provider.timeouts == Timeouts(connect_s=0.5, total_s=3600.0)
    assert provider.max_connections == 100
    assert provider.proxy == "http://u:pw@proxy:3128"
    assert (provider.tls_ca, provider.tls_verify) == (tmp_path / "ca.pem", False)


def test_routes_and_targets_arrive_in_order(full: Settings) -> None:
    r1, qwen = full.routes
    assert [(t.provider.name, t.model, t.weight) for t in r1.targets] == [("alpha", "a1", 1), ("open", "group/a1", 1)]
    assert (r1.strategy, r1.retry.attempts, r1.retry.cooldown_s, r1.render) == ("weighted", 3, 1.5, Rendering("drop"))
    assert (qwen.strategy, qwen.retry.attempts, qwen.retry.cooldown_s, qwen.render) == ("failover", 2, 30.0, None)
    assert qwen.targets[0].weight == 3
    assert qwen.targets[0].provider is full.providers["house"]


def test_no_secret_shows_in_any_repr(full: Settings) -> None:
    texts = [
        repr(full),
        str(full),
        repr(full.providers["all"].headers),
        repr(full.providers["all"].proxy),
        repr(full.routes),
    ]
    for secret in (*ENV.values(), "key-from-file", "pw@proxy"):
        assert not any(secret in text for text in texts if secret != "sig")  # three letters stand in other words
    assert "'sig'" not in repr(full)
    assert "SecretText(env SIGNED)" in repr(full)


def test_text_read_by_reference_is_a_plain_text_to_whoever_sends_it() -> None:
    text = SecretText("value", "env NAME")
    assert text == "value"
    assert f"{text}" == "value"
    assert isinstance(text, str)
    assert repr({"a": text}) == "{'a': SecretText(env NAME)}"


def test_secret_in_the_wrong_place_is_not_repeated_in_the_mistake(mistakes: Callable[..., list[str]]) -> None:
    canary = "sk-canary0123456789"
    for text in (
        f"clients: [{{name: a, key: {canary}}}]",
        f"clients: [{{name: a, key: {{{canary}: x}}}}]",
        f"clients: [{{name: a, key: {{env: {canary}}}}}]",
        f"clients: [{{name: a, key: {{sha256: {canary}}}}}]",
        f"providers: {{local: {{api_key: {canary}}}}}",
        f"providers: {{local: {{api_key: [{canary}]}}}}",
        f"providers: {{local: {{api_key: {{from: {canary}}}}}}}",
        f"providers: {{local: {{headers: {{x-api-key: {canary}}}}}}}",
        f"providers: {{local: {{base_url: 'http://user:{canary}@host/v1'}}}}",
        f"providers: {{local: {{base_url: 'http://user:{canary}/v1'}}}}",
    ):
        found = mistakes(text)
        assert found
        assert canary not in "\n".join(found)


def test_public_address_is_served_when_open_or_with_clients(read: Reading) -> None:
    assert read("server: {listen: '0.0.0.0:80', open: true}").server.open
    assert read("server: {listen: '[::1]:80'}").server.listen == "[::1]:80"
    assert read("server: {listen: '0.0.0.0:80'}\nclients: [{name: a, key: {env: K}}]", {"K": "k" * 20}).clients


def test_both_listeners_may_take_any_free_port(read: Reading) -> None:
    server = read("server: {listen: '127.0.0.1:0', admin: '127.0.0.1:0'}").server
    assert (server.listen, server.admin) == ("127.0.0.1:0", "127.0.0.1:0")


def test_empty_sections_mean_nothing_is_said(read: Reading) -> None:
    settings = read("server:\nclients:\n")
    assert (settings.server.listen, settings.clients) == ("127.0.0.1:8080", ())


def test_yaml_booleans_are_taken_where_the_words_are_on_and_off(read: Reading) -> None:
    settings = read(
        "providers: {local: {request: {default: false}, response: {usage: {completion_excludes_reasoning: true}}}}"
    )
    manner = settings.providers["local"].manner_of("m")
    assert manner.request.default == "off"
    assert manner.response.usage.completion_excludes_reasoning == "yes"


def test_explicit_null_key_means_no_key(read: Reading) -> None:
    assert read("providers: {local: {}, alpha: {api_key: null}}").providers["alpha"].api_key is None


def test_listen_override_obeys_the_same_rule(read: Reading) -> None:
    settings = read("")
    assert with_listen(settings, "127.0.0.1:0").server.listen == "127.0.0.1:0"
    with pytest.raises(SettingsError, match=r"^--listen: 0\.0\.0\.0:80 is public and no `clients` are listed"):
        with_listen(settings, "0.0.0.0:80")
    with pytest.raises(SettingsError, match='"nonsense" is not an address'):
        with_listen(settings, "nonsense")
    assert with_listen(read("server: {open: true}"), "0.0.0.0:80").server.listen == "0.0.0.0:80"


def test_admin_override_is_never_the_address_of_the_api(read: Reading) -> None:
    settings = read("server: {listen: '127.0.0.1:80', admin: '127.0.0.1:81'}")
    assert with_admin(settings, "127.0.0.1:82").server.admin == "127.0.0.1:82"
    assert with_admin(read("server: {listen: '127.0.0.1:0'}"), "127.0.0.1:0").server.admin == "127.0.0.1:0"
    with pytest.raises(SettingsError, match=r"^--admin: 127\.0\.0\.1:80 is the address of the API"):
        with_admin(settings, "127.0.0.1:80")


def test_config_is_the_one_given_then_the_variable_then_the_folder(tmp_path: Path) -> None:
    assert find_config(None, {}, tmp_path) is None
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "proxy.yaml").write_text("")
    assert find_config(None, {}, tmp_path) == tmp_path / "config" / "proxy.yaml"
    assert find_config(None, {"REASONING_PROXY_CONFIG": "v.yaml"}, tmp_path) == Path("v.yaml")
    assert find_config("c.yaml", {"REASONING_PROXY_CONFIG": "v.yaml"}, tmp_path) == Path("c.yaml")
    assert find_config(None, {"REASONING_PROXY_CONFIG": ""}, tmp_path / "config") is None


def test_file_of_the_repository_loads_with_no_key_at_all() -> None:
    settings = load(Path(__file__).parents[3] / "config" / "proxy.yaml", {})
    assert settings.routes
    assert is_loopback(settings.server.listen)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2.0), ("5m", 300.0), ("1h", 3600.0), ("0s", 0.0), ("1.5s", 1.5)]
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("10MiB", 10 * 2**20), ("32MB", 32 * 10**6), ("1 GiB", 2**30), ("2KB", 2000), ("7B", 7)],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("a.localhost:1", True),
        ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("example.org:1", False),
    ],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(listen: str, loopback: bool) -> None:
    assert is_loopback(listen) is loopback
