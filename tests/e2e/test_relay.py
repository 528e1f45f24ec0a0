"""The pump against real sockets: what leaves, when it leaves, and how it ends."""

import gzip
import json
import socket
import threading
import time
import zlib

import httpx2
import pytest

from tests.support.proxied import (
    CHAT,
    DONE,
    GOOD,
    MESSAGES,
    ROLE,
    ask,
    events,
    falls_silent,
    good,
    never_generates,
    proxied,
    refused,
    says_nothing,
)
from tests.support.scripted import Asked, Script, Wire, answer, delta


def test_stream_is_normalised_and_ends_with_one_done() -> None:
    with proxied(good) as (_, __, client):
        response = ask(client)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-reasoning-proxy-target"] == "p0/big"
    assert response.headers["x-reasoning-proxy-attempts"] == "1"
    deltas = [event["choices"][0]["delta"] for event in events(response.text)]
    assert deltas[1] == {"reasoning_content": "Hm"}
    assert response.text.count("[DONE]") == 1


def test_whole_answer_is_normalised() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole(answer("<answer", "Hm"))

    with proxied(script) as (_, __, client):
        response = ask(client, stream=False)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["choices"][0]["message"]["reasoning_content"] == "Hm"


def test_events_of_one_read_leave_in_one_piece() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(GOOD[1])
        await wire.gone(0.2)
        pieces = [b"data: " + json.dumps(delta({"content": str(n)})).encode() + b"\n\n" for n in range(50)]
        await wire.raw(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces))
        await wire.gone(0.2)
        await wire.event(delta({}, "stop"))
        await wire.event(b"[DONE]")
        await wire.end()

    with proxied(script) as (proxy, _, __):
        chunks = chunks_of(proxy.url)
    texts = [chunk for chunk in chunks if b'"content"' in chunk]
    assert len(texts) == 1
    assert texts[0].count(b"data: ") == 50


