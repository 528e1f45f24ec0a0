"""The HTTP calls of `chat`, against a server that answers what a test wants."""

import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from starlette.types import Receive, Scope, Send

from proxy.cli.api import Api
from proxy.cli.failure import Failure
from proxy.cli.terminal import Transcript
from proxy.core.codec import dumps, loads
from proxy.demo.background import serving

ASKED = [{"role": "user", "content": "hi"}]
DONE = b"data: [DONE]\n\n"


class Server:
    """Answers every request with one body, and keeps what it was sent."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.body = body
        self.status = status
        self.headers: dict[bytes, bytes] = {}
        self.request: bytes = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers = dict(scope["headers"])
        self.request = (await receive()).get("body", b"")
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.body})


@contextmanager
def _api(server: Server, key: str = "") -> Iterator[Api]:
    with serving(server) as address, Api(address, key) as api:
        yield api


def _event(**delta: object) -> bytes:
    return b"data: " + dumps({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n"


def _transcript() -> tuple[Transcript, io.StringIO, io.StringIO]:
    reasoning, answer = io.StringIO(), io.StringIO()
    return Transcript(reasoning, answer), reasoning, answer


def test_an_answer_is_printed_timed_and_kept_with_its_reasoning() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
    body = (
        b": ping\n\n" + _event(role="assistant", reasoning_content="why") + _event(content="be", reasoning_content="")
    )
    transcript, reasoning, answer = _transcript()
    with _api(Server(body + _event(content="cause") + usage + DONE)) as api:
        turn = api.ask("m", ASKED, transcript)
    assert turn.message() == {"role": "assistant", "content": "because", "reasoning_content": "why"}
    assert (reasoning.getvalue(), answer.getvalue()) == ("why\n", "because\n")
    assert turn.timeline.usage == {"prompt_tokens": 1, "completion_tokens": 2}
    assert turn.timeline.first_reasoning is not None and turn.timeline.first_answer is not None
    assert turn.timeline.started <= turn.timeline.first_reasoning <= turn.timeline.first_answer


def test_the_request_asks_for_a_stream_with_usage_and_carries_the_key() -> None:
    server = Server(_event(content="x") + DONE)
    with _api(server, "client-key") as api:
        api.ask("m", ASKED, _transcript()[0])
    assert loads(server.request) == {
        "model": "m",
        "messages": ASKED,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert server.headers[b"authorization"] == b"Bearer client-key"


def test_an_answer_without_reasoning_leaves_none_in_the_history() -> None:
    with _api(Server(_event(content="x") + DONE)) as api:
        assert api.ask("m", ASKED, _transcript()[0]).message() == {"role": "assistant", "content": "x"}


def test_a_refusal_is_printed_as_the_answer() -> None:
    transcript, _, answer = _transcript()
    with _api(Server(_event(refusal="I will not.") + DONE)) as api:
        api.ask("m", ASKED, transcript)
    assert answer.getvalue() == "I will not.\n"


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"error": {"message": "no such model", "code": "model_not_found"}}', 404, "answers 404: no such model"),
        (b"<html>bad gateway</html>", 502, "answers 502: <html>"),
        (b"", 500, "answers 500: without a word"),
        (b'data: {"error": {"message": "overloaded"}}\n\n' + DONE, 200, "overloaded"),
        (b'data: {"error": "overloaded"}\n\n' + DONE, 200, "overloaded"),
        (_event(content="half"), 200, "broke off"),
        (b"<html></html>", 200, "broke off"),
        (b"data: half a chu\n\n", 200, "no chat completion"),
        (b"data: []\n\n", 200, "no chat completion"),
    ],
)
def test_what_goes_wrong_is_told(body: bytes, status: int, told: str) -> None:
    with _api(Server(body, status)) as api, pytest.raises(Failure, match=told):
        api.ask("m", ASKED, _transcript()[0])


def test_models_are_listed_in_the_servers_order() -> None:
    with _api(Server(b'{"data": [{"id": "b"}, {"id": "a"}]}')) as api:
        assert api.models() == ["b", "a"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": [{}]}', b'{"data": null}'])
def test_a_list_of_models_that_is_none_is_told(body: bytes) -> None:
    with _api(Server(body)) as api, pytest.raises(Failure, match="no list of models"):
        api.models()


def test_a_refused_list_of_models_is_told() -> None:
    with _api(Server(b'{"error": {"message": "no key"}}', 401)) as api, pytest.raises(Failure, match="401: no key"):
        api.models()


def test_a_server_that_is_not_there_is_told_with_what_to_do() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        calls: list[Callable[[Api], object]] = [Api.models, lambda api: api.ask("m", ASKED, _transcript()[0])]
        for call in calls:
            with Api(url, "") as api, pytest.raises(Failure, match=r"cannot reach .* `reasoning-proxy serve`"):
                call(api)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host/v1", "http://", "http://[::1", "http://host:port/"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(Failure, match="is no URL"):
        Api(url, "")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"),
        ("https://host/prefix/v1/", "https://host/prefix/v1"),
    ],
)
def test_v1_is_added_where_the_url_has_no_path(url: str, base: str) -> None:
    assert str(Api(url, "").url) == base


@pytest.mark.parametrize("key", ["clé-geheim", "geheim\n", "geheim\r\nx-a: b"])
def test_a_key_that_no_header_carries_is_told_without_showing_it(key: str) -> None:
    with pytest.raises(Failure, match="REASONING_PROXY_KEY") as caught:
        Api("http://127.0.0.1:8080", key)
    assert "geheim" not in str(caught.value)
