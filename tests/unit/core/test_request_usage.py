"""Whether a target is asked for its token counts."""

from typing import Any

import pytest

from proxy.core.dialect import Dialect, Manner, Request, UsageRules
from proxy.core.request import prepare


@pytest.mark.parametrize(
    ("rule", "options", "sent"),
    [
        ("auto", None, {"include_usage": True}),
        ("auto", {}, {"include_usage": True}),
        ("auto", {"include_usage": True, "x": 1}, {"include_usage": True, "x": 1}),
        ("auto", {"include_usage": False}, {"include_usage": True}),
        ("always", {"include_usage": False}, {"include_usage": True}),
        ("never", {"include_usage": True}, None),
        ("never", None, None),
    ],
)
def test_streams_ask_for_usage_as_the_rule_says_and_whole_answers_never(rule: Any, options: Any, sent: Any) -> None:
    manner = Manner(response=Dialect(usage=UsageRules(request=rule)))
    body = {"messages": [], "stream_options": options}
    assert prepare({**body, "stream": True}, manner, model="m").body.get("stream_options") == sent
    for whole in ({}, {"stream": False}, {"stream": None}):
        assert "stream_options" not in prepare({**body, **whole}, manner, model="m").body


@pytest.mark.parametrize(
    ("rule", "options", "sent"),
    [
        ("auto", None, None),
        ("auto", {"include_usage": False}, {"include_usage": False}),
        ("auto", {"include_usage": True}, {"include_usage": True}),
        ("always", None, {"include_usage": True}),
    ],
)
def test_an_answer_that_passes_as_it_is_holds_no_usage_which_nobody_asked_for(
    rule: Any, options: Any, sent: Any
) -> None:
    manner = Manner(response=Dialect(usage=UsageRules(request=rule)))
    body = {"messages": [], "stream": True} | ({} if options is None else {"stream_options": options})
    assert prepare(body, manner, model="m", verbatim=True).body.get("stream_options") == sent


def test_a_target_that_strips_stream_options_gets_none() -> None:
    manner = Manner(request=Request(strip=("stream_options",)))
    assert "stream_options" not in prepare({"messages": [], "stream": True}, manner, model="m").body
