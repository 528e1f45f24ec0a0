"""A registry as text: the Prometheus text format, or OpenMetrics, which can also carry exemplars.

Both are made in pieces, so that whoever serves streams on the same thread can see to them in between. Formats:
<https://prometheus.io/docs/instrumenting/exposition_formats/> and the OpenMetrics specification 1.0.0.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from proxy.telemetry.registry import Exemplar, Family, Kind, Registry

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PIECE_LINES = 50
"""Lines of one piece, about: a tenth of a millisecond."""


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name under which a family is shown as well."""

    name: str
    """Whole; of a counter with its `_total`."""
    labels: Mapping[str, str]
    """Our labels → theirs; those that are not in it keep their names."""


def accepts_open_metrics(accept: str) -> bool:
    """Whether an `Accept` header would rather have OpenMetrics than the text format (RFC 9110, section 12.5.1)."""
    open_metrics = text = 0.0
    for item in accept.split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            continue
        if kind == "application/openmetrics-text" and values.get("version", "1.0.0") == "1.0.0":
            open_metrics = max(open_metrics, quality)
        elif kind in ("text/plain", "text/*", "*/*"):
            text = max(text, quality)
    return open_metrics > 0 and open_metrics >= text


def pieces(registry: Registry, aliases: Mapping[str, Alias], *, open_metrics: bool) -> Iterator[str]:
    """The text of all families, whole lines each. `aliases`: by our names."""
    for family in registry.families.values():
        yield from _family(registry, family, family.name, {}, open_metrics=open_metrics)
        alias = aliases.get(family.name)
        if alias is not None:
            yield from _family(registry, family, alias.name, alias.labels, open_metrics=open_metrics)
    if open_metrics:
        yield "# EOF\n"


def _family(
    registry: Registry, family: Family, name: str, renamed: Mapping[str, str], *, open_metrics: bool
) -> Iterator[str]:
    if not family.series:
        return
    shown = name.removesuffix("_total") if open_metrics and family.kind is Kind.COUNTER else name
    lines = [f"# HELP {shown} {family.text}\n# TYPE {shown} {family.kind}\n"]
    exemplars = registry.exemplars if open_metrics else {}
    order = _order(family, renamed)
    values = registry.values
    for labels, slot in tuple(family.series.items()):
        if family.kind is Kind.HISTOGRAM:
            lines += _histogram(registry, family, name, order(labels), slot, exemplars)
        else:
            before, after = order(labels)
            inner = (before + after).rstrip(",")
            lines.append(f"{name}{{{inner}}} {values[slot]}\n" if inner else f"{name} {values[slot]}\n")
        if len(lines) >= PIECE_LINES:
            yield "".join(lines)
            lines = []
    if lines:
        yield "".join(lines)


def _histogram(
    registry: Registry,
    family: Family,
    name: str,
    labels: tuple[str, str],
    slot: int,
    exemplars: Mapping[int, Exemplar],
) -> list[str]:
    before, after = labels
    head, tail = f'{name}_bucket{{{before}le="', f'"{"," if after else ""}{after.rstrip(",")}}} '
    counts, lines = 0.0, []
    *buckets, total = registry.row(family, slot)
    for place, (bound, count) in enumerate(zip(family.bound_texts, buckets, strict=True), slot):
        counts += count
        exemplar = exemplars.get(place) if exemplars else None
        lines.append(f"{head}{bound}{tail}{counts}{'' if exemplar is None else _exemplar(exemplar)}\n")
    inner = (before + after).rstrip(",")
    both = f"{{{inner}}}" if inner else ""
    lines += (f"{name}_sum{both} {total}\n", f"{name}_count{both} {counts}\n")
    return lines


def _exemplar(one: Exemplar) -> str:
    return f' # {{trace_id="{one.trace_id}"}} {one.value} {one.at:.3f}'


def _order(family: Family, renamed: Mapping[str, str]) -> Callable[[tuple[str, ...]], tuple[str, str]]:
    """Label values → the text of the labels that sort before `le`, and of those after it, each with its comma."""
    names = [renamed.get(name, name) for name in family.labels]
    sorted_ = sorted(range(len(names)), key=names.__getitem__)
    early = [at for at in sorted_ if names[at] < "le"]
    late = [at for at in sorted_ if names[at] >= "le"]

    def order(labels: tuple[str, ...]) -> tuple[str, str]:
        before = "".join(f'{names[at]}="{escaped(labels[at])}",' for at in early)
        return before, "".join(f'{names[at]}="{escaped(labels[at])}",' for at in late)

    return order


def escaped(value: str) -> str:
    """A label's value as the formats want it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
