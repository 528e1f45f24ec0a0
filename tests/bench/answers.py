"""The answers that the bench's upstream gives, already encoded, and what of them must arrive.

A model's name says which: `SHAPE.DIALECT.EVENTS.INTERVAL`, such as `paced.think_tags.250.20` (20 ms between events).
Every text that a model would have generated ends with a mark, `@@` and 13 digits: clients count marks, and a paced
upstream writes the time into them.

Run: `python -m tests.bench.answers FOLDER MODEL...` writes the files that the upstream plays, and `MODEL.request` for each.
"""

import hashlib
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

DIALECTS = ("reasoning_content", "reasoning", "think_tags")
SHAPES = ("whole", "burst", "block", "each", "paced")
MARK = "@@0000000000000"
"""As it is without a time in it."""
_MARKS = re.compile(rb"@@\d{13}")
_WORDS = ("the", "number", "is", "odd", "so", "divide", "by", "three", "and", "see", "what", "is", "left", "over")
_FRAME = {"id": "chatcmpl-0a1b2c3d4e5f60718293a4b5c6d7", "created": 1_764_000_000, "model": "bench-large"}
_OPENING = ["<th", "ink>", "\n"]
_CLOSING = ["\n</", "think", ">", "\n\n"]
_WHOLE_WORDS = 110


class WrongAnswerError(Exception):
    """What arrived is not what was sent."""


class Text(NamedTuple):
    """The two texts of an answer."""

    reasoning: str
    answer: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(orjson.dumps([self.reasoning, self.answer])).hexdigest()


@dataclass(frozen=True)
class Answer:
    """One prepared answer. `pieces` are what one write holds, HTTP framing and all; the first begins with the head."""

    pieces: tuple[bytes, ...]
    interval_us: int
    events: int
    """Events with JSON in them; 0 for a whole answer."""
    marks: int
    parted: Text
    """Reasoning and answer, as a peer that reads the dialect gives them."""
    literal: Text
    """The same for a peer that leaves tags where they are."""

    def packed(self) -> bytes:
        """The file that the upstream plays: `INTERVAL_US COUNT`, the lengths, the pieces."""
        lengths = " ".join(str(len(piece)) for piece in self.pieces)
        return f"{self.interval_us} {len(self.pieces)}\n{lengths}\n".encode() + b"".join(self.pieces)

    def check(self, body: bytes, *, parts_tags: bool) -> None:
        """Raises WrongAnswerError unless `body` holds these texts and ends as an answer ends."""
        body = _MARKS.sub(MARK.encode(), body)
        found = _streamed(body) if self.events else _whole(body)
        wanted = self.parted if parts_tags else self.literal
        if found.digest != wanted.digest:
            raise WrongAnswerError(f"wanted {_short(wanted)}, got {_short(found)}")


@cache
def answer(model: str) -> Answer:
    """The answer of the model with this name. Raises ValueError for a name of another form."""
    shape, dialect, events, interval = model.split(".")
    if dialect not in DIALECTS:
        raise ValueError(model)
    if shape == "whole":
        return _whole_answer(dialect)
    deltas, parted, literal = _deltas(dialect, int(events))
    texts = [_event(delta) for delta in deltas]
    texts += [_event({}, "stop"), _usage_event(len(deltas)), b"data: [DONE]\n\n"]
    count = len(texts) - 1
    framed = [b"%x\r\n%b\r\n" % (len(text), text) for text in texts]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    marks = sum(text.count(b"@@") for text in texts)
    if shape in {"paced", "each"}:
        # A role alone begins nothing, so it comes with the first text.
        pieces = (head + framed[0] + framed[1], *framed[2:-2], framed[-2] + framed[-1] + b"0\r\n\r\n")
    elif shape == "burst":
        pieces = (head + b"".join(framed) + b"0\r\n\r\n",)
    elif shape == "block":
        data = b"".join(texts)
        pieces = (head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data),)
    else:
        raise ValueError(model)
    return Answer(pieces, int(interval) * 1000, count, marks, parted, literal)


