"""What an upstream can say wrong, inside HTTP that is well: a sequel to `faults`, in the same table."""

import json
from typing import Any

from tests.support.faults import ANSWER, GOOD_TEXT, PROTOCOL, REASONING, SAY, STOP, THINK, begun, ended, fault
from tests.support.scripted import Asked, Wire, answer, delta


@fault("An event of 100 MB.", PROTOCOL, kept=[REASONING])
async def huge_event(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK)
    await wire.chunk(b"data: ")
    for __ in range(100):
        await wire.chunk(b"a" * 1_000_000)
    await wire.chunk(b"\n\n")


@fault("An event nested 100,000 deep.", kept=GOOD_TEXT)
async def deep_event(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", SAY)
    await ended(wire, STOP)


@fault("An event whose JSON is cut short.", kept=GOOD_TEXT)
async def half_an_event(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, b'{"choices": [{"delta": {"content": "', SAY)
    await ended(wire, STOP)


@fault("Values of the wrong type everywhere.", kept=GOOD_TEXT)
async def wrong_types(_: Asked, wire: Wire) -> None:
    odd: list[Any] = [5, "x", [], None, True, {"choices": "x"}, {"choices": [5]}, {"choices": [{"delta": "x"}]}]
    odd += [{"id": 5, "created": "x", "model": [], "choices": [{"index": "x", "delta": {"content": 5}}], "usage": [1]}]
    odd += [
        {"choices": [{"index": 0, "delta": {"tool_calls": "x", "reasoning_content": {"a": 1}}, "finish_reason": 5}]}
    ]
    await begun(wire, THINK, *odd, SAY)
    await ended(wire, STOP)


@fault("Bytes that are no UTF-8.", kept=GOOD_TEXT)
async def wrong_encoding(_: Asked, wire: Wire) -> None:
    latin = b'{"choices":[{"index":0,"delta":{"content":"caf\xe9"}}]}'
    await begun(wire, THINK, latin, json.dumps(SAY).encode("utf-16"), SAY)
    await ended(wire, STOP)


@fault("NUL bytes between and inside events.", kept=GOOD_TEXT)
async def nul_bytes(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK)
    await wire.chunk(b"\0\0\n\n")
    await wire.event(b'{"choices":[{"index":0,"delta":{"content":"a\0b"}}]}')
    await ended(wire, delta({"content": "a\0b"}), SAY, STOP)


@fault("Keys that stand twice in one object: the last one counts, as in most parsers.", kept=GOOD_TEXT)
async def duplicate_keys(_: Asked, wire: Wire) -> None:
    twice = b'{"id":"up-1","choices":[],"choices":[{"index":0,"delta":{"content":"x","content":%b}}]}'
    await begun(wire, THINK, twice % json.dumps(ANSWER).encode())
    await ended(wire, STOP)


@fault("Half of a surrogate pair.", kept=GOOD_TEXT)
async def lone_surrogate(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}', SAY)
    await ended(wire, STOP)


@fault("Numbers that no float holds.", kept=GOOD_TEXT)
async def huge_numbers(_: Asked, wire: Wire) -> None:
    odd = b'{"created":1e999,"choices":[{"index":0,"delta":{"content":""}}],"usage":{"prompt_tokens":1e400}}'
    await begun(wire, THINK, odd, b'{"a": NaN, "choices": []}', SAY)
    await ended(wire, STOP)


@fault("A byte-order mark, and lines that end in CR or CRLF.", kept=GOOD_TEXT)
async def odd_lines(_: Asked, wire: Wire) -> None:
    await wire.head()
    texts = [json.dumps(event).encode() for event in (THINK, SAY, STOP)]
    await wire.chunk(
        b"\xef\xbb\xbfdata: %b\r\n\r\nevent: x\rid: 1\rdata: %b\r\rdata: %b\n\ndata: [DONE]\r\n\r\n" % tuple(texts)
    )
    await wire.end()


@fault("Events after `[DONE]`, and a second one.", kept=GOOD_TEXT)
async def more_after_done(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY, STOP, b"[DONE]", delta({"content": "late"}), b"[DONE]")
    await wire.end()


@fault("A finish reason that comes three times.", kept=GOOD_TEXT)
async def finish_again_and_again(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY, STOP, STOP)
    await ended(wire, STOP)


@fault("`[DONE]` without a finish reason.", kept=GOOD_TEXT)
async def no_finish_reason(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY)
    await ended(wire)


@fault("A whole answer where a stream was asked for.", kept=GOOD_TEXT)
async def whole_instead_of_a_stream(_: Asked, wire: Wire) -> None:
    await wire.whole(answer(ANSWER, REASONING))


@fault("A stream where a whole answer was asked for.", kept=GOOD_TEXT, stream=False)
async def stream_instead_of_a_whole(_: Asked, wire: Wire) -> None:
    await wire.events(THINK, SAY, STOP)


@fault("A whole answer nested 100,000 deep.", PROTOCOL, 502, stream=False)
async def deep_answer(_: Asked, wire: Wire) -> None:
    await wire.whole(b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@fault("A whole answer with values of the wrong type.", PROTOCOL, 502, stream=False)
async def wrong_types_in_a_whole(_: Asked, wire: Wire) -> None:
    await wire.whole({"choices": "none", "usage": 5})
