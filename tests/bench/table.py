"""The figures of a run as text: one block for each kind, one column for each peer."""

from statistics import median

from tests.bench.cells import Cell
from tests.bench.goals import rows
from tests.bench.results import REFERENCES, Results

_FIGURES = {
    "cpu_us": "CPU us per {unit}",
    "answers_per_s": "answers per s",
    "busy": "share of one core used",
    "first_p50_ms": "time to first text, p50 ms",
    "first_p99_ms": "time to first text, p99 ms",
    "delay_p50_ms": "delay per event, p50 ms",
    "delay_p99_ms": "delay per event, p99 ms",
    "streams": "streams",
    "start_s": "start to open port, s",
    "rss_mb": "resident, MB",
    "kb_per_stream": "kB per open stream",
    "throughput_ratio": "two workers against one",
    "kit_busy": "share of one core used by upstream and clients",
    "growth_mb": "growth, MB",
    "close_p50_ms": "until closed, p50 ms",
    "close_max_ms": "until closed, max ms",
    "errors": "errors",
}


def text(results: Results, cells: list[Cell]) -> str:
    """All tables of a run."""
    return "\n\n".join(aligned(block) for block in blocks(results, cells))


def blocks(results: Results, cells: list[Cell]) -> list[list[list[str]]]:
    """The tables of a run: goals that it has figures for, then each figure, then the ratios."""
    found = figures(results, cells)
    if counted := [name for name, taken in results.samples.items() if "instructions" in taken]:
        peers = list(dict.fromkeys(peer for name in counted for peer in results.samples[name]["instructions"]))
        lines = [[name, *(_spread(results.taken(name, "instructions", peer)) for peer in peers)] for name in counted]
        found.append([["instructions for each request or event", *peers], *lines])
    if ratios := results.ratios():
        lines = [[cell, *(_ratio(by_name, name) for name in REFERENCES)] for cell, by_name in ratios.items()]
        found.append([["CPU of ours against", *REFERENCES], *lines])
    if measured := [row for row in rows(results) if row[3] != "-"]:
        found.append([["goal", "", "bound", "measured", "met"], *measured])
    return found


def figures(results: Results, cells: list[Cell]) -> list[list[list[str]]]:
    """A block for each figure: its name and the peers, then a line for each cell: median (lowest-highest)."""
    blocks = []
    for figure, name in _FIGURES.items():
        # A figure's columns are the peers that it is taken of.
        peers = [peer for peer in results.peers if any(results.taken(cell.name, figure, peer) for cell in cells)]
        lines = [
            [
                f"{cell.name} ({cell.unit})" if figure == "cpu_us" else cell.name,
                *(_spread(results.taken(cell.name, figure, peer)) for peer in peers),
            ]
            for cell in cells
            if results.samples.get(cell.name, {}).get(figure)
        ]
        if lines:
            blocks.append([[name.format(unit="..."), *peers], *lines])
    return blocks


def _ratio(by_name: dict[str, float], name: str) -> str:
    return f"{by_name[name]:.2f}" if name in by_name else "-"


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return _digits(values[0]) if values else "-"
    return f"{_digits(median(values))} ({_digits(min(values))}-{_digits(max(values))})"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown(lines: list[list[str]]) -> str:
    """The same lines as a table of Markdown."""
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])


def aligned(lines: list[list[str]]) -> str:
    """Columns of equal width; the first line is underlined."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *rest = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    return "\n".join([head, "-" * len(head), *rest])
