"""Nothing secret or private comes out where it does not belong.

Every key, header, request field, answer and error carries a word of its own. What comes out is then searched: for secrets
everywhere, for what was said everywhere but in the answers of the one who said it.
"""

import itertools
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from proxy.cli import main
from proxy.core.dialect import Manner
from proxy.settings import Settings, load
from tests.support.scripted import Asked, Wire, answer, delta, scripted
from tests.support.server import Running, running

CHAT = "/v1/chat/completions"
WORD = re.compile(r"canary-\d+-[a-z]+", re.IGNORECASE)
_numbers = itertools.count(1000)


def secret() -> str:
    return f"canary-{next(_numbers)}-secret"


def said() -> str:
    return f"canary-{next(_numbers)}-said"


def model_said() -> str:
    """What a host may call its model; what looks like a model's name is in log lines and spans, as `response_model`."""
    return f"{said()} {said()}"


ENV = {name: secret() for name in ("ONE_KEY", "TWO_KEY", "HOUSE_KEY", "HEADER_KEY", "QUERY_KEY", "PROXY_USER")}
TABLE = """
version: 1
clients:
  - {name: one, key: {env: ONE_KEY}}
  - {name: two, key: {env: TWO_KEY}, routes: [m]}
providers:
  house:
    base_url: HOST
    api_key: {env: HOUSE_KEY}
    headers: {x-signed: {env: HEADER_KEY}}
    query: {signature: {env: QUERY_KEY}}
  callers: {base_url: HOST, api_key: {from: client}}
  proxied: {base_url: HOST, proxy: {env: PROXY_ADDRESS}}
routes:
  - {model: m, targets: [house/big], retry: {attempts: 1, cooldown: 0s}}
  - {model: mine, targets: [callers/big], retry: {attempts: 1, cooldown: 0s}}
  - {model: "wild*", targets: [{provider: house, model: "{model}"}], retry: {attempts: 1, cooldown: 0s}}
  - {model: far, targets: [proxied/big]}
"""


def request_body(**more: Any) -> dict[str, Any]:
    """A request in which every field that takes text says something of its own."""
    call = {"id": said(), "type": "function", "function": {"name": said(), "arguments": json.dumps({said(): said()})}}
    return {
        "model": "m",
        "messages": [
            {"role": "system", "content": said()},
            {"role": "user", "content": [{"type": "text", "text": said()}], "name": said()},
            {"role": "assistant", "content": said(), "reasoning_content": said(), "tool_calls": [call]},
            {"role": "tool", "content": said(), "tool_call_id": call["id"]},
            {"role": "user", "content": said()},
        ],
        "tools": [
            {"type": "function", "function": {"name": said(), "description": said(), "parameters": {said(): said()}}}
        ],
        "metadata": {said(): said()},
        "stop": [said()],
        "user": said(),
        "prompt_cache_key": said(),
        "response_format": {"type": "json_schema", "json_schema": {"name": said(), "schema": {}}},
        said(): said(),
        **more,
    }


def answer_parts() -> list[dict[str, Any]]:
    call = {"index": 0, "id": said(), "function": {"name": said(), "arguments": json.dumps({said(): said()})}}
    parts: list[dict[str, Any]] = [
        {"role": "assistant", "reasoning_content": said()},
        {"reasoning_details": [{"type": "reasoning.text", "text": said(), "signature": said()}]},
        {"content": f"<think>{said()}</think>{said()}", said(): said()},
        {"tool_calls": [call]},
        {"refusal": said()},
    ]
    named = {"id": said(), "model": model_said(), "system_fingerprint": said()}
    finish = delta({}, said(), **named, usage={"prompt_tokens": 1, "completion_tokens": 1, said(): 5})
    return [*(delta(part, **named) for part in parts), finish]


def leak(asked: Asked) -> dict[str, Any]:
    """An error that repeats all it was given, as hosts do."""
    given = f"{said()} {json.dumps(asked.headers)} {asked.path}"
    return {"error": {"message": given, "type": given, "param": given, "code": given, "metadata": {"raw": given}}}


