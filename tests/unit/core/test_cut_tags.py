"""Events with a text in `content` and nothing else leave as the closer look would send them, wherever tags are cut."""

import json
from itertools import product
from typing import Any

import pytest

from proxy.core.dialect import Dialect, Tags
from tests.support.paths import both, looks_of
from tests.support.streams import DONE, FRAME, chunk, context, event

ROLE = {"role": "assistant", "content": ""}
CALL = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}

CUTS = [
    ["<th", "ink>", "\n", "so ", "it", " is\n", "</", "think>", "\n\n", "An", "swer"],
    ["<think>so it is</think>An answer"],
    ["<", "t", "h", "i", "n", "k", ">", "so", "<", "/", "t", "h", "i", "n", "k", ">", "An"],
    [" ", "\n", "<think", ">", " ", "so", " </thi", "nk", "> An", " <think>", "no"],
    ["think>so", " it", "</think>An"],
    ["no tag", "think>"],
    ["<th", "e answer>", " is", " x"],
    ["<", " is less", " <think>"],
    [" ", " ", " An", " ", "<"],
    ["so</th", "ink>An", "</think>", "<think>so</think>"],
    ["<think>", "so</think>An<think>so", "</think>An"],
    ["<think><think>", "so", "</think>", "<think>", "so", "</think>", "x"],
    ["<think>", "never closed <"],
    ["<th"],
    ["  ", "<think>", "so", "</think>An"],
    [" "] * 70 + ["<think>so</think>An"],
]
DIALECTS = [
    Dialect(),
    Dialect(tags=Tags(trim="none")),
    Dialect(tags=Tags(trim="both", position="anywhere", blocks="all")),
    Dialect(tags=Tags(trim="none", position="anywhere", blocks="all", unclosed="content_if_stop")),
    Dialect(tags=Tags(implicit_start="always", stray_end="strip", implicit_end=("so",))),
]
OPENINGS: list[list[dict[str, Any]]] = [
    [chunk(ROLE)],
    [],
    [chunk({"role": "assistant", "content": "<"})],
    [chunk({"role": "assistant", "content": " "})],
    [chunk({"role": "assistant", "content": "<"}), chunk({"content": "think"})],
    [chunk({"role": "assistant", "content": "<"}), chunk({"content": "thin air"})],
    [chunk(ROLE), chunk({"content": "<th"}, system_fingerprint="fp", note="mine")],
    [chunk(ROLE), chunk({"reasoning": "a thought"})],
    [chunk(ROLE), chunk(CALL)],
    [{key: value for key, value in chunk(ROLE).items() if key != "id"}],
]
BETWEEN: list[dict[str, Any] | None] = [None, chunk(ROLE), chunk({"reasoning": "a thought"}), chunk(CALL)]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cut", CUTS)
def test_tags_are_told_as_the_closer_look_tells_them(cut: list[str], dialect: Dialect) -> None:
    for opening, between in product(OPENINGS, BETWEEN):
        texts = [chunk({"content": one}) for one in cut]
        middle = texts if between is None else [*texts[:3], between, *texts[3:]]
        for ending in ([chunk({}, "stop")], [chunk({"content": "!"}, "stop")], []):
            events = [event(one) for one in [*opening, *middle, *ending]]
            both([*events, DONE], context(dialect))
            both([b"".join(events), b""], context(dialect))


ODD: list[dict[str, Any]] = [
    {"finish_reason": ""},
    {"finish_reason": "stop"},
    {"logprobs": {"content": []}},
    {"stop_reason": None, "token_ids": None, "native_finish_reason": None},
    {"stop_reason": 7},
    {"token_ids": [1, 2]},
    {"content_filter_results": {"hate": {"filtered": False}}},
    {"native_finish_reason": "eos"},
    {"index": 1},
    {"message": {"content": "whole"}},
]


@pytest.mark.parametrize("odd", ODD)
def test_what_else_a_choice_holds_is_never_lost(odd: dict[str, Any]) -> None:
    for cut in CUTS[:4]:
        events = [chunk(ROLE)]
        for one in cut:
            events.append({**FRAME, "choices": [{"index": 0, "delta": {"content": one}, "finish_reason": None, **odd}]})
        out = both([*map(event, events), DONE], context()).out
        if odd.get("token_ids"):
            assert out.count(b'"token_ids":[1,2]') == len(cut)


def test_a_padding_and_keys_of_the_host_leave_though_the_text_waits() -> None:
    events = [chunk(ROLE), chunk({"content": "<th"}, obfuscation="4Zx"), chunk({"content": "ink>"}, note="mine")]
    out = both([*map(event, events), event(chunk({"content": "so"})), DONE], context()).out
    assert b'"obfuscation":"4Zx"' in out
    assert b'"note":"mine"' in out


def test_nearly_all_of_these_take_the_shorter_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = looks_of(monkeypatch, "_cut")
    events = [event(chunk({"content": one})) for one in CUTS[0]]
    out = both([event(chunk(ROLE)), *events, event(chunk({}, "stop")), DONE], context()).out
    deltas = [json.loads(one[6:])["choices"][0]["delta"] for one in out.split(b"\n\n")[:-2]]
    assert "".join(one.get("reasoning_content", "") for one in deltas) == "so it is"
    assert "".join(one.get("content", "") for one in deltas) == "Answer"
    assert looks.count(False) == 0
    assert len(looks) >= 8
