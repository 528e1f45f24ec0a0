"""C5: why an answer ended."""

import pytest

from proxy.core.finish import REASONS, canonical, inferred

MAP = {
    "stop": "end end_turn eos COMPLETE stop_sequence completed stop",
    "length": "max_tokens MAX_TOKENS model_length model_context_window_exceeded length",
    "tool_calls": "tool_use TOOL_CALL tool_calls",
    "content_filter": "sensitive SAFETY refusal content_filter",
    "function_call": "function_call",
}
WORDS = [(word, reason) for reason, words in MAP.items() for word in words.split()]


@pytest.mark.parametrize(("word", "reason"), WORDS)
def test_a_known_word_has_its_reason(word: str, reason: str) -> None:
    assert canonical(word, called=False, own={}) == reason


def test_all_of_openais_reasons_are_covered() -> None:
    assert set(MAP) == REASONS


@pytest.mark.parametrize("word", ["network_error", "error", "insufficient_system_resource", "repetition", 7, True])
def test_any_other_word_is_stop_or_tool_calls(word: object) -> None:
    assert canonical(word, called=False, own={}) == "stop"
    assert canonical(word, called=True, own={}) == "tool_calls"


@pytest.mark.parametrize("word", [None, "", 0, [], {}])
def test_an_empty_word_is_none(word: object) -> None:
    assert canonical(word, called=True, own={}) is None


def test_stop_with_calls_made_is_tool_calls_and_length_stays() -> None:
    assert canonical("stop", called=True, own={}) == "tool_calls"
    assert canonical("end_turn", called=True, own={}) == "tool_calls"
    assert canonical("length", called=True, own={}) == "length"


def test_the_dialects_own_map_goes_first() -> None:
    assert canonical("repetition", called=False, own={"repetition": "length"}) == "length"
    assert canonical("stop", called=False, own={"stop": "content_filter"}) == "content_filter"


def test_a_missing_reason_is_inferred_from_the_calls() -> None:
    assert inferred(called=True) == "tool_calls"
    assert inferred(called=False) == "stop"
