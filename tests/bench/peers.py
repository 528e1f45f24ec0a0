"""What is measured: each peer is a program that relays chat completions from the bench's upstream.

A further peer is one more entry in `PEERS`; `docs/benchmarks.md` says why each is set up as it is.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import processes
from tests.bench.answers import DIALECTS
from tests.bench.kit import CACHE, ROOT

START_S = 90.0
STOP_S = 10.0
FOLDER = Path(os.environ.get("REASONING_PROXY_BENCH_PEERS", CACHE / "peers"))
"""Where `scripts/bench --install-peers` puts what the project does not need itself."""


@dataclass(frozen=True)
class Site:
    """Where a peer is to serve, and from what."""

    port: int
    upstream: str
    """Its URL, with `/v1`."""
    folder: Path
    """For configuration and whatever else the peer writes."""
    workers: int
    models: tuple[str, ...]
    """Every name that will be asked for."""


def _ours(site: Site) -> list[str]:
    route = {"model": "*", "targets": [{"provider": "bench", "model": "{model}"}]}
    config = {"version": 1, "providers": {"bench": {"base_url": site.upstream}}, "routes": [route]}
    path = _written(site, "proxy.yaml", json.dumps(config))
    workers = ["--workers", str(site.workers)] if site.workers > 1 else []
    return [sys.executable, "-m", "proxy.cli", "serve", "-c", path, "--listen", f"127.0.0.1:{site.port}", *workers]


def _bare(site: Site) -> list[str]:
    return [sys.executable, "-m", "tests.bench.bare", str(site.port), site.upstream, "httpx2"]


def _bare_httpx(site: Site) -> list[str]:
    return [str(FOLDER / "bare-httpx/bin/python"), "-m", "tests.bench.bare", str(site.port), site.upstream, "httpx"]


_NGINX = """\
daemon off;
worker_processes {workers};
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream bench {{ server {upstream}; keepalive 1024; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


def _nginx(site: Site) -> list[str]:
    host = site.upstream.removeprefix("http://").removesuffix("/v1")
    text = _NGINX.format(workers=site.workers, folder=site.folder, upstream=host, port=site.port)
    return [
        nginx_program() or "nginx",
        "-e",
        "stderr",
        "-p",
        str(site.folder),
        "-c",
        _written(site, "nginx.conf", text),
    ]


def nginx_program() -> str | None:
    """The system's nginx, if it has one."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _litellm(site: Site) -> list[str]:
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"hosted_vllm/{name}", "api_base": site.upstream, "api_key": "none"},
        }
        for name in site.models
    ]
    settings = {"disable_streaming_logging": True, "request_timeout": 600, "drop_params": True}
    keyless = {"dangerously_permit_weak_or_unset_master_key": True}  # ours asks for no key either
    whole = {"model_list": models, "litellm_settings": settings, "general_settings": keyless}
    config = _written(site, "config.yaml", json.dumps(whole))
    command = [str(FOLDER / "litellm/bin/litellm"), "--config", config, "--host", "127.0.0.1"]
    return [*command, "--port", str(site.port), "--num_workers", str(site.workers)]


def _portkey(site: Site) -> list[str]:
    package = FOLDER / "portkey/node_modules/@portkey-ai/gateway"
    shim = Path(__file__).with_name("portkey_shim.cjs")
    return ["node", "--require", str(shim), str(package / "build/start-server.js"), f"--port={site.port}", "--headless"]


def _vllm_router(site: Site) -> list[str]:
    command = [str(FOLDER / "vllm-router/bin/vllm-router"), "--host", "127.0.0.1", "--port", str(site.port)]
    metrics = ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
    workers = ["--worker-urls", site.upstream.removesuffix("/v1"), "--policy", "round_robin"]
    return [*command, *workers, *metrics, "--log-level", "error"]


def _rosetta(site: Site) -> list[str]:
    provider = {"type": "openai_chat", "base_url": site.upstream, "api_key": "none"}
    server = {"host": "127.0.0.1", "port": site.port, "open_on_no_keys": True}
    models = dict.fromkeys(site.models, "bench")
    whole = {"providers": {"bench": provider}, "models": models, "server": server}
    command = [
        str(FOLDER / "llm-rosetta/bin/llm-rosetta-gateway"),
        "--config",
        _written(site, "config.jsonc", json.dumps(whole)),
    ]
    return [*command, "--no-banner", "--log-level", "error", "--port", str(site.port), "--data-dir", str(site.folder)]


def _never(_: str) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Peer:
    """One program. What it does with an answer is checked, so it has to be said here."""

    name: str
    command: Callable[[Site], list[str]]
    found: Callable[[], bool]
    """Whether it is on this machine."""
    dialects: tuple[str, ...] = ("reasoning_content",)
    """Those that it is measured with."""
    renames: bool = False
    """Whether other fields than `reasoning_content` become that."""
    parts_tags: bool = False
    """Whether it tells reasoning in tags from the answer; others are expected to leave the tags where they are."""
    environment: dict[str, str] = field(default_factory=dict)
    headers: Callable[[str], dict[str, str]] = _never
    """The upstream's URL → what has to be sent with each request."""
    slow: bool = False
    """Whether it is left out of cells that would take it minutes."""


def _portkey_headers(upstream: str) -> dict[str, str]:
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream}


_OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_TELEMETRY": "False",
    "NO_PROXY": "127.0.0.1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
}
"""No list of prices, no telemetry: whatever would still go out meets a closed port."""

