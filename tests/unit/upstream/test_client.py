"""The HTTP client alone: what goes wrong with connections."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.core.errors import ProxyError, UpstreamProtocol, UpstreamTimeout, UpstreamUnavailable
from proxy.settings.model import Provider, Secret, Timeouts
from proxy.upstream import authority
from proxy.upstream.authority import Head
from proxy.upstream.client import LibraryEngine as Engine
from tests.support.scripted import Asked, Wire, answer, scripted


def run(url: str, use: Callable[[Engine], Awaitable[None]], **more: object) -> None:
    async def main() -> None:
        engine = Engine(Provider("p", url, **more))  # type: ignore[arg-type]
        try:
            await use(engine)
        finally:
            await engine.aclose()

    asyncio.run(main())


def failure(url: str, **more: object) -> ProxyError:
    found: list[ProxyError] = []

    async def use(engine: Engine) -> None:
        with pytest.raises(ProxyError) as caught:
            await engine.open("/chat/completions", Head({}), b"{}")
        found.append(caught.value)
        assert engine.users == 0

    run(url, use, **more)
    return found[0]


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://127.0.0.1:9/v1", "connection refused"), ("http://no-such-host.invalid/v1", "no such host")],
)
def test_unreachable_host_is_named_without_key_or_query(url: str, words: str) -> None:
    error = failure(url, query={"key": "hidden"})
    assert isinstance(error, UpstreamUnavailable)
    assert words in error.message
    assert "hidden" not in error.message


def test_connecting_takes_its_limit_and_names_it() -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # a full queue answers no further connection
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        error = failure(f"http://127.0.0.1:{full.getsockname()[1]}", timeouts=Timeouts(connect_s=0.3))
    assert isinstance(error, UpstreamTimeout)
    assert "0.3 s (timeouts.connect)" in error.message


def test_host_that_speaks_no_http_is_a_protocol_error() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        wire.close()

    with scripted(script) as upstream:
        assert isinstance(failure(upstream.url), UpstreamProtocol)


def test_plain_http_behind_https_is_unavailable_for_its_tls() -> None:
    async def script(_: Asked, __: Wire) -> None:
        return

    with scripted(script) as upstream:
        error = failure(upstream.url.replace("http:", "https:"), timeouts=Timeouts(connect_s=2))
    assert isinstance(error, UpstreamUnavailable | UpstreamTimeout)


def test_own_certificate_authority_is_read(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("nonsense")
    with pytest.raises(ssl.SSLError):
        Engine(Provider("p", "https://x/v1", tls_ca=wrong))


def test_http_proxy_gets_the_request() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole(answer())

    with scripted(script) as way:

        async def use(engine: Engine) -> None:
            response = await engine.open("/chat/completions", Head({}), b"{}")
            assert await response.read()
            await response.aclose()

        run("http://far.invalid/v1", use, proxy=way.url.removesuffix("/v1"))
    assert way.asked[0].path == "http://far.invalid/v1/chat/completions"


def test_paths_and_queries_are_put_after_the_base_url() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.whole(answer())

    with scripted(script) as upstream:

        async def use(engine: Engine) -> None:
            for path in ("/chat/completions", "/rerank:v2", "/a/b"):
                await (await engine.open(path, Head({}), b"{}")).aclose()

        run(upstream.url, use, query={"api-version": "2024-10-21"})
    tail = "?api-version=2024-10-21"
    assert [asked.path for asked in upstream.asked] == [
        f"/v1{p}{tail}" for p in ("/chat/completions", "/rerank:v2", "/a/b")
    ]


def test_retired_engine_lets_its_open_answer_end() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.chunk(b"one")
        await wire.gone(0.1)
        await wire.chunk(b"two")
        await wire.end()

    with scripted(script) as upstream:

        async def use(engine: Engine) -> None:
            response = await engine.open("/x", Head({}), b"{}")
            assert await response.read() == b"one"
            await engine.retire()
            assert engine.users == 1
            assert await response.read() == b"two"
            assert await response.read() == b""
            await response.aclose()
            await response.aclose()
            assert engine.users == 0

        run(upstream.url, use)


def test_head_carries_the_key_as_the_provider_wants_it() -> None:
    secret = Secret("k-123456", "env K")
    plain = authority.headers(Provider("p", "u", secret), "client", "*/*")
    bare = authority.headers(Provider("p", "u", secret, auth_header="Api-Key", auth_scheme=""), None, "*/*")
    own = authority.headers(Provider("p", "u", pass_client_key=True, headers={"Accept": "x"}), "client", "*/*")
    none = authority.headers(Provider("p", "u"), "client", "*/*")
    assert plain["authorization"] == "Bearer k-123456"
    assert bare["api-key"] == "k-123456"
    assert (own["authorization"], own["accept"]) == ("Bearer client", "x")
    assert "authorization" not in none
    assert all(head["accept-encoding"] == "identity" for head in (plain, bare, own, none))
