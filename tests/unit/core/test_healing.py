"""Known refusals: what mends each, and the manner that is mended."""

import json
from typing import Any

import pytest

from proxy.core.dialect import Dialect, History, Manner, Request, UsageRules
from proxy.core.healing import FIELDS, MOST, OTHER, Remedy, diagnose, heal
from proxy.core.request import prepare
from tests.support.refusals import (
    BARE,
    MISSING,
    NO_OPTIONS,
    REFUSALS,
    SIGNED,
    STREAMED,
    UNSIGNED,
    WITH_FIELD,
    WITHOUT,
    Refusal,
    body,
    error,
    refusal,
)

each_refusal = pytest.mark.parametrize("given", REFUSALS, ids=lambda each: each.name)


def healed(manner: Manner, remedies: tuple[Remedy, ...]) -> Manner:
    for remedy in remedies:
        manner = heal(manner, remedy)
    return manner


@each_refusal
def test_every_known_refusal_has_its_remedy(given: Refusal) -> None:
    assert diagnose(given.status, given.said, given.sent) == (given.remedy,)


@each_refusal
@pytest.mark.parametrize("status", [401, 403, 404, 413, 429, 500, 502, 503])
def test_other_statuses_mend_nothing(given: Refusal, status: int) -> None:
    assert diagnose(status, given.said, given.sent) == ()


@each_refusal
def test_a_refusal_that_a_gateway_wrapped_is_recognised(given: Refusal) -> None:
    raw = given.said if isinstance(given.said, str) else json.dumps(given.said)
    wrapped = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}
    assert diagnose(400, wrapped, given.sent) == (given.remedy,)
    assert diagnose(400, f"the upstream said: {raw}", given.sent) in ((given.remedy,), ())


@each_refusal
def test_what_was_not_sent_or_is_not_missing_is_not_mended(given: Refusal) -> None:
    complete = body(
        message=dict.fromkeys(("reasoning_content", "reasoning_text"), "Hm") | {"reasoning_details": [{}]},
    )
    other = WITHOUT if given.remedy.action == "drop" else complete
    if given.remedy != Remedy("add", "tool_calls[].extra_content", "message"):
        assert diagnose(given.status, given.said, other) == ()
    assert diagnose(given.status, given.said, {"model": "m", "messages": ["odd", {"tool_calls": "odd"}]}) == ()
    assert diagnose(given.status, given.said, {"model": "m"}) == ()


@pytest.mark.parametrize(
    "said",
    [
        "",
        None,
        7,
        {},
        [],
        "{",
        "[1",
        {"detail": [{"loc": "body", "msg": "Extra inputs are not permitted"}]},
        {"detail": [{"loc": ["body", "reasoning_content"], "msg": "Field required", "type": "missing"}]},
        {"detail": [{"loc": [], "type": "extra_forbidden"}]},
        {"detail": [{"loc": ["body", "thinking", "keep"], "type": "extra_forbidden"}]},
        {"detail": [{"loc": ["body", "messages", 1, "content", 0, "reasoning_content"], "type": "extra_forbidden"}]},
        {"detail": [{"loc": ["body", "messages", 1, "tool_calls", 0, "function", "x"], "type": "extra_forbidden"}]},
        {"detail": [{"loc": ["messages", "reasoning_content"], "type": "extra_forbidden"}]},
        "The content[].thinking in the thinking mode must be passed back to the API.",
        "The tool_call_id in the thinking mode must be passed back to the API.",
        "Invalid `signature` in `thinking` block",
        "maximum context length is 8192 tokens",
    ],
)
def test_what_is_no_known_refusal_mends_nothing(said: Any) -> None:
    sent = body(message={"reasoning_content": "Hm", "x": 1}, call={"x": 1}, thinking={"keep": "all"})
    assert diagnose(400, said, sent) == ()


@pytest.mark.parametrize("key", ["model", "messages", "stream", "tools", "tool_choice", "response_format"])
def test_what_makes_the_request_is_never_dropped(key: str) -> None:
    sent = body() if key == "messages" else {**body(), key: [{}]}
    assert diagnose(400, f"Unrecognized request argument supplied: {key}", sent) == ()


@pytest.mark.parametrize("path", ["role", "content", "tool_calls", "tool_calls.0.id", "tool_calls.0.function"])
def test_what_makes_the_conversation_is_never_dropped(path: str) -> None:
    assert diagnose(400, f"messages.1.{path}: Extra inputs are not permitted", body()) == ()


