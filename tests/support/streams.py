"""Upstream bodies for tests, every way to cut them, and what a client makes of the bytes that leave."""

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.core.context import AnswerContext
from proxy.core.dialect import Dialect
from proxy.core.errors import ProxyError
from proxy.core.render import Rendering
from proxy.core.stream import StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline

FRAME: dict[str, Any] = {"id": "up-1", "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "m-1"}
FALLBACK_ID = "chatcmpl-0123456789abcdef01234567"
CREATED = 1_700_000_000
TARGET = "target-model"
ALIASES = ("reasoning", "reasoning_text", "thinking", "thinking_content", "thought", "think")
REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
DONE = b"data: [DONE]\n\n"


def context(
    dialect: Dialect | None = None, rendering: Rendering | None = None, *, thinking: bool = True, usage: bool = False
) -> AnswerContext:
    """What the pipelines know of a request; `usage`: the client asked for it."""
    return AnswerContext(
        dialect=dialect or Dialect(),
        rendering=rendering or Rendering(),
        model=TARGET,
        fresh=lambda: (FALLBACK_ID, CREATED),
        thinking=thinking,
        include_usage=usage,
    )


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(value: Any) -> bytes:
    """One event; `value` is JSON, or bytes that are its data as they are."""
    return b"data: " + (value if isinstance(value, bytes) else dumped(value)) + b"\n\n"


def body(*values: Any, done: bool = True) -> bytes:
    """A whole event stream."""
    return b"".join(map(event, values)) + (DONE if done else b"")


def chunk(delta: Any = None, finish: Any = None, *, index: Any = 0, **more: Any) -> dict[str, Any]:
    """One canonical chunk; `more` are other keys of the event."""
    return {**FRAME, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **more}


def text(*pieces: str, finish: str | None = "stop", key: str = "content") -> list[dict[str, Any]]:
    """A role, one delta a piece, and a finish."""
    return [
        chunk({"role": "assistant"}),
        *(chunk({key: piece}) for piece in pieces),
        *([chunk({}, finish)] if finish else []),
    ]


def message(finish: Any = "stop", **said: Any) -> dict[str, Any]:
    """A whole answer."""
    frame = {**FRAME, "object": "chat.completion"}
    return {**frame, "choices": [{"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish}]}


def call(
    index: int | None = 0, call_id: str | None = None, name: str | None = None, arguments: Any = ""
) -> dict[str, Any]:
    """One fragment of a tool call."""
    out: dict[str, Any] = {} if index is None else {"index": index}
    out |= {} if call_id is None else {"id": call_id, "type": "function"}
    return {**out, "function": {**({} if name is None else {"name": name}), "arguments": arguments}}


def every_cut(data: bytes, seed: int = 7) -> Iterator[list[bytes]]:
    """Whole, an event at a time, a byte at a time, and at random places."""
    yield [data]
    yield [part + b"\n\n" for part in data.split(b"\n\n")[:-1]] + [data.split(b"\n\n")[-1]]
    yield [data[at : at + 1] for at in range(len(data))]
    chance = random.Random(seed)
    for count in (1, 3, 12):
        yield cut_at(data, [chance.randint(0, len(data)) for _ in range(count)])


def cut_at(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The pieces between the places, in order."""
    marks = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@dataclass
class Said:
    """What one choice said."""

    reasoning: str = ""
    content: str = ""
    refusal: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    """(id, name, arguments)."""
    finish: str | None = None
    native: str | None = None
    details: list[Any] = field(default_factory=list)
    roles: int = 0


@dataclass
class Answer:
    """What a client reads. Attributes of the first choice are reached directly."""

    choices: dict[int, Said] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    events: list[Any] = field(default_factory=list)
    odd: dict[str, int] = field(default_factory=dict)
    begun: bool = True
    source: str | None = None
    raised: ProxyError | None = None
    out: bytes = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.choices.get(0, Said()), name)

    @property
    def deltas(self) -> list[dict[str, Any]]:
        """All deltas of all choices."""
        return [choice["delta"] for one in self.events for choice in one.get("choices", ())]


def piped(
    parts: Sequence[bytes], settings: AnswerContext, broken: ProxyError | None = None
) -> tuple[bytes, StreamPipeline]:
    """Everything that leaves for these reads; `broken` is what ended the body."""
    pipeline = StreamPipeline(settings, Timeline(0.0))
    out = b"".join([pipeline.feed(part, 1.0 + at) for at, part in enumerate(parts)])
    return out + pipeline.close(2.0 + len(parts), broken), pipeline


def stream(data: bytes, settings: AnswerContext | None = None, *, broken: ProxyError | None = None) -> Answer:
    """Reads the body as a stream in every cut; the bytes that leave must not depend on it."""
    settings = settings or context()
    outs: list[bytes] = []
    answer = Answer()
    for parts in every_cut(data):
        out, pipeline = piped(parts, settings, broken)
        answer = read(out, strict=settings.rendering == Rendering())
        answer.odd, answer.begun, answer.source = pipeline._timeline.events, pipeline.begun, pipeline.source
        answer.raised = pipeline.error
        outs.append(out)
        assert pipeline.done
    assert all(out == outs[0] for out in outs), outs
    return answer


def whole(data: bytes, settings: AnswerContext | None = None, *, broken: ProxyError | None = None) -> Answer:
    """Reads the body as one whole answer in every cut."""
    settings = settings or context()
    outs: list[tuple[bytes, Any]] = []
    answer = Answer()
    for parts in every_cut(data):
        pipeline = WholePipeline(settings, Timeline(0.0))
        assert not b"".join([pipeline.feed(part, 1.0) for part in parts])
        out = pipeline.close(2.0, broken)
        answer = read_whole(out) if out else Answer()
        answer.odd, answer.source, answer.raised = pipeline._timeline.events, pipeline.source, pipeline.error
        answer.error = pipeline.error.body()["error"] if pipeline.error else None
        assert bool(out) != bool(pipeline.error)
        outs.append((out, answer.error))
    assert all(out == outs[0] for out in outs), outs
    return answer


def payloads(out: bytes) -> list[bytes]:
    """The data of each event; each is one line, and the last, and only it, is `[DONE]`."""
    assert out.endswith(DONE), out[-200:]
    found: list[bytes] = []
    for block in out.split(b"\n\n")[:-1]:
        assert b"\n" not in block, block
        if not block.startswith(b":"):
            assert block.startswith(b"data: "), block
            found.append(block[6:])
    assert found.count(b"[DONE]") == 1
    return found[:-1]


def read(out: bytes, *, strict: bool = True) -> Answer:
    """Reads a stream as a client does. `strict`: the guarantees C1–C8 must hold."""
    answer = Answer(out=out)
    frames: set[tuple[str, int]] = set()
    for payload in payloads(out):
        value = json.loads(payload)
        answer.events.append(value)
        if "error" in value and "choices" not in value:
            assert set(value["error"]) == {"message", "type", "param", "code"}
            answer.error = value["error"]
            continue
        assert answer.error is None, "something came after the error"
        assert value["object"] == "chat.completion.chunk" and value["id"] and value["created"] > 0 and value["model"]
        frames.add((value["id"], value["created"]))
        if value.get("usage") is not None:
            assert value["choices"] == [] and answer.usage is None
            answer.usage = value["usage"]
        for choice in value["choices"]:
            _add(answer.choices.setdefault(choice["index"], Said()), choice, strict=strict)
    assert len(frames) <= 1, frames
    return answer


def _add(said: Said, choice: dict[str, Any], *, strict: bool) -> None:
    delta = choice["delta"]
    kinds = [key for key in ("reasoning_content", "content", "tool_calls") if delta.get(key)]
    if strict:
        assert len(kinds) <= 1, delta
        assert not any(isinstance(delta.get(alias), str) for alias in ALIASES), delta
    assert all(isinstance(delta.get(key), str | None) for key in ("reasoning_content", "content")), delta
    if "role" in delta:
        assert isinstance(delta["role"], str) and delta["role"]
        said.roles += 1
        assert said.roles == 1
    said.content += delta.get("content") or ""
    said.reasoning += delta.get("reasoning_content") or ""
    if strict:  # what the core does not know, it passes, whatever its type
        said.refusal += delta.get("refusal") or ""
        said.details += delta.get("reasoning_details") or []
    for entry in delta.get("tool_calls") or ():
        function = entry.get("function") or {}
        arguments = function.get("arguments") or ""
        if entry["index"] == len(said.calls):
            said.calls.append((entry["id"], function.get("name") or "", arguments))
            assert entry["id"]
        else:
            assert "id" not in entry and "name" not in function, entry
            known = said.calls[entry["index"]]
            said.calls[entry["index"]] = (*known[:2], known[2] + arguments)
    if choice.get("finish_reason") is not None:
        assert said.finish is None and choice["finish_reason"] in REASONS
        said.finish, said.native = choice["finish_reason"], choice.get("native_finish_reason")


def read_whole(out: bytes) -> Answer:
    """Reads a whole answer as a client does."""
    value = json.loads(out)
    assert value["object"] == "chat.completion" and value["id"] and value["created"] > 0 and value["model"]
    answer = Answer(out=out, usage=value.get("usage"), events=[value])
    for choice in value["choices"]:
        told = choice["message"]
        assert told["role"] == "assistant" and choice["finish_reason"] in REASONS
        calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in told.get("tool_calls") or ()]
        answer.choices[choice["index"]] = Said(
            reasoning=told.get("reasoning_content") or "",
            content=told["content"] if isinstance(told.get("content"), str) else "",
            refusal=told.get("refusal") or "",
            calls=calls,
            finish=choice["finish_reason"],
            native=choice.get("native_finish_reason"),
            details=told.get("reasoning_details") or [],
            roles=1,
        )
    return answer
