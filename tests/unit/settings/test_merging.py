"""The blocks merge, last one wins: defaults < built-in < like < provider < models < target."""

from collections.abc import Callable

import pytest

from proxy.core.dialect import ContentPart, Details, Dialect, Effort, History, Manner, Request, Tags
from proxy.settings import Provider, Settings
from proxy.settings.manners import MAX_REMEMBERED, MannerLayers

Reading = Callable[..., Settings]

KEY = {"ALPHA_KEY": "alpha-secret"}


def manner(read: Reading, provider: str, model: str = "m", target: str = "") -> Manner:
    settings = read(
        f"providers: {{local: {{}}, x: {provider}}}\nroutes: [{{model: m, targets: [{{provider: x, model: '{{model}}'{target}}}]}}]",
        KEY,
    )
    return settings.routes[0].targets[0].manner_of(model)


def test_nothing_said_is_detection(read: Reading) -> None:
    assert manner(read, "{base_url: http://h/v1}") == Manner()
    assert Provider("made-in-code", "http://h/v1").manner_of("m") == Manner()


def test_built_in_is_over_the_defaults(read: Reading) -> None:
    found = read("providers: {alpha: {}, local: {}}", KEY).providers["alpha"].manner_of("m")
    assert found.response.fields == ("alpha_text",)
    assert found.response.tags == Tags(trim="none", blocks="all")
    assert found.response.details == Details()
    assert found.request == Request(on={"thinking": {"type": "enabled"}}, default_effort="low")
    assert found.history == History()


def test_provider_is_over_like_key_by_key(read: Reading) -> None:
    found = manner(
        read,
        "{like: alpha, response: {tags: {trim: inner}, fields: [a, b], finish_reason: {map: {cut: stop, new: length}}},"
        " request: {on: {thinking: {level: 2}, extra: [1]}}}",
    )
    assert found.response.tags == Tags(trim="inner", blocks="all")
    assert found.response.fields == ("a", "b")
    assert found.response.finish_reason.map == {"done": "stop", "cut": "stop", "new": "length"}
    assert found.request.on == {"thinking": {"type": "enabled", "level": 2}, "extra": [1]}


def test_models_are_over_the_provider_and_the_target_over_the_models(read: Reading) -> None:
    provider = "{like: alpha, request: {default_effort: medium}, history: {replay: field}, models: {'bigger*': {history: {scope: current_turn}}}}"
    assert manner(read, provider).request.default_effort == "medium"
    assert manner(read, provider, "big1").request.default_effort == "high"
    assert manner(read, provider, "big1").history == History(replay="drop")
    assert manner(read, provider, "bigger").history == History(replay="drop", scope="current_turn")
    assert manner(read, provider, "big1", ", request: {default_effort: max}").request.default_effort == "max"


def test_patterns_apply_in_the_order_of_the_file_those_of_the_built_in_first(read: Reading) -> None:
    provider = (
        "{like: alpha, models: {'*ig*': {request: {default_effort: low}}, big1: {request: {default_effort: max}}}}"
    )
    assert manner(read, provider, "big1").request.default_effort == "max"
    assert manner(read, provider, "big2").request.default_effort == "low"
    swapped = (
        "{like: alpha, models: {big1: {request: {default_effort: max}}, '*ig*': {request: {default_effort: low}}}}"
    )
    assert manner(read, swapped, "big1").request.default_effort == "low"


def test_built_in_of_the_own_name_is_below_like(read: Reading) -> None:
    settings = read(
        "providers: {local: {}, alpha: {like: other}, other: {base_url: http://o/v1, response: {fields: [o]}}}", KEY
    )
    alpha = settings.providers["alpha"]
    assert alpha.base_url == "http://o/v1"
    assert alpha.manner_of("m").response.fields == ("o",)
    assert alpha.manner_of("m").response.tags == Tags(trim="none", blocks="all")


def test_like_of_the_own_name_is_the_built_in(read: Reading) -> None:
    assert read("providers: {local: {like: local}}").providers["local"].base_url == "http://127.0.0.1:9000/v1"


