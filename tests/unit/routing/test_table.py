"""Model name → route → targets."""

import time

import pytest

from proxy.routing import Table, permits, targets
from proxy.settings import Provider, Route, Target

PROVIDER = Provider("house", "http://house/v1")


def route(model: str, *upstream: str) -> Route:
    return Route(model, tuple(Target(PROVIDER, name) for name in upstream or ("m",)))


def asked(table: Table, model: str, allowed: tuple[str, ...] | None = None) -> str | None:
    match = table.match(model, allowed)
    return match.route.model if match else None


TABLE = Table([route("*"), route("qwen*"), route("qwen3-*"), route("*-mini"), route("qwen3-8b"), route("r1")])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("r1", "r1"),
        ("qwen3-8b", "qwen3-8b"),
        ("qwen3-32b", "qwen3-*"),
        ("qwen2", "qwen*"),
        ("gpt-5-mini", "*-mini"),
        ("qwen-mini", "*-mini"),
        ("else", "*"),
        ("", "*"),
    ],
)
def test_name_beats_pattern_and_the_longer_literal_part_wins(model: str, expected: str) -> None:
    assert asked(TABLE, model) == expected


def test_among_equal_patterns_the_first_of_the_file_wins() -> None:
    assert asked(Table([route("a*c"), route("ab*")]), "abc") == "a*c"
    assert asked(Table([route("ab*"), route("a*c")]), "abc") == "ab*"


def test_model_without_a_route_has_no_match() -> None:
    assert Table([route("r1"), route("q*")]).match("other", None) is None
    assert Table([]).match("r1", None) is None


def test_client_reaches_what_its_patterns_name_and_nothing_else() -> None:
    assert asked(TABLE, "r1", ("r1",)) == "r1"
    assert asked(TABLE, "r1", ("r*", "x")) == "r1"
    assert asked(TABLE, "qwen3-32b", ("qwen*",)) == "qwen3-*"
    assert asked(TABLE, "r1", ("qwen*",)) is None
    assert asked(TABLE, "r1", ()) is None
    assert permits(None, "r1")


def test_star_of_the_model_asked_for_is_no_pattern() -> None:
    assert asked(Table([route("r1")]), "r*") is None
    assert asked(TABLE, "*", ("qwen*",)) is None


def test_visible_routes_are_those_a_client_may_use_at_least_in_part() -> None:
    assert [r.model for r in TABLE.visible(("qwen3-*", "r1"))] == ["*", "qwen*", "qwen3-*", "*-mini", "qwen3-8b", "r1"]
    assert [r.model for r in Table([route("a*"), route("b"), route("ab")]).visible(("ab*",))] == ["a*", "ab"]
    assert Table([route("a")]).visible(None) == (route("a"),)
    assert Table([route("a")]).visible(()) == ()


def test_placeholders_are_filled_with_what_was_asked_for() -> None:
    match = Table([route("qwen*", "{model}", "Qwen/Qwen{*}", "{*}:{model}", "plain")]).match("qwen3-8b")
    assert match is not None
    assert match.wildcard == "3-8b"
    assert [t.model for t in targets(match)] == ["qwen3-8b", "Qwen/Qwen3-8b", "3-8b:qwen3-8b", "plain"]
    assert targets(match)[0].key == ("house", "{model}")


def test_placeholder_that_a_client_sends_stays_as_it_is() -> None:
    match = Table([route("x/*", "{*}/{model}", "a{b")]).match("x/{model}{*}")
    assert match is not None
    assert [t.model for t in targets(match)] == ["{model}{*}/x/{model}{*}", "a{b"]


def test_close_names_are_offered_and_never_those_of_others() -> None:
    table = Table([route("deepseek-r1"), route("deepseek-v3"), route("secret-r1"), route("qwen*")])
    assert table.close_names("deepseek-r2")[0] == "deepseek-r1"
    assert table.close_names("DeepSeek-R1")[0] == "deepseek-r1"
    assert "deepseek-v3" in table.close_names("deepseek")
    assert table.close_names("my-qwen3") == ("qwen*",)
    assert table.close_names("zzzz") == ()
    assert "secret-r1" not in table.close_names("secret-r2", ("deepseek-*",))


def test_close_names_of_a_huge_name_cost_little() -> None:
    table = Table([route(f"model-{i}") for i in range(200)])
    started = time.monotonic()
    assert len(table.close_names("model-" * 100_000)) <= 5
    assert time.monotonic() - started < 2
