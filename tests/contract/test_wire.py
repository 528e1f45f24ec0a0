"""What crosses the socket, and when: the very bytes (C9), nothing waits (C11), and who leaves is gone."""

import json
import socket
import time
from typing import Any, Self

import httpx2
import pytest

from tests.contract.conftest import World
from tests.support.cuts import per_byte, per_event
from tests.support.scripted import delta
from tests.support.upstream import Gate, Piece, Reply, events

HEAD = '"id":"chatcmpl-9","object":"chat.completion.chunk","created":1764000000,"model":"m"'
CANONICAL = tuple(
    line.replace("HEAD", HEAD).encode()
    for line in (
        '{HEAD,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
        '{ "system_fingerprint" : "fp" ,HEAD,"choices":[{"index":0,"delta":{"reasoning_content":"a\\u003cb\\ud83d\\ude00"}}]}',
        '{HEAD,"choices":[{"delta":{"content":null,"reasoning_content":"  ","own":{"deep":[1.50,1e3,{"k":null}]}},"index":0}]}',
        '{HEAD,"choices":[{"index":0,"delta":{"content":"\u2028 né <think>"},"logprobs":{"content":[]},"finish_reason":null}],"x":0}',
        '{HEAD,"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\\n"}}]}}]}',
        '{HEAD,"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"},"extra_content":{"g":"s="}}]}}]}',
        '{HEAD,"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls","native_finish_reason":"TOOLS"}]}',
        '{HEAD,"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"cost":0.10}}',
    )
)  # fmt: skip
BODY = b"".join(b"data: " + line + b"\n\n" for line in CANONICAL) + b"data: [DONE]\n\n"
SPEECH = (
    delta({"role": "assistant", "content": ""}),
    delta({"reasoning_content": "Hm"}),
    delta({"content": "Hi"}),
    delta({}, "stop"),
)


def request(model: str, *, stream: bool = True) -> dict[str, Any]:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {"model": model, "messages": [{"role": "user", "content": "?"}], "stream": stream, **options}


def post(world: World, model: str, *, stream: bool = True) -> httpx2.Response:
    return httpx2.post(f"{world.url}/chat/completions", json=request(model, stream=stream), trust_env=False, timeout=20)