async def host(asked: Asked, wire: Wire) -> None:
    """Does what the request's `user` says, and tells something of its own in every place."""
    if asked.method == "GET":
        await wire.whole({"data": [{"id": "wild-1", "owned_by": said(), "description": said()}]})
        return
    what = asked.json.get("metadata", {}).get("do", "stream")
    head: dict[str, Any] = {"set_cookie": said(), "x_said": said(), "server": said(), "www_authenticate": said()}
    if what == "stream":
        await wire.events(*answer_parts())
    elif what == "whole":
        await wire.whole(answer(said(), said(), system_fingerprint=said(), model=model_said()), **head)
    elif what == "break":
        await wire.head(**head)
        for part in answer_parts()[:3]:
            await wire.event(part)
        await wire.event(leak(asked))
        await wire.end()
    elif what == "nonsense":
        await wire.whole(f"<html>{said()} {asked.headers}</html>".encode(), 200, **head)
    elif what == "drift":
        await wire.head(**head)
        await wire.event(f'{{"{said()}": '.encode())
        await wire.event({said(): {said(): said()}, "choices": [{"delta": {said(): said()}, "finish_reason": said()}]})
        wire.close()
    else:
        await wire.whole(leak(asked), int(what), **head)


WHATS = ["stream", "whole", "break", "nonsense", "drift", "302", "400", "401", "403", "404", "418", "429", "500", "503"]


def send(client: httpx2.Client, key: str, path: str = CHAT, **more: Any) -> str:
    """The whole response to one request, its headers too."""
    headers = {"authorization": f"Bearer {key}", "cookie": said(), "user-agent": said(), "referer": said()}
    headers |= {"x-forwarded-for": said(), "x-title": said(), "openai-organization": said(), **more.pop("headers", {})}
    body = request_body(**more)
    response = client.post(f"{path}?{said()}={said()}", json=body, headers=headers)
    return f"{response.status_code} {dict(response.headers)} {response.text}"


@contextmanager
def served(folder: Path) -> Iterator[tuple[Running, httpx2.Client, Path]]:
    with scripted(host) as upstream:
        file = folder / "proxy.yaml"
        file.write_text(TABLE.replace("HOST", upstream.url))
        env = {**ENV, "PROXY_ADDRESS": f"http://{ENV['PROXY_USER']}:{ENV['PROXY_USER']}@127.0.0.1:9"}
        settings = load(file, env)
        with (
            running(with_a_bug(settings), reread=lambda: load(file, env)) as proxy,
            httpx2.Client(base_url=proxy.url, timeout=20, verify=False) as client,
        ):
            yield proxy, client, file


def with_a_bug(settings: Settings) -> Settings:
    """A route `bug` whose target raises an error that tells all it knows."""

    def broken(model: str) -> Manner:
        raise LookupError(ENV["HOUSE_KEY"] + model + said())

    route = settings.routes[0]
    return replace(
        settings,
        routes=(*settings.routes, replace(route, model="bug", targets=(replace(route.targets[0], manner_of=broken),))),
    )


def everything(client: httpx2.Client) -> dict[str, str]:
    """What the first client gets for requests of every kind: description → whole response."""
    one, got = ENV["ONE_KEY"], {}
    for what in WHATS:
        for stream in (True, False):
            got[f"{what} {stream}"] = send(client, one, metadata={"do": what}, stream=stream)
        for form in ("passthrough", "think_tags"):
            render = {"x-reasoning-render": form}
            got[f"{what} {form}"] = send(client, one, metadata={"do": what}, stream=True, headers=render)
        got[f"{what} relayed"] = send(client, one, "/v1/responses", metadata={"do": what})
    got["callers key"] = send(client, one, model="mine", metadata={"do": "401"})
    got["through a proxy"] = send(client, one, model="far")
    got["wildcard"] = send(client, one, model="wild-" + said(), metadata={"do": "404"})
    got["bug"] = send(client, one, model="bug")
    got["unknown model"] = send(client, one, model=said())
    got["unknown path"] = send(client, one, "/v1/" + said())
    got["wrong key"] = send(client, secret())
    got["wrong types"] = send(client, one, messages=said())
    got["wrong rendering"] = send(client, one, headers={"x-reasoning-render": said()})
    got["no JSON"] = client.post(CHAT, content=said(), headers={"authorization": f"Bearer {one}"}).text
    return got


