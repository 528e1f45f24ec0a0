"""What an upstream can do wrong: each fault with a script that does it, byte by byte."""

import asyncio
import gzip
import json
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.scripted import Asked, Script, Wire, answer, delta

REASONING, ANSWER = "Hm. Let me think.", "All is well."
THINK = delta({"role": "assistant", "reasoning_content": REASONING})
SAY = delta({"content": ANSWER})
STOP = delta({}, "stop")
Route = Literal["m", "quick", "gone"]
"""`quick` has short time limits; `gone` is a host that is not there."""


@dataclass(frozen=True)
class Fault:
    """`code`: of the error that the client gets, None where the answer is complete. `kept`: text that must have arrived."""

    name: str
    does: str
    script: Script
    code: str | int | None = None
    status: int = 200
    kept: tuple[str, ...] = ()
    stream: bool = True
    route: Route = "m"


FAULTS: list[Fault] = []


def fault(
    does: str,
    code: str | int | None = None,
    status: int = 200,
    *,
    kept: Iterable[str] = (),
    stream: bool = True,
    route: Route = "m",
) -> Callable[[Script], Script]:
    """Enters a script into the table under its own name."""

    def enter(script: Script) -> Script:
        name = script.__name__.replace("_", " ")
        FAULTS.append(Fault(name, does, script, code, status, tuple(kept), stream, route))
        return script

    return enter


def reset(wire: Wire) -> None:
    linger = struct.pack("ii", 1, 0)
    wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wire.writer.transport.abort()


async def begun(wire: Wire, *values: Any) -> None:
    """A stream's head and these events; a moment later they have been read."""
    await wire.head()
    for value in values:
        await wire.event(value)
    await asyncio.sleep(0.05)


async def ended(wire: Wire, *values: Any) -> None:
    for value in (*values, b"[DONE]"):
        await wire.event(value)
    await wire.end()


GOOD_TEXT = (REASONING, ANSWER)
UNAVAILABLE, PROTOCOL, TIMEOUT = "upstream_unavailable", "upstream_protocol", "upstream_timeout"


# The connection.


@fault("No host listens.", UNAVAILABLE, 502, route="gone")
async def refused(_: Asked, __: Wire) -> None:
    raise AssertionError("nobody listens")


@fault("The connection closes before any answer.", UNAVAILABLE, 502)
async def closed_before_the_head(_: Asked, wire: Wire) -> None:
    wire.close()


@fault("The connection is reset before any answer.", UNAVAILABLE, 502)
async def reset_before_the_head(_: Asked, wire: Wire) -> None:
    reset(wire)


@fault("The connection is reset after the head.", UNAVAILABLE, 502)
async def reset_after_the_head(_: Asked, wire: Wire) -> None:
    await begun(wire)
    reset(wire)


@fault("Comments, then the end of the connection.", UNAVAILABLE, 502)
async def comments_and_death(_: Asked, wire: Wire) -> None:
    await begun(wire)
    for __ in range(3):
        await wire.chunk(b": processing\n\n")
    wire.close()


@fault("A role and no content, then the end of the connection.", UNAVAILABLE, 502)
async def role_and_death(_: Asked, wire: Wire) -> None:
    await begun(wire, delta({"role": "assistant", "content": ""}))
    wire.close()


@fault("The connection is reset in mid-answer.", UNAVAILABLE, kept=GOOD_TEXT)
async def reset_in_mid_answer(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY)
    reset(wire)


@fault("The connection closes in the middle of the reasoning.", UNAVAILABLE, kept=[REASONING])
async def closed_in_mid_reasoning(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK)
    wire.close()


@fault("The body ends well, but with neither a finish reason nor `[DONE]`.", PROTOCOL, kept=GOOD_TEXT)
async def silently_cut_short(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY)
    await wire.end()


@fault("The connection closes inside a character.", UNAVAILABLE, kept=GOOD_TEXT)
async def cut_inside_a_character(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY)
    await wire.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"caf\xc3')
    await asyncio.sleep(0.05)
    wire.close()


@fault("The connection closes inside `</think>`.", UNAVAILABLE, kept=[REASONING])
async def cut_inside_a_tag(_: Asked, wire: Wire) -> None:
    await begun(wire, delta({"content": f"<think>{REASONING}</thi"}))
    wire.close()


