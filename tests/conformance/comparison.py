"""One response beside what its fixture expects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.material import Case
from tests.conformance.rules import Difference, rule_for
from tests.support.canonical_check import Heard

_IDENTITY = ("id", "created")
_FIELD_DIALECTS = ("field:reasoning", "field:reasoning_content", "field:reasoning_content+reasoning", "plain")
_SAID = (("reasoning_content", "reasoning"), ("content",), ("refusal",), ("tool_calls",))


@dataclass
class Verdict:
    """`faults` make a response fail; `rules` explained differences, by name."""

    faults: list[str] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)


def judge(case: Case, heard: Heard, *, stream: bool, usage_asked: bool, strip: bool) -> Verdict:
    """`strip`: white space around the texts is not compared."""
    verdict = Verdict()
    found = [*_breaches(heard), *_differences(case, heard, usage_asked=usage_asked, strip=strip)]
    for what, wanted, got in found:
        difference = Difference(what, wanted, got, case, heard, stream)
        rule = rule_for(difference)
        if rule is None:
            verdict.faults.append(str(difference))
        else:
            verdict.rules.add(rule.name)
    if not verdict.faults and heard.status < 400:
        verdict.faults += _lost(case, heard, stream=stream)
        if stream and not strip and case.dialect in _FIELD_DIALECTS:
            verdict.faults += _reordered(case, heard)
    return verdict


def _breaches(heard: Heard) -> Iterator[tuple[str, Any, Any]]:
    for fault in heard.faults:
        guarantee, _, what = fault.partition(": ")
        yield guarantee, None, what


def _differences(case: Case, heard: Heard, *, usage_asked: bool, strip: bool) -> Iterator[tuple[str, Any, Any]]:
    expected, voice = case.expected, heard.voice
    error = heard.error or {}
    if heard.status >= 400:
        if expected.error is None:
            yield "an answer", expected.content, (heard.status, error)
            return
        if heard.status != case.status:
            yield "status", case.status, (heard.status, error.get("code"))
        if expected.reasoning or expected.content or expected.tool_calls:
            yield "an answer", (expected.reasoning, expected.content), (heard.status, error)
    elif case.unsayable is None:
        for what, wanted, got in (
            ("reasoning", expected.reasoning, voice.reasoning),
            ("content", expected.content, voice.content),
        ):
            if not _same_text(wanted, got, contains=expected.contains, strip=strip or expected.strip):
                yield what, wanted, got
        if expected.tool_calls != voice.tool_calls:
            yield "tool_calls", expected.tool_calls, voice.tool_calls
        if ([expected.finish_reason] if expected.finish_reason else []) != voice.finish:
            yield "finish_reason", expected.finish_reason, voice.finish
        if expected.usage is not None and usage_asked and expected.usage != heard.usage:
            yield "usage", expected.usage, heard.usage
    if (expected.error is None) != (heard.error is None):
        yield "error", expected.error, heard.error
    elif expected.error is not None:
        yield from _errors(expected.error, error, begun=heard.status < 400)


def _same_text(wanted: str, got: str, *, contains: bool, strip: bool) -> bool:
    wanted, got = (wanted.strip(), got.strip()) if strip else (wanted, got)
    return wanted in got if contains else wanted == got


def _errors(wanted: Any, got: dict[str, Any], *, begun: bool) -> Iterator[tuple[str, Any, Any]]:
    wanted = {"message": wanted} if isinstance(wanted, str) else wanted
    message = wanted.get("message_contains", wanted.get("message", ""))
    if message not in got.get("message", ""):
        yield "error message", message, got.get("message")
    if begun and wanted.get("code") is not None and wanted["code"] != got.get("code"):
        yield "error code", wanted["code"], got.get("code")


def _lost(case: Case, heard: Heard, *, stream: bool) -> Iterator[str]:
    """What the upstream sent beside the texts and must arrive as it was: its identity (C4) and opaque state (C10)."""
    sent = [value for value in _sent(case) if isinstance(value, dict)]
    for key, got in zip(_IDENTITY, heard.frames[0], strict=True):
        usable = [value[key] for value in sent if value.get(key)]
        if usable and got not in usable:
            yield f"C4: {key} {got!r} is none of the upstream's"
    details, state = _opaque(sent, "delta" if case.sse else "message")
    if case.name.startswith("cumulative"):
        return  # snapshots are put together from the texts that they add
    if stream or not case.sse:
        if heard.voice.details != details:
            yield f"C10: reasoning_details changed: {len(details)} entries sent, {len(heard.voice.details)} received"
    else:
        held = json.dumps(heard.voice.details)
        for entry in details:
            for key in ("signature", "data"):
                if entry.get(key) and json.dumps(entry[key]) not in held:
                    yield f"C10: the {key} of a detail was lost"
    if heard.voice.state != state:
        yield f"C10: extra_content of tool calls changed: {state!r:.80} sent, {heard.voice.state!r:.80} received"


def _reordered(case: Case, heard: Heard) -> Iterator[str]:
    """Kinds of text must come in the order in which they were sent; within one delta, reasoning first (C2)."""
    kinds: list[str] = []
    for value in _sent(case):
        for choice in (value.get("choices") or ()) if isinstance(value, dict) else ():
            said = choice.get("delta" if case.sse else "message") or {}
            for names in _SAID:
                if any(said.get(name) for name in names) and kinds[-1:] != [names[0]] and choice.get("index", 0) == 0:
                    kinds.append(names[0])
    if kinds != heard.voice.kinds:
        yield f"C2: sent in the order {kinds}, received in the order {heard.voice.kinds}"


def _opaque(sent: list[dict[str, Any]], key: str) -> tuple[list[Any], list[Any]]:
    """(detail entries, extra content of tool calls) of the first choice, in order."""
    details: list[Any] = []
    state: list[Any] = []
    for value in sent:
        for choice in value.get("choices") or ():
            said = choice.get(key) or {}
            if choice.get("index", 0) == 0:
                details += said.get("reasoning_details") or []
                calls = said.get("tool_calls") or ()
                state += [call["extra_content"] for call in calls if "extra_content" in call]
    return details, state


def _sent(case: Case) -> Iterator[Any]:
    """The JSON values of the upstream's body."""
    if not case.sse:
        yield json.loads(case.body)
        return
    for block in case.body.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line[5:] for line in block.split(b"\n") if line.startswith(b"data:")]
        try:
            yield json.loads(b"\n".join(lines))
        except ValueError:
            continue
