"""Token counts with OpenAI's meaning (contract C7; sources of every rule: `docs/dialects.md`, usage).

`completion_tokens` includes `completion_tokens_details.reasoning_tokens`, `total_tokens` is prompt plus completion,
`prompt_tokens_details.cached_tokens` is part of the prompt. Unknown keys are kept.
"""

from operator import itemgetter
from typing import Any, Literal

from proxy.core.envelope import FRAME

Excludes = Literal["auto", "yes", "no"]

_OWN_KEYS = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details", "prompt_tokens_details"}
)
_COUNTS_OF = itemgetter("prompt_tokens", "completion_tokens", "total_tokens")
_TOO_MANY = 2**53  # no count of tokens is beyond what every client's numbers hold


def find(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """The usage that a chunk or whole answer carries, or None.

    It stands in `usage`, in the first choice, or in the host's own object beside them, whose key begins with `x_`.
    """
    if "usage" in chunk and (usage := _counts(chunk)) is not None:
        return usage
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and "usage" in first and (usage := _counts(first)) is not None:
        return usage
    if FRAME.issuperset(chunk):
        return None
    for key, value in chunk.items():
        if key[:2] == "x_" and (usage := _counts(value)) is not None:
            return usage
    return None


def _counts(place: Any) -> dict[str, Any] | None:
    usage = place.get("usage") if isinstance(place, dict) else None
    if isinstance(usage, dict):
        for value in usage.values():
            if value is not None:
                return usage
    return None


def canonical(usage: dict[str, Any], excludes: Excludes = "auto") -> dict[str, Any]:
    """Provider's counts → OpenAI's. Returns the same object where nothing has to change.

    `excludes`: whether `completion_tokens` leaves the reasoning out; `auto` tells by the sum with `total_tokens`.
    """
    if is_canonical(usage, excludes):
        return usage
    prompt = _first(usage, "prompt_tokens", "input_tokens")
    completion = _first(usage, "completion_tokens", "output_tokens")
    total = _first(usage, "total_tokens")
    if prompt is None and completion is None:
        return usage
    if prompt is None:
        prompt = max(total - completion, 0) if total and completion is not None else 0
    if completion is None:
        completion = max(total - prompt, 0) if total else 0
    reasoning = _reasoning(usage)
    completion, reasoning = _with_reasoning(prompt, completion, total, reasoning, excludes)
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    changed = {key: value for key, value in counts.items() if not _same(usage.get(key), value)}
    if reasoning:
        _put(usage, changed, "completion_tokens_details", "reasoning_tokens", reasoning)
    cached = _cached(usage)
    if cached:
        _put(usage, changed, "prompt_tokens_details", "cached_tokens", cached)
    return {**usage, **changed} if changed else usage


def is_canonical(usage: dict[str, Any], excludes: Excludes = "auto") -> bool:
    """Whether counts are OpenAI's at first sight; no means that only a closer look tells."""
    if excludes == "yes" or not _OWN_KEYS.issuperset(usage):
        return False
    try:
        prompt, completion, total = _COUNTS_OF(usage)
    except KeyError:
        return False
    if not type(prompt) is type(completion) is type(total) is int:
        return False
    if prompt < 0 or completion < 0 or total != prompt + completion or not 0 < total < _TOO_MANY:
        return False
    if "completion_tokens_details" in usage and not _may_hold(usage["completion_tokens_details"], "reasoning_tokens"):
        return False
    return "prompt_tokens_details" not in usage or _may_hold(usage["prompt_tokens_details"], "cached_tokens")


def _may_hold(details: Any, name: str) -> bool:
    """Whether details, if there are any, hold this count or none."""
    if details is None or type(details) is not dict:
        return details is None
    count = details.get(name, 0)
    return type(count) is int and 0 <= count < _TOO_MANY


def _with_reasoning(
    prompt: int, completion: int, total: int | None, reasoning: int | None, excludes: Excludes
) -> tuple[int, int | None]:
    """Adds the reasoning to the completion where the host left it out."""
    if excludes == "no":
        return completion, reasoning
    if excludes == "yes":
        return completion + (reasoning or 0), reasoning
    if not total:
        return (completion + reasoning if reasoning and reasoning > completion else completion), reasoning
    gap = total - prompt - completion
    if gap <= 0:
        return completion, reasoning
    if not reasoning:
        return completion + gap, gap  # Gemini counts thoughts in the total alone
    if gap == reasoning or reasoning > completion:
        return completion + reasoning, reasoning  # xAI, DeepInfra
    return completion, reasoning


def _reasoning(usage: dict[str, Any]) -> int | None:
    """First positive count of the places where hosts put it; else 0 where one says so, else None."""
    places = (usage.get("completion_tokens_details"), usage.get("output_tokens_details"), usage)
    found = [_first(place, "reasoning_tokens") for place in places if isinstance(place, dict)]
    known = [count for count in found if count is not None]
    return next((count for count in known if count > 0), 0 if known else None)


def _cached(usage: dict[str, Any]) -> int | None:
    for key in ("prompt_tokens_details", "prompt_token_details"):  # the second is Mistral's own spelling
        details = usage.get(key)
        if isinstance(details, dict) and (count := _first(details, "cached_tokens")) is not None:
            return count
    return _first(usage, "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")


def _put(usage: dict[str, Any], changed: dict[str, Any], group: str, key: str, count: int) -> None:
    details = usage.get(group)
    details = details if isinstance(details, dict) else {}
    if not _same(details.get(key), count):
        changed[group] = {**details, key: count}


def _first(counts: dict[str, Any], *keys: str) -> int | None:
    """The first of the keys that holds a count; a float such as 12.0 is one, true and "12" are none."""
    for key in keys:
        value = counts.get(key)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 <= value < _TOO_MANY
            and value == int(value)
        ):
            return int(value)
    return None


def _same(found: Any, count: int) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and found == count
