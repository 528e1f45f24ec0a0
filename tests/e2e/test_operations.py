"""What an operator sees of the running proxy: metrics, reloads, the log."""

import json
import socket
import threading
from pathlib import Path

import httpx2

from proxy.settings import load
from tests.support.scripted import Asked, Wire, delta, scripted
from tests.support.served import (
    AGENT,
    BODY,
    CHAT,
    CLIENTS,
    ENV,
    GUEST,
    bearer,
    client_of,
    error_of,
    free_port,
    good,
    proxied,
    text_of,
)
from tests.support.server import running


def test_usage_is_asked_of_the_upstream_and_shown_only_to_who_asked() -> None:
    async def script(_: Asked, wire: Wire) -> None:
        usage = {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "completion_tokens_details": {"reasoning_tokens": 2},
        }
        await wire.events(delta({"content": "Hi"}), delta({}, "stop"), {"id": "up-1", "choices": [], "usage": usage})

    with proxied(script) as (proxy, upstream, client):
        quiet = client.post(CHAT, json={**BODY, "stream": True})
        told = client.post(CHAT, json={**BODY, "stream": True, "stream_options": {"include_usage": True}})
        lines = proxy.requests(2)
        metrics = client.get("/metrics").text
    assert all(asked.json["stream_options"] == {"include_usage": True} for asked in upstream.asked)
    assert "usage" not in quiet.text
    assert '"prompt_tokens":3' in told.text.replace(" ", "")
    assert (lines[0]["input_tokens"], lines[0]["output_tokens"], lines[0]["reasoning_tokens"]) == (3, 4, 2)
    labels = '{model="big",provider="house",route="m",source="reported"}'
    for name, count in (("input", 6), ("output", 8), ("reasoning", 4), ("cached_input", 0)):
        assert f"reasoning_proxy_{name}_tokens_total{labels} {count}.0" in metrics


def test_metrics_name_the_configured_model_never_the_clients() -> None:
    with proxied() as (proxy, _, client):
        client.post(CHAT, json={**BODY, "model": "qwen-canary"})
        client.post(CHAT, json={**BODY, "model": "unknown-canary"})
        proxy.requests(2)  # a request is counted once its answer has been sent
        response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "canary" not in response.text
    assert (
        'requests_total{model="{model}",outcome="ok",provider="house",route="qwen*",stream="false"} 1.0'
        in response.text
    )
    assert (
        'requests_total{model="",outcome="client_error",provider="",route="_unmatched",stream="false"} 1.0'
        in response.text
    )
    assert "_created" not in response.text


def test_operations_move_to_the_admin_address() -> None:
    port = free_port()
    with (
        proxied(clients=CLIENTS, server=f"admin: '127.0.0.1:{port}'") as (_, __, client),
        client_of(f"http://127.0.0.1:{port}") as admin,
    ):
        public = [client.get(path).status_code for path in ("/metrics", "/readyz", "/livez", "/health")]
        public.append(client.post("/-/reload").status_code)
        private = [admin.get(path).status_code for path in ("/metrics", "/readyz", "/livez")]
        api = admin.post(CHAT, json=BODY).status_code
        reload = admin.post("/-/reload")
    assert public == [404, 404, 200, 200, 404]
    assert private == [200, 200, 200]
    assert api == 404
    assert reload.status_code == 400


def test_reload_is_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    with scripted(good) as upstream:
        text = text_of(upstream.url)
        file.write_text(text)
        with (
            running(load(file, ENV), reread=lambda: load(file, ENV)) as proxy,
            client_of(proxy.url) as client,
        ):
            file.write_text(text.replace("model: m,", "model: n,").replace("routes:", "rotes:"))
            refused = client.post("/-/reload")
            still = client.post(CHAT, json=BODY).status_code
            bad = client.get("/metrics").text
            file.write_text(text.replace("model: m,", "model: n,"))
            accepted = client.post("/-/reload")
            gone, new = (client.post(CHAT, json={**BODY, "model": m}).status_code for m in ("m", "n"))
            ok = client.get("/metrics").text
    assert refused.status_code == 400
    assert "rotes" in error_of(refused)["message"]
    assert "proxy.yaml:" in error_of(refused)["message"]
    assert still == 200
    assert "reasoning_proxy_config_last_reload_successful 0.0" in bad
    assert accepted.status_code == 200
    assert (gone, new) == (404, 200)
    assert "reasoning_proxy_config_last_reload_successful 1.0" in ok


def test_open_stream_outlives_a_reload(tmp_path: Path) -> None:
    release = threading.Event()

    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(delta({"content": "one"}))
        while not release.is_set() and not await wire.gone(0.02):
            pass
        for event in (delta({"content": "two"}), delta({}, "stop"), b"[DONE]"):
            await wire.event(event)
        await wire.end()

    file = tmp_path / "proxy.yaml"
    with scripted(script) as upstream:
        file.write_text(text_of(upstream.url))
        with (
            running(load(file, ENV), reread=lambda: load(file, ENV)) as proxy,
            client_of(proxy.url) as client,
            client.stream("POST", CHAT, json={**BODY, "stream": True}) as response,
        ):
            pieces = response.iter_raw()
            next(pieces)
            assert httpx2.post(f"{proxy.url}/-/reload", verify=False).status_code == 200
            release.set()
            assert b"two" in b"".join(pieces)


def test_client_that_leaves_while_sending_is_no_error_of_ours() -> None:
    with proxied() as (proxy, _, __):
        host, port = proxy.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{" % CHAT.encode())
        line = proxy.requests(1)[0]
    assert line["outcome"] == "client_disconnect"


def test_nothing_said_or_secret_reaches_a_log_or_a_metric() -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        if asked.json.get("stream"):
            call = {"index": 0, "id": "canary-id", "function": {"name": "canary_tool", "arguments": '{"a":"canary"}'}}
            await wire.events(
                delta({"reasoning": "canary"}),
                delta({"content": "canary"}),
                delta({"tool_calls": [call]}),
                delta({}, "canary"),
            )
        else:
            await wire.whole({"error": {"message": "canary", "code": "canary", "type": "canary"}}, 418)

    with proxied(script, clients=CLIENTS) as (proxy, _, client):
        body = {"model": "qwen-canary", "messages": [{"role": "user", "content": "canary"}], "user": "canary"}
        client.post(f"{CHAT}?canary=1", json=body, headers={**bearer(AGENT), "user-agent": "canary"})
        client.post(CHAT, json={**body, "stream": True}, headers=bearer(AGENT))
        client.post(CHAT, json={**body, "model": "canary"}, headers=bearer("canary"))
        proxy.requests(3)
        told = json.dumps(proxy.lines) + client.get("/metrics", headers=bearer(GUEST)).text
    assert "canary" not in told
