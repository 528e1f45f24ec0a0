"""The container file and the compose file: the steps of the build, run in an empty folder, and what they point at."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from proxy.settings import load
from tests.support.served import free_port, proxied

ROOT = Path(__file__).resolve().parent.parent.parent
CONTAINER = ROOT / "deploy" / "container" / "Containerfile"
COMPOSE = ROOT / "deploy" / "compose" / "compose.yaml"
GRAFANA = ROOT / "deploy" / "grafana"


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction, continued lines joined, comments left out."""
    lines = [line for line in CONTAINER.read_text(encoding="utf-8").split("\n") if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.split("\n") if line)]


def said(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def context(folder: Path) -> None:
    """What `COPY . .` copies: the files that .dockerignore lets through."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    for rule in (rule[1:] for rule in rules if rule.startswith("!")):
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
        (folder / rule).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / rule).is_dir():
            shutil.copytree(ROOT / rule, folder / rule, ignore=ignore)
        else:
            shutil.copy(ROOT / rule, folder / rule)


@pytest.mark.slow
@pytest.mark.skipif("CI" not in os.environ, reason="installs everything anew, which takes half a minute; CI=1 runs it")
def test_steps_of_the_build_give_an_environment_that_has_the_command_and_no_pip(tmp_path: Path) -> None:
    source, installed = tmp_path / "src", tmp_path / "opt" / "reasoning-proxy"
    context(source)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    for step in said("RUN"):
        command = re.sub(r"(?<![\w.])/(build|dist|opt)\b", rf"{tmp_path}/\1", step)
        command = command.replace("python -m venv", f"{sys.executable} -m venv")
        done = subprocess.run(
            ["sh", "-c", command], cwd=source, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    providers = [str(installed / "bin" / "reasoning-proxy"), "providers", "--json"]
    listed = json.loads(
        subprocess.run(providers, cwd=tmp_path, env=environment, capture_output=True, check=True).stdout
    )
    assert len(listed) == len(list((ROOT / "config" / "providers").glob("*.yaml")))
    assert not list(installed.glob("bin/pip*"))
    assert not list(installed.glob("lib/*/site-packages/openai"))


def test_it_runs_as_nobody_in_particular_and_gets_its_signals() -> None:
    assert said("USER") == ["10001:10001"]
    assert said("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(said("ENTRYPOINT")[0]) == ["reasoning-proxy"], "a shell would keep the signals to itself"
    assert json.loads(said("CMD")[0]) == ["serve", "-c", "/etc/reasoning-proxy/proxy.yaml"]
    assert all(":" in image.split()[0] and ":latest" not in image for image in said("FROM"))


def health_check(port: int) -> int:
    """Exit code of the container's own health check, asked of another port."""
    command = json.loads(said("HEALTHCHECK")[0].partition(" CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert "8080" in command[2]
    words = [sys.executable, "-c", command[2].replace("8080", str(port))]
    return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode


def test_health_check_is_0_for_a_running_proxy_and_1_for_none() -> None:
    with proxied() as (proxy, _, __):
        running = health_check(int(proxy.url.rpartition(":")[2]))
    assert (running, health_check(free_port())) == (0, 1)


def compose() -> dict[str, dict[str, object]]:
    services: dict[str, dict[str, object]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return services


def mounts(service: str) -> dict[str, Path]:
    """Place in the container → file or folder of the repository."""
    volumes = compose()[service]["volumes"]
    assert isinstance(volumes, list)
    found = (volume.split(":") for volume in volumes if volume.startswith("."))
    return {inside: (COMPOSE.parent / outside).resolve() for outside, inside, _ in found}


@pytest.mark.parametrize("service", ["proxy", "prometheus", "grafana"])
def test_what_compose_mounts_is_there(service: str) -> None:
    found = mounts(service)
    assert found
    assert [path for path in found.values() if not path.exists()] == []


def test_compose_builds_this_repository_with_this_container_file() -> None:
    build = compose()["proxy"]["build"]
    assert isinstance(build, dict)
    assert (COMPOSE.parent / build["context"]).resolve() == ROOT
    assert ROOT / build["dockerfile"] == CONTAINER


def test_prometheus_of_compose_scrapes_the_admin_address_of_its_proxy() -> None:
    table = mounts("proxy")["/etc/reasoning-proxy/proxy.yaml"]
    settings = load(table, {})
    jobs = yaml.safe_load(mounts("prometheus")["/etc/prometheus/prometheus.yml"].read_text())["scrape_configs"]
    targets = [target for job in jobs for config in job["static_configs"] for target in config["targets"]]
    assert settings.server.admin == "0.0.0.0:9091"
    assert targets == ["proxy:9091"]
    assert settings.server.listen.endswith(":8080")
    assert compose()["proxy"]["ports"] == ["127.0.0.1:8080:8080"], "the table is open, so only this machine may call"


def test_grafana_finds_its_source_and_the_dashboard_at_first_open() -> None:
    places = mounts("grafana")
    provisioning = places["/etc/grafana/provisioning"]
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"]
    folder = yaml.safe_load((provisioning / "dashboards" / "reasoning-proxy.yaml").read_text())["providers"][0]
    inside = folder["options"]["path"]
    environment = compose()["grafana"]["environment"]
    assert isinstance(environment, dict)
    home = Path(environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(inside)
    assert (places[inside] / home.name).exists()


def test_every_image_has_a_version() -> None:
    images = [str(service["image"]) for service in compose().values() if "build" not in service]
    assert images
    assert all(re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image) for image in images)


def test_words_of_the_entry_point_are_those_of_the_command_line() -> None:
    words = shlex.split(" ".join(json.loads(said("CMD")[0])))
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "/etc/reasoning-proxy/proxy.yaml: no such file" in done.stderr
