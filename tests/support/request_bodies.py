"""Request bodies in which the spellings of reasoning controls stand with values of any kind."""

from hypothesis import strategies as st

WORDS = st.sampled_from(["none", "low", "high", "enabled", "disabled", "auto", "hidden", "x"])
KEYS = st.sampled_from(
    [
        "reasoning_effort",
        "reasoning",
        "effort",
        "max_tokens",
        "enabled",
        "exclude",
        "summary",
        "thinking",
        "type",
        "budget_tokens",
        "enable_thinking",
        "thinking_budget",
        "chat_template_kwargs",
        "think",
        "include_reasoning",
        "reasoning_format",
        "extra_body",
        "google",
        "thinking_config",
        "thinking_level",
        "include_thoughts",
        "other",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers(-3, 5000) | st.floats() | WORDS | st.text(max_size=5)
BODIES = st.dictionaries(
    KEYS | st.text(max_size=3),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4)),
    max_size=5,
)
