"""Canonical chunks and answers for tests, by hand and by hypothesis."""

import copy
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from proxy.core.chunk import Chunk
from proxy.core.render import Renderer, Rendering

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "m-1"}


def chunk(delta: dict[str, Any], *, index: int = 0, raw: bytes | None = b"{}", **choice: Any) -> Chunk:
    """One chunk with one choice; `choice` holds its other keys, such as `finish_reason`."""
    return Chunk({**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": None, **choice}]}, raw)


def call(index: int, arguments: str, **entry: Any) -> dict[str, Any]:
    """One fragment of a tool call; with `name` it is the first."""
    name = entry.pop("name", None)
    if name is None:
        return {"index": index, "function": {"arguments": arguments}, **entry}
    first: dict[str, Any] = {"index": index, "id": f"call_{index}", "type": "function"}
    return {**first, "function": {"name": name, "arguments": arguments}, **entry}


def rendered(rendering: Rendering, *chunks: Chunk) -> list[Chunk]:
    """All that leaves for a stream of these chunks."""
    renderer = Renderer(rendering)
    return [out for one in chunks for out in renderer.feed(one)] + renderer.close()


def usage_chunk() -> Chunk:
    return Chunk({**HEAD, "choices": [], "usage": {"total_tokens": 3}}, b"{}")


def deltas(chunks: Iterable[Chunk], index: int = 0) -> list[dict[str, Any]]:
    return [choice["delta"] for one in chunks for choice in one.data["choices"] if choice["index"] == index]


def finishes(chunks: Iterable[Chunk], index: int = 0) -> list[str]:
    reasons = [c.get("finish_reason") for one in chunks for c in one.data["choices"] if c["index"] == index]
    return [reason for reason in reasons if reason is not None]


def frozen(chunks: list[Chunk]) -> list[dict[str, Any]]:
    """A deep copy of the chunks' data, to see later that nobody changed it."""
    return copy.deepcopy([one.data for one in chunks])


text = st.text(st.sampled_from("ab \n\t\r.<>/é😀"), min_size=1, max_size=8)
_arguments = st.sampled_from(['{"a": 1}', '{"q":"}{\\""}', "[]", "{}", "", "not json", '{"open": ', "7"])


@st.composite
def _choice_deltas(draw: st.DrawFn, *, runs: bool) -> list[dict[str, Any]]:
    """The deltas of one choice; without `runs`, reasoning comes before everything else."""
    kinds = draw(st.lists(st.sampled_from(["reasoning", "content"]), max_size=8))
    kinds = kinds if runs else sorted(kinds, reverse=True)
    out: list[dict[str, Any]] = []
    for kind in kinds:
        twin: dict[str, Any] = (
            draw(st.sampled_from([{}, {"content": None}, {"content": ""}])) if kind == "reasoning" else {}
        )
        out.append({**twin, "reasoning_content" if kind == "reasoning" else "content": draw(text)})
    for index, arguments in enumerate(draw(st.lists(_arguments, max_size=3))):
        cut = draw(st.integers(0, len(arguments)))
        out.append({"tool_calls": [call(index, arguments[:cut], name="f")]})
        out.append({"tool_calls": [call(index, arguments[cut:])]})
    return out


@st.composite
def streams(draw: st.DrawFn, *, runs: bool = True) -> list[Chunk]:
    """A canonical stream of one to three choices in any order, with or without a usage chunk."""
    queues: list[list[dict[str, Any]]] = []
    for index in range(draw(st.integers(1, 3))):
        told = draw(_choice_deltas(runs=runs))
        if draw(st.booleans()) or not told:
            told.append({})
        told[0] = {"role": "assistant", **told[0]}
        queue: list[dict[str, Any]] = [{"index": index, "delta": delta, "finish_reason": None} for delta in told]
        queue[-1]["finish_reason"] = draw(st.sampled_from(["stop", "length", "tool_calls"]))
        queues.append(queue)
    chunks: list[Chunk] = []
    while any(queues):
        ready = [queue for queue in queues if queue]
        taken = draw(st.lists(st.sampled_from(range(len(ready))), min_size=1, max_size=len(ready), unique=True))
        chunks.append(Chunk({**HEAD, "choices": [ready[at].pop(0) for at in taken]}, b"{}"))
    return chunks + ([usage_chunk()] if draw(st.booleans()) else [])