def chunks_of(url: str) -> list[bytes]:
    """The HTTP chunks of a streamed answer, as the server framed them."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"model": "m", "stream": True, "messages": MESSAGES}).encode()
    with socket.create_connection((host, int(port)), 10) as connection, connection.makefile("rb") as file:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)
        )
        while file.readline().strip():
            pass
        found = []
        while size := int(file.readline(), 16):
            found.append(file.read(size))
            file.readline()
    return found


def test_silent_upstream_gets_the_client_comments() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.gone(0.5)
        await wire.events(*GOOD)

    with proxied(script, server="{heartbeat: 150ms}") as (_, __, client):
        response = ask(client)
    comments = response.text.split("data:")[0]
    assert comments.count(": keep-alive\n\n") in (2, 3)
    assert comments.strip("\n").replace(": keep-alive", "").strip() == ""


def test_role_waits_one_heartbeat_at_most() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(ROLE)
        await wire.gone(2)

    with proxied(script, server="{heartbeat: 150ms}") as (_, __, client):
        began = time.monotonic()
        with client.stream("POST", CHAT, json={"model": "m", "stream": True, "messages": MESSAGES}) as response:
            first = next(response.iter_raw())
        assert b'"role"' in first
        assert 0.1 < time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("script", "phase"), [(says_nothing, "waiting"), (falls_silent, "reasoning"), (never_generates, "waiting")]
)
def test_leaving_client_ends_the_upstream_request(script: Script, phase: str) -> None:
    ended = threading.Event()

    async def watched(asked: Asked, wire: Wire) -> None:
        await script(asked, wire)
        ended.set()

    with proxied(watched) as (proxy, upstream, client):
        with pytest.raises(httpx2.TimeoutException):
            client.post(CHAT, json={"model": "m", "stream": True, "messages": MESSAGES}, timeout=0.4)
        assert ended.wait(1.0)
        line = proxy.requests(1)[0]
        metrics = client.get("/metrics").text
        assert len(upstream.asked) == 1
    assert (line["outcome"], line["phase"]) == ("client_disconnect", phase)
    assert f'client_disconnects_total{{phase="{phase}",route="m"}} 1.0' in metrics
    assert 'outcome="cancelled",provider="p0"} 1.0' in metrics
    assert 'streams_in_flight{route="m"} 0.0' in metrics


@pytest.mark.parametrize("size", [1, 1_000_000], ids=["short", "more than the server reads ahead"])
def test_leaving_client_ends_a_whole_request_too(size: int) -> None:
    ended = threading.Event()

    async def script(_: Asked, wire: Wire) -> None:
        await wire.gone()
        ended.set()

    with proxied(script) as (proxy, _, client):
        with pytest.raises(httpx2.TimeoutException):
            client.post(CHAT, json={"model": "m", "messages": [{"role": "user", "content": "x" * size}]}, timeout=0.3)
        assert ended.wait(1.0)
        assert proxy.requests(1)[0]["outcome"] == "client_disconnect"


def test_connection_is_used_again_after_a_stream() -> None:
    with proxied(good) as (_, upstream, client):
        for _ in range(5):
            assert "Hi" in ask(client).text
            time.sleep(0.05)
    assert upstream.connections == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_stream_is_decoded_as_it_comes(encoding: str) -> None:
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)

    async def script(_: Asked, wire: Wire) -> None:
        await wire.head(content_encoding=encoding)
        for event in (GOOD[1], GOOD[2], GOOD[3]):
            plain = b"data: " + json.dumps(event).encode() + b"\n\n"
            await wire.chunk(packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH))
            if event is GOOD[1]:
                await wire.gone(0.3)
        await wire.chunk(packer.compress(DONE) + packer.flush())
        await wire.end()

    with proxied(script) as (_, upstream, client):
        began = time.monotonic()
        with client.stream("POST", CHAT, json={"model": "m", "stream": True, "messages": MESSAGES}) as response:
            pieces = response.iter_raw()
            first = next(pieces)
            assert time.monotonic() - began < 0.25
            text = (first + b"".join(pieces)).decode()
        assert upstream.asked[0].headers["accept-encoding"] == "identity"
    assert "content-encoding" not in response.headers
    assert "Hi" in text


def test_unknown_encoding_is_refused_and_gzip_whole_is_read() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        if asked.json["stream"]:
            await wire.head(content_encoding="br")
            await wire.end()
        else:
            await wire.whole(gzip.compress(json.dumps(answer()).encode()), content_encoding="gzip")

    with proxied(script, route="retry: {attempts: 1}") as (_, __, client):
        assert refused(ask(client)) == (502, "upstream_protocol")
        assert ask(client, stream=False).json()["choices"][0]["message"]["content"] == "Hi"


def test_callers_own_key_is_sent_on_only_where_that_is_said_and_cut_out_too() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        await wire.whole({"error": {"message": f"bad key {asked.headers.get('authorization')}"}}, 400)

    mine = {"authorization": "Bearer callers-own-key"}
    with proxied(script, key="{from: client}") as (_, upstream, client):
        response = ask(client, stream=False, headers=mine)
        nobody = ask(client, stream=False)
    assert upstream.asked[0].headers["authorization"] == "Bearer callers-own-key"
    assert "callers-own-key" not in response.text
    assert refused(nobody) == (401, "invalid_api_key")
    assert len(upstream.asked) == 1


def test_nothing_of_the_clients_head_crosses() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole(answer(), set_cookie="a=b")

    sent = {
        "authorization": "Bearer x",
        "cookie": "c=d",
        "x-forwarded-for": "1.2.3.4",
        "x-mine": "y",
        "user-agent": "z",
    }
    with proxied(script, provider="headers: {x-team: search}") as (_, upstream, client):
        response = ask(client, stream=False, headers=sent)
        ask(client, stream=False)
    arrived = upstream.asked[0].headers
    assert not {"authorization", "cookie", "x-forwarded-for", "x-mine"} & set(arrived)
    assert arrived["user-agent"].startswith("reasoning-proxy/")
    assert arrived["x-team"] == "search"
    assert "set-cookie" not in response.headers
    assert "cookie" not in upstream.asked[1].headers


def test_other_endpoints_are_relayed_as_they_come() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head(content_type="text/plain; charset=x")
        await wire.chunk(b"one")
        await wire.gone(0.4)
        await wire.chunk(b"two")
        await wire.end()

    with proxied(script) as (proxy, upstream, client):
        began = time.monotonic()
        with client.stream("POST", "/v1/audio/speech", json={"model": "m", "input": "x", "n": 2**70}) as response:
            pieces = response.iter_raw()
            assert next(pieces) == b"one"
            assert time.monotonic() - began < 0.35
            assert list(pieces) == [b"two"]
        line = proxy.requests(1)[0]
    assert response.headers["content-type"] == "text/plain; charset=x"
    assert upstream.asked[0].path == "/v1/audio/speech"
    assert upstream.asked[0].json == {"model": "big", "input": "x", "n": 2**70}
    assert (line["outcome"], line["bytes_out"]) == ("ok", 6)


def test_relayed_body_that_breaks_is_cut_off() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head(content_type="application/json")
        await wire.chunk(b"{")
        await wire.gone(0.1)
        wire.close()

    with proxied(script) as (proxy, _, client):
        with pytest.raises(httpx2.RemoteProtocolError):
            client.post("/v1/embeddings", json={"model": "m"})
        assert proxy.requests(1)[0]["outcome"] == "upstream_error"


@pytest.mark.parametrize(
    "path", ["/v1/../secret", "/v1/a/../../b", "/v1/%2e%2e/x", "/v1//x", "/v1/a%2Fb/..", "/v1/a b"]
)
def test_paths_that_could_leave_the_base_url_are_unknown(path: str) -> None:
    with proxied(good) as (proxy, upstream, _):
        host, port = proxy.url.removeprefix("http://").split(":")
        body = b'{"model":"m"}'
        with socket.create_connection((host, int(port)), 5) as connection:
            head = f"POST {path.replace(' ', '%20')} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        assert not upstream.asked


def test_passthrough_gives_the_very_bytes() -> None:
    odd = (
        b': hi\ndata:{"choices":[{"delta":{"reasoning":"Hm"}}]}\r\n\r\ndata: {"choices":[{"delta":{"content":"x"}}]}\n\n'
        + DONE
    )

    async def script(_: Asked, wire: Wire) -> None:
        await wire.head(content_type="text/event-stream")
        for at in range(0, len(odd), 7):
            await wire.chunk(odd[at : at + 7])
        await wire.end()

    with proxied(script) as (_, __, client):
        response = ask(client, headers={"x-reasoning-render": "passthrough"})
    assert response.content == odd
    assert response.headers["content-type"] == "text/event-stream"


def test_slow_client_slows_the_upstream_down() -> None:
    sent = 0
    stopped = threading.Event()

    async def script(_: Asked, wire: Wire) -> None:
        nonlocal sent
        await wire.head()
        event = b"data: " + json.dumps(delta({"content": "x" * 60_000})).encode() + b"\n\n"
        while sent < 200_000_000 and not stopped.is_set():
            await wire.chunk(event)
            sent += len(event)

    with proxied(script) as (proxy, _, __):
        host, port = proxy.url.removeprefix("http://").split(":")
        body = json.dumps({"model": "m", "stream": True, "messages": MESSAGES}).encode()
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(
                b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)
            )
            time.sleep(1.5)
            stopped.set()
            assert 0 < sent < 60_000_000
        proxy.requests(1)


def test_stream_that_outlasts_the_drain_ends_legibly() -> None:
    with proxied(falls_silent) as (proxy, _, client):
        found: list[httpx2.Response] = []
        thread = threading.Thread(target=lambda: found.append(ask(client)))
        thread.start()
        while not proxy.service.drain.open:
            time.sleep(0.01)
        time.sleep(0.1)
        loop = proxy.loop
        loop.call_soon_threadsafe(proxy.service.drain.begin, loop, 0.1)
        thread.join(5)
        line = proxy.requests(1)[0]
    assert events(found[0].text)[-1]["error"]["code"] == "server_shutdown"
    assert found[0].text.endswith(DONE.decode())
    assert line["outcome"] == "shutdown"


def test_request_still_waiting_when_the_drain_is_over_is_a_503() -> None:
    with proxied(says_nothing) as (proxy, _, client):
        found: list[httpx2.Response] = []
        thread = threading.Thread(target=lambda: found.append(ask(client, stream=False)))
        thread.start()
        while not proxy.service.drain.open:
            time.sleep(0.01)
        loop = proxy.loop
        loop.call_soon_threadsafe(proxy.service.drain.begin, loop, 0.1)
        thread.join(5)
    assert refused(found[0]) == (503, "server_shutdown")


def test_empty_answer_is_an_answer() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.events(ROLE, delta({}, "stop"))

    with proxied(script) as (proxy, _, client):
        response = ask(client)
        assert proxy.requests(1)[0]["outcome"] == "ok"
    assert events(response.text)[-1]["choices"][0]["finish_reason"] == "stop"
    assert response.text.endswith(DONE.decode())


def test_json_where_a_stream_was_asked_is_streamed_and_the_other_way_round() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        await (wire.whole(answer()) if asked.json["stream"] else wire.events(*GOOD))

    with proxied(script) as (_, __, client):
        stream, whole = ask(client), ask(client, stream=False)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert '"reasoning_content":"Hm"' in stream.text
    assert whole.json()["choices"][0]["message"]["content"] == "Hi"
