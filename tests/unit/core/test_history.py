"""What goes back of earlier assistant messages: read in every form, written in the one that the target takes."""

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.dialect import History
from proxy.core.history import rewrite

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "s1g"}}}
DETAILS = [
    {"type": "reasoning.text", "text": "be", "signature": "abc", "index": 0},
    {"type": "reasoning.encrypted", "data": "…", "index": 1},
    {"type": "reasoning.text", "text": "cause", "index": 2},
]
BLOCKS = [{"type": "thinking", "thinking": "because", "signature": "abc"}, {"type": "redacted_thinking", "data": "x"}]
PARTS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "because"}]},
    {"type": "text", "text": "So."},
]
FIELD = History(replay="field")


def assistant(**keys: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "So.", **keys}


def after(message: dict[str, Any], history: History, seen: str | None = None, last: Any = None) -> Any:
    """The message, rewritten in the middle of a conversation."""
    messages = [{"role": "user", "content": "Why?"}, message, last or {"role": "user", "content": "And?"}]
    before = copy.deepcopy(messages)
    out = rewrite(messages, history, seen_field=seen)
    assert messages == before
    assert out[0] is messages[0]
    return out[1]


READABLE = [
    assistant(reasoning_content="because"),
    assistant(reasoning="because"),
    assistant(reasoning_text="because"),
    assistant(reasoning_content="", reasoning="because"),
    assistant(reasoning_content=None, reasoning={"odd": 1}, reasoning_text="because"),
    assistant(reasoning_details=DETAILS),
    assistant(reasoning_details=[{"type": "reasoning.summary", "summary": "because"}]),
    assistant(reasoning_details=["odd", {"type": "reasoning.text", "text": "because"}]),
    assistant(reasoning="because", reasoning_content="because", reasoning_details=DETAILS),
    assistant(thinking_blocks=BLOCKS),
    assistant(content=PARTS),
    assistant(content=[{"type": "thinking", "thinking": "because"}, {"type": "text", "text": "So."}]),
    assistant(content=[{"type": "reasoning", "summary": [{"text": "because"}]}, {"type": "text", "text": "So."}]),
]


@pytest.mark.parametrize("message", READABLE, ids=lambda m: str(m)[34:100])
def test_every_form_is_read_and_written_as_the_field_of_the_target(message: dict[str, Any]) -> None:
    assert after(message, History(replay="field", field="reasoning")) == assistant(reasoning="because")


@pytest.mark.parametrize("message", READABLE, ids=lambda m: str(m)[34:100])
def test_every_form_is_read_and_written_as_tags(message: dict[str, Any]) -> None:
    assert after(message, History(replay="tags")) == assistant(content="<think>because</think>So.")


@pytest.mark.parametrize("message", READABLE, ids=lambda m: str(m)[34:100])
def test_every_form_is_read_and_written_as_content_parts(message: dict[str, Any]) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "because"}], "closed": True}
    expected = assistant(content=[thinking, {"type": "text", "text": "So."}])
    assert after(message, History(replay="content_parts")) == expected


@pytest.mark.parametrize("message", READABLE, ids=lambda m: str(m)[34:100])
def test_every_form_is_read_and_dropped(message: dict[str, Any]) -> None:
    assert after(message, History(replay="drop")) == assistant()


@pytest.mark.parametrize("message", READABLE, ids=lambda m: str(m)[34:100])
def test_passthrough_and_unknown_roles_are_the_same_object(message: dict[str, Any]) -> None:
    assert after(message, History(replay="passthrough")) is message
    user = {**message, "role": "user"}
    assert after(user, History(replay="drop")) is user


def test_details_go_back_byte_same_and_in_order() -> None:
    message = assistant(reasoning="because", reasoning_details=DETAILS)
    out = after(message, History(replay="details"))
    assert out == assistant(reasoning_details=DETAILS)
    assert out["reasoning_details"] is DETAILS


def test_text_alone_becomes_details() -> None:
    assert after(assistant(reasoning_content="because"), History(replay="details")) == assistant(
        reasoning_details=[{"type": "reasoning.text", "text": "because", "format": "unknown", "index": 0}]
    )


