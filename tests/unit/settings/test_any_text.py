"""Whatever stands in a file: settings, or a SettingsError with mistakes; never anything else."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.settings import SettingsError, loads

_WORDS = st.sampled_from(
    [
        "version: 1",
        "routes:",
        "providers:",
        "  h:",
        "base_url: http://h",
        "- model: m",
        "  targets: [h/m]",
        "  like: h",
        "clients:",
        "- name: a",
        "  key: {env: K}",
        "server: {open: true}",
        "response:",
        "    tags: off",
        "models: {'*': {}}",
        "<<: *a",
        "&a",
        "[",
        "]",
        "{",
        "}",
        "null",
        "- ",
    ]
)


@settings(max_examples=120)
@given(st.lists(st.tuples(st.sampled_from(["", "  ", "    "]), _WORDS)), st.text(max_size=20))
def test_no_text_raises_anything_but_a_settings_error(lines: list[tuple[str, str]], tail: str) -> None:
    text = "\n".join(indent + word for indent, word in lines) + tail
    try:
        loads(text, "t.yaml", {"K": "k" * 20})
    except SettingsError as error:
        assert error.mistakes  # noqa: PT017 - a valid text is fine too


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["off", "5s", "h/m", "http://h/v1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["base_url", "api_key", "env", "models", "response", "tags", "details", "like", "a"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=120)
@given(st.dictionaries(st.sampled_from(["server", "clients", "providers", "routes"]), _JSON), _JSON, _JSON)
def test_no_shape_of_values_raises_anything_but_a_settings_error(
    table: dict[str, object], provider: object, route: object
) -> None:
    table = {"version": 1, "providers": {"h": provider}, "routes": [route]} | table
    try:
        loads(json.dumps(table), "t.yaml", {"K": "k" * 20})
    except SettingsError as error:
        assert error.mistakes  # noqa: PT017
