"""A real Prometheus that scrapes for a test, and answers PromQL."""

import json
import math
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.served import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "prometheus"
FIRST_SCRAPE_S = 40.0
"""New targets are taken up on a tick of 5 s, and the first scrape is up to an interval later."""
CONFIGURATION = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [RULES/recording.yml, RULES/alerts.yml]
scrape_configs:
  - job_name: reasoning-proxy
    static_configs: [{targets: TARGETS}]
"""


def installed() -> bool:
    return shutil.which("prometheus") is not None and shutil.which("promtool") is not None


@dataclass(frozen=True)
class Sample:
    """One series of an answer: at one time, or over a range as (time, value)."""

    labels: dict[str, str]
    values: list[tuple[float, float]]

    @property
    def value(self) -> float:
        return self.values[-1][1]


@dataclass(frozen=True)
class Prometheus:
    """A running one. Raises AssertionError where it refuses a query."""

    url: str

    def query(self, expression: str) -> list[Sample]:
        """What an instant query gives, series without a number left out."""
        found = self._get("query", query=expression)
        if found["resultType"] == "scalar":
            found = {"result": [{"metric": {}, "value": found["result"]}]}
        return _samples([{**item, "values": [item["value"]]} for item in found["result"]])

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Sample]:
        """The same for each `step` seconds between two Unix times."""
        found = self._get("query_range", query=expression, start=f"{start}", end=f"{end}", step=f"{step}")
        return _samples(found["result"])

    def wait_for(self, expression: str, seconds: float = FIRST_SCRAPE_S) -> list[Sample]:
        """The answer once there is one."""
        until = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < until, f"no data for {expression}"
            time.sleep(0.2)
        return found

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with their health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters.get('query', path)}: {error.read().decode()[:500]}") from error


def _samples(result: list[dict[str, Any]]) -> list[Sample]:
    samples = []
    for item in result:
        values = [(float(at), float(value)) for at, value in item["values"] if not math.isnan(float(value))]
        if values:
            samples.append(Sample(item["metric"], values))
    return samples


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Runs it with the repository's rules, scraping `HOST:PORT`s each second; ready, but nothing may be scraped yet."""
    port, file = free_port(), folder / "prometheus.yml"
    file.write_text(CONFIGURATION.replace("RULES", str(RULES)).replace("TARGETS", json.dumps(list(targets))))
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", "--enable-feature=exemplar-storage"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + FIRST_SCRAPE_S
        while True:
            try:
                with urllib.request.urlopen(f"{running.url}/-/ready", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, (folder / "prometheus.log").read_text()
                assert time.monotonic() < until, "Prometheus is not ready"
                time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        process.wait(20)