def _deltas(dialect: str, events: int) -> tuple[list[dict[str, Any]], Text, Text]:
    """As many deltas as make `events` events, half of them reasoning, with both readings of them."""
    room = events - 3  # the role, the finish reason and the usage
    tags = dialect == "think_tags"
    words = room - (len(_OPENING) + len(_CLOSING) if tags else 0)
    first = [f"{' ' * (n > 0)}{_WORDS[n % len(_WORDS)]} {MARK}" for n in range(words // 2)]
    second = [f"{' ' * (n > 0)}{_WORDS[-n % len(_WORDS)]} {MARK}" for n in range(words - words // 2)]
    parted = Text("".join(first), "".join(second))
    role: dict[str, Any] = {"role": "assistant", "content": ""}
    if tags:
        content = [*_OPENING, *first, *_CLOSING, *second]
        return [role, *({"content": text} for text in content)], parted, Text("", "".join(content))
    return [role, *({dialect: text} for text in first), *({"content": text} for text in second)], parted, parted


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    frame = {**_FRAME, "object": "chat.completion.chunk", "system_fingerprint": "fp_0123456789"}
    return b"data: " + orjson.dumps({**frame, "choices": [choice]}) + b"\n\n"


def _usage(tokens: int) -> dict[str, Any]:
    details = {"reasoning_tokens": tokens // 2}
    return {
        "prompt_tokens": 20,
        "completion_tokens": tokens,
        "total_tokens": 20 + tokens,
        "completion_tokens_details": details,
    }


def _usage_event(tokens: int) -> bytes:
    frame = {**_FRAME, "object": "chat.completion.chunk", "choices": [], "usage": _usage(tokens)}
    return b"data: " + orjson.dumps(frame) + b"\n\n"


def request_of(model: str, headers: dict[str, str] | None = None) -> bytes:
    """A request's bytes, of the size that a short question has."""
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a careful assistant. Show your steps, then answer in one sentence."},
            {"role": "user", "content": "Is 3599 a prime number? If it is not, name its factors."},
        ],
        "temperature": 0.6,
        "max_tokens": 4096,
    }
    if not model.rpartition("/")[2].startswith("whole"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    data = orjson.dumps(body)
    lines = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "authorization": "Bearer bench",
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, "content-length": str(len(data))}.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + data


def _whole_answer(dialect: str) -> Answer:
    texts = [
        f"{' '.join(_WORDS[n % len(_WORDS)] for n in range(first, first + _WHOLE_WORDS // 2))} {MARK}"
        for first in (0, 5)
    ]
    parted = literal = Text(*texts)
    message = {"role": "assistant", dialect: parted.reasoning, "content": parted.answer}
    if dialect == "think_tags":
        content = f"<think>\n{parted.reasoning}\n</think>\n\n{parted.answer}"
        message = {"role": "assistant", "content": content}
        literal = Text("", content)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = orjson.dumps({**_FRAME, "object": "chat.completion", "choices": [choice], "usage": _usage(_WHOLE_WORDS)})
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    return Answer((head + body,), 0, 0, 2, parted, literal)


def _whole(body: bytes) -> Text:
    try:
        value = orjson.loads(body)
        choice = value["choices"][0]
        message = choice["message"]
        text = Text(message.get("reasoning_content") or "", message["content"])
    except (ValueError, LookupError, TypeError) as error:
        raise WrongAnswerError(f"no completion: {body[:300]!r}") from error
    if choice["finish_reason"] != "stop" or value["usage"] != _usage(_WHOLE_WORDS):
        raise WrongAnswerError(f"finish reason or usage differ: {body[-300:]!r}")
    return text


def _streamed(body: bytes) -> Text:
    events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event and not event.startswith(b":")]
    if events[-1:] != [b"[DONE]"]:
        raise WrongAnswerError(f"no [DONE] at the end: {body[-300:]!r}")
    reasoning, content, ends = "", "", 0
    try:
        for event in map(orjson.loads, events[:-1]):
            for choice in event["choices"]:
                delta = choice["delta"]
                reasoning += delta.get("reasoning_content") or ""
                content += delta.get("content") or ""
                ends += choice.get("finish_reason") == "stop"
    except (ValueError, LookupError, TypeError) as error:
        raise WrongAnswerError(f"an event that is no chunk: {body[:300]!r}") from error
    if ends != 1:
        raise WrongAnswerError(f"{ends} finish reasons")
    return Text(reasoning, content)


def _short(text: Text) -> str:
    return f"{len(text.reasoning)} + {len(text.answer)} characters, {text.digest[:12]}"


def main() -> None:
    folder = Path(sys.argv[1])
    for model in sys.argv[2:]:
        (folder / model).write_bytes(answer(model).packed())
        (folder / f"{model}.request").write_bytes(request_of(model))
        print(model, answer(model).marks)


if __name__ == "__main__":
    main()