def test_all_fields_of_one_refusal_are_mended_at_once() -> None:
    detail = [*refusal("mistral").said["detail"], *refusal("mistral-options").said["detail"]]
    sent = {**STREAMED, "messages": WITH_FIELD["messages"]}
    assert diagnose(422, {"detail": detail}, sent) == (BARE, NO_OPTIONS)
    listed = "Additional properties are not allowed ('reasoning_content', 'thinking' were unexpected)"
    assert diagnose(400, listed, {**WITH_FIELD, "thinking": {}}) == (BARE, Remedy("drop", "thinking", "body"))
    supplied = "Unrecognized request arguments supplied: thinking, seed"
    assert [r.field for r in diagnose(400, supplied, body(thinking={}, seed=1))] == ["thinking", "seed"]


def test_the_lists_of_a_union_name_only_what_was_sent() -> None:
    # pydantic tells the mistakes of every member of a union of message types.
    members = ["ChatCompletionUserMessageParam", "function-wrap[__log_extra_fields__()]"]
    keys = ["role", "tool_calls", "audio", "reasoning_content"]
    detail = [
        {
            "loc": ["body", "messages", 1, member, key],
            "type": "extra_forbidden",
            "msg": "Extra inputs are not permitted",
        }
        for member in members
        for key in keys
    ]
    assert diagnose(422, {"detail": detail}, WITH_FIELD) == (BARE,)
    assert diagnose(400, error(str(detail)), WITH_FIELD) == (BARE,)


def test_a_lone_name_is_looked_for_in_the_body_then_in_messages_and_their_calls() -> None:
    text = "unknown field `x`"
    everywhere = body(message={"x": 1}, call={"x": 1}, x=1)
    assert diagnose(400, text, everywhere) == (Remedy("drop", "x", "body"),)
    below = body(message={"x": 1}, call={"x": 1})
    assert diagnose(400, text, below) == (
        Remedy("drop", "x", "message"),
        Remedy("drop", "tool_calls[].x", "message"),
    )


def test_a_path_into_a_tool_call_drops_the_key_of_the_call() -> None:
    assert diagnose(400, "messages.1.tool_calls.0.extra_content: Extra inputs are not permitted", SIGNED) == (UNSIGNED,)
    bracketed = "Extra inputs are not permitted, field: 'messages[1].tool_calls[0].extra_content'"
    assert diagnose(400, bracketed, SIGNED) == (UNSIGNED,)


def test_a_property_without_an_owner_is_a_lone_name() -> None:
    text = "property 'thinking' is unsupported, did you mean 'think'?"
    assert diagnose(400, error(text), body(thinking={})) == (Remedy("drop", "thinking", "body"),)


def test_labels_are_of_a_closed_set() -> None:
    assert BARE.label == "reasoning_content"
    assert UNSIGNED.label == "tool_calls[].extra_content"
    assert Remedy("drop", "my-secret-key", "body").label == OTHER
    assert OTHER not in FIELDS


def test_an_endless_error_is_read_in_bounded_time() -> None:
    names = ", ".join(f"'k{number}'" for number in range(5000))
    sent = {**body(), **{f"k{number}": 1 for number in range(5000)}}
    text = f"Additional properties are not allowed ({names} were unexpected)"
    assert len(diagnose(400, text[:8000] + " were unexpected)", sent)) <= MOST
    hostile = ["'" * 60_000, "a" * 60_000, "loc': (" * 9_000, "property '" * 6_000, "[" * 60_000, "'a', " * 12_000]
    assert diagnose(400, hostile, sent) == ()
    deep: Any = "Unrecognized request argument supplied: k1"
    for _ in range(50):
        deep = {"error": deep}
    assert diagnose(400, deep, sent) == ()


# heal


def test_a_dropped_field_is_stripped_and_no_longer_written() -> None:
    field = Manner(history=History(replay="field", field="reasoning_content", backfill="space"))
    assert heal(field, BARE).history == History(
        replay="drop", field="reasoning_content", strip_fields=("reasoning_content",)
    )
    other = Manner(history=History(replay="field", field="reasoning", backfill="space"))
    assert heal(other, BARE).history == History(
        replay="field", field="reasoning", backfill="space", strip_fields=("reasoning_content",)
    )
    details = Manner(history=History(replay="details"))
    mended = heal(details, Remedy("drop", "reasoning_details", "message"))
    assert mended.history == History(replay="drop", strip_fields=("reasoning_details",))
    assert heal(mended, Remedy("drop", "reasoning_details", "message")) == mended


