"""Our own HTTP engine against the library's: the same hosts, the same outcome."""

import asyncio
import shutil
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from proxy.settings.model import Provider, Timeouts
from proxy.upstream.engine import Engine
from tests.support.answers import ANSWERS, FIN, RESET, head, whole
from tests.support.asking import WAYS, Heard, ask
from tests.support.peer import End, Host, Script, Steps, Visit, answering, certificate, peer

SECOND = whole(b"second")

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
class Course:
    """What came of some requests, one after the other."""

    heard: list[Heard]
    connections: list[int]
    """Of each request that the host has seen, the number of its connection."""
    visits: int


def course(
    way: str,
    script: Callable[[], Script],
    *,
    count: int = 2,
    pause: float = 0.04,
    tls: tuple[Path, ssl.SSLContext] | None = None,
) -> Course:
    kind, loop = WAYS[way]

    async def main(host: Host) -> list[Heard]:
        engine = kind(Provider("p", f"{host.url}/v1", tls_ca=tls and tls[0]))
        heard = []
        try:
            for number in range(count):
                await asyncio.sleep(pause if number else 0)
                heard.append(await ask(engine))
        finally:
            await engine.aclose()
        return heard

    with peer(script(), tls=tls and tls[1]) as host, asyncio.Runner(loop_factory=loop) as runner:
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


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """(the file of a certificate for localhost and 127.0.0.1, a host's context with it)"""
    if shutil.which("openssl") is None:
        pytest.skip("TLS IS NOT TESTED: there is no openssl command to make a certificate with")
    return certificate(tmp_path_factory.mktemp("tls"))


def called(way: str, url: str, **more: Any) -> Heard:
    """What comes of one request to any URL."""
    kind, loop = WAYS[way]

    async def main() -> Heard:
        engine = kind(Provider("p", url, **more))
        try:
            return await ask(engine)
        finally:
            await engine.aclose()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_certificate_of_an_own_authority_is_accepted(name: str, way: str, signed: tuple[Path, ssl.SSLContext]) -> None:
    with peer(answering([whole()]), tls=signed[1]) as host:
        assert str(called(way, host.url.replace("127.0.0.1", name), tls_ca=signed[0])) == "200 hello"


@pytest.mark.parametrize("way", WAYS)
def test_any_certificate_is_accepted_without_verification(way: str, signed: tuple[Path, ssl.SSLContext]) -> None:
    with peer(answering([whole()]), tls=signed[1]) as host:
        assert str(called(way, host.url, tls_verify=False)) == "200 hello"


@pytest.mark.parametrize("way", WAYS)
def test_certificate_of_nobody_we_know_is_not_accepted(way: str, signed: tuple[Path, ssl.SSLContext]) -> None:
    with peer(answering([whole()]), tls=signed[1]) as host:
        heard = called(way, host.url)
        assert not host.requests
    message = "Provider 'p' cannot be reached at 127.0.0.1: its TLS certificate is not accepted."
    assert (heard.failed, heard.message) == ("closed", message)


@pytest.mark.usefixtures("signed")  # or there is no openssl
@pytest.mark.parametrize("way", WAYS)
def test_certificate_of_another_host_is_not_accepted(way: str) -> None:
    with TemporaryDirectory() as folder:
        pem, context = certificate(Path(folder), "other.example", "127.0.0.2")
        with peer(answering([whole()]), tls=context) as host:
            heard = called(way, host.url, tls_ca=pem)
            assert not host.requests
    message = "Provider 'p' cannot be reached at 127.0.0.1: its TLS certificate is not accepted."
    assert (heard.failed, heard.message) == ("closed", message)


