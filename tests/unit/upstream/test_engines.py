"""Our own HTTP engine against the library's: the same hosts, the same outcome."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from proxy.core.errors import ProxyError, UpstreamProtocol
from proxy.settings.model import Provider
from proxy.upstream.client import LibraryEngine
from proxy.upstream.engine import Engine
from proxy.upstream.wire import WireEngine
from tests.support.answers import ANSWERS, FIN, RESET, head, whole
from tests.support.peer import End, Host, Script, Steps, Visit, answering, peer

PATIENCE_S = 0.7
"""An engine that has nothing to say for so long waits for more."""
SECOND = whole(b"second")
WAYS: dict[str, tuple[Callable[[Provider], Engine], Callable[[], asyncio.AbstractEventLoop]]] = {
    "library": (LibraryEngine, asyncio.new_event_loop),
    "own": (WireEngine, asyncio.new_event_loop),
    "own on uvloop": (WireEngine, uvloop.new_event_loop),
}

# Answer → (why they differ, what the library makes of it, whether it uses the connection again).
DIFFERENCES = {
    "content-length twice, the same": ("RFC 9112, 6.3, leaves it open; Node refuses it too", "200 hello", True),
    "content-length and chunked": ("RFC 9112, 6.3: ought to be handled as an error", "200 hello", True),
    "chunked in capitals": ("h11 gives the header in lower case", "200 hello", True),
    "HTTP/1.0 that is kept alive": ("h11 keeps no HTTP/1.0 connection", "200 hello", False),
    "HTTP/2.0": ("no connection is kept with a host that claims what it does not speak", "200 hello", True),
    "UTF-8 values": ("HTTP has latin-1 there, as ASGI; the library guesses", "200 x-a=café hello", True),
    "folded header": ("deprecated since 2014, RFC 9112, 5.2; Node refuses it too", "200 x-a=one two hello", True),
    "control character in a value": ("not allowed by RFC 9110, 5.5", "200 x-a=a\x01b hello", True),
    "bare line feeds": ("RFC 9112, 2.2, leaves it open; Node refuses it too", "200 hello", True),
    "empty lines first": ("harmless, and h11 takes them only between answers", "protocol", False),
    "head too long": ("64 KiB here, 100 KiB in the library", "200 hello", True),
    "interim answers without end": ("their lengths are added up here", "closed", False),
    "FTP greeting": ("the library waits for the end of a head that is none", "silence", False),
    "surplus: an answer": ("the library takes it for the answer to the next request", "200 hello", True),
    "surplus: garbage": ("the library asks the next request in vain", "200 hello", True),
    "surplus: line ends": ("the library asks the next request in vain", "200 hello", True),
    "body behind no content": ("the library asks the next request in vain", "204 ", True),
    "gzip that is none": ("all of it has been read here", "200 , then undecodable", False),
    "an unknown encoding": ("all of it has been read here", "200 , then undecodable", False),
}


@dataclass
class Heard:
    """What came of one request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failed: str = ""
    message: str = ""

    def __str__(self) -> str:
        if not self.status:
            return self.failed
        shown = f"x-a={self.headers['x-a']} " if "x-a" in self.headers else ""
        return f"{self.status} {shown}{self.body.decode()}{self.failed and f', then {self.failed}'}"


async def ask(engine: Engine, path: str = "/x", headers: dict[str, str] | None = None, method: str = "POST") -> Heard:
    heard = Heard()
    body = b"{}" if method == "POST" else b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            response = await engine.open(path, headers or {}, body, method)
            heard.status, heard.headers = response.status, response.headers
            try:
                while data := await response.read():
                    heard.body += data
            finally:
                await response.aclose()
    except ProxyError as error:
        words = ("undecodable", "broken") if heard.status else ("protocol", "closed")
        heard.failed = words[0 if isinstance(error, UpstreamProtocol) else 1]
        heard.message = error.message
    except TimeoutError:
        heard.failed = "silence"
    return heard


@dataclass
class Course:
    """What came of some requests, one after the other."""

    heard: list[Heard]
    connections: list[int]
    """Of each request that the host has seen, the number of its connection."""
    visits: int


def course(way: str, script: Callable[[], Script], *, count: int = 2, pause: float = 0.04) -> Course:
    kind, loop = WAYS[way]

    async def main(host: Host) -> list[Heard]:
        engine = kind(Provider("p", f"{host.url}/v1"))
        heard = []
        try:
            for number in range(count):
                await asyncio.sleep(pause if number else 0)
                heard.append(await ask(engine))
        finally:
            await engine.aclose()
        return heard

    with peer(script()) as host, asyncio.Runner(loop_factory=loop) as runner:
        heard = runner.run(main(host))
    return Course(heard, [connection for connection, _ in host.requests], len(host.visits))


@pytest.mark.parametrize("name", ANSWERS)
def test_same_answer_has_the_same_outcome_in_both_engines(name: str) -> None:
    said = ANSWERS[name]
    one = {way: course(way, lambda: answering(said.steps, [SECOND])) for way in WAYS}
    own, library = one["own"], one["library"]
    assert own == one["own on uvloop"]
    assert str(own.heard[0]) == said.heard
    assert str(own.heard[1]) == "200 second"
    assert own.connections == [0, 0 if said.again else 1]
    if name not in DIFFERENCES:
        assert library == own
        return
    assert library != own, "no difference any more"
    _, heard, again = DIFFERENCES[name]
    assert str(library.heard[0]) == heard
    assert library.connections[:2] == [0, 0 if again else 1]


def kept_then(steps: Steps, *later: Steps) -> Callable[[], Script]:
    """A host that answers the first request well, meets the second on that connection with `steps`, then answers."""
    left = [[whole(b"first")], steps, *later]
    return lambda: answering(*left)


