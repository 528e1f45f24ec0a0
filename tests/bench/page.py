"""The measured part of docs/benchmarks.md: written by the bench, between two marks, so that no figure is copied by hand."""

from pathlib import Path
from statistics import median

from tests.bench.cells import Cell
from tests.bench.kit import ROOT
from tests.bench.plots import PLOTS, draw
from tests.bench.results import Results
from tests.bench.table import blocks, markdown

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: written by scripts/bench --write-docs -->", "<!-- end of what was measured -->"


def write(results: Results, cells: list[Cell], page: Path = PAGE) -> None:
    """Replaces what stands between the marks of the page, and the pictures beside it."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"bench: {page} has not both marks, {BEGIN} and {END}")
    pictures = page.with_suffix("")
    draw(results, pictures)
    page.write_text(f"{before}{BEGIN}\n\n{_measured(results, cells, pictures)}\n\n{END}{after}", encoding="utf-8")


def _measured(results: Results, cells: list[Cell], pictures: Path) -> str:
    # The goals first: sorting keeps the others in their order.
    tables = [
        markdown(_coded(block)) for block in sorted(blocks(results, cells), key=lambda block: block[0][0] != "goal")
    ]
    drawn = [name for name, (cell, _) in PLOTS.items() if results.points.get(cell)]
    pictured = [f"![{name}]({pictures.name}/{name}.svg)" for name in drawn]
    return "\n\n".join([_about(results), tables[0], *pictured, *tables[1:]])


def _about(results: Results) -> str:
    facts = results.facts
    versions = ", ".join(
        f"{name} {version}" for name, version in {**facts["versions"], **facts.get("peers", {})}.items()
    )
    other = f"other work took {median(results.other):.0%} of the machine in the median sample, at most {max(results.other):.0%}"
    sizes = [len(values) for cell in results.samples.values() for taken in cell.values() for values in taken.values()]
    samples = f"{min(sizes)} to {max(sizes)} samples" if min(sizes) < max(sizes) else f"samples: {sizes[0]}"
    how = {
        "polls": "looks for work in the kernel",
        "kept busy": "runs a process of the lowest class",
        "halts": "sleeps",
    }
    idle = f"the peers' core, with nothing to do, {how[results.idle]}"
    where = f"{facts['machine']}; {idle}; {samples} of each figure; {other}"
    return f"Measured on {facts['measured'][:10]}: {where}. Versions: {versions}."


def _coded(block: list[list[str]]) -> list[list[str]]:
    """Names of cells as code."""
    head, *lines = block
    if head[0] == "goal":
        return block
    return [
        head,
        *(
            [f"`{name}`{space}{unit}", *values]
            for [whole, *values] in lines
            for name, space, unit in [whole.partition(" ")]
        ),
    ]