def shown(client: httpx2.Client) -> str:
    """What an operator, or another client, can see."""
    two, one = ({"authorization": f"Bearer {ENV[name]}"} for name in ("TWO_KEY", "ONE_KEY"))
    pages = [client.get(path, headers=key) for path in ("/metrics", "/v1/models") for key in (one, two)]
    pages += [client.get("/-/explain/m"), client.get("/readyz"), client.get("/livez"), client.post("/-/reload")]
    return "\n".join(f"{dict(page.headers)} {page.text}" for page in pages)


@pytest.mark.parametrize("as_text", [False, True], ids=["log as JSON", "log as text"])
def test_no_secret_comes_out_anywhere_and_nothing_said_but_to_who_said_it(tmp_path: Path, *, as_text: bool) -> None:
    with served(tmp_path) as (proxy, client, file):
        proxy.service.log._as_text = as_text
        got = everything(client)
        proxy.service.log._as_text = False
        proxy.service.log.event("info", "the end")
        file.write_text(
            f"clients: [{{name: a, key: {ENV['ONE_KEY']}}}]\nproviders: {{h: {{api_key: {said()}, x: {said()}}}}}"
        )
        seen = shown(client)
        log = proxy._log.getvalue()
    assert len([line for line in log.splitlines() if " request " in line or '"event":"request"' in line]) == len(got)
    assert "reload_refused" in log
    secrets = {key for key, response in got.items() if any(value in response for value in ENV.values())}
    assert secrets == set(), "responses with a secret in them"
    assert WORD.findall(log) == []
    assert [word for word in WORD.findall(seen) if word.lower().endswith("secret")] == []
    assert WORD.findall(seen) == []


def test_spans_tell_nothing_that_was_said_and_no_secret(tmp_path: Path) -> None:
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter", reason="the extra otel")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    from proxy.telemetry.spans import Spans

    spans, provider = export.InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with served(tmp_path) as (proxy, client, _):
        proxy.service.tracer = Spans(provider, "1")
        got = everything(client)
        proxy.requests(len(got))
        provider.shutdown()
    found = "\n".join(span.to_json() for span in spans.get_finished_spans())
    assert found.count("SpanKind.SERVER") == len(got)
    assert WORD.findall(found) == []


def test_answers_hold_what_was_said_in_them() -> None:
    """The search above would find nothing if nothing had been planted."""
    with scripted(host) as upstream, httpx2.Client(verify=False) as client:
        raw = client.post(f"{upstream.url}/x", json=request_body(metadata={"do": "stream"})).text
        assert len(WORD.findall(raw)) > 20
        error = client.post(
            f"{upstream.url}/x", json=request_body(metadata={"do": "400"}), headers={"a": secret()}
        ).text
        assert re.search("canary-[0-9]+-secret", error)
    assert len(WORD.findall(json.dumps(request_body()))) >= 20


@pytest.mark.parametrize(
    "arguments", [["explain", "m"], ["explain", "m", "--json"], ["explain", "far", "--json"], ["check"]]
)
def test_commands_show_references_and_no_secret(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(TABLE.replace("HOST", "http://127.0.0.1:9/v1"))
    for name, value in {**ENV, "PROXY_ADDRESS": f"http://{ENV['PROXY_USER']}@127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["reasoning-proxy", *arguments, "-c", str(file)])
    with pytest.raises(SystemExit) as ended:
        sys.exit(main())
    out, err = capfd.readouterr()
    assert ended.value.code == 0, out + err
    assert WORD.findall(out + err) == []
    assert arguments[0] == "check" or "HOUSE_KEY" in out + err or "PROXY_ADDRESS" in out + err
