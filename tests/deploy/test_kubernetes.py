"""The manifests agree with each other, with the configuration they bring, and with the rules they are made from."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.kubernetes.prometheusrule import build
from proxy.settings import Settings, loads
from tests.support.monitoring import PROMETHEUS

ROOT = Path(__file__).resolve().parent.parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"


def manifest(path: str) -> Any:
    return yaml.safe_load((KUBERNETES / path).read_text(encoding="utf-8"))


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifest("base/deployment.yaml")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    only: dict[str, Any] = pod()["containers"][0]
    return only


def settings(tmp_path: Path) -> Settings:
    """Of the table in the ConfigMap, its secrets being files of a folder."""
    text = (BASE / "proxy.yaml").read_text(encoding="utf-8")
    for place in re.findall(r"file: ([\w/.-]+)", re.sub(r"#.*", "", text)):
        secret = tmp_path / Path(place).name
        secret.write_text("a-key-of-sufficient-length")
        text = text.replace(place, str(secret))
    return loads(text, "proxy.yaml", {})


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_ports_and_probes_are_those_of_the_table(tmp_path: Path) -> None:
    server = settings(tmp_path).server
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert server.admin is not None
    assert ports == {"http": int(server.listen.rpartition(":")[2]), "admin": int(server.admin.rpartition(":")[2])}
    probes = {name: container()[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"admin"}
    assert [probe["path"] for probe in probes.values()] == ["/livez", "/livez", "/readyz"]
    assert [port["targetPort"] for port in manifest("base/service.yaml")["spec"]["ports"]] == ["http"]


def test_pod_has_time_to_be_forgotten_to_drain_and_to_say_goodbye(tmp_path: Path) -> None:
    before = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod()["terminationGracePeriodSeconds"] == before + settings(tmp_path).server.drain_s + 10


def test_table_and_keys_are_mounted_where_they_are_looked_for() -> None:
    mounted = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert container()["args"] == ["serve", "-c", f"{mounted['config']}/proxy.yaml"]
    assert f"{{file: {mounted['keys']}/agents}}" in (BASE / "proxy.yaml").read_text(encoding="utf-8")
    generated = manifest("base/kustomization.yaml")["configMapGenerator"][0]
    assert generated["files"] == ["proxy.yaml"]
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert volumes["config"]["configMap"]["name"] == generated["name"]
    assert set(volumes) == set(mounted)


def test_pod_may_do_nothing_but_its_work() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert manifest("base/serviceaccount.yaml")["automountServiceAccountToken"] is False
    security = pod()["securityContext"]
    assert security["runAsNonRoot"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in (
        ROOT / "deploy" / "container" / "Containerfile"
    ).read_text(encoding="utf-8")
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_autoscaler_looks_at_a_metric_that_exists_and_takes_pods_away_slowly() -> None:
    spec = manifest("base/hpa.yaml")["spec"]
    metrics = {metric["type"]: metric for metric in spec["metrics"]}
    assert metrics["Pods"]["pods"]["metric"]["name"] == "reasoning_proxy_streams_in_flight"
    assert spec["scaleTargetRef"]["name"] == manifest("base/deployment.yaml")["metadata"]["name"]
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 600
    assert "replicas" not in manifest("base/deployment.yaml")["spec"], "it would fight with the autoscaler"


def test_rules_for_the_operator_are_those_of_prometheus() -> None:
    path = KUBERNETES / "components" / "monitoring" / "prometheusrule.yaml"
    assert path.read_text(encoding="utf-8") == build(), "run scripts/deploy-files"
    files = [PROMETHEUS / name for name in ("recording.yml", "alerts.yml")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    assert manifest("components/monitoring/prometheusrule.yaml")["spec"]["groups"] == groups


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_everything_finds_the_pods_once_kustomize_has_put_it_together() -> None:
    command = ["kubectl", "kustomize", str(KUBERNETES / "overlays" / "monitored")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {document["kind"]: document for document in yaml.safe_load_all(text)}
    label = {"app.kubernetes.io/name": "reasoning-proxy"}
    template = found["Deployment"]["spec"]["template"]
    assert template["metadata"]["labels"] == label
    selectors = [found[kind]["spec"]["selector"] for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor")]
    selectors.append(found["NetworkPolicy"]["spec"]["podSelector"])
    assert selectors == [{"matchLabels": label}] * 4
    assert found["Service"]["spec"]["selector"] == label
    table = found["ConfigMap"]["metadata"]["name"]
    assert re.fullmatch(r"reasoning-proxy-\w+", table), "a changed table must roll the pods"
    assert {"name": "config", "configMap": {"name": table}} in template["spec"]["volumes"]
    endpoint = found["PodMonitor"]["spec"]["podMetricsEndpoints"][0]
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert found["PodMonitor"]["spec"]["jobLabel"] in label, "the job of the rules is the value of this label"
    assert {document["metadata"].get("namespace", "reasoning-proxy") for document in found.values()} == {
        "reasoning-proxy"
    }