def test_like_may_be_a_chain_of_providers_and_built_ins(read: Reading) -> None:
    settings = read(
        "providers: {local: {}, a: {like: b, headers: {x: a}}, b: {like: hosted, base_url: http://b/v1, headers: {x: b, y: b}}}"
    )
    assert (settings.providers["a"].base_url, settings.providers["a"].headers) == ("http://b/v1", {"x": "a", "y": "b"})


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("{like: alpha, response: null}", Dialect()),
        ("{like: alpha, response: {fields: null, tags: null, finish_reason: null}}", Dialect()),
        (
            "{like: alpha, response: {fields: null, tags: {trim: null}, finish_reason: {map: {done: null, cut: null}}}}",
            Dialect(tags=Tags(blocks="all")),
        ),
    ],
)
def test_explicit_null_goes_back_to_the_default(read: Reading, provider: str, expected: Dialect) -> None:
    assert manner(read, provider).response == expected


def test_null_takes_keys_out_of_bodies_and_switches_away(read: Reading) -> None:
    assert manner(read, "{like: alpha, request: {on: {thinking: {type: null}, x: 1}}}").request.on == {
        "thinking": {},
        "x": 1,
    }
    assert manner(read, "{like: alpha, request: {on: null}}").request.on is None
    assert manner(read, "{like: alpha, request: {on: null}, models: {m: {request: {on: {a: 1}}}}}").request.on == {
        "a": 1
    }


def test_null_takes_patterns_away(read: Reading) -> None:
    assert manner(read, "{like: alpha, models: null}", "big1").request.default_effort == "low"
    assert manner(read, "{like: alpha, models: {'big*': null}}", "big1").request.default_effort == "low"


@pytest.mark.parametrize("word", ["null", "off", "'off'", "false"])
def test_details_and_flag_can_be_switched_off(read: Reading, word: str) -> None:
    response = manner(read, f"{{like: local, response: {{details: {word}, flag: {word}}}}}").response
    assert (response.details, response.flag) == (None, None)


@pytest.mark.parametrize("word", ["off", "'off'", "false"])
def test_tags_can_be_switched_off_and_on_again(read: Reading, word: str) -> None:
    off = f"{{like: local, response: {{tags: {word}}}"
    assert manner(read, off + "}").response.tags == Tags(pairs=())
    assert manner(read, off + ", models: {m: {response: {tags: {trim: inner}}}}}").response.tags == Tags(trim="inner")


def test_short_and_long_forms_of_details(read: Reading) -> None:
    assert manner(read, "{like: local, response: {details: steps}}").response.details == Details("steps")
    long = "{like: local, response: {details: {field: steps, snapshots: true}}}"
    assert manner(read, long).response.details == Details("steps", snapshots=True)


def test_lists_become_the_types_of_the_dialect(read: Reading) -> None:
    found = manner(
        read,
        "{like: local, response: {content_parts: [{type: t, text: a.b}], tags: {pairs: [[<a>, </a>]], labels: [x]}},"
        " request: {effort: {field: e, levels: [low, high], map: {max: high}}, budget: {min: 1, below_max_tokens: true}}}",
    )
    assert found.response.content_parts == (ContentPart("t", "a.b"),)
    assert found.response.tags == Tags(pairs=(("<a>", "</a>"),), labels=("x",))
    assert found.request.effort == Effort("e", ("low", "high"), {"max": "high"})
    assert found.request.budget is not None
    assert (found.request.budget.field, found.request.budget.min) == ("thinking.budget_tokens", 1)


def test_empty_switch_is_a_switch_that_merges_nothing(read: Reading) -> None:
    assert manner(read, "{like: local, request: {on: {}}}").request.on == {}


def test_flag_may_equal_null(read: Reading) -> None:
    flag = manner(read, "{like: local, response: {flag: {path: a.b, equals: null}}}").response.flag
    assert flag is not None
    assert (flag.path, flag.equals) == ("a.b", None)


def test_targets_do_not_touch_each_other(read: Reading) -> None:
    settings = read(
        "routes:\n- {model: a, targets: [local/m, {provider: local, model: m, history: {replay: drop}}]}\nproviders: {local: {}}"
    )
    plain, dropping = settings.routes[0].targets
    assert plain.manner_of("m").history.replay == "auto"
    assert dropping.manner_of("m").history.replay == "drop"


def test_manners_are_cached_and_the_cache_is_bounded(read: Reading) -> None:
    manner_of = read("providers: {local: {models: {'a*': {history: {replay: drop}}}}}").providers["local"].manner_of
    assert isinstance(manner_of, MannerLayers)
    assert manner_of("a1") is manner_of("a1")
    assert manner_of("a1") is manner_of("a2")
    for number in range(3 * MAX_REMEMBERED):
        manner_of(f"name-of-a-client-{number}")
    assert len(manner_of._by_model) <= MAX_REMEMBERED
    assert len(manner_of._by_patterns) == 2