@pytest.mark.parametrize("replay", ["auto", "drop", "passthrough", "field", "details", "tags", "content_parts"])
@pytest.mark.parametrize("backfill", ["none", "empty_string", "space"])
def test_a_dropped_field_is_not_sent_whatever_the_history_was(replay: Any, backfill: Any) -> None:
    sent = body(message={"reasoning_content": "Hm"})
    manner = heal(Manner(history=History(replay=replay, backfill=backfill)), BARE)
    for seen in (None, "reasoning_content", "reasoning"):
        prepared = prepare(sent, manner, model="m", seen_field=seen)
        assert "reasoning_content" not in prepared.body["messages"][1]
        assert prepared.body["messages"][1]["tool_calls"] == sent["messages"][1]["tool_calls"]


@pytest.mark.parametrize("replay", ["auto", "drop", "passthrough", "field", "details", "tags", "content_parts"])
def test_an_added_field_is_there_whatever_the_history_was(replay: Any) -> None:
    manner = heal(Manner(history=History(replay=replay, field="x", strip_fields=("reasoning_content", "y"))), MISSING)
    assert manner.history.strip_fields == ("y",)
    assert manner.history.backfill == "empty_string"
    unknown = prepare(WITHOUT, manner, model="m").body["messages"][1]
    assert unknown["reasoning_content"] == ""
    known = prepare(body(message={"reasoning": "Hm"}), manner, model="m").body["messages"][1]
    assert known["reasoning_content"] == "Hm"
    assert "reasoning" not in known


def test_adding_keeps_a_backfill_and_changes_nothing_where_the_field_is_sent_already() -> None:
    manner = Manner(history=History(replay="field", backfill="space"))
    assert heal(manner, MISSING) == manner


def test_missing_details_and_signatures_are_let_through() -> None:
    stripping = Manner(history=History(strip_fields=("reasoning_details", "tool_calls[].extra_content")))
    details = heal(stripping, Remedy("add", "reasoning_details", "message"))
    assert details.history == History(replay="details", strip_fields=("tool_calls[].extra_content",))
    signed = heal(details, Remedy("add", "tool_calls[].extra_content", "message"))
    assert signed.history == History(replay="details")
    assert prepare(SIGNED, signed, model="m").body["messages"] == SIGNED["messages"]


def test_a_dropped_key_of_the_body_is_in_none_of_the_places_that_write_it() -> None:
    request = Request(
        on={"thinking": {"type": "enabled"}},
        hide={"thinking": {"hidden": True}, "h": 1},
        set={"thinking": {"keep": "all"}, "s": 1},
        strip=("x",),
    )
    manner = heal(Manner(request=request), Remedy("drop", "thinking", "body"))
    prepared = prepare(body(reasoning_effort="high", include_reasoning=False, x=1), manner, model="m")
    assert "thinking" not in prepared.body
    assert (prepared.body["s"], prepared.body["h"]) == (1, 1)
    assert {"thinking dropped", "x dropped"} <= set(prepared.notes)
    assert heal(manner, Remedy("drop", "thinking", "body")) == manner


def test_a_hide_that_is_refused_whole_is_no_longer_expressible() -> None:
    manner = heal(
        Manner(request=Request(on={}, hide={"include_reasoning": False})), Remedy("drop", "include_reasoning", "body")
    )
    assert "hide->drop" in prepare(body(include_reasoning=False), manner, model="m").notes


def test_refused_stream_options_are_not_asked_for_again() -> None:
    manner = heal(Manner(response=Dialect(usage=UsageRules(request="always"))), NO_OPTIONS)
    assert manner.response.usage == UsageRules(request="never")
    assert "stream_options" not in prepare(STREAMED, manner, model="m").body


@each_refusal
def test_what_is_mended_is_not_refused_for_the_same_field_again(given: Refusal) -> None:
    strict = Manner(
        history=History(replay="passthrough", strip_fields=("tool_calls[].extra_content",))
        if given.remedy.action == "add"
        else History(replay="passthrough")
    )
    manner = healed(strict, diagnose(given.status, given.said, given.sent))
    assert manner != strict
    sent = prepare(given.sent, manner, model="m").body
    if given.remedy.action == "drop":
        assert diagnose(given.status, given.said, sent) == ()
    elif given.remedy.field in ("reasoning_content", "reasoning_text"):
        assert sent["messages"][1][given.remedy.field] == ""
