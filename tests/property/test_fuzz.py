"""Mutated examples of everything that is read: no exception that is not documented, no hang, no answer that is not legible."""

import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import fuzzing
from tests.support.proxied import CHAT, proxied
from tests.support.proxied import good as good_upstream
from tests.support.streams import body, chunk

STREAM = body(
    chunk({"role": "assistant", "content": ""}),
    chunk(
        {"reasoning_content": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "signature": "s"}]}
    ),
    chunk({"content": "<think>x</think>caf\u00e9"}),
    chunk(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "a"}]}
    ),
    chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}]}),
    chunk({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
)
MESSAGE = {
    "role": "assistant",
    "content": "a",
    "reasoning_content": "r",
    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
}
WHOLE = json.dumps(
    {"id": "x", "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}], "usage": {"total_tokens": 3}}
).encode()
REQUEST = json.dumps(
    {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "x"}, MESSAGE, {"role": "tool", "tool_call_id": "c", "content": "y"}],
        "reasoning_effort": "high",
        "reasoning": {"effort": "low", "max_tokens": 5, "exclude": True},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "max_tokens": 3000,
        "chat_template_kwargs": {"enable_thinking": True},
        "stream_options": {"include_usage": True},
    }
).encode()
CONFIG = b"""version: 1
server: {listen: '127.0.0.1:8080', limits: {requests_per_minute: 5}, cors: {origins: ['https://a.example']}}
clients: [{name: a, key: {env: KEY}, routes: ["q*"], render: think_tags}]
providers: {h: {base_url: 'http://h/v1', timeouts: {idle: 2s}, response: {tags: {pairs: [["<a>", "</a>"]]}}}}
routes: [{model: "q*", targets: [{provider: h, model: "{*}", weight: 2}], strategy: fastest, retry: {cooldown: 5s}}]
"""
HTTP = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n"
EXAMPLES = {"stream": STREAM, "whole": WHOLE, "request": REQUEST, "config": CONFIG, "http": HTTP}
ODD = [
    *(b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud83d", b"\\u0000", b"\xef\xbb\xbf", b"\r", b"\n\n", b"\r\n\r\n"),
    *(b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b"true", b'"', b"[" * 300, b'{"a":' * 300, b"9" * 400),
    *(
        b"data: ",
        b"data: [DONE]\n\n",
        b": c\n\n",
        b"event: error\n",
        b"<think>",
        b"</think>",
        b"<",
        b"- *a",
        b"&a [*a]",
        b"!!python",
    ),
]


@st.composite
def mutated(draw: st.DrawFn, example: bytes) -> bytes:
    """The example with up to six places changed, and two bytes before it that steer the reader."""
    data = bytearray(example)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 30)))
        what = draw(st.sampled_from(["insert", "delete", "repeat", "replace", "flip"]))
        if what == "insert":
            data[at:at] = draw(st.sampled_from(ODD) | st.binary(max_size=6))
        elif what == "delete":
            del data[at:end]
        elif what == "repeat":
            data[at:at] = data[at:end]
        elif what == "replace":
            data[at:end] = draw(st.sampled_from(ODD))
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return draw(st.binary(min_size=2, max_size=2)) + bytes(data)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_itself_is_read(name: str) -> None:
    fuzzing.TARGETS[name](b"\0\0" + EXAMPLES[name] if name == "stream" else b"\0" + EXAMPLES[name])


@settings(max_examples=500)
@given(mutated(STREAM))
def test_mutated_stream_stays_legible(data: bytes) -> None:
    fuzzing.stream(data)


@settings(max_examples=250)
@given(mutated(WHOLE))
def test_mutated_answer_is_an_answer_or_an_error(data: bytes) -> None:
    fuzzing.whole(data[1:])


@settings(max_examples=300)
@given(mutated(REQUEST))
def test_mutated_request_is_sent_on_or_refused(data: bytes) -> None:
    fuzzing.request(data[1:])


@settings(max_examples=60)
@given(mutated(CONFIG))
def test_mutated_configuration_is_taken_or_its_mistakes_are_told(data: bytes) -> None:
    fuzzing.config(data[2:])


@settings(max_examples=250)
@given(mutated(HTTP))
def test_mutated_http_is_an_answer_or_broken(data: bytes) -> None:
    fuzzing.http(data[1:])


def test_server_survives_mutated_requests() -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n".encode()
    sent = head + b"content-length: %d\r\n\r\n" % len(REQUEST) + REQUEST
    with proxied(good_upstream) as (proxy, _, client):
        host, port = proxy.url.removeprefix("http://").split(":")

        @settings(max_examples=60)
        @given(mutated(sent))
        def survives(data: bytes) -> None:
            with socket.create_connection((host, int(port)), 5) as connection:
                connection.sendall(data[2:])
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(10)
                got = b""
                try:
                    while piece := connection.recv(65536):
                        got += piece
                except ConnectionError:
                    return
            assert not got or got.startswith(b"HTTP/1.1 ")
            assert b" 500 " not in got.partition(b"\r\n")[0]

        survives()
        assert client.get("/livez").status_code == 200
        assert not [line for line in proxy.lines if line["event"] == "bug"]
