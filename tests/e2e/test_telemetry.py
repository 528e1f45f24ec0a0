"""Metrics, log lines and traces of the running proxy: that they agree, and where traces go."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from proxy.settings import SettingsError, loads
from tests.support.samples import samples, total
from tests.support.scripted import Asked, Wire, delta, scripted
from tests.support.served import AGENT, BODY, CHAT, CLIENTS, ENV, bearer, client_of, proxied, text_of
from tests.support.server import Running, running, settings_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 40,
    "total_tokens": 70,
    "completion_tokens_details": {"reasoning_tokens": 10},
}


async def thinking(asked: Asked, wire: Wire) -> None:
    if not asked.json.get("stream"):
        await wire.whole({"error": {"message": "no"}}, 503)
        return
    await wire.head()
    for event in (
        delta({"role": "assistant", "reasoning": "Hm"}),
        delta({"reasoning": ", well"}),
        delta({"content": "Hi"}),
        delta({}, "stop"),
        {"id": "up-1", "choices": [], "usage": USAGE},
        b"[DONE]",
    ):
        await wire.event(event)
        await wire.gone(0.01)
    await wire.end()


@contextmanager
def told(more: str, script: object = thinking) -> Iterator[tuple[Running, list[Asked]]]:
    """A proxy whose table says `more` beside its routes, and what its upstream was asked."""
    with scripted(script) as upstream, running(settings_of(text_of(upstream.url) + more, ENV)) as proxy:  # type: ignore[arg-type]
        yield proxy, upstream.asked


def test_log_lines_and_metrics_agree() -> None:
    with proxied(thinking, clients=CLIENTS) as (proxy, _, client):
        client.post(CHAT, json={**BODY, "stream": True}, headers=bearer(AGENT))
        client.post(CHAT, json=BODY, headers=bearer(AGENT))
        client.post(CHAT, json={**BODY, "model": "unknown"}, headers=bearer(AGENT))
        lines = proxy.requests(3)
        found = samples(client.get("/metrics", headers=bearer(AGENT)).text)
    labels = {"route": "m", "provider": "house", "model": "big"}
    assert [(line["route"], line["outcome"]) for line in lines] == [
        ("m", "ok"), ("m", "upstream_error"), ("_unmatched", "client_error")
    ]  # fmt: skip
    for line in lines:
        word = "true" if line["stream"] else "false"
        assert total(found, "requests_total", route=line["route"], outcome=line["outcome"], stream=word) == 1.0
    line = lines[0]
    sums = {
        "time_to_first_chunk_seconds": line["ttf_chunk_ms"],
        "time_to_first_reasoning_seconds": line["ttf_reasoning_ms"],
        "time_to_first_answer_seconds": line["ttf_answer_ms"],
        "reasoning_duration_seconds": line["reasoning_ms"],
    }
    for name, milliseconds in sums.items():
        assert total(found, f"{name}_sum", **labels) * 1000 == pytest.approx(milliseconds, abs=0.001)
    duration = total(found, "request_duration_seconds_sum", **labels, stream="true")
    assert duration * 1000 == pytest.approx(line["duration_ms"], abs=0.001)
    both = total(found, "overhead_seconds_sum", stage="request") * 1000
    assert both == pytest.approx(sum(one.get("overhead_ms", 0.0) for one in lines), abs=0.002)
    for kind, key in (("input", "input_tokens"), ("output", "output_tokens"), ("reasoning", "reasoning_tokens")):
        assert total(found, f"{kind}_tokens_total", **labels) == line[key]
    assert total(found, "reasoning_share_ratio_sum", **labels) == 0.25
    attempts = total(found, "upstream_attempts_total", provider="house", model="big")
    assert attempts == sum(one["attempts"] for one in lines)
    assert total(found, "inter_chunk_seconds_count", **labels, phase="answer") == 1.0
    assert all(len(one["key_id"]) == 8 and one["key_id"] not in AGENT and "client" not in one for one in lines)


def test_trace_of_the_caller_is_logged_and_shown_but_told_only_to_providers_that_may_know() -> None:
    text = """
