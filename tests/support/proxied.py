"""A proxy with one route, `m`, before scripted upstreams; and scripts that behave well or badly."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.support.scripted import Asked, Script, Upstream, Wire, delta, scripted
from tests.support.server import Running, running, settings_of

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "x"}]
ROLE = delta({"role": "assistant", "content": ""})
GOOD = (ROLE, delta({"reasoning": "Hm"}), delta({"content": "Hi"}), delta({}, "stop"))
DONE = b"data: [DONE]\n\n"


def table(*urls: str, server: str = "{}", provider: str = "", route: str = "", key: str = "") -> str:
    """One route `m` with a target at each address: providers p0, p1…"""
    lines = ["version: 1", f"server: {server}", "providers:"]
    for number, url in enumerate(urls):
        lines += [f"  p{number}:", f"    base_url: {url}", *([f"    {provider}"] if provider else [])]
        lines += [f"    api_key: {key}"] if key else []
    targets = ", ".join(f"p{number}/big" for number in range(len(urls)))
    lines += ["routes:", f"  - {{model: m, targets: [{targets}]{', ' + route if route else ''}}}"]
    return "\n".join(lines)


@contextmanager
def proxied(script: Script, **options: Any) -> Iterator[tuple[Running, Upstream, httpx2.Client]]:
    with (
        scripted(script) as upstream,
        running(settings_of(table(upstream.url, **options), {"KEY": "secret-key-0123"})) as proxy,
        httpx2.Client(base_url=proxy.url, timeout=20, verify=False) as client,
    ):
        yield proxy, upstream, client


@contextmanager
def failing_over(first: Script, second: Script, **options: Any) -> Iterator[tuple[Running, httpx2.Client]]:
    with (
        scripted(first) as one,
        scripted(second) as two,
        running(settings_of(table(one.url, two.url, route="retry: {attempts: 1}", **options))) as proxy,
        httpx2.Client(base_url=proxy.url, timeout=20, verify=False) as client,
    ):
        yield proxy, client


def ask(client: httpx2.Client, *, stream: bool = True, **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    return client.post(CHAT, json={"model": "m", "stream": stream, "messages": MESSAGES, **more}, headers=headers)


def events(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def refused(response: httpx2.Response) -> tuple[int, Any]:
    return response.status_code, response.json()["error"]["code"]


async def good(_: Asked, wire: Wire) -> None:
    await wire.events(*GOOD)


async def unavailable(_: Asked, wire: Wire) -> None:
    await wire.whole({"error": {"message": "busy"}}, 503)


async def says_nothing(_: Asked, wire: Wire) -> None:
    await wire.gone()


async def never_generates(_: Asked, wire: Wire) -> None:
    await wire.head()
    while not await wire.gone(0.05):
        await wire.chunk(b": waiting\n\n")


async def never_answers(_: Asked, wire: Wire) -> None:
    await wire.head()
    while not await wire.gone(0.05):
        await wire.event(GOOD[1])


async def falls_silent(_: Asked, wire: Wire) -> None:
    await wire.head()
    await wire.event(GOOD[1])
    await wire.gone()
