"""Hypothesis strategies: texts with delimiters, tag settings, upstream streams of every family, and rubbish."""

import itertools
from typing import Any

from hypothesis import strategies as st

from proxy.core.dialect import Dialect, Tags
from tests.support.streams import FRAME, body, chunk

PAIRS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<think>\n", "\n</think>\n"),
)
WRAPPERS: tuple[tuple[str, str], ...] = (("<answer>", "</answer>"), ("\n<answer>\n", "\n</answer>"))
_WORDS = ("a", "b c", " ", "\n", "\n\n", "<", "</", "<th", "é", "😀", "\u2028", "<tool_call>", "thought\n")


def spliced(*delimiters: str) -> st.SearchStrategy[str]:
    """Text that is full of these delimiters, of pieces of them, and of white space."""
    known = [
        *_WORDS,
        *delimiters,
        *(word[: len(word) // 2] for word in delimiters),
        *(word.upper() for word in delimiters),
    ]
    return st.lists(st.sampled_from(known), max_size=9).map("".join)


cuts = st.lists(st.integers(0, 10_000), max_size=8)


def pieces(text: Any, places: list[int]) -> list[Any]:
    """`text` (or bytes) cut at these places, taken modulo its length."""
    marks = sorted(place % (len(text) + 1) for place in places)
    return [text[a:b] for a, b in itertools.pairwise([0, *marks, len(text)])]


@st.composite
def tag_settings(draw: st.DrawFn) -> Tags:
    """Any `response.tags`."""
    pairs: list[tuple[str, str]] = draw(st.lists(st.sampled_from(PAIRS), max_size=3, unique=True))
    shared: bool = draw(st.booleans())
    if pairs and shared:
        pairs.append((pairs[0][0], draw(st.sampled_from(PAIRS))[1]))
    return Tags(
        pairs=tuple(pairs),
        labels=draw(st.sampled_from([(), ("thought\n",)])),
        answer_wrapper=tuple(draw(st.lists(st.sampled_from(WRAPPERS), max_size=2, unique=True))),
        implicit_start=draw(st.sampled_from(["never", "always", "when_thinking"])),
        implicit_end=draw(st.sampled_from([(), ("<tool_call>",)])),
        position=draw(st.sampled_from(["start", "anywhere"])),
        blocks=draw(st.sampled_from(["first", "all"])),
        unclosed=draw(st.sampled_from(["reasoning", "content_if_stop"])),
        stray_end=draw(st.sampled_from(["strip", "keep"])),
        trim=draw(st.sampled_from(["none", "inner", "both"])),
        case_sensitive=draw(st.booleans()),
    )


def delimited(tags: Tags) -> st.SearchStrategy[str]:
    """Text full of the delimiters of `tags`."""
    return spliced(*(word for pair in (*tags.pairs, *tags.answer_wrapper) for word in pair))


_scalars = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=4)
_KEYS = [
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "index",
    "delta",
    "message",
    "messages",
    "finish_reason",
    "role",
    "content",
    "reasoning_content",
    "reasoning",
    "thinking",
    "reasoning_details",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "type",
    "text",
    "summary",
    "error",
    "code",
    "detail",
    "logprobs",
    "extra_content",
    "google",
    "thought",
    "refusal",
    "base_resp",
    "status_code",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
]
rubbish = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
"""JSON of any shape, with the words that the core looks for in the wrong places."""


@st.composite
def odd_chunks(draw: st.DrawFn) -> dict[str, Any]:
    """A chunk whose parts are of any type."""
    usual: dict[str, st.SearchStrategy[Any]] = {
        "role": st.sampled_from(["assistant", "", None]),
        "content": st.sampled_from(["<think>", "</think>", "<", "x", "", None, [{"type": "text", "text": "y"}]]),
        "reasoning_content": st.sampled_from(["r", "", None, {"text": "o", "signature": "s"}]),
        "reasoning": st.sampled_from(["r", "q"]),
        "tool_calls": st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys(["index", "id", "type", "function"], rubbish)), max_size=2
        ),
    }
    keys = draw(st.lists(st.sampled_from(sorted(usual)), max_size=3, unique=True))
    delta = {key: draw(st.one_of(usual[key], usual[key], rubbish)) for key in keys}
    choice = {"index": draw(st.integers(0, 1) | rubbish), "delta": draw(st.just(delta) | rubbish)}
    if draw(st.booleans()):
        choice["finish_reason"] = draw(st.sampled_from(["stop", "", None, "eos"]) | rubbish)
    extra = draw(st.dictionaries(st.sampled_from(_KEYS), rubbish, max_size=1)) if draw(st.booleans()) else {}
    return {**FRAME, "choices": [choice], **extra}