def test_blocks_become_details_with_their_signatures() -> None:
    blocks = [*BLOCKS, {"type": "thinking", "thinking": "more"}]
    assert after(assistant(thinking_blocks=blocks), History(replay="details")) == assistant(
        reasoning_details=[
            {"type": "reasoning.text", "text": "because", "index": 0, "signature": "abc"},
            {"type": "reasoning.encrypted", "data": "x", "index": 1},
            {"type": "reasoning.text", "text": "more", "index": 2},
        ]
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (None, assistant()),
        ("reasoning", assistant(reasoning="because")),
        ("reasoning_content", assistant(reasoning_content="because")),
        ("thought", assistant(thought="because")),
        ("details", assistant(reasoning_details=DETAILS)),
        ("tags", assistant(content="<think>because</think>So.")),
        ("content_parts", assistant(content=[{**PARTS[0], "closed": True}, PARTS[1]])),
    ],
)
def test_auto_sends_it_where_the_target_was_seen_to_send_it(seen: str | None, expected: dict[str, Any]) -> None:
    assert after(assistant(reasoning_details=DETAILS), History(), seen) == expected


def test_summaries_are_joined_by_a_blank_line() -> None:
    details = [{"type": "reasoning.summary", "summary": "one"}, {"type": "reasoning.summary", "summary": "two"}]
    assert after(assistant(reasoning_details=details), FIELD)["reasoning_content"] == "one\n\ntwo"


def test_the_field_stands_where_the_other_spelling_stood() -> None:
    message = {"role": "assistant", "reasoning": "because", "content": "So.", "name": "n", "reasoning_text": "x"}
    assert list(after(message, FIELD)) == ["role", "reasoning_content", "content", "name"]
    assert list(after(assistant(content=PARTS, name="n"), FIELD)) == ["role", "content", "name", "reasoning_content"]


@pytest.mark.parametrize(
    "message",
    [
        assistant(reasoning_content="because"),
        assistant(),
        assistant(tool_calls=[SIGNED], content=None, reasoning_content="because"),
        assistant(content=[{"type": "text", "text": "So."}]),
        {"role": "assistant", "tool_calls": [SIGNED]},
    ],
)
@pytest.mark.parametrize("backfill", ["none", "empty_string"])
def test_a_message_that_needs_no_change_is_the_same_object(message: dict[str, Any], backfill: Any) -> None:
    history = dataclasses.replace(FIELD, backfill=backfill, strip_tags=True, content_as_string=False)
    if backfill == "none" or not message.get("tool_calls") or "reasoning_content" in message:
        assert after(message, history) is message
    else:
        assert after(message, history) == {**message, "reasoning_content": ""}


def test_a_list_in_which_nothing_changes_is_the_same_list() -> None:
    messages = [{"role": "user", "content": "x"}, assistant(), "odd", {"content": "no role"}]
    assert rewrite(messages, History(), seen_field=None) is messages


def conversation() -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "1"},
        assistant(reasoning_content="a", tool_calls=[CALL]),
        {"role": "tool", "tool_call_id": "c1", "content": "t"},
        assistant(reasoning_content="b"),
        {"role": "user", "content": "2"},
        assistant(reasoning_content="c", tool_calls=[CALL]),
        {"role": "tool", "tool_call_id": "c1", "content": "t"},
        assistant(reasoning_content="d"),
    ]


@pytest.mark.parametrize("replay", ["field", "passthrough"])
@pytest.mark.parametrize(
    ("scope", "kept"), [("all", "abcd"), ("current_turn", "cd"), ("tool_calls_only", "ac")], ids=lambda v: v
)
def test_scope_says_which_messages_keep_their_reasoning(scope: Any, kept: str, replay: Any) -> None:
    out = rewrite(conversation(), History(replay=replay, scope=scope), seen_field=None)
    assert "".join(message.get("reasoning_content", "") for message in out) == kept


def test_without_a_user_message_all_is_the_current_turn() -> None:
    messages = [assistant(reasoning_content="a"), assistant(reasoning_content="b")]
    assert rewrite(messages, dataclasses.replace(FIELD, scope="current_turn"), seen_field=None) is messages


@pytest.mark.parametrize(("backfill", "text"), [("empty_string", ""), ("space", " ")])
@pytest.mark.parametrize("unknown", [{}, {"reasoning_content": None}, {"reasoning": ""}, {"reasoning_details": []}])
def test_backfill_says_something_where_the_reasoning_of_a_tool_call_is_unknown(
    backfill: Any, text: str, unknown: dict[str, Any]
) -> None:
    history = dataclasses.replace(FIELD, backfill=backfill)
    message = assistant(tool_calls=[CALL], **unknown)
    assert after(message, history) == assistant(tool_calls=[CALL], reasoning_content=text)
    assert after(assistant(reasoning="known", tool_calls=[CALL]), history)["reasoning_content"] == "known"
    assert "reasoning_content" not in after(assistant(name="n"), history)


