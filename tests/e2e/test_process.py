"""The proxy as a process: signals, workers, and its exit."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.scripted import Asked, Wire, answer, delta, scripted

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
ROOT = Path(__file__).resolve().parent.parent.parent
RUN = """
import os, sys
from pathlib import Path
from proxy.app import serve
from proxy.settings import load
if __name__ == "__main__":
    sys.exit(serve(load(Path(sys.argv[1]), os.environ), workers=int(sys.argv[2])))
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


class Process:
    def __init__(self, folder: Path, upstream: str, workers: int, *, drain: str = "5s") -> None:
        self.port, self.admin = free_port(), free_port()
        self.file = folder / "proxy.yaml"
        self.text = (
            f"version: 1\nserver: {{listen: '127.0.0.1:{self.port}', admin: '127.0.0.1:{self.admin}', drain: {drain}}}\n"
            f"providers: {{house: {{base_url: '{upstream}'}}}}\nroutes: [{{model: m, targets: [house/big]}}]\n"
        )
        self.file.write_text(self.text)
        script = folder / "run.py"
        script.write_text(RUN)
        self.errors = (folder / "stderr").open("w+")
        command = [sys.executable, str(script), str(self.file), str(workers)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stderr=self.errors, env=environment, cwd=folder)

    def client(self, *, admin: bool = False) -> httpx2.Client:
        port = self.admin if admin else self.port
        return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, verify=False)

    def wait_until_ready(self) -> None:
        for port, path in ((self.port, "/livez"), (self.admin, "/readyz")):
            until = time.monotonic() + 20
            while True:
                try:
                    if httpx2.get(f"http://127.0.0.1:{port}{path}", verify=False, timeout=5).status_code == 200:
                        break
                except httpx2.TransportError:
                    if time.monotonic() > until or self.process.poll() is not None:
                        raise
                time.sleep(0.02)

    def said(self) -> str:
        self.errors.flush()
        return Path(self.errors.name).read_text()


@contextmanager
def process(folder: Path, upstream: str, workers: int = 1, **options: str) -> Iterator[Process]:
    one = Process(folder, upstream, workers, **options)
    try:
        one.wait_until_ready()
        yield one
    finally:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(15)
        one.errors.close()


async def whole(_: Asked, wire: Wire) -> None:
    await wire.whole(answer())


async def forever(_: Asked, wire: Wire) -> None:
    await wire.head()
    await wire.event(delta({"content": "one"}))
    await wire.gone(20)


async def a_second(_: Asked, wire: Wire) -> None:
    await wire.head()
    await wire.event(delta({"content": "one"}))
    await wire.gone(1)
    for event in (delta({"content": "two"}), delta({}, "stop"), b"[DONE]"):
        await wire.event(event)
    await wire.end()


def test_open_stream_finishes_and_readiness_ends_when_the_process_is_told_to_stop(tmp_path: Path) -> None:
    with scripted(a_second) as upstream, process(tmp_path, upstream.url) as proxy:
        with (
            proxy.client() as client,
            proxy.client(admin=True) as admin,
            client.stream("POST", CHAT, json={**BODY, "stream": True}) as response,
        ):
            pieces = response.iter_raw()
            first = next(pieces)
            proxy.process.send_signal(signal.SIGTERM)
            time.sleep(0.4)
            ready = admin.get("/readyz")
            alive = admin.get("/livez").status_code
            text = (first + b"".join(pieces)).decode()
        assert proxy.process.wait(10) == 0
        assert '"outcome":"ok"' in proxy.said()
    assert (ready.status_code, ready.json()["error"]["code"], alive) == (503, "server_shutdown", 200)
    assert '"two"' in text
    assert text.endswith("data: [DONE]\n\n")


def test_stream_longer_than_the_drain_ends_with_an_error_event(tmp_path: Path) -> None:
    with scripted(forever) as upstream, process(tmp_path, upstream.url, drain="300ms") as proxy:
        with proxy.client() as client, client.stream("POST", CHAT, json={**BODY, "stream": True}) as response:
            pieces = response.iter_raw()
            first = next(pieces)
            proxy.process.send_signal(signal.SIGINT)
            text = (first + b"".join(pieces)).decode()
        assert proxy.process.wait(10) == 0
        assert '"outcome":"shutdown"' in proxy.said()
        assert "Traceback" not in proxy.said()
    assert '"code":"server_shutdown"' in text
    assert text.endswith("data: [DONE]\n\n")


