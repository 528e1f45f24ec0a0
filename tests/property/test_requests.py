"""Any body and any rules: a request is prepared or refused, and the client's own body is never touched."""

import json
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from proxy.core.dialect import Budget, Effort, History, Manner, Request
from proxy.core.errors import RequestInvalid
from proxy.core.request import prepare
from tests.support.request_bodies import BODIES

MESSAGES = [{"role": "user", "content": "Why?"}]
EFFORT = Effort(levels=("low", "medium", "high"))
BUDGET = Budget(min=1024, max=32000, beside={"thinking": {"type": "enabled"}})
REQUESTS = st.builds(
    Request,
    on=st.sampled_from(
        [None, {}, {"thinking": {"type": "enabled", "budget_tokens": 4096}}, {"reasoning": {"effort": "low"}}]
    ),
    off=st.sampled_from([None, {}, {"reasoning": {"enabled": False}}]),
    effort=st.sampled_from([None, EFFORT, Effort("reasoning.effort"), Effort(levels=("none", "high"))]),
    budget=st.sampled_from([None, BUDGET, Budget("google.thinking_config.thinking_budget", below_max_tokens=True)]),
    hide=st.sampled_from([None, {"include_reasoning": False}]),
    default=st.sampled_from(["on", "off"]),
    set=st.sampled_from([{}, {"reasoning_format": "parsed"}, {"think": False}]),
    strip=st.sampled_from([(), ("think", "stream_options", "thinking.other")]),
    default_effort=st.sampled_from([None, "none", "xhigh", "odd"]),
    on_unsupported=st.sampled_from(["clamp", "drop", "reject"]),
)
LIMITS = st.fixed_dictionaries({}, optional={"max_tokens": st.none() | st.integers(-1, 9000), "stream": st.booleans()})


@given(BODIES, LIMITS, REQUESTS)
def test_any_body_is_prepared_or_refused_and_stays_as_it_is(
    keys: dict[str, Any], limits: dict[str, Any], request_: Request
) -> None:
    body = {"messages": MESSAGES, **keys, **limits}
    before = repr(body)
    manner = Manner(request=request_)
    try:
        prepared = prepare(body, manner, model="m")
    except RequestInvalid:
        event("refused")
    else:
        json.dumps(prepared.body)
        assert all(note.isascii() and note.isprintable() for note in prepared.notes)
    assert repr(body) == before


@given(BODIES)
def test_a_target_without_any_rule_gets_the_clients_body(keys: dict[str, Any]) -> None:
    body = {"messages": MESSAGES, **keys}
    try:
        prepared = prepare(body, Manner(history=History(replay="passthrough")), model="m")
    except RequestInvalid:
        return
    assert repr(prepared.body) == repr({**body, "model": "m"})