def test_backfill_holds_for_every_replay_and_outside_of_the_scope() -> None:
    message = assistant(tool_calls=[CALL], reasoning="x")
    for history in (
        History(replay="drop", backfill="empty_string"),
        History(backfill="empty_string"),
        History(replay="field", scope="current_turn", backfill="empty_string"),
    ):
        assert after(message, history) == assistant(tool_calls=[CALL], reasoning_content="")
    silent = assistant(tool_calls=[CALL])
    assert after(silent, History(replay="tags", backfill="space")) == {**silent, "reasoning_content": " "}
    assert after(silent, History(replay="passthrough", backfill="space")) == {**silent, "reasoning_content": " "}
    tagged = assistant(content="<think>x</think>", tool_calls=[CALL])
    assert after(tagged, History(replay="tags", backfill="space")) is tagged
    assert after(silent, History(backfill="space"), "reasoning") == {**silent, "reasoning": " "}
    assert after(message, History(replay="passthrough", backfill="space")) is message


def test_encrypted_details_need_no_backfill_where_they_go_back() -> None:
    message = assistant(tool_calls=[CALL], reasoning_details=[DETAILS[1]])
    assert after(message, History(replay="details", backfill="empty_string")) is message
    expected = assistant(tool_calls=[CALL], reasoning_content="")
    assert after(message, dataclasses.replace(FIELD, backfill="empty_string")) == expected


def test_an_empty_text_stays_empty_and_changes_its_name() -> None:
    assert after(assistant(reasoning=""), FIELD) == assistant(reasoning_content="")
    assert after(assistant(reasoning=" "), History(replay="details")) == assistant()


TAGGED = ["<think>because</think>So.", " <think>\nbecause\n</think>\n\nSo.", "<thought>because</thought>So."]


@pytest.mark.parametrize("content", TAGGED)
@pytest.mark.parametrize("form", [str, lambda text: [{"type": "text", "text": text}]], ids=["string", "list"])
def test_a_leading_think_block_is_taken_out_and_sent_as_the_target_wants_it(content: str, form: Any) -> None:
    message = assistant(content=form(content))
    stripped = dataclasses.replace(FIELD, strip_tags=True)
    assert after(message, stripped) == assistant(content=form("So."), reasoning_content="because")
    assert after(message, History(replay="drop", strip_tags=True)) == assistant(content=form("So."))
    assert after(message, History(replay="passthrough", strip_tags=True)) == assistant(content=form("So."))
    assert after(message, FIELD) is message
    assert after(message, History(replay="tags", strip_tags=True)) is message


def test_a_block_in_the_text_does_not_win_over_a_field() -> None:
    message = assistant(content="<think>a</think>So.", reasoning="because")
    assert after(message, dataclasses.replace(FIELD, strip_tags=True)) == assistant(reasoning_content="because")
    assert after(message, History(replay="tags")) == assistant(content="<think>a</think>So.")


@pytest.mark.parametrize(
    "content", ["<think>open", "text <think>x</think>", "", None, [], [{"type": "image_url"}], ["<think>x</think>"]]
)
def test_what_is_no_leading_block_stays(content: Any) -> None:
    message = assistant(content=content)
    assert after(message, dataclasses.replace(FIELD, strip_tags=True)) is message
    assert after(message, History(replay="passthrough", strip_tags=True)) is message


def test_a_block_with_nothing_after_it_leaves_an_empty_content() -> None:
    history = History(replay="drop", strip_tags=True)
    assert after(assistant(content="<think>x</think>"), history) == assistant(content="")
    assert after(assistant(content=[{"type": "text", "text": "<think>x</think>"}]), history) == assistant(content=[])


def test_the_text_of_a_prefill_is_continued_as_it_stands() -> None:
    messages = [{"role": "user", "content": "x"}, assistant(content="<think>a</think>The answer is", reasoning="a")]
    out = rewrite(messages, History(replay="drop", strip_tags=True), seen_field=None)
    assert out[1] == assistant(content="<think>a</think>The answer is")


def test_tags_go_before_parts_and_alone_where_there_is_no_content() -> None:
    tags = History(replay="tags")
    image = {"type": "image_url", "image_url": {"url": "u"}}
    head = {"type": "text", "text": "<think>because</think>"}
    assert after(assistant(content=[image], reasoning="because"), tags) == assistant(content=[head, image])
    message = {"role": "assistant", "tool_calls": [CALL], "reasoning": "because"}
    expected = {"role": "assistant", "tool_calls": [CALL], "content": "<think>because</think>"}
    assert after(message, tags) == expected
    assert after({**message, "content": None}, tags) == expected


def test_parts_that_are_already_there_keep_their_place() -> None:
    parts = [PARTS[1], {**PARTS[0], "closed": False}, {"type": "redacted_thinking", "data": "x"}, "odd"]
    out = after(assistant(content=parts), History(replay="content_parts"))
    assert out["content"] == [PARTS[1], {**PARTS[0], "closed": False}, "odd"]
    closed = assistant(content=[{**PARTS[0], "closed": True}, PARTS[1]])
    assert after(closed, History(replay="content_parts")) is closed


