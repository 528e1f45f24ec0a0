"""A proxy's metrics, read back by the client's own parser."""

import re

from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.families import PREFIX
from proxy.telemetry.metrics import Metrics

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]
"""Name without prefix → labels, sorted → value."""


def samples(text: str | bytes) -> Samples:
    """All samples of ours in a text exposition; a series that comes twice is a failure."""
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text):
        for sample in family.samples:
            values = found.setdefault(sample.name.removeprefix(PREFIX), {})
            key = tuple(sorted(sample.labels.items()))
            assert key not in values, f"{sample.name}{key} is there twice"
            values[key] = sample.value
    return found


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of all series of a name that have these labels; 0 where there is none."""
    return sum(value for key, value in found.get(name, {}).items() if labels.items() <= dict(key).items())


def families(metrics: Metrics) -> list[tuple[str, str]]:
    """Name, without a counter's `_total`, and type of every family that was made, whether it has a series or not."""
    told = re.findall(r"^# TYPE (\w+) (\w+)$", metrics.render().decode(), re.MULTILINE)
    return [(name.removesuffix("_total") if kind == "counter" else name, kind) for name, kind in told]
