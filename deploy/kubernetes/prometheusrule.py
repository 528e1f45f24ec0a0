"""The rules of deploy/prometheus as the Prometheus operator wants them. `python -m deploy.kubernetes.prometheusrule` prints it."""

from pathlib import Path

RULES = Path(__file__).resolve().parent.parent / "prometheus"
HEAD = """# Made from deploy/prometheus by scripts/deploy-files.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: reasoning-proxy
spec:
  groups:
"""


def build() -> str:
    """The manifest as YAML text; the rules keep their own text, two columns further in."""
    groups = (
        (RULES / file).read_text(encoding="utf-8").partition("groups:\n")[2] for file in ("recording.yml", "alerts.yml")
    )
    lines = (line for text in groups for line in text.splitlines())
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


if __name__ == "__main__":
    print(build(), end="")