_ARGUMENTS = ('{"a": 1}', '{"q": "}{\\""}', "{}", '{"long": "' + "x" * 40 + '"}')


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """What a model says: reasoning, content (none of it a delimiter at its start), calls, finish."""
    calls = [(f"call-{at}", f"f{at}", draw(st.sampled_from(_ARGUMENTS))) for at in range(draw(st.integers(0, 2)))]
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    reasoning = draw(st.text(st.sampled_from("ab \n<>/é😀"), max_size=30)).strip()
    content = draw(st.text(st.sampled_from("ab \n<>/é"), max_size=30)).strip()
    return {"reasoning": reasoning, "content": content, "calls": calls, "finish": finish}


FAMILIES = ("reasoning_content", "reasoning", "both", "details", "parts", "tags")


@st.composite
def told(draw: st.DrawFn, answer: dict[str, Any], family: str) -> bytes:
    """The event stream in which an upstream of this family says it, in any deltas."""
    deltas: list[dict[str, Any]] = [
        _reasoning(family, piece) for piece in pieces(answer["reasoning"], draw(cuts)) if piece
    ]
    content = answer["content"]
    if family == "tags":
        everything = f"<think>{answer['reasoning']}</think>{content}" if answer["reasoning"] else content
        deltas, content = [], everything
    deltas += [{"content": piece} for piece in pieces(content, draw(cuts)) if piece]
    for at, (call_id, name, arguments) in enumerate(answer["calls"]):
        first, *rest = pieces(arguments, draw(cuts))
        head = {"index": at, "id": call_id, "type": "function", "function": {"name": name, "arguments": first}}
        deltas += [
            {"tool_calls": [head]},
            *({"tool_calls": [{"index": at, "function": {"arguments": one}}]} for one in rest),
        ]
    events = [chunk({"role": "assistant", "content": ""}), *map(chunk, deltas), chunk({}, answer["finish"])]
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    return body(*events, {**FRAME, "choices": [], "usage": usage})


def _reasoning(family: str, piece: str) -> dict[str, Any]:
    details = [{"type": "reasoning.text", "text": piece, "index": 0}]
    shapes: dict[str, dict[str, Any]] = {
        "both": {"reasoning": piece, "reasoning_details": details, "content": ""},
        "details": {"reasoning_details": details},
        "parts": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]},
    }
    return shapes.get(family, {family: piece})


def whole_message(answer: dict[str, Any], family: str) -> dict[str, Any]:
    """The whole answer in which an upstream of this family says it."""
    reasoning, content = answer["reasoning"], answer["content"]
    said: dict[str, Any] = {"role": "assistant", "content": content}
    if family == "tags":
        said["content"] = f"<think>{reasoning}</think>{content}" if reasoning else content
    elif family == "parts":
        parts = _reasoning(family, reasoning)["content"] if reasoning else []
        said["content"] = [*parts, *([{"type": "text", "text": content}] if content else [])]
    elif reasoning:
        said |= {**_reasoning(family, reasoning), "content": content}
    if answer["calls"]:
        entries = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in answer["calls"]
        ]
        said["tool_calls"] = entries
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    return {
        **FRAME,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": said, "finish_reason": answer["finish"]}],
        "usage": usage,
    }


def plain_tags() -> Dialect:
    """Tags are not trimmed, so that what leaves can be compared with what came."""
    return Dialect(tags=Tags(trim="none"))
