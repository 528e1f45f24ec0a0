"""Every kind of mistake, once, as the user sees it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.settings import SettingsError, load, loads
from proxy.settings.mistakes import path_text

Mistakes = Callable[..., list[str]]

HEAD = "version: 1\n"
ROUTE = "routes: [{model: m, targets: [h/m]}]\n"
HOUSE = "providers: {h: {base_url: http://h/v1}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "t.yaml:1:1: expected a mapping, found a list"),
        ("version: 1", "t.yaml:1:1 routes: missing (What clients ask for, and where it goes.)"),
        (HOUSE + ROUTE, "t.yaml:1:1 version: missing (Version of this format: 1.)"),
        ("version: 2\n" + HOUSE + ROUTE, "t.yaml:1:10 version: must be 1"),
        ("version: true\n" + HOUSE + ROUTE, "t.yaml:1:10 version: must be 1"),
        (HEAD + HOUSE + "routes: []", "t.yaml:3:9 routes: the list is empty"),
        (HEAD + HOUSE + "routes:", "t.yaml:3:1 routes: missing (What clients ask for, and where it goes.)"),
        (HEAD + HOUSE + ROUTE + "sever: {}", 't.yaml:4:1 sever: unknown key (did you mean "server"?)'),
        (
            HEAD + HOUSE + ROUTE + "zzz: {}",
            "t.yaml:4:1 zzz: unknown key (known are version, server, metrics, logs, traces, clients, providers, routes)",
        ),
        (
            HEAD + ROUTE + "providers:\n  house: {base_ur: http://h/v1}\n  h: {base_url: http://h}",
            't.yaml:4:11 providers.house.base_ur: unknown key (did you mean "base_url"?)',
        ),
    ],
)
def test_shape_of_the_file(text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loads(text, "t.yaml", {})
    assert expected in [str(m) for m in caught.value.mistakes]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (
            "listen: 8080",
            "t.yaml:1:18 server.listen: expected an address such as 127.0.0.1:8080, found the number 8080",
        ),
        (
            "listen: localhost",
            "not an address such as 127.0.0.1:8080 (write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080)",
        ),
        ("listen: '127.0.0.1:70000'", "write HOST:PORT"),
        ("listen: '127.0.0.300:80'", "not permitted"),
        ("listen: '[::zz]:80'", "Only hex digits permitted"),
        ("listen: 'a b:80'", "the host is neither a name nor an address"),
        ("listen: [1]", "expected an address such as 127.0.0.1:8080, found a list"),
        ("listen: ''", "expected an address such as 127.0.0.1:8080, found an empty text"),
        ("listen: 0.0.0.0:8080", "t.yaml:1:10 server.listen: 0.0.0.0:8080 is public and no `clients` are listed"),
        ("listen: '[::]:8080'", "[::]:8080 is public"),
        ("listen: example.org:80", "is public"),
        ("admin: 127.0.0.1:8080", "t.yaml:1:10 server.admin: the same address as `listen`"),
        ("heartbeat: 15", "expected a duration such as 500ms, 2s, 5m, found the number 15"),
        ("heartbeat: 15 s", "not a duration such as 500ms, 2s, 5m (write a number and ms, s, m or h"),
        ("heartbeat: -1s", "not a duration"),
        ("max_request_bytes: 10 MIB", "not a size such as 10MiB"),
        ("max_request_bytes: 0", "not a size such as 10MiB"),
        ("max_request_bytes: {}", "expected a size such as 10MiB, found a mapping"),
        ("open: yes", "expected true or false, found a text (write true, without quotes)"),
        ("open: maybe", "expected true or false, found a text"),
        ("open: 1", "expected true or false, found the number 1"),
        ("cors: {}", "t.yaml:1:16 server.cors.origins: missing"),
        ("cors: {origins: []}", "server.cors.origins"),
        ("cors: {origins: ['https://a/b']}", "write scheme, host and port alone"),
        ("cors: {origins: [example.org]}", "write scheme, host and port alone"),
        ("cors: {origins: ['https://*.a']}", "write scheme, host and port alone"),
        ("limits: {concurrent_streams: 0}", "must be 1 or more, is 0"),
        ("cros: 1", 'server.cros: unknown key (did you mean "cors"?)'),
    ],
)
def test_server(mistakes: Mistakes, server: str, expected: str) -> None:
    (found,) = mistakes(f"server: {{{server}}}")
    assert expected in found


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        ("{}", "t.yaml:1:10 clients: expected a list, found a mapping"),
        ("[x]", "t.yaml:1:11 clients[0]: expected a mapping, found a text"),
        ("[{key: {env: K}}]", "clients[0].name: missing"),
        ("[{name: a}]", "clients[0].key: missing ({env: NAME}, {file: PATH}, or {sha256: HEX} of the key.)"),
        ("[{name: 5, key: {env: K}}]", 'expected a name, found the number 5 (put it in quotes: "5")'),
        ("[{name: a, key: abcdef}]", "clients[0].key: a client key is given by reference, never in the file itself"),
        ("[{name: a, key: {}}]", "expected {env: NAME} or {file: PATH} or {sha256: HEX}"),
        ("[{name: a, key: {evn: K}}]", '(did you mean "env"?)'),
        ("[{name: a, key: {env: K, file: f}}]", "expected {env: NAME} or {file: PATH} or {sha256: HEX}"),
        ("[{name: a, key: {env: [K]}}]", "clients[0].key.env: expected {env: NAME}"),
        ("[{name: a, key: {env: }}]", "clients[0].key.env: expected {env: NAME}"),
        ("[{name: a, key: {from: client}}]", "expected {env: NAME} or {file: PATH} or {sha256: HEX}"),
        ("[{name: a, key: {env: NOPE}}]", "clients[0].key: the variable NOPE is not set"),
        ("[{name: a, key: {env: EMPTY}}]", "the variable EMPTY is empty"),
        (
            "[{name: a, key: {env: SPACED}}]",
            "the variable SPACED holds white space or characters that no header can carry",
        ),
        ("[{name: a, key: {env: not-a-name}}]", "not the name of an environment variable"),
        ("[{name: a, key: {file: nope}}]", "the file nope is not there"),
        ("[{name: a, key: {file: .}}]", "the file . cannot be read: Is a directory"),
        ("[{name: a, key: {sha256: abc}}]", "not a SHA-256 digest"),
        ("[{name: a, key: {env: SAMPLE}}]", "this is a sample key that everybody knows"),
        (
            "[{name: a, key: {sha256: 88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b}}]",
            "this is a sample key",
        ),
        ("[{name: a, key: {env: K}}, {name: b, key: {env: K}}]", "clients[1].key: the same key as in line 1"),
        (
            "[{name: a, key: {env: K}}, {name: a, key: {env: K2}}]",
            "clients[1].name: this name is already taken in line 1",
        ),
        (
            "[{name: a, key: {env: K}, routes: [anny]}]",
            'clients[0].routes[0]: no route serves "anny" (did you mean "any"?)',
        ),
        ("[{name: a, key: {env: K}, routes: any}]", "clients[0].routes: expected a list, found a text"),
        ("[{name: a, key: {env: K}, render: tags}]", "clients[0].render: not a rendering such as think_tags"),
        ("[{name: a, key: {env: K}, limits: {concurrent_streams: 0}}]", "must be 1 or more, is 0"),
        ("[{name: a, key: {env: K}, limits: {concurrent_streams: many}}]", "expected a whole number, found a text"),
        ("[{name: a, key: {env: K}, limits: {concurrent_streams: true}}]", "expected a whole number, found true"),
    ],
)
def test_clients(mistakes: Mistakes, clients: str, expected: str) -> None:
    env = {"K": "k" * 20, "K2": "j" * 20, "EMPTY": "  ", "SPACED": "a\tb", "SAMPLE": "ChangeMe"}
    (found,) = mistakes(f"clients: {clients}", env)
    assert expected in found


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("5", "expected a mapping, found the number 5"),
        ("{}", 'providers.x.base_url: missing, and there is no built-in "x"'),
        ("{base_url: ftp://h/v1}", "not a URL such as https://host/v1 (write http:// or https:// and a host)"),
        ("{base_url: 'https:///v1'}", "write http:// or https:// and a host"),
        ("{base_url: 'http://h:99999/v1'}", "the host or the port is not valid"),
        ("{base_url: 'http://u:p@h/v1'}", "a user name or password is a secret and does not stand in a URL"),
        ("{base_url: 'http://h/v1?k=v'}", "use `query:` for parameters"),
        ("{base_url: 'http://h /v1'}", "a URL has no white space in it"),
        ("{base_url: }", "providers.x.base_url: missing"),
        ("{like: nope}", 'providers.x.like: neither a provider nor a built-in is named "nope"'),
        ("{like: lokal}", '(did you mean "local"?)'),
        ("{like: x}", "providers.x.like: goes round in a circle: x → x"),
        (
            "{like: hosted}",
            "providers.x.base_url: must be given: that of built-in hosted is https://ACCOUNT.hosted.example",
        ),
        (
            "{like: alpha}",
            "providers.x.api_key: the variable ALPHA_KEY is not set; built-in alpha asks for it (set it, or give",
        ),
        ("{like: local, api_key: sk-abcdef}", "providers.x.api_key: a key is given by reference"),
        (
            "{like: local, api_key: {from: server}}",
            "providers.x.api_key.from: expected {env: NAME} or {file: PATH} or {from: client}",
        ),
        ("{like: local, api_key: {sha256: aa}}", "expected {env: NAME} or {file: PATH} or {from: client}"),
        ("{like: local, api_key: {env: NOPE}}", "providers.x.api_key: the variable NOPE is not set"),
        (
            "{like: local, headers: {Authorization: Bearer abc}}",
            "providers.x.headers.authorization: a secret is given by reference",
        ),
        ("{like: local, headers: {'a b': c}}", 'providers.x.headers["a b"]: not a header'),
        ("{like: local, headers: {a: 'x\u00e9'}}", "not a header's value (a header carries visible ASCII"),
        ("{like: local, headers: {a: b, A: c}}", "providers.x.headers.A: the same as the key in line 1"),
        ("{like: local, headers: {a: {env: NOPE}}}", "providers.x.headers.a: the variable NOPE is not set"),
        ("{like: local, query: {key: abc}}", "providers.x.query.key: a secret is given by reference"),
        ("{like: local, proxy: 'http://u:p@h:1'}", "does not stand in a URL"),
        ("{like: local, proxy: {env: K}}", "providers.x.proxy: env K is not a proxy's URL"),
        ("{like: local, tls: {ca: nope.pem}}", "providers.x.tls.ca: no such file"),
        ("{like: local, max_connections: 0}", "must be 1 or more, is 0"),
        ("{like: local, timeouts: {idel: 2s}}", '(did you mean "idle"?)'),
        ("{like: local, auth: {header: 'x y'}}", "providers.x.auth.header: not a header's name"),
        ("{like: local, response: {tags: on}}", 'expected off, found "on"'),
        (
            "{like: local, response: {tags: {trim: inn}}}",
            'expected none | inner | both, found "inn" (did you mean "inner"?)',
        ),
        ("{like: local, response: {tags: {trim: [x]}}}", "expected none | inner | both, found a list"),
        ("{like: local, response: {tags: {pairs: [[a]]}}}", "response.tags.pairs[0]: expected a list of 2, found 1"),
        (
            "{like: local, response: {tags: {pairs: [['', b]]}}}",
            "response.tags.pairs[0][0]: expected text, found an empty text",
        ),
        ("{like: local, response: {content_parts: [{type: t}]}}", "response.content_parts[0].text: missing"),
        ("{like: local, response: {details: [x]}}", "expected a key or a mapping, found a list"),
        ("{like: local, response: {flag: {equals: [1]}}}", "expected a single value, found a list"),
        (
            "{like: local, response: {finish_reason: {map: {a: 5}}}}",
            "finish_reason.map.a: expected stop | length | tool_calls | content_filter | function_call, found",
        ),
        ("{like: local, response: {finish_reason: {map: 5}}}", "expected a mapping, found the number 5"),
        ("{like: local, request: {on: enabled}}", "request.on: expected a mapping, found a text"),
        ("{like: local, request: {budget: {min: -1}}}", "must be 0 or more, is -1"),
        (
            "{like: local, request: {default_effort: hihg}}",
            'providers.x.request.default_effort: no level is named "hihg" (did you mean "high"?)',
        ),
        (
            "{like: local, request: {effort: {levels: [low, mediun]}}}",
            'providers.x.request.effort.levels[1]: no level is named "mediun" (did you mean "medium"?)',
        ),
        (
            "{like: local, request: {effort: {map: {xhihg: high}}}}",
            'request.effort.map.xhihg: no level is named "xhihg" (did you mean "xhigh"?)',
        ),
        (
            "{like: local, request: {effort: {map: {max: hgh}}}}",
            'effort.map.max: no level is named "hgh" (did you mean',
        ),
        (
            "{like: local, request: {effort: {levels: [low, high], map: {medium: max}}}}",
            'providers.x.request.effort.map.medium: "max" is not among the levels',
        ),
        (
            "{like: local, request: {effort: {levels: [brief]}}}",
            "(known are none, minimal, low, medium, high, xhigh, max, ultra, default; others go into own_words)",
        ),
        (
            "{like: local, models: {'a*': {request: {default_effort: lo}}}}",
            'providers.x.models["a*"].request.default_effort: no level is named "lo" (did you mean "low"?)',
        ),
        ("{like: local, history: {call_ids: {length: 0}}}", "history.call_ids.length: must be 1 or more, is 0"),
        ("{like: local, models: {'a*': {base_url: http://x}}}", 'providers.x.models["a*"].base_url: unknown key'),
        ("{like: local, models: {' a': {}}}", "a model's name has no control characters and no white space around it"),
    ],
)
def test_providers(mistakes: Mistakes, provider: str, expected: str) -> None:
    (found,) = mistakes(f"providers: {{local: {{}}, x: {provider}}}", {"K": "k" * 20})
    assert expected in found


def test_words_of_the_hosts_own_are_levels_wherever_its_layers_name_them(mistakes: Mistakes) -> None:
    effort = "{own_words: [brief, long], levels: [brief, long], map: {low: brief, high: long}}"
    own = f"a: {{like: local, request: {{effort: {effort}, default_effort: brief}}}}"
    below = "b: {like: a, models: {'m*': {request: {default_effort: long}}}}"
    target = "{provider: b, model: m, request: {effort: {map: {max: lng}}}}"
    (found,) = mistakes(f"providers: {{local: {{}}, {own}, {below}}}\nroutes: [{{model: m, targets: [{target}]}}]")
    assert 'routes[0].targets[0].request.effort.map.max: no level is named "lng" (did you mean "long"?)' in found


def test_provider_name_with_a_slash_could_never_be_a_target(mistakes: Mistakes) -> None:
    (found,) = mistakes("providers: {local: {}, a/b: {base_url: http://h}}")
    assert 'providers["a/b"]: not a provider\'s name' in found


def test_like_in_a_circle_names_the_circle(mistakes: Mistakes) -> None:
    found = mistakes("providers: {local: {}, a: {like: b}, b: {like: c}, c: {like: b}}")
    assert any("goes round in a circle: b → c → b" in mistake for mistake in found)
    assert all("circle" in mistake for mistake in found)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("x", "routes[0]: expected a mapping, found a text"),
        ("{targets: [local/m]}", "routes[0].model: missing"),
        ("{model: m}", "routes[0].targets: missing"),
        ("{model: m, targets: []}", "routes[0].targets: the list is empty"),
        ("{model: m, targets: local/m}", "routes[0].targets: expected a list, found a text"),
        ("{model: m, targets: [local]}", "routes[0].targets[0]: not PROVIDER/MODEL (write PROVIDER/MODEL"),
        ("{model: m, targets: [local/]}", "not PROVIDER/MODEL"),
        ("{model: m, targets: [lokal/m]}", 'routes[0].targets[0]: no provider "lokal" (did you mean "local"?)'),
        ("{model: m, targets: [q/m]}", 'no provider "q" (list it under `providers` with its base_url)'),
        ("{model: m, targets: [alpha/m]}", 'provider "alpha" is not listed under `providers` (add `alpha: {}` there'),
        ("{model: m, targets: [{provider: lokal, model: m}]}", 'no provider "lokal"'),
        ("{model: m, targets: [{provider: local}]}", "routes[0].targets[0].model: missing"),
        ("{model: m, targets: [{provider: local, model: m, wieght: 2}]}", '(did you mean "weight"?)'),
        ("{model: m, targets: ['local/{mdl}']}", "unknown placeholder {mdl} (known are {model} and {*})"),
        ("{model: m, targets: ['local/{*}']}", "{*} needs exactly one `*` in the route's model"),
        ("{model: 'a*b*', targets: ['local/{*}']}", "{*} needs exactly one `*` in the route's model"),
        ("{model: m, targets: [local/m], strategy: failovr}", '(did you mean "failover"?)'),
        ("{model: m, targets: [local/m], retry: {attempts: 0}}", "must be 1 or more, is 0"),
        ("{model: m, targets: [local/m], retry: {cooldown: 30}}", "expected a duration"),
        ("{model: m, targets: [local/m], render: think_tag}", "think_tags"),
        (
            "{model: m, targets: [local/m]}, {model: m, targets: [local/m]}",
            "routes[1].model: this model already has a route",
        ),
        ("{model: 'm\\n', targets: [local/m]}", "routes[0].model: not a model's name"),
    ],
)
def test_routes(mistakes: Mistakes, route: str, expected: str) -> None:
    route = route.replace("'m\\n'", '"m\\n"')
    (found,) = mistakes(f"providers: {{local: {{}}}}\nroutes: [{route}]")
    assert expected in found


def test_all_mistakes_come_at_once_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    found = mistakes(
        "server: {opn: true}\nproviders: {alpha: {}, local: {}}\nroutes:\n- {model: a, targets: [b/c]}\nversion: 3\n"
    )
    assert [line.split(": ")[0] for line in found] == [
        "t.yaml:1:10 server.opn",
        "t.yaml:2:13 providers.alpha.api_key",
        "t.yaml:4:24 routes[0].targets[0]",
        "t.yaml:5:10 version",
    ]


def test_key_given_twice_does_not_hide_the_other_mistakes(mistakes: Mistakes) -> None:
    found = mistakes("server: {open: true, open: false, opn: 1}")
    assert [line.split(" ", 1)[1] for line in found] == [
        "server.open: this key is already given in line 1",
        'server.opn: unknown key (did you mean "open"?)',
    ]


def test_secret_file_that_cannot_be_a_secret_is_refused(mistakes: Mistakes, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (64 * 1024 + 1))
    (tmp_path / "lines").write_text("one\ntwo\n")
    (tmp_path / "blank").write_text(" \n")
    for name, message in [("big", "is larger than 64 KiB"), ("lines", "holds white space"), ("blank", "is empty")]:
        (found,) = mistakes(f"clients: [{{name: a, key: {{file: {name}}}}}]")
        assert f"the file {name} {message}" in found
    (found,) = mistakes('clients: [{name: a, key: {file: "a\\0b"}}]')
    assert "clients[0].key: " in found


def test_broken_value_causes_no_second_mistake(mistakes: Mistakes) -> None:
    assert len(mistakes("providers: {local: 5}\nroutes: [{model: a, targets: [local/m]}]")) == 1
    assert len(mistakes("providers: {x: {base_url: 5}}\nroutes: [{model: a, targets: [x/m]}]")) == 1


def test_mistake_in_a_built_in_names_its_file(builtin_dir: Path) -> None:
    (builtin_dir / "bad.yaml").write_text("title: Bad\nbase_url: 5\n")
    text = "version: 1\nproviders: {bad: {}}\nroutes: [{model: m, targets: [bad/m]}]"
    with pytest.raises(SettingsError) as caught:
        loads(text, "t.yaml", {}, builtin_dir)
    files = {mistake.file for mistake in caught.value.mistakes}
    assert files == {"config/providers/bad.yaml"}


def test_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    for path, message in [(tmp_path / "nope.yaml", "no such file"), (tmp_path, "cannot be read: Is a directory")]:
        with pytest.raises(SettingsError, match=message):
            load(path, {})
    (tmp_path / "latin.yaml").write_bytes(b"version: 1\nname: \xe9\n")
    with pytest.raises(SettingsError, match=r"latin\.yaml:2:7: not UTF-8 text"):
        load(tmp_path / "latin.yaml", {})


def test_paths_are_written_so_that_they_can_be_found() -> None:
    assert path_text(("providers", "a-b", "models", "x.y*", "request")) == 'providers.a-b.models["x.y*"].request'
    assert path_text(("routes", 0, "targets", 1)) == "routes[0].targets[1]"


PLACEHOLDERS = [
    *("your-api-key", "YOUR_API_KEY", "<your key>", "sk-xxxx", "changeme", "sk-change-me", "your-openai-api-key-here"),
    *("***", "insert-your-key-here", "${OPENAI_API_KEY}", "$KEY", "replace_me", "..."),
]
WITH_KEY = "providers: {local: {}, house: {base_url: 'http://h/v1', api_key: {env: K}}}"


@pytest.mark.parametrize("key", PLACEHOLDERS)
def test_placeholder_is_no_key_of_a_provider_or_a_client(mistakes: Mistakes, key: str) -> None:
    (provider,) = mistakes(WITH_KEY, {"K": key})
    (client,) = mistakes("clients: [{name: a, key: {env: K}}]", {"K": key})
    assert "the variable K holds a sample out of some documentation" in provider
    assert "sample key" in client


@pytest.mark.parametrize("key", ["EMPTY", "token-abc123", "none", "ollama", "sk-no-key-required", "lm-studio"])
def test_word_that_servers_without_keys_take_is_a_providers_key(mistakes: Mistakes, key: str) -> None:
    assert mistakes(WITH_KEY, {"K": key}) == []
