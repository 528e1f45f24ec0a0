"""Conversations of three turns with tools before each strict host: refused without the proxy's help, and not with it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from tests.support.builtin_files import key_of
from tests.support.conversing import DROPS, RETURNS, converse, sdk
from tests.support.refusals import REFUSALS, UNMENDED
from tests.support.refusing import CASES, Case
from tests.support.scripted import Upstream, scripted
from tests.support.server import Running, running, settings_of
from tests.support.strict import script_of

OFF: dict[str, Any] = {"history": {"replay": "passthrough"}}
each = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id}-{case.model}")
HELPED = [
    pytest.param(case, kind, stream, id=f"{case.id}-{case.model}-{kind}-{'stream' if stream else 'whole'}")
    for case in CASES
    for kind in (RETURNS, DROPS)
    for stream in case.streams
    if stream or kind == case.client
]
"""Both kinds of client; the one that meets the refusal without help is told its answers whole too."""


@contextmanager
def through(upstream: Upstream, name: str, entry: dict[str, Any], model: str) -> Iterator[Running]:
    """The proxy with one provider."""
    key = key_of(name) if name != "house" else None
    table = {
        "version": 1,
        "providers": {name: {"base_url": upstream.url, **entry}},
        "routes": [{"model": "m", "targets": [{"provider": name, "model": model}]}],
    }
    with running(settings_of(json.dumps(table), {key: "secret-key-0123"} if key else {})) as proxy:
        yield proxy


def talk(url: str, case: Case, kind: str, *, stream: bool) -> list[dict[str, Any]]:
    with sdk(url) as client:
        return converse(client, ["m"] * 3, kind=kind, stream=stream, before=case.before, **case.asks)


def refused(url: str, upstream: Upstream, case: Case, *, stream: bool) -> openai.APIStatusError:
    """The error with which a conversation ends that nothing helps."""
    before = len(upstream.asked)
    with pytest.raises(openai.APIStatusError) as found:
        talk(url, case, case.client, stream=stream)
    assert len(upstream.asked) - before == case.at
    return found.value


def said(case: Case, upstream: Upstream) -> tuple[Any, int]:
    """The body and the status with which the host refused."""
    answer = case.strict.rules[0].answer(upstream.asked[-1].json)
    assert answer is not None
    return answer


def text_of(body: Any) -> str:
    """The words of a refusal, without what a host wraps them in."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return text_of(body[0])
    if "detail" in body:
        return str(body["detail"][0]["msg"])
    return str(body.get("error", body)["message"])


@each
def test_the_host_refuses_a_client_that_talks_to_it_directly(case: Case) -> None:
    with scripted(script_of(case.strict)) as upstream:
        for stream in case.streams:
            error = refused(upstream.url, upstream, case, stream=stream)
            assert (error.response.json(), error.status_code) == said(case, upstream)


@each
def test_a_provider_of_which_nothing_is_said_does_not_help(case: Case) -> None:
    never = {} if case.refusal == "mistral-options" else {"response": {"usage": {"request": "never"}}}
    with (
        scripted(script_of(case.strict)) as upstream,
        through(upstream, "house", {**OFF, **never}, case.model) as proxy,
    ):
        for stream in case.streams:
            error = refused(f"{proxy.url}/v1", upstream, case, stream=stream)
            body, status = said(case, upstream)
            assert error.status_code == status
            assert text_of(body) in error.response.json()["error"]["message"]


@pytest.mark.parametrize(("case", "kind", "stream"), HELPED)
def test_with_the_proxys_help_the_conversation_goes_to_its_end(case: Case, kind: str, *, stream: bool) -> None:
    with (
        scripted(script_of(case.strict)) as upstream,
        through(upstream, case.name, case.entry, case.model) as proxy,
    ):
        messages = talk(f"{proxy.url}/v1", case, kind, stream=stream)
        refusals = [one.json for one in upstream.asked if case.judge(one.json) is not None]
    healed = "self_heal" in case.entry.get("history", {})
    met = kind == case.client or case.at == 1
    assert len(refusals) == (1 if healed and met else 0)
    answers = [message["content"] or "" for message in messages if message["role"] == "assistant"]
    assert len([text for text in answers if text.startswith("It is warm")]) == 3


def test_every_known_refusal_is_met_by_a_conversation() -> None:
    assert {case.refusal for case in CASES} == {known.name for known in REFUSALS} | set(UNMENDED)
