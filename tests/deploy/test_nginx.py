"""The proxy behind a real nginx with the repository's configuration."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support import nginx as front
from tests.support.scripted import Asked, Wire, delta
from tests.support.served import BODY, CHAT, client_of, error_of, proxied

pytestmark = pytest.mark.skipif(front.binary() is None, reason="nginx is not installed")
STREAM = {**BODY, "stream": True}
WAIT_S = 20.0


class Turns:
    """Lets the upstream write its event k only once the client has got event k - 1."""

    def __init__(self, count: int) -> None:
        self.got = [threading.Event() for _ in range(count)]

    async def of(self, number: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while number > 0 and not self.got[number - 1].is_set():
                await asyncio.sleep(0.002)


def words_of(response: httpx2.Response) -> Iterator[str]:
    for line in response.iter_lines():
        if line.startswith("data: {"):
            said: dict[str, str] = json.loads(line[6:])["choices"][0]["delta"]
            if word := said.get("reasoning_content") or said.get("content"):
                yield word


def test_each_event_reaches_the_client_before_the_next_one_exists(tmp_path: Path) -> None:
    words = ["Sixty", " squared", " less", " one", " is", " composite."]
    turns = Turns(len(words))

    async def paced(_: Asked, wire: Wire) -> None:
        await wire.head()
        for number, word in enumerate(words):
            await turns.of(number)
            await wire.event(delta({"reasoning" if number < 3 else "content": word}))
        await turns.of(len(words))
        for last in (delta({}, "stop"), b"[DONE]"):
            await wire.event(last)
        await wire.end()

    heard: list[str] = []
    with (
        proxied(paced) as (proxy, _, __),
        front.nginx(tmp_path, proxy.url.removeprefix("http://")) as url,
        client_of(url) as client,
        client.stream("POST", CHAT, json=STREAM) as response,
    ):
        headers = response.headers
        for word in words_of(response):
            turns.got[len(heard)].set()
            heard.append(word)
    assert heard == words
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-encoding" not in headers


def test_client_that_leaves_through_nginx_ends_the_request_to_the_provider(tmp_path: Path) -> None:
    gone = threading.Event()

    async def endless(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(delta({"content": "one"}))
        if await wire.gone(WAIT_S):
            gone.set()

    with proxied(endless) as (proxy, _, __), front.nginx(tmp_path, proxy.url.removeprefix("http://")) as url:
        with client_of(url) as client, client.stream("POST", CHAT, json=STREAM) as response:
            next(words_of(response))
        assert gone.wait(WAIT_S)
        assert proxy.requests(1, WAIT_S)[0]["outcome"] == "client_disconnect"


def test_connections_to_the_proxy_are_kept_and_errors_stay_the_proxys(tmp_path: Path) -> None:
    with proxied() as (proxy, _, __), front.nginx(tmp_path, proxy.url.removeprefix("http://")) as url:
        with client_of(url) as client:
            answers = [client.post(CHAT, json=BODY, headers={"x-request-id": f"mine-{n}"}) for n in range(5)]
            unknown = client.post(CHAT, json={**BODY, "model": "nobody"})
            healthy = client.get("/health").status_code
            hidden = [client.get(path).status_code for path in ("/metrics", "/readyz", "/", "/-/explain/m")]
        connections = len(proxy.server.server_state.connections)
    assert [answer.headers["x-request-id"] for answer in answers] == [f"mine-{n}" for n in range(5)]
    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "model_not_found")
    assert healthy == 200
    assert hidden == [404] * 4
    assert connections == 1, "nginx opens a connection for each request"
