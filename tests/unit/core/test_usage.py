"""C7: one meaning of token counts, one test for each way in which hosts count."""

from typing import Any

import pytest

from proxy.core.usage import Excludes, canonical, find


def counts(prompt: Any, completion: Any, total: Any = None, **more: Any) -> dict[str, Any]:
    given = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return {**{k: v for k, v in given.items() if v is not None}, **more}


def reasoned(tokens: Any, **more: Any) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens, **more}}


def cached(tokens: int) -> dict[str, Any]:
    return {"prompt_tokens_details": {"cached_tokens": tokens}}


ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("OpenAI, Azure", counts(10, 20, 30, **reasoned(5), **cached(3)), {}),
    ("DeepSeek", counts(10, 20, 30, prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=6), cached(4)),
    ("DashScope without thinking", counts(10, 20, 30, completion_tokens_details={"text_tokens": 20}), {}),
    ("Moonshot", counts(10, 20, 30, cached_tokens=4), cached(4)),
    ("Z.ai", counts(10, 20, 30, **reasoned(7), **cached(0)), {}),
    ("xAI chat", counts(307, 26, 560, **reasoned(227), **cached(320)), counts(307, 253, 560)),
    ("Gemini compat", counts(21, 0, 81), counts(21, 60, 81, **reasoned(60))),
    ("Gemini compat, reasoning told", counts(21, 10, 91, **reasoned(60)), counts(21, 70, 91)),
    ("DeepInfra", counts(12, 84, None, **reasoned(1081)), counts(12, 1165, 1177)),
    ("a total that counts more", counts(12, 84, 1200, **reasoned(1081)), counts(12, 1165, 1177)),
    ("Baseten on length", counts(12, 84, 96, **reasoned(90)), {}),
    ("Groq", counts(10, 20, 30, queue_time=0.1, prompt_time=0.2, **reasoned(5), **cached(1)), {}),
    ("OpenRouter", counts(10, 20, 30, cost=0.5, cost_details={"a": 1}, **reasoned(0), **cached(2)), {}),
    ("Perplexity", counts(10, 20, 30, reasoning_tokens=9, citation_tokens=4), reasoned(9)),
    ("Mistral", counts(10, 20, 30, num_cached_tokens=6), cached(6)),
    ("Mistral, misspelt", counts(10, 20, 30, prompt_token_details={"cached_tokens": 6}), cached(6)),
    ("Ollama", counts(10, 20, 30), {}),
    ("SGLang, Azure DeepSeek", counts(10, 1700, 1710, reasoning_tokens=0, prompt_tokens_details=None), {}),
    ("Snowflake", counts(10, 20, 30, **reasoned(0)), {}),
    ("Hugging Face to Together", counts(10, 20, 30, cached_tokens=0), {}),
    (
        "words of other protocols",
        {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 3},
        counts(10, 20, 30, **cached(3)),
    ),
    ("output details", counts(10, 20, 30, output_tokens_details={"reasoning_tokens": 6}), reasoned(6)),
    ("MiniMax", {"total_characters": 0}, {}),
    ("MiniMax in mid-stream", counts(0, 0, 0, total_characters=0), {}),
    ("no total", counts(10, 20), counts(10, 20, 30)),
    ("a total of its own", counts(10, 20, 25), counts(10, 20, 30)),
    ("more in the total than reasoning explains", counts(10, 20, 50, **reasoned(5)), counts(10, 20, 30)),
    ("only prompt and total", counts(10, None, 30), counts(10, 20, 30)),
    ("only completion and total", counts(None, 20, 30), counts(10, 20, 30)),
    ("only prompt", counts(10, None), counts(10, 0, 10)),
    ("only completion", counts(None, 20), counts(0, 20, 20)),
    ("floats that are counts", counts(10.0, 20.0, 30.0), counts(10, 20, 30)),
    ("details that are none", counts(10, 20, 30, completion_tokens_details="x", reasoning_tokens=4), reasoned(4)),
    (
        "details beside others",
        counts(10, 20, 30, reasoning_tokens=4, completion_tokens_details={"audio_tokens": 1}),
        reasoned(4, audio_tokens=1),
    ),
]


@pytest.mark.parametrize(("usage", "changed"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_counts_get_openais_meaning_and_unknown_keys_stay(usage: dict[str, Any], changed: dict[str, Any]) -> None:
    found = canonical(usage)
    assert found == {**usage, **changed}
    if not changed:
        assert found is usage
    assert canonical(found) is found


@pytest.mark.parametrize(("excludes", "completion"), [("auto", 100), ("no", 20), ("yes", 100)])
def test_a_dialect_may_say_whether_completion_leaves_reasoning_out(excludes: Excludes, completion: int) -> None:
    found = canonical(counts(10, 20, **reasoned(80)), excludes)
    assert found["completion_tokens"] == completion
    assert found["total_tokens"] == 10 + completion


def test_yes_without_a_reasoning_count_adds_nothing() -> None:
    assert canonical(counts(10, 20, 30), "yes") == counts(10, 20, 30)


@pytest.mark.parametrize("count", [True, "12", -1, 1.5, float("inf"), float("nan"), 1e30, [], None])
def test_what_is_no_count_counts_as_missing(count: Any) -> None:
    assert canonical({"prompt_tokens": count, "completion_tokens": 5}) == {**counts(0, 5, 5)}
    assert canonical({"prompt_tokens": count}) == {"prompt_tokens": count} or count != count


@pytest.mark.parametrize(
    ("chunk", "found"),
    [
        ({"usage": {"a": 1}}, {"a": 1}),
        ({"usage": None, "choices": [{"usage": {"a": 1}}]}, {"a": 1}),
        ({"x_groq": {"usage": {"a": 1}}, "choices": []}, {"a": 1}),
        ({"usage": {"a": 1}, "x_groq": {"usage": {"a": 2}}}, {"a": 1}),
        ({"usage": {"a": None}, "x_groq": {"usage": {"a": 2}}}, {"a": 2}),
        ({"usage": {}}, None),
        ({"usage": 5, "x_groq": 5, "choices": 5}, None),
        ({"choices": [5]}, None),
        ({}, None),
    ],
)
def test_usage_is_found_where_its_host_puts_it(chunk: dict[str, Any], found: dict[str, Any] | None) -> None:
    assert find(chunk) == found