@pytest.mark.parametrize("way", WAYS)
def test_plain_host_where_tls_is_expected_fails_for_its_tls(way: str) -> None:
    def script(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        visit.gone()

    with peer(script) as host:
        heard = called(way, host.url.replace("http:", "https:"))
    assert (heard.failed, heard.message) == ("closed", "Provider 'p' cannot be reached at 127.0.0.1: TLS failed.")


@pytest.mark.parametrize("way", WAYS)
def test_host_that_closes_in_the_handshake_cannot_be_reached(way: str) -> None:
    with peer(lambda visit: None) as host:
        heard = called(way, host.url.replace("http:", "https:"))
    assert heard.failed == "closed"
    assert heard.message.startswith("Provider 'p' cannot be reached at 127.0.0.1: ")


@pytest.mark.parametrize("way", WAYS)
def test_host_that_is_silent_in_the_handshake_takes_the_limit_of_connecting(way: str) -> None:
    with peer(lambda visit: visit.gone()) as host:
        heard = called(way, host.url.replace("http:", "https:"), timeouts=Timeouts(connect_s=0.2))
        assert host.until(lambda host: host.open == 0, 1)
    message = "No connection to provider 'p' within 0.2 s (timeouts.connect)."
    assert (heard.failed, heard.message) == ("closed", message)


@pytest.mark.parametrize("way", WAYS)
def test_tls_host_where_plain_http_is_expected_does_not_speak_http(
    way: str, signed: tuple[Path, ssl.SSLContext]
) -> None:
    with peer(answering([whole()]), tls=signed[1]) as host:
        assert called(way, host.url.replace("https:", "http:")).failed in {"protocol", "closed"}


TLS_ANSWERS = ["chunked in pieces", "until close", "close in the body", "close in a chunk", "surplus: garbage"]


@pytest.mark.parametrize("name", TLS_ANSWERS)
def test_answers_mean_the_same_in_tls(name: str, signed: tuple[Path, ssl.SSLContext]) -> None:
    said = ANSWERS[name]
    for way in WAYS:
        found = course(way, lambda: answering(said.steps, [SECOND]), tls=signed)
        assert str(found.heard[0]) == said.heard
        if way != "library" or name not in DIFFERENCES:
            assert str(found.heard[1]) == "200 second"
            assert found.connections == [0, 0 if said.again else 1]


@pytest.mark.parametrize("way", WAYS)
def test_stale_connection_costs_one_more_try_in_tls(way: str, signed: tuple[Path, ssl.SSLContext]) -> None:
    found = course(way, kept_then([FIN], [whole(b"again")]), tls=signed)
    assert [str(one) for one in found.heard] == ["200 first", "200 again"]
    assert found.connections == [0, 0, 1]


@pytest.mark.parametrize("way", WAYS)
def test_ipv6_address_is_called_by_its_literal(way: str) -> None:
    try:
        with peer(answering([whole()]), family=socket.AF_INET6) as host:
            assert str(called(way, host.url)) == "200 hello"
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    name = host.url.removeprefix("http://").encode()
    assert b"\r\nhost: " + name + b"\r\n" in host.requests[0][1].replace(b"Host:", b"host:")


UNREACHABLE = {
    "http://127.0.0.1:9": "Provider 'p' cannot be reached at 127.0.0.1: connection refused.",
    "http://localhost:9": "Provider 'p' cannot be reached at localhost: connection refused.",
    "http://no-such-host.invalid": "Provider 'p' cannot be reached at no-such-host.invalid: no such host.",
    "https://no-such-host.invalid": "Provider 'p' cannot be reached at no-such-host.invalid: no such host.",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("url", UNREACHABLE)
def test_unreachable_host_is_named_with_the_reason(url: str, way: str) -> None:
    heard = called(way, f"{url}/v1", query={"key": "hidden"})
    assert (heard.failed, heard.message) == ("closed", UNREACHABLE[url])


@pytest.mark.parametrize("way", ["library", "own"])  # uvloop does not ask `socket`
def test_host_with_two_addresses_that_both_refuse_has_refused(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 9)) for address in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    heard = called(way, "http://two.example:9")
    assert heard.message == "Provider 'p' cannot be reached at two.example: connection refused."


@pytest.mark.parametrize("way", ["own", "own on uvloop"])
@pytest.mark.parametrize("url", ["http://a..b", "http://ü..de", f"http://{'a' * 70}.example"])
def test_name_that_cannot_be_looked_up_is_no_such_host(url: str, way: str) -> None:
    assert called(way, url).message.endswith(": no such host.")