OURS = Peer("ours", _ours, lambda: True, DIALECTS, renames=True, parts_tags=True)
BARE = Peer("bare", _bare, lambda: True, DIALECTS, renames=True)
NGINX = Peer("nginx", _nginx, lambda: nginx_program() is not None)
PEERS = (
    OURS,
    NGINX,
    BARE,
    Peer("bare-httpx", _bare_httpx, (FOLDER / "bare-httpx/bin/python").exists, renames=True),
    Peer("vllm-router", _vllm_router, (FOLDER / "vllm-router/bin/vllm-router").exists),
    Peer("llm-rosetta", _rosetta, (FOLDER / "llm-rosetta/bin/llm-rosetta-gateway").exists, slow=True),
    Peer("portkey", _portkey, (FOLDER / "portkey/node_modules").exists, headers=_portkey_headers),
    Peer("litellm", _litellm, (FOLDER / "litellm/bin/litellm").exists, environment=_OFFLINE, slow=True),
)


class Running:
    """A started peer, on the given cores."""

    def __init__(self, peer: Peer, site: Site, cores: tuple[int, ...]) -> None:
        site.folder.mkdir(parents=True, exist_ok=True)
        self.peer = peer
        self.port = site.port
        self.folder = site.folder
        self.upstream = site.upstream
        self._log = site.folder / "log"
        own = os.sched_getaffinity(0)
        processes.pin(*cores)  # inherited by the child, and so in force before its first instruction
        try:
            with self._log.open("wb") as log:
                begun = time.monotonic()
                self._process = subprocess.Popen(
                    peer.command(site), cwd=ROOT, stdout=log, stderr=log, env=_environment(peer.environment)
                )
        finally:
            processes.pin(*own)
        self.start_s = self._wait() - begun
        """From its first instruction to its first accepted connection."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def asking(self) -> dict[str, str]:
        """Headers that its requests have to have."""
        return self.peer.headers(self.upstream)

    @property
    def cpu_s(self) -> float:
        return processes.cpu_s(self._process.pid)

    @property
    def log(self) -> str:
        """The last lines that it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def _wait(self) -> float:
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return time.monotonic()
            time.sleep(0.002)
        self.stop()
        raise RuntimeError(f"{self.peer.name} did not start: {self.log}")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _written(site: Site, name: str, text: str) -> str:
    path = site.folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def _environment(more: dict[str, str]) -> dict[str, str]:
    hidden = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONTRACEMALLOC", "PYTHONWARNINGS", "COVERAGE_PROCESS_START")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode; compiling is no part of a start
    return {**kept, **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
