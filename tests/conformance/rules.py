"""Where the schema asks for something else than what a recording's provider said: one table of named rules.

A rule looks at one difference and says whether the guarantee that it names asks for just that. Everything that a
rule explains is listed in the report, so nothing passes silently.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.conformance.material import BOTH_DEFENSIBLE, Case
from tests.support.canonical_check import FINISH_REASONS, Heard

_WORDS = {
    **dict.fromkeys(("end", "end_turn", "eos", "COMPLETE", "stop_sequence", "completed"), "stop"),
    **dict.fromkeys(("max_tokens", "MAX_TOKENS", "model_length", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("tool_use", "TOOL_CALL"), "tool_calls"),
    **dict.fromkeys(("sensitive", "SAFETY", "refusal"), "content_filter"),
}


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the fixture expects. `what`: a key of the expectation."""

    what: str
    wanted: Any
    got: Any
    case: Case
    heard: Heard
    stream: bool
    """What the client asked for."""

    def __str__(self) -> str:
        return f"{self.what}: wanted {_short(self.wanted)}, got {_short(self.got)}"


@dataclass(frozen=True)
class Rule:
    """`guarantee` is the section or number of the contract that decides."""

    name: str
    guarantee: str
    reason: str
    explains: Callable[[Difference], bool]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:80]}…{text[-60:]} ({len(text)} characters)"


def _finish_word(d: Difference) -> bool:
    return (
        d.what == "finish_reason"
        and isinstance(d.wanted, str)
        and d.wanted not in FINISH_REASONS
        and d.got == [_WORDS.get(d.wanted, "stop")]
        and d.heard.voice.native_finish == d.wanted
    )


def _stop_with_calls(d: Difference) -> bool:
    made = bool(d.case.expected.tool_calls)
    return d.what == "finish_reason" and d.wanted == "stop" and made and d.got == ["tool_calls"]


def _finish_inferred(d: Difference) -> bool:
    inferred = "tool_calls" if d.case.expected.tool_calls else "stop"
    done = b"data: [DONE]" in d.case.body
    return d.what == "finish_reason" and not d.wanted and (done or not d.case.sse) and d.got == [inferred]


def _no_finish(d: Difference) -> bool:
    return d.what == "finish_reason" and d.case.expected.error is not None and d.got == [] and d.wanted == "error"


def _call_id(d: Difference) -> bool:
    if d.what != "tool_calls" or len(d.wanted) != len(d.got):
        return False
    named = [{**call, "id": call["id"] or made["id"]} for call, made in zip(d.wanted, d.got, strict=True)]
    return named == d.got and all(call["id"] for call in d.got)


def _usage_includes(d: Difference) -> bool:
    if d.what != "usage" or not isinstance(d.got, dict) or not isinstance(d.wanted, dict):
        return False
    changed = {key for key in (*d.wanted, *d.got) if d.wanted.get(key) != d.got.get(key)}
    if (
        not changed <= {"completion_tokens", "completion_tokens_details"}
        or d.got["total_tokens"] != d.wanted["total_tokens"]
    ):
        return False
    before, after = (usage.get("completion_tokens_details") or {} for usage in (d.wanted, d.got))
    added = d.got["completion_tokens"] - d.wanted["completion_tokens"]
    same = {key: value for key, value in after.items() if key != "reasoning_tokens"}
    kept = {key: value for key, value in before.items() if key != "reasoning_tokens"}
    return added == after.get("reasoning_tokens") and same == kept and before.get("reasoning_tokens") in (None, added)


def _whole_is_complete(d: Difference) -> bool:
    return d.what == "an answer" and not d.stream and d.case.expected.error is not None and d.heard.status >= 400


def _key_refused(d: Difference) -> bool:
    return d.what == "status" and d.wanted in (401, 403) and d.got == (502, "upstream_auth")


def _throttled(d: Difference) -> bool:
    return d.what == "status" and d.wanted == 429 and d.got == (429, "upstream_rate_limit")


def _error_in_200(d: Difference) -> bool:
    return d.what == "status" and d.wanted == 200 and d.got[0] >= 400 and d.case.expected.error is not None


def _own_counts(d: Difference) -> bool:
    told = d.what == "C7" and d.got.startswith("completion leaves the reasoning out")
    return told and d.heard.usage == d.case.expected.usage


def _both_texts(d: Difference) -> bool:
    return (
        d.case.name in BOTH_DEFENSIBLE
        and d.what == "content"
        and d.got.strip() == (d.case.expected.reasoning + d.case.expected.content).strip()
    )


RULES: tuple[Rule, ...] = (
    Rule(
        "finish-word-mapped",
        "C5",
        "a provider's own word becomes one of the closed set and stays in native_finish_reason",
        _finish_word,
    ),
    Rule("stop-with-calls", "C5", "`stop` with calls made becomes `tool_calls`", _stop_with_calls),
    Rule("finish-inferred", "C5", "no reason at all, but [DONE] or a whole body: inferred", _finish_inferred),
    Rule(
        "no-finish-of-a-broken-stream",
        "C8",
        "a broken stream ends with an error event and no finish reason",
        _no_finish,
    ),
    Rule("made-up-call-id", "C6", "a call without id gets one", _call_id),
    Rule(
        "usage-includes-reasoning",
        "C7",
        "completion_tokens includes the reasoning, so that prompt + completion = total",
        _usage_includes,
    ),
    Rule(
        "whole-is-complete-or-an-error",
        "§3",
        "a client that asked for one body gets a status, not half an answer",
        _whole_is_complete,
    ),
    Rule(
        "our-key-refused",
        "§3",
        "the provider refused the proxy's key, which is not the client's mistake: 502",
        _key_refused,
    ),
    Rule("throttled", "§3", "an upstream's 429 is upstream_rate_limit", _throttled),
    Rule(
        "error-inside-a-200",
        "§3",
        "an error before any content is a real status, also where the upstream answered 200",
        _error_in_200,
    ),
    Rule(
        "counts-kept",
        "C7",
        "the counts add up, only the reasoning is more than the completion: nobody can tell which is wrong",
        _own_counts,
    ),
    Rule(
        "both-texts-passed-on",
        "C3",
        "C3 tells sources of reasoning apart, not answer from reasoning; the quirk's policy allows it",
        _both_texts,
    ),
)


def rule_for(difference: Difference) -> Rule | None:
    """The rule that explains a difference, or None: then it is a failure."""
    return next((rule for rule in RULES if rule.explains(difference)), None)