def test_sighup_reloads(tmp_path: Path) -> None:
    with scripted(whole) as upstream, process(tmp_path, upstream.url) as proxy, proxy.client() as client:
        proxy.file.write_text(proxy.text.replace("model: m", "model: n"))
        proxy.process.send_signal(signal.SIGHUP)
        assert becomes(lambda: client.post(CHAT, json={**BODY, "model": "n"}).status_code == 200)
        proxy.file.write_text("nonsense")
        proxy.process.send_signal(signal.SIGHUP)
        assert becomes(lambda: '"reload_refused"' in proxy.said())
        assert client.post(CHAT, json={**BODY, "model": "n"}).status_code == 200


def test_address_in_use_is_said_and_ends_with_1(tmp_path: Path) -> None:
    with scripted(whole) as upstream:
        proxy = Process(tmp_path, upstream.url, 1)
        with socket.create_server(("127.0.0.1", proxy.port)):
            again = subprocess.run(proxy.process.args, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30, check=False)  # fmt: skip
        proxy.process.terminate()
        proxy.process.wait(10)
        proxy.errors.close()
    assert again.returncode == 1
    assert "Cannot listen on 127.0.0.1" in again.stderr


@pytest.mark.slow
def test_workers_share_metrics_and_reloads_and_lose_no_gauge_of_a_dead_one(tmp_path: Path) -> None:
    async def script(asked: Asked, wire: Wire) -> None:
        await (forever if asked.json.get("stream") else whole)(asked, wire)

    with scripted(script) as upstream, process(tmp_path, upstream.url, workers=2) as proxy:
        for _ in range(20):
            with proxy.client() as client:
                assert client.post(CHAT, json=BODY).status_code == 200
        with proxy.client(admin=True) as admin:
            count = 'requests_total{model="big",outcome="ok",provider="house",route="m",stream="false"} 20.0'
            assert count in admin.get("/metrics").text
            thread = threading.Thread(target=_open_stream, args=(proxy,))
            thread.start()
            flying = 'streams_in_flight{route="m"} '
            assert becomes(lambda: flying + "1.0" in admin.get("/metrics").text)
        for pid in children(proxy.process.pid):
            os.kill(pid, signal.SIGKILL)
        thread.join(10)
        assert becomes(lambda: flying + "0.0" in metrics_of(proxy))
        assert count in (told := metrics_of(proxy)), [line for line in told.splitlines() if "requests_total" in line]
        proxy.file.write_text(proxy.text.replace("model: m", "model: n"))
        with proxy.client(admin=True) as admin:
            assert admin.post("/-/reload").status_code == 200
        assert becomes(lambda: all(answers(proxy, "n") for _ in range(8)))
        proxy.process.terminate()
        assert proxy.process.wait(15) == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not spread connections over workers")
def test_workers_share_the_connections(tmp_path: Path) -> None:
    with scripted(whole) as upstream, process(tmp_path, upstream.url, workers=2) as proxy, ExitStack() as stack:
        assert becomes(lambda: listening(proxy.port) == 2)
        workers = children(proxy.process.pid)
        before = [sockets_of(pid) for pid in workers]
        for _ in range(40):
            client = stack.enter_context(proxy.client())
            assert client.post(CHAT, json=BODY).status_code == 200
        assert len(workers) == 2
        assert all(sockets_of(pid) - held >= 5 for pid, held in zip(workers, before, strict=True))


def listening(port: int) -> int:
    """Sockets that listen on this port: a worker has one of its own, once it is ready."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def sockets_of(pid: int) -> int:
    return sum(str(link.readlink()).startswith("socket:") for link in Path(f"/proc/{pid}/fd").glob("*"))


def _open_stream(proxy: Process) -> None:
    with proxy.client() as client, pytest.raises(httpx2.TransportError):
        client.post(CHAT, json={**BODY, "stream": True})


def metrics_of(proxy: Process) -> str:
    try:
        with proxy.client(admin=True) as admin:
            return admin.get("/metrics").text
    except httpx2.TransportError:
        return ""


def answers(proxy: Process, model: str) -> bool:
    with proxy.client() as client:
        return client.post(CHAT, json={**BODY, "model": model}).status_code == 200


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in found}
    return [child for child, command in commands.items() if b"spawn_main" in command]


def becomes(true: object, seconds: float = 15.0) -> bool:
    assert callable(true)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.05)
    return False