@fault("Everything comes one byte at a time.", kept=GOOD_TEXT)
async def one_byte_at_a_time(_: Asked, wire: Wire) -> None:
    await wire.head()
    whole = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in (THINK, SAY, STOP)) + b"data: [DONE]\n\n"
    for byte in whole:
        await wire.chunk(bytes([byte]))
        await asyncio.sleep(0.0005)
    await wire.end()


# Time.


@fault("No byte comes.", TIMEOUT, 504, route="quick")
async def silence(_: Asked, wire: Wire) -> None:
    await wire.gone()


@fault("Comments come, but no content.", TIMEOUT, 504, route="quick")
async def comments_for_ever(_: Asked, wire: Wire) -> None:
    await wire.head()
    while not await wire.gone(0.05):
        await wire.chunk(b": still processing\n\n")


@fault("Reasoning comes, but no answer.", TIMEOUT, kept=[REASONING], route="quick")
async def reasoning_for_ever(_: Asked, wire: Wire) -> None:
    await wire.head()
    while not await wire.gone(0.05):
        await wire.event(THINK)


@fault("The stream falls silent in mid-answer.", TIMEOUT, kept=GOOD_TEXT, route="quick")
async def silence_in_mid_answer(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY)
    await wire.gone()


@fault("The answer never ends.", TIMEOUT, kept=[ANSWER], route="quick")
async def answer_for_ever(_: Asked, wire: Wire) -> None:
    await wire.head()
    while not await wire.gone(0.05):
        await wire.event(SAY)


# HTTP.


@fault("What comes is no HTTP.", PROTOCOL, 502)
async def no_http(_: Asked, wire: Wire) -> None:
    await wire.raw(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)
    await wire.gone(1)


@fault("Headers without an end.", PROTOCOL, 502)
async def endless_headers(_: Asked, wire: Wire) -> None:
    await wire.raw(b"HTTP/1.1 200 OK\r\n")
    for n in range(5000):
        await wire.raw(b"x-%d: %b\r\n" % (n, b"y" * 200))


@fault("A NUL in a header.", PROTOCOL, 502)
async def nul_in_a_header(_: Asked, wire: Wire) -> None:
    await wire.raw(b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n")


@fault("Interim answers (100, 103) before the real one.", kept=GOOD_TEXT)
async def interim_answers(_: Asked, wire: Wire) -> None:
    await wire.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    await wire.events(THINK, SAY, STOP)


@fault("The body is longer than its length says.", PROTOCOL, kept=[REASONING])
async def length_too_short(_: Asked, wire: Wire) -> None:
    body = b"data: %b\n\n" % json.dumps(THINK).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body)
    await wire.raw(head + body + b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(SAY).encode())
    await wire.gone(1)


@fault("The body is shorter than its length says.", UNAVAILABLE, kept=GOOD_TEXT)
async def length_too_long(_: Asked, wire: Wire) -> None:
    await wire.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100000\r\n\r\n")
    await wire.raw(b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in (THINK, SAY)))
    await asyncio.sleep(0.05)
    wire.close()


@fault("A chunk whose size is no number.", UNAVAILABLE, kept=[REASONING])
async def broken_chunk(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK)
    await wire.raw(b"zz\r\nnonsense\r\n")
    await wire.gone(1)


@fault("A redirect to another host.", PROTOCOL, 502)
async def redirect(_: Asked, wire: Wire) -> None:
    await wire.whole(b"", 307, location="http://127.0.0.1:9/elsewhere")


@fault("An old server: HTTP/1.0, and the body ends with the connection.", kept=GOOD_TEXT)
async def http_1_0(_: Asked, wire: Wire) -> None:
    await wire.raw(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    for event in (THINK, SAY, STOP):
        await wire.raw(b"data: %b\n\n" % json.dumps(event).encode())
    await wire.raw(b"data: [DONE]\n\n")
    wire.close()


@fault("A compressed stream that nobody asked for.", kept=GOOD_TEXT)
async def unasked_gzip(_: Asked, wire: Wire) -> None:
    body = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in (THINK, SAY, STOP)) + b"data: [DONE]\n\n"
    await wire.head(content_encoding="gzip")
    await wire.chunk(gzip.compress(body))
    await wire.end()


@fault("A gzip bomb: 1 GB of one event in 1 MB.", PROTOCOL, kept=[REASONING])
async def gzip_bomb(_: Asked, wire: Wire) -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    await wire.head(content_encoding="gzip")
    first = squeeze.compress(b"data: %b\n\ndata: " % json.dumps(THINK).encode()) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    await wire.chunk(first)
    for __ in range(128):
        await wire.chunk(squeeze.compress(b"a" * 8_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH))