metrics: {aliases: [otel_genai]}
logs: {client_names: true, key_salt: {env: KEY}}
"""
    for propagate in (False, True):
        with scripted(thinking) as upstream:
            table = text_of(upstream.url, clients=CLIENTS) + text
            if propagate:
                table = table.replace("house: {", "house: {propagate_trace: true, ")
            with running(settings_of(table, ENV)) as proxy, client_of(proxy.url) as client:
                headers = {"traceparent": PARENT, "tracestate": "a=b", **bearer(AGENT)}
                client.post(CHAT, json={**BODY, "stream": True}, headers=headers)
                (line,) = proxy.requests(1)
                accept = {"accept": "application/openmetrics-text; version=1.0.0", **bearer(AGENT)}
                shown = client.get("/metrics", headers=accept)
        sent = upstream.asked[0].headers
        expected = (PARENT, "a=b") if propagate else (None, None)
        assert (sent.get("traceparent"), sent.get("tracestate")) == expected
        assert (line["trace_id"], line["client"]) == (TRACE, "agents")
        assert shown.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        families = {one.name: one for one in text_string_to_metric_families(shown.text)}  # type: ignore[no-untyped-call]
        for name in ("time_to_first_answer_seconds", "request_duration_seconds"):
            exemplars = [s.exemplar for s in families[f"reasoning_proxy_{name}"].samples if s.exemplar]
            assert [one.labels for one in exemplars] == [{"trace_id": TRACE}]
        assert "gen_ai_client_inference_usage_output_tokens" in families


def test_key_id_stays_the_same_with_a_salt_and_tells_keys_apart() -> None:
    ids = []
    for salt in ("logs: {key_salt: {env: KEY}}", "logs: {key_salt: {env: KEY}}", "", ""):
        with scripted(thinking) as upstream:
            settings = settings_of(text_of(upstream.url, clients=CLIENTS) + salt, ENV)
            with running(settings) as proxy:
                ids.append(dict(proxy.service.state.key_ids))
    assert ids[0] == ids[1]
    assert ids[0]["agents"] != ids[0]["guests"]
    assert ids[2] != ids[3]


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Takes what is exported; gives its URL, and the path and body of each request."""
    taken: list[tuple[str, bytes]] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def test_spans_go_where_the_standard_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    pytest.importorskip("proxy.telemetry.spans")
    with collector() as (url, taken):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "our-proxy")
        with told("traces: {export: otlp}") as (proxy, asked), client_of(proxy.url) as client:
            client.post(CHAT, json={**BODY, "stream": True})
            (line,) = proxy.requests(1)
    (path, body), *_ = taken
    sent = service.ExportTraceServiceRequest.FromString(body)
    names = {one.key: one.value.string_value for one in sent.resource_spans[0].resource.attributes}
    spans = sent.resource_spans[0].scope_spans[0].spans
    assert path == "/v1/traces"
    assert names["service.name"] == "our-proxy"
    assert sorted(span.name for span in spans) == ["POST /v1/chat/completions", "chat big"]
    assert {span.trace_id.hex() for span in spans} == {line["trace_id"]}
    assert "traceparent" not in asked[0].headers
    assert b"Hm" not in body
    assert b"well" not in body


def test_without_traces_nothing_of_opentelemetry_is_imported(repository: Path) -> None:
    code = "import sys, proxy.app, proxy.cli; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def run(repository: Path, folder: Path, more: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    file = folder / "proxy.yaml"
    file.write_text(text_of("http://127.0.0.1:9/v1", server="listen: '127.0.0.1:0'") + more)
    code = f"import sys{before}; from proxy.cli import main; sys.exit(main(['serve', '-c', {str(file)!r}]))"
    environment = {**os.environ, **ENV, "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_more_series_than_allowed_are_refused_at_the_start_and_at_a_reload(repository: Path, tmp_path: Path) -> None:
    refused = run(repository, tmp_path, "metrics: {max_series: 1000}")
    assert refused.returncode == 1
    assert "metrics.max_series: the routes make " in refused.stderr
    assert "Traceback" not in refused.stderr
    text = text_of("http://127.0.0.1:9/v1")

    def reread() -> object:
        return loads(text + "metrics: {max_series: 1000}", "proxy.yaml", ENV)

    with running(settings_of(text, ENV), reread=reread) as proxy, client_of(proxy.url) as client:  # type: ignore[arg-type]
        answer = client.post("/-/reload")
        started = proxy.lines[0]
        shown = client.get("/metrics").text
    assert answer.status_code == 400
    assert "and 1000 are allowed" in answer.text
    assert (started["event"], started["max_series"]) == ("started", 20000)
    assert started["series"] == sum(not line.startswith(("#", "process_")) for line in shown.splitlines())


def test_spans_without_the_extra_are_refused_with_the_way_to_get_it(repository: Path, tmp_path: Path) -> None:
    hidden = "; sys.modules['opentelemetry'] = None"
    refused = run(repository, tmp_path, "traces: {export: otlp}", before=hidden)
    assert refused.returncode == 1
    assert "pip install 'reasoning-proxy[otel]'" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "mistake", ["metrics: {aliases: [otel]}", "traces: {export: jaeger}", "logs: {key_salt: {env: NOT}}"]
)
def test_mistakes_in_these_blocks_are_told(mistake: str) -> None:
    with pytest.raises(SettingsError):
        settings_of(text_of("http://127.0.0.1:9/v1") + mistake, ENV)
