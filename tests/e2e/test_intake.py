"""Clients whose requests are no requests, are endless, or never arrive."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from proxy.edge import intake
from tests.support.served import CHAT, CLIENTS, GUEST, proxied
from tests.support.server import Running

HEAD = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n".encode()
WELL = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()


def spoken(proxy: Running, *pieces: bytes, pause_s: float = 0.0) -> tuple[int, Any, bool]:
    """Status, JSON body, and whether the proxy closed the connection, of what these pieces are answered with."""
    host, port = proxy.url.removeprefix("http://").split(":")
    got = b""
    with socket.create_connection((host, int(port)), 5) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            connection.settimeout(3)
            while data := connection.recv(65536):
                got += data
            closed = True
        except ConnectionError:
            closed = True
        except TimeoutError:
            closed = False
    head, _, body = got.partition(b"\r\n\r\n")
    said = json.JSONDecoder().raw_decode(body.decode())[0] if body else None
    return int(head.split(b" ")[1]) if head else 0, said, closed


def well(length: int | None = None) -> bytes:
    return HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % (length or len(WELL)) + WELL


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"x-endless: " + b"a" * 10_000_000,
        HEAD + b"".join(b"x-%d: y\r\n" % n for n in range(1_000_000)),
        b"POST /" + b"a" * 1_000_000,
        b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx" + HEAD + b"x: " + b"a" * 1_000_000,
    ],
    ids=["one endless header", "endless headers", "endless path", "second request of a connection"],
)
def test_endless_head_is_cut_off(head: bytes) -> None:
    with proxied() as (proxy, upstream, client):
        status, body, closed = spoken(proxy, head)
        assert client.get("/livez").status_code == 200
    assert closed
    if body is not None and status != 200:
        assert (status, body["error"]["code"]) == (431, "request_too_large")
    assert upstream.asked == []


def test_head_of_the_longest_length_is_taken() -> None:
    room = intake.MAX_HEAD_BYTES - len(HEAD) - 100
    with proxied() as (proxy, _, __):
        status = spoken(proxy, HEAD + b"x-long: " + b"a" * room + b"\r\n" + well().partition(HEAD)[2])[0]
    assert status == 200


def test_large_body_is_no_large_head() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 1_000_000}]}).encode()
    with proxied() as (proxy, _, __):
        head = HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        assert spoken(proxy, head + body)[0] == 200
        assert spoken(proxy, head, body)[0] == 200


def test_request_that_follows_another_in_one_read_keeps_its_headers() -> None:
    with proxied(clients=CLIENTS) as (proxy, _, __):
        host, port = proxy.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(HEAD + b"content-length: 200000\r\n\r\n")  # refused before its body has come
            connection.settimeout(5)
            got = connection.recv(65536)
            second = (
                b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: %b\r\n\r\n" % GUEST.encode()
            )
            connection.sendall(b" " * 200_000 + second)
            while data := connection.recv(65536):
                got += data
    assert b"HTTP/1.1 401" in got
    assert b"HTTP/1.1 200" in got


def test_trailers_are_not_kept() -> None:
    trailers = b"".join(b"x-%d: %b\r\n" % (n, b"y" * 100) for n in range(20_000))
    chunked = HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(WELL), WELL)
    with proxied() as (proxy, _, __):
        status = spoken(proxy, chunked + trailers + b"\r\n")[0]
    assert status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        HEAD + b"x: a\0b\r\n\r\n",
        HEAD + b"a b: c\r\n\r\n",
        b"\0" * 5000,
        b"POST /v1/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_so_in_json(sent: bytes) -> None:
    with proxied() as (proxy, upstream, client):
        status, body, closed = spoken(proxy, sent)
        assert client.get("/livez").status_code == 200
    assert closed
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert upstream.asked == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setattr(intake, "ARRIVAL_S", 0.3)
    monkeypatch.setattr(intake, "BYTES_PER_S", 1000)
    return lambda: None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "sent",
    [HEAD, b"P", HEAD + b"content-length: 50\r\n\r\n{", HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"],
    ids=["half a head", "one byte", "half a body", "half a chunked body"],
)
def test_request_that_does_not_arrive_is_cut_off(sent: bytes) -> None:
    with proxied() as (proxy, upstream, __):
        began = time.monotonic()
        status, body, closed = spoken(proxy, sent)
        took = time.monotonic() - began
    assert closed
    assert 0.25 < took < 2.5
    assert (status, body["error"]["code"]) == (408, "request_timeout")
    assert upstream.asked == []


@pytest.mark.usefixtures("impatient")
def test_connection_that_never_asks_is_closed_without_a_word() -> None:
    with proxied() as (proxy, _, __):
        assert spoken(proxy) == (0, None, True)


@pytest.mark.usefixtures("impatient")
def test_byte_now_and_then_does_not_keep_a_request_alive() -> None:
    body = b"{" + b" " * 100
    with proxied() as (proxy, _, __):
        began = time.monotonic()
        head = HEAD + b"content-length: %d\r\n\r\n" % len(body)
        _, __, closed = spoken(proxy, head, *(body[n : n + 1] for n in range(len(body))), pause_s=0.05)
        took = time.monotonic() - began
    assert closed
    assert took < 3


@pytest.mark.usefixtures("impatient")
def test_request_that_comes_slowly_but_steadily_is_served() -> None:
    sent = well()
    big = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 4000}]}).encode()
    sent = HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(big) + big
    pieces = [sent[n : n + 400] for n in range(0, len(sent), 400)]
    with proxied() as (proxy, _, __):
        assert spoken(proxy, *pieces, pause_s=0.1)[0] == 200


@pytest.mark.usefixtures("impatient")
def test_answer_may_take_longer_than_a_request() -> None:
    async def slow(asked: Any, wire: Any) -> None:
        await wire.gone(0.8)
        await wire.whole({"id": "a", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]})

    with proxied(slow) as (proxy, _, client):
        assert spoken(proxy, well())[0] == 200
        for _ in range(2):
            assert client.post(CHAT, content=WELL).status_code == 200


def test_head_that_comes_in_one_read_with_the_end_of_the_request_before_is_read_whole() -> None:
    with proxied() as (proxy, _, __):
        host, port = proxy.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as connection:
            # The first request is refused for its head, before its body has come.
            connection.sendall(HEAD + b"content-encoding: gzip\r\ncontent-length: 1\r\n\r\n")
            first = connection.recv(65536)
            length = len(WELL)
            connection.sendall(
                b"x"
                + HEAD
                + b"x-reasoning-render: no\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % length
                + WELL
            )
            second = b""
            while data := connection.recv(65536):
                second += data
    assert b"content-encoding" in first
    assert b"X-Reasoning-Render" in second


def test_client_that_closes_its_side_has_left() -> None:
    async def slow(_: Any, wire: Any) -> None:
        await wire.gone(5)

    with proxied(slow) as (proxy, _, __):
        host, port = proxy.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(WELL) + WELL)
            while not proxy.service.drain.open:
                time.sleep(0.01)
            connection.shutdown(socket.SHUT_WR)
            line = proxy.requests(1)[0]
            assert connection.recv(1) == b""
    assert line["outcome"] == "client_disconnect"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 405), ("GET", 405), ("OPTIONS", 204)])
def test_other_methods_stand_between_requests_of_one_connection(method: str, status: int) -> None:
    with proxied() as (_, upstream, client):
        for _ in range(2):
            assert client.post(CHAT, content=WELL).status_code == 200
            other = client.request(method, CHAT)
            assert (other.status_code, other.headers["allow"]) == (status, "POST")
    assert len(upstream.asked) == 2