class Caller:
    """A client on a bare socket."""

    def __init__(self, world: World, model: str, *, stream: bool = True) -> None:
        body = json.dumps(request(model, stream=stream)).encode()
        port = int(world.proxy.url.rpartition(":")[2])
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        self.seen = b""

    def read_until(self, text: bytes) -> None:
        while text not in self.seen:
            data = self.socket.recv(65536)
            assert data, self.seen
            self.seen += data

    def is_silent(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.seen += self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(10)
        return False

    def leave(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


# C9


@pytest.mark.parametrize("cut", ["whole", "event", "byte"])
def test_canonical_stream_leaves_as_the_very_bytes(world: World, cut: str) -> None:
    pieces = {"whole": [BODY], "event": per_event(BODY), "byte": per_byte(BODY)}[cut]
    assert post(world, world.model(Reply(pieces))).content == BODY


def test_framing_is_all_that_changes_of_a_canonical_stream(world: World) -> None:
    for framed in (
        BODY.replace(b"data: ", b"data:"),
        BODY.replace(b"\n", b"\r\n"),
        BODY.replace(b"data: {", b"event: x\ndata: {"),
    ):
        assert post(world, world.model(Reply(per_event(framed)))).content == BODY
    assert post(world, world.model(Reply(per_byte(BODY.removesuffix(b"\n\n"))))).content == BODY


def test_events_that_need_no_change_keep_their_bytes_beside_those_that_do(world: World) -> None:
    strange = b'{"choices":[{"delta":{"reasoning":"Hm"}}]}'
    body = BODY.replace(b"data: " + CANONICAL[1], b"data: " + strange)
    lines = [line[6:] for line in post(world, world.model(Reply([body]))).content.split(b"\n\n")[:-2]]
    assert [*lines[:1], *lines[2:]] == [CANONICAL[0], *CANONICAL[2:]]
    assert json.loads(lines[1])["choices"][0]["delta"] == {"reasoning_content": "Hm"}


def test_canonical_body_leaves_as_the_very_bytes(world: World) -> None:
    message = '{"role":"assistant","own":[1.50,{"k":null}],"reasoning_content":"a\\u003cb","content":"H\u00e9 "}'
    head = HEAD.replace(".chunk", "")
    choice = f'{{"finish_reason":"stop","index":0,"message":{message},"logprobs":null}}'
    body = f'{{ {head} , "choices":[{choice}],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}},"x":1e2}}'
    got = post(world, world.model(Reply([body.encode()], headers={"content-type": "application/json"})), stream=False)
    assert got.content == body.encode()


# C11


def test_each_event_is_seen_before_the_next_is_sent(world: World) -> None:
    spoken = [
        events(delta({"content": f"word-{n}."} if n else {"role": "assistant", "content": "word-0."}), done=False)
        for n in range(20)
    ]
    gates = [Gate() for _ in spoken]
    pieces: list[Piece] = [piece for event, gate in zip(spoken, gates, strict=True) for piece in (*event, gate)]
    model = world.model(Reply([*pieces, *events(delta({}, "stop"))]))
    with Caller(world, model) as caller:
        for number, gate in enumerate(gates):
            caller.read_until(f"word-{number}.".encode())
            assert f"word-{number + 1}.".encode() not in caller.seen
            gate.open()
        caller.read_until(b"data: [DONE]\n\n")


def test_text_behind_a_possible_delimiter_is_all_that_waits(world: World) -> None:
    held, closed = Gate(), Gate()
    model = world.model(
        Reply.of_events(
            delta({"role": "assistant", "content": "<think>Reasoning goes on</thi"}),
            held,
            delta({"content": "s and that"}),
            closed,
            delta({"content": "</think>Answer"}),
            delta({}, "stop"),
        )
    )
    with Caller(world, model) as caller:
        caller.read_until(b'"Reasoning goes on"')
        held.open()
        caller.read_until(b"</this and that")
        closed.open()
        caller.read_until(b"data: [DONE]\n\n")
        assert b'"content":"Answer"' in caller.seen


def test_response_does_not_begin_with_a_role_alone(world: World) -> None:
    gate = Gate()
    model = world.model(Reply.of_events(SPEECH[0], b'{"choices":[]}', gate, *SPEECH[1:]))
    with Caller(world, model) as caller:
        assert gate.reached.wait(5)
        assert caller.is_silent(0.4)
        gate.open()
        caller.read_until(b"data: [DONE]\n\n")
        assert caller.seen.startswith(b"HTTP/1.1 200 OK\r\n")
        assert caller.seen.index(b'"role"') < caller.seen.index(b'"Hm"')


def test_comments_of_the_upstream_alone_do_not_begin_the_response(world: World) -> None:
    gate = Gate()
    pieces: list[Piece] = [
        b": PROCESSING\n\n",
        b": PROCESSING\n\n",
        gate,
        *events({"error": {"message": "no", "code": 400}}),
    ]
    with Caller(world, world.model(Reply(pieces))) as caller:
        assert gate.reached.wait(5)
        assert caller.is_silent(0.3)
        gate.open()
        caller.read_until(b"}}")
        assert caller.seen.startswith(b"HTTP/1.1 400 ")


def test_end_of_the_stream_is_not_waited_for(world: World) -> None:
    gate = Gate()
    with Caller(world, world.model(Reply([*events(*SPEECH), gate]))) as caller:
        caller.read_until(b"data: [DONE]\n\n")
        caller.read_until(b"\r\n0\r\n\r\n")
        gate.open()


# Who leaves


@pytest.mark.parametrize(
    ("phase", "sees"),
    [("reasoning", b'"Hm"'), ("answer", b'"Hi"'), ("before the head", None), ("before content", None), ("whole", None)],
)
def test_leaving_client_closes_the_upstream_connection_at_once(world: World, phase: str, sees: bytes | None) -> None:
    gate = Gate()
    replies = {
        "reasoning": Reply.of_events(*SPEECH[:2], gate),
        "answer": Reply.of_events(*SPEECH[:3], gate),
        "before the head": Reply([], before=gate),
        "before content": Reply.of_events(SPEECH[0], gate),
        "whole": Reply([b'{"id":', gate], headers={"content-type": "application/json"}),
    }
    model = world.model(replies[phase])
    with Caller(world, model, stream=phase != "whole") as caller:
        assert gate.reached.wait(5)
        if sees is not None:
            caller.read_until(sees)
    began = time.monotonic()
    assert world.asked(model).left.wait(5)
    assert time.monotonic() - began < 1.0


def test_complete_answer_gives_its_connection_back(world: World) -> None:
    model = world.model(Reply.of_events(*SPEECH))
    for _ in range(3):
        assert post(world, model).content.endswith(b"data: [DONE]\n\n")
    assert not world.asked(model).left.is_set()
