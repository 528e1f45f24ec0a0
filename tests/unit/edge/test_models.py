"""The names that `/v1/models` tells for wildcard routes."""

import pytest

from proxy.edge.models import _asked_for, _patterns
from proxy.settings.model import Provider, Route, Target
from proxy.upstream.listing import names_in

PROVIDER = Provider("p", "http://x")


@pytest.mark.parametrize(
    ("pattern", "model", "given", "names"),
    [
        ("q*", "{model}", ["qa", "z"], ["qa", "z"]),
        ("far/*", "{*}", ["a", "b/c"], ["far/a", "far/b/c"]),
        ("far/*", "org/{*}-x", ["org/a-x", "org/-x", "b"], ["far/a"]),
        ("q*", "fixed", ["fixed"], []),
        ("a*b*", "{*}", ["x"], []),
    ],
)
def test_providers_names_become_the_clients(pattern: str, model: str, given: list[str], names: list[str]) -> None:
    target = Target(PROVIDER, model)
    assert _asked_for(Route(pattern, (target,)), target, given) == names


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["q*"]),
        (("*",), ["q*"]),
        (("qwen*",), ["qwen*"]),
        (("qwen",), ["qwen"]),
        (("z*", "q*"), ["q*"]),
        (("z*",), []),
    ],
)
def test_narrower_pattern_stands_for_unknown_models(allowed: tuple[str, ...] | None, names: list[str]) -> None:
    assert list(_patterns(Route("q*", ()), allowed)) == names


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        ({"data": [{"id": "a"}, {"name": "b"}, "c", {"id": ""}, 7]}, ["a", "b", "c"]),
        ([{"id": "a"}], ["a"]),
        ({"models": [{"name": "a"}]}, ["a"]),
        ({"data": None}, []),
        ("x", []),
        (None, []),
    ],
)
def test_lists_of_any_shape_are_read(listing: object, names: list[str]) -> None:
    assert list(names_in(listing)) == names
