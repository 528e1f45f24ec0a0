"""The first text in `content`: where its first character shows that it is answer, it leaves as the splitter would send it."""

from typing import Any

import pytest

from proxy.core.choice import DialectReader
from proxy.core.dialect import Dialect, Tags
from proxy.core.short_way import begins_answer
from tests.support.paths import both
from tests.support.streams import DONE, chunk, context, event

FLAGGED: dict[str, Any] = {"extra_content": {"google": {"thought": True}}}
CALL = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
FIRST = [
    "x",
    " x",
    "x ",
    "\n",
    "\u00a0",
    "\u2003x",
    "<",
    "<b>",
    "<think>a",
    "</think>x",
    "T",
    "a<think>b</think>c",
    "世",
    "😀",
]
FIRST += ["[THINK]", "◁think▷a", "<answer>x", "ought", "*"]
LATER: list[list[dict[str, Any]]] = [
    [],
    [{"content": "y"}, {"content": "z"}],
    [{"content": "<think>b</think>y"}],
    [{"content": "</thi"}, {"content": "nk>y"}],
    [{"content": "b", **FLAGGED}, {"content": "<thought>c", **FLAGGED}, {"content": "</thought>z"}],
    [{"content": "b", **FLAGGED}],
    [{"content": "\u00a0"}, {"content": "b", **FLAGGED}],
    [{"reasoning_content": "b"}, {"content": "y"}],
    [{"reasoning": "b"}, CALL, {"content": "<think>y"}],
    [CALL],
]
DIALECTS = {
    "detection": Dialect(),
    "anywhere": Dialect(tags=Tags(position="anywhere", blocks="all", trim="none")),
    "begins inside": Dialect(tags=Tags(implicit_start="always")),
    "may begin inside": Dialect(tags=Tags(implicit_start="when_thinking")),
    "content if it stops": Dialect(tags=Tags(unclosed="content_if_stop")),
    "any case": Dialect(tags=Tags(pairs=(("thinking:", "answer:"), ("[THINK]", "[/THINK]")), case_sensitive=False)),
    "an end stays": Dialect(tags=Tags(stray_end="keep", trim="inner")),
    "no tags": Dialect(tags=Tags(pairs=(), answer_wrapper=())),
}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("first", FIRST)
def test_it_leaves_as_the_splitter_would_send_it(first: str, name: str) -> None:
    for later in LATER:
        for beside in ({}, {"reasoning_content": None}, {"role": "assistant"}, FLAGGED, {"refusal": None, "x": "y"}):
            said = [{"role": "assistant", "content": ""}, {"content": first, **beside}, *later]
            for word in ("stop", "length"):
                events = [*(event(chunk(delta)) for delta in said), event(chunk({}, word)), DONE]
                both(events, context(DIALECTS[name]))
                both([b"".join(events)], context(DIALECTS[name]))


@pytest.mark.parametrize(
    ("name", "text", "sure"),
    [
        ("detection", "x", True),
        ("detection", "世", True),
        ("detection", "<", False),
        ("detection", " x", False),
        ("detection", "\u00a0", False),
        ("anywhere", "x", False),
        ("begins inside", "x", False),
        ("any case", "x", True),
        ("any case", "T", False),
        ("any case", "a", False),
        ("no tags", "<", True),
    ],
)
def test_its_first_character_tells_where_no_delimiter_can_begin_with_it(name: str, text: str, *, sure: bool) -> None:
    assert begins_answer(DialectReader(DIALECTS[name], thinking=True), text) is sure
