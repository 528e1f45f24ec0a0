"""A real nginx with the repository's configuration, on a free port, before a proxy."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.served import free_port

SITE = Path(__file__).resolve().parent.parent.parent / "deploy" / "nginx" / "reasoning-proxy.conf"
START_S = 10.0
AROUND = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log notice;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def binary() -> str | None:
    """Debian puts it where only root's PATH leads."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def replaced(text: str, old: str, new: str) -> str:
    """`text` with every `old` made `new`; an `old` that is not there is an error."""
    assert old in text, f"{old!r} is not in the configuration"
    return text.replace(old, new)


@contextmanager
def nginx(folder: Path, proxy: str) -> Iterator[str]:
    """Runs it before the proxy at `HOST:PORT`; gives its URL. Only the two addresses of the configuration are changed."""
    command, port = binary(), free_port()
    assert command is not None
    site = replaced(SITE.read_text(encoding="utf-8"), "server 127.0.0.1:8080;", f"server {proxy};")
    (folder / "site.conf").write_text(replaced(site, "listen 80;", f"listen 127.0.0.1:{port};"))
    file = folder / "nginx.conf"
    file.write_text(AROUND.format(folder=folder))
    arguments = [command, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")]
    tried = subprocess.run([*arguments, "-t"], capture_output=True, text=True, check=False, timeout=30)
    assert tried.returncode == 0, tried.stderr
    process = subprocess.Popen(arguments)
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = START_S) -> None:
    """Returns once something listens there. Raises TimeoutError, or ConnectionError where the process has ended."""
    until = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError as error:
            if process.poll() is not None:
                raise ConnectionError(f"it ended with {process.returncode}") from error
            if time.monotonic() > until:
                raise TimeoutError(f"nothing listens on port {port}") from error
            time.sleep(0.02)
