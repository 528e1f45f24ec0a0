"""One scripted upstream and one running proxy for all tests of this folder, and the official SDK's clients on it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from openai import DefaultHttpxClient, OpenAI

from tests.support.proxying import Proxy, proxying
from tests.support.upstream import Asked, Reply, Upstream, serving

UPSTREAM_KEY = "upstream-secret-0123"
CALLER_KEY = "caller-secret-4567"
LIMITED_KEY = "limited-secret-8901"


Replies = dict[str, Reply | Callable[[Asked], Reply]]


@dataclass
class World:
    """`model(reply)` gives the name of a model that is answered so."""

    upstream: Upstream
    proxy: Proxy
    replies: Replies = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.proxy.url}/v1"

    def model(self, reply: Reply | Callable[[Asked], Reply], provider: str = "house") -> str:
        name = f"model-{len(self.replies)}"
        self.replies[name] = reply
        return f"{provider}/{name}"

    def asked(self, model: str) -> Asked:
        """The last request for a model of `model()`."""
        return self.all_asked(model)[-1]

    def all_asked(self, model: str) -> list[Asked]:
        posted = [asked for asked in self.upstream.asked if asked.method == "POST"]
        return [asked for asked in posted if asked.json["model"] == model.partition("/")[2]]


def table_of(upstream: Upstream, **more: Any) -> str:
    """A provider for each way to be wrong; JSON is YAML."""
    house = {"base_url": upstream.url}
    providers: dict[str, dict[str, Any]] = {
        "house": {**house, "api_key": {"env": "UPSTREAM_KEY"}},
        "hasty": {**house, "timeouts": {"first_byte": "300ms", "idle": "300ms"}},
        "dead": {"base_url": "http://127.0.0.1:9/v1"},
    }
    routes = [
        {"model": f"{name}/*", "targets": [{"provider": name, "model": "{*}"}], "retry": {"attempts": 1}}
        for name in providers
    ]
    server = {"max_request_bytes": "64KiB", "drain": "1s"}
    return json.dumps({"version": 1, "server": server, "providers": providers, "routes": routes, **more})


def client_of(world: World, key: str = "any") -> OpenAI:
    """The SDK as a user has it, but for its own new tries, which would hide what a first one gets."""
    return OpenAI(
        base_url=world.url, api_key=key, max_retries=0, timeout=20, http_client=DefaultHttpxClient(trust_env=False)
    )


@pytest.fixture(scope="session")
def upstream_env() -> dict[str, str]:
    return {"UPSTREAM_KEY": UPSTREAM_KEY, "CALLER_KEY": CALLER_KEY, "LIMITED_KEY": LIMITED_KEY}


@contextmanager
def world_of(env: dict[str, str], **more: Any) -> Iterator[World]:
    replies: Replies = {}

    def answer(asked: Asked) -> Reply:
        if asked.method == "GET":
            return Reply.of_json({"object": "list", "data": [{"id": "listed-1", "object": "model"}]})
        reply = replies[asked.json["model"]]
        return reply(asked) if callable(reply) else reply

    with serving(answer) as upstream, proxying(table_of(upstream, **more), env) as proxy:
        yield World(upstream, proxy, replies)


@pytest.fixture(scope="session")
def world(upstream_env: dict[str, str]) -> Iterator[World]:
    with world_of(upstream_env) as built:
        yield built


@pytest.fixture(scope="session")
def guarded(upstream_env: dict[str, str]) -> Iterator[World]:
    """The same with client keys."""
    clients = [
        {"name": "caller", "key": {"env": "CALLER_KEY"}},
        {"name": "limited", "key": {"env": "LIMITED_KEY"}, "limits": {"requests_per_minute": 1}},
    ]
    with world_of(upstream_env, clients=clients) as built:
        yield built


@pytest.fixture
def client(world: World) -> Iterator[OpenAI]:
    with client_of(world) as built:
        yield built
