"""The units: what systemd would run, run; and what systemd itself says of them."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.support.served import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
UNITS = ROOT / "deploy" / "systemd"
INSTALLED = "/opt/reasoning-proxy/bin/reasoning-proxy"
TABLE = """
version: 1
server: {listen: '127.0.0.1:PORT'}
providers: {house: {base_url: 'http://127.0.0.1:9/v1'}}
routes: [{model: m, targets: [house/big]}]
"""


def value_of(unit: str, key: str) -> str:
    """The one value of a key, comments left out."""
    found = re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 1, f"{key} in {unit}: {found}"
    return str(found[0])


def free_instance() -> int:
    """A free port whose admin port, 10000 more, is free as well, and which is written with four digits as in the unit."""
    for port in range(5000, 9999):
        found = [free for free in (port, port + 10000) if answers_nobody(free)]
        if len(found) == 2:
            return port
    raise RuntimeError("no free pair of ports")


def answers_nobody(port: int) -> bool:
    with httpx2.Client(verify=False, timeout=1) as client:
        try:
            client.get(f"http://127.0.0.1:{port}")
        except httpx2.ConnectError:
            return True
        except httpx2.HTTPError:
            return False
    return False


def test_both_units_differ_only_in_what_an_instance_has_of_its_own() -> None:
    one, many = (
        (UNITS / name).read_text(encoding="utf-8").splitlines()
        for name in ("reasoning-proxy.service", "reasoning-proxy@.service")
    )
    assert [line for line in one if line not in many and not line.startswith("#")] == [
        line for line in one if line.startswith(("Description=", "ExecStart="))
    ]


def test_time_to_stop_is_longer_than_the_drain_and_the_web_servers_grace() -> None:
    for unit in ("reasoning-proxy.service", "reasoning-proxy@.service"):
        assert int(value_of(unit, "TimeoutStopSec").removesuffix("s")) > 300 + 5


def test_the_instance_of_the_template_serves_reloads_and_stops_as_systemd_would_have_it(tmp_path: Path) -> None:
    instance = free_instance()
    file = tmp_path / "proxy.yaml"
    file.write_text(TABLE.replace("PORT", str(free_port())))
    command = value_of("reasoning-proxy@.service", "ExecStart").replace("%i", str(instance))
    words = shlex.split(command.replace("/etc/reasoning-proxy/proxy.yaml", str(file)))
    assert words[0] == INSTALLED
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "proxy.cli", *words[1:]], env=environment, stderr=subprocess.PIPE)
    api, admin = f"http://127.0.0.1:{instance}", f"http://127.0.0.1:1{instance}"
    try:
        assert status(f"{api}/livez") == status(f"{admin}/readyz") == status(f"{admin}/metrics") == 200
        file.write_text(file.read_text().replace("model: m", "model: n"))
        assert value_of("reasoning-proxy@.service", "ExecReload") == "/bin/kill -HUP $MAINPID"
        process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 20
        while '"id":"n"' not in httpx2.get(f"{api}/v1/models", verify=False).text.replace(" ", ""):
            assert time.monotonic() < until, "the table was not read again"
            time.sleep(0.05)
        assert (status(f"{api}/readyz"), status(f"{admin}/readyz")) == (404, 200), "the addresses moved with the reload"
        process.send_signal(getattr(signal, value_of("reasoning-proxy@.service", "KillSignal")))
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def status(url: str, seconds: float = 20.0) -> int:
    until = time.monotonic() + seconds
    while True:
        try:
            return httpx2.get(url, verify=False, timeout=5).status_code
        except httpx2.TransportError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("reasoning-proxy.service", "reasoning-proxy.service"),
        ("reasoning-proxy@.service", "reasoning-proxy@8080.service"),
    ],
)
def test_systemd_understands_the_unit_and_finds_it_closed(unit: str, name: str, tmp_path: Path) -> None:
    text = (UNITS / unit).read_text(encoding="utf-8")
    assert INSTALLED in text
    copy = tmp_path / name
    copy.write_text(text.replace(INSTALLED, "/bin/true"))  # it must be there to be verified
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert (verify.returncode, verify.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", str(copy)]
    security = subprocess.run(command, capture_output=True, text=True, check=False)
    if "nrecognized option" in security.stderr:
        pytest.skip("this systemd cannot judge a unit offline")
    assert security.returncode == 0, security.stdout[-300:]