@fault("A body that is not compressed as its header says.", PROTOCOL, 502)
async def broken_gzip(_: Asked, wire: Wire) -> None:
    await wire.head(content_encoding="gzip")
    await wire.chunk(b"data: {}\n\n" * 10)
    await wire.end()


@fault("A compression that was not asked for and that nobody can read.", PROTOCOL, 502)
async def unknown_compression(_: Asked, wire: Wire) -> None:
    await wire.head(content_encoding="zstd")
    await wire.chunk(b"\x28\xb5\x2f\xfd")
    await wire.end()


# Statuses and errors.


def says(status: int, body: Any = None, **headers: str) -> Callable[[Asked, Wire], Awaitable[None]]:
    """A script that answers with an error."""

    async def script(_: Asked, wire: Wire) -> None:
        error = {"error": {"message": "their words", "type": "their_type", "code": "their_code"}}
        await wire.whole(error if body is None else body, status, **headers)

    script.__name__ = f"status_{status}"
    return script


fault("The key is refused.", "upstream_auth", 502)(says(401))
fault("The request is refused.", "their_code", 400)(says(400))
fault("The host throttles.", "upstream_rate_limit", 429)(says(429, retry_after="7"))
fault("The host is broken.", UNAVAILABLE, 502)(says(500))
fault("The host is overloaded.", UNAVAILABLE, 502)(says(503))


@fault("A gateway's page with status 502.", UNAVAILABLE, 502)
async def html_and_502(_: Asked, wire: Wire) -> None:
    await wire.whole(b"<html><body>Bad Gateway</body></html>", 502)


@fault("A page with status 200.", PROTOCOL, 502)
async def html_and_200(_: Asked, wire: Wire) -> None:
    await wire.head(content_type="text/html")
    await wire.chunk(b"<!doctype html><html><body>Please log in</body></html>")
    await wire.end()


@fault("An error with status 200.", UNAVAILABLE, 502)
async def error_in_a_200(_: Asked, wire: Wire) -> None:
    await wire.whole({"error": {"message": "no capacity", "code": 503}})


@fault("An error as the first event.", "upstream_rate_limit", 429)
async def error_as_first_event(_: Asked, wire: Wire) -> None:
    await begun(wire, {"error": {"message": "slow down", "code": 429}})
    await wire.end()


@fault("An error as an event in mid-answer.", 503, kept=GOOD_TEXT)
async def error_in_mid_answer(_: Asked, wire: Wire) -> None:
    await begun(wire, THINK, SAY, {"error": {"message": "gone", "code": 503}})
    await wire.end()


@fault("An error whose body never ends.", "their_code", 400)
async def endless_error(_: Asked, wire: Wire) -> None:
    await wire.head(400, "application/json")
    await wire.chunk(b'{"error": {"code": "their_code", "message": "' + b"x" * 1000 + b'"}}')
    while not await wire.gone(0.001):
        await wire.chunk(b" " * 10_000)


@fault("A stream without one event.", PROTOCOL, 502)
async def empty_stream(_: Asked, wire: Wire) -> None:
    await wire.head()
    await wire.end()


@fault("Status 204.", PROTOCOL, 502)
async def status_204(_: Asked, wire: Wire) -> None:
    await wire.raw(b"HTTP/1.1 204 No Content\r\n\r\n")


@fault("A whole answer that ends in the middle.", PROTOCOL, 502, stream=False)
async def whole_answer_cut_short(_: Asked, wire: Wire) -> None:
    await wire.whole(json.dumps(answer(ANSWER, REASONING)).encode()[:-30])


@fault("A whole answer whose connection closes in the middle.", UNAVAILABLE, 502, stream=False)
async def whole_answer_broken_off(_: Asked, wire: Wire) -> None:
    await wire.raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"id": "x", ')
    await asyncio.sleep(0.05)
    wire.close()


@fault("A page instead of a whole answer.", PROTOCOL, 502, stream=False)
async def html_instead_of_an_answer(_: Asked, wire: Wire) -> None:
    await wire.whole(b"<html>Please log in</html>")


@fault("Nothing instead of a whole answer.", PROTOCOL, 502, stream=False)
async def empty_answer(_: Asked, wire: Wire) -> None:
    await wire.whole(b"")