# How the host ends a kept connection under the second request → what comes of that, on which connections it was asked.
STALE: dict[str, tuple[Steps, str, list[int]]] = {
    "close": ([FIN], "200 again", [0, 0, 1]),
    "reset": ([RESET], "200 again", [0, 0, 1]),
    "close after a while": ([0.05, FIN], "200 again", [0, 0, 1]),
    "close after one byte": ([b"H", 0.02, FIN], "closed", [0, 0]),
    "reset after one byte": ([b"H", 0.02, RESET], "closed", [0, 0]),
    "close after an interim answer": ([head(status="100 Continue"), 0.02, FIN], "closed", [0, 0]),
    "garbage": ([b"nonsense\r\n\r\n", FIN], "protocol", [0, 0]),
}
# The library does not say whether a byte of an answer has come, so behind an HTTP proxy these are asked once more.
UNTOLD = {"close after one byte", "reset after one byte", "close after an interim answer"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", STALE)
def test_kept_connection_that_dies_unanswered_costs_one_more_try(name: str, way: str) -> None:
    steps, heard, connections = STALE["close"] if way == "library" and name in UNTOLD else STALE[name]
    found = course(way, kept_then(steps, [whole(b"again")]))
    assert [str(one) for one in found.heard] == ["200 first", heard]
    assert found.connections == connections


@pytest.mark.parametrize("way", WAYS)
def test_second_try_is_the_last(way: str) -> None:
    found = course(way, kept_then([FIN], [FIN], [whole(b"too late")]))
    assert [str(one) for one in found.heard] == ["200 first", "closed"]
    assert found.connections == [0, 0, 1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", [FIN, RESET])
def test_fresh_connection_that_dies_is_not_tried_again(way: str, end: End) -> None:
    found = course(way, lambda: answering([end], [whole()]), count=1)
    assert [str(one) for one in found.heard] == ["closed"]
    assert found.connections == [0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", [FIN, RESET])
def test_kept_connection_that_was_closed_meanwhile_is_not_asked(way: str, end: End) -> None:
    found = course(way, lambda: answering([whole(b"first"), 0.02, end], [whole(b"second")]), pause=0.15)
    assert [str(one) for one in found.heard] == ["200 first", "200 second"]
    assert found.connections == [0, 1]


def test_several_stale_connections_cost_one_more_try_each() -> None:
    """A host that restarts closes all of them at once; each request then has one fresh try, not another kept one."""
    together = threading.Barrier(4, timeout=10)

    def script(visit: Visit) -> None:
        while visit.asked() is not None:
            if visit.number < 4 and visit.requests == 2:
                return
            if visit.number < 4:
                together.wait()
            visit.send(whole())

    async def main(host: Host, kind: Callable[[Provider], Engine]) -> None:
        engine = kind(Provider("p", host.url))
        for _ in range(2):
            assert [str(one) for one in await asyncio.gather(*(ask(engine) for _ in range(4)))] == ["200 hello"] * 4
        await engine.aclose()

    for kind, loop in WAYS.values():
        with peer(script) as host, asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main(host, kind))
        assert sorted(number for number, _ in host.requests) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7]


def requested(
    way: str,
    *,
    path: str = "/x",
    headers: dict[str, str] | None = None,
    method: str = "POST",
    base: str = "/v1",
    **more: Any,
) -> tuple[str, dict[str, str]]:
    """(request line, headers) that the host sees."""
    kind, loop = WAYS[way]

    async def main() -> None:
        engine = kind(Provider("p", f"{host.url}{base}", **more))
        assert str(await ask(engine, path, headers, method)) == "200 hello"
        await engine.aclose()

    with peer(answering([whole()])) as host, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    first, *lines = host.requests[0][1].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    found = {name.lower(): value.replace(host.url.removeprefix("http://"), "HOST") for name, value in pairs}
    assert len(found) == len(lines), "a header stands there twice"
    return first, found


HOST = {"host": "HOST"}
POSTED = {**HOST, "content-length": "2"}
ODD = {"api-version": "2024-10-21", "a b": "1 2/3&4=5+6%7é"}
ENCODED = "api-version=2024-10-21&a+b=1+2%2F3%264%3D5%2B6%257%C3%A9"
REQUESTS: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "plain": ({}, "POST /v1/x HTTP/1.1", POSTED),
    "no path before it": ({"base": ""}, "POST /x HTTP/1.1", POSTED),
    "path that needs encoding": ({"base": "/ü/a%20b/v1"}, "POST /%C3%BC/a%20b/v1/x HTTP/1.1", POSTED),
    "path with signs": ({"base": "/a:b@c,d;e=f", "path": "/r:v2"}, "POST /a:b@c,d;e=f/r:v2 HTTP/1.1", POSTED),
    "query": ({"query": ODD}, f"POST /v1/x?{ENCODED} HTTP/1.1", POSTED),
    "query behind another": ({"path": "/x?b=1", "query": {"a": "2"}}, "POST /v1/x?b=1&a=2 HTTP/1.1", POSTED),
    "nothing to send": ({"method": "GET"}, "GET /v1/x HTTP/1.1", HOST),
    "headers": (
        {"headers": {"x-a": "1", "accept": "*/*"}},
        "POST /v1/x HTTP/1.1",
        {**POSTED, "x-a": "1", "accept": "*/*"},
    ),
    "another host": ({"headers": {"host": "b.example"}}, "POST /v1/x HTTP/1.1", {**POSTED, "host": "b.example"}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REQUESTS)
def test_request_is_the_same_from_both_engines(name: str, way: str) -> None:
    asked, line, headers = REQUESTS[name]
    assert requested(way, **asked) == (line, headers)