def test_parts_are_written_without_an_empty_text_and_before_other_parts() -> None:
    history, part = History(replay="content_parts"), {**PARTS[0], "closed": True}
    image = {"type": "image_url", "image_url": {"url": "u"}}
    assert after(assistant(content=None, reasoning="because"), history)["content"] == [part]
    assert after(assistant(content="", reasoning="because"), history)["content"] == [part]
    assert after(assistant(content=[image], reasoning="because"), history)["content"] == [part, image]


def test_content_without_its_reasoning_parts_is_plain_again() -> None:
    cached = {"type": "text", "text": "So.", "cache_control": {"type": "ephemeral"}}
    assert after(assistant(content=[PARTS[0], cached]), FIELD)["content"] == [cached]
    assert after(assistant(content=PARTS[:1]), FIELD)["content"] == ""
    assert after(assistant(content=PARTS[:1], tool_calls=[CALL]), FIELD)["content"] is None


def test_opaque_state_of_tool_calls_is_kept_unless_it_is_stripped() -> None:
    message = assistant(tool_calls=[SIGNED, "odd", CALL], reasoning="x")
    assert after(message, FIELD)["tool_calls"] is message["tool_calls"]
    stripped = History(replay="drop", strip_fields=("tool_calls[].extra_content",))
    assert after(message, stripped) == assistant(tool_calls=[CALL, "odd", CALL])
    assert after(assistant(), stripped) == assistant()


def test_stripped_fields_leave_messages_of_every_role() -> None:
    history = History(replay="passthrough", strip_fields=("name", "reasoning_details"))
    messages = [{"role": role, "content": "x", "name": "n"} for role in ("system", "user", "tool", "assistant")]
    assert rewrite(messages, history, seen_field=None) == [
        {"role": role, "content": "x"} for role in ("system", "user", "tool", "assistant")
    ]
    assert after(assistant(reasoning_details=DETAILS), history) == assistant()


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_content_as_string_joins_what_is_text_alone(role: str) -> None:
    text, image = {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}
    history = History(replay="passthrough", content_as_string=True)
    messages = [{"role": role, "content": content} for content in ([text, text], [text, image], [], "s", None)]
    out = rewrite(messages, history, seen_field=None)
    null = "" if role == "assistant" else None
    assert [message["content"] for message in out] == ["aa", [text, image], [], "s", null]


def test_null_beside_tool_calls_stays_under_content_as_string() -> None:
    message = assistant(content=None, tool_calls=[CALL])
    assert after(message, History(replay="passthrough", content_as_string=True)) is message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["text", "thinking", "<think>a</think>b", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "thinking", "summary", "signature"]), inner, max_size=3)
    ),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"])},
        optional=dict.fromkeys(
            (
                "content",
                "reasoning",
                "reasoning_content",
                "reasoning_details",
                "thinking_blocks",
                "tool_calls",
            ),
            JSON,
        ),
    )
    | JSON,
    max_size=4,
)
HISTORIES = st.builds(
    History,
    replay=st.sampled_from(["auto", "drop", "passthrough", "field", "details", "tags", "content_parts"]),
    scope=st.sampled_from(["all", "current_turn", "tool_calls_only"]),
    backfill=st.sampled_from(["none", "empty_string", "space"]),
    strip_fields=st.sampled_from([(), ("reasoning",), ("tool_calls[].id",)]),
    strip_tags=st.booleans(),
    content_as_string=st.booleans(),
)


@given(MESSAGES, HISTORIES, st.sampled_from([None, "reasoning", "details", "tags", "content_parts"]))
def test_any_messages_are_rewritten_without_a_change_to_the_input(
    messages: list[Any], history: History, seen: str | None
) -> None:
    before = copy.deepcopy(messages)
    out = rewrite(messages, history, seen_field=seen)
    assert messages == before
    assert len(out) == len(messages)
    assert [m.get("role") for m in out if isinstance(m, dict)] == [m.get("role") for m in before if isinstance(m, dict)]


@given(MESSAGES)
def test_passthrough_is_the_identity(messages: list[Any]) -> None:
    assert rewrite(messages, History(replay="passthrough"), seen_field=None) is messages


@given(MESSAGES, HISTORIES)
def test_rewriting_twice_is_rewriting_once(messages: list[Any], history: History) -> None:
    once = rewrite(messages, history, seen_field=None)
    assert rewrite(once, history, seen_field=None) == once
