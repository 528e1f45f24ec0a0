"""The figures of a run: as a table, as JSON, and against the committed ratios."""

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.cells import Cell, Sample

RATIOS = Path(__file__).with_name("ratios.json")
TOLERANCE = 1.5
"""A ratio may be this many times the committed one: shared machines move single figures by a third."""
_PACKAGES = ("httptools", "httpx2", "orjson", "starlette", "uvicorn", "uvloop")


@dataclass
class Results:
    """All samples of a run, by cell and peer."""

    reference: str
    """The peer to which the others are compared."""
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    first_text_ms: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds to the first text, sorted, by peer; `direct` is without one."""

    def add(self, cell: Cell, peer: str, sample: Sample) -> None:
        self.samples.setdefault(cell.name, {}).setdefault(peer, []).append(sample)

    def cpu_us(self, cell: str, peer: str) -> float:
        return median(sample.cpu_us for sample in self.samples[cell][peer])

    def ratio(self, cell: str, peer: str) -> float:
        return self.cpu_us(cell, peer) / self.cpu_us(cell, self.reference)

    def table(self, cells: list[Cell]) -> str:
        """One line for each cell: median (lowest-highest) of each peer, and the ratios to the reference."""
        peers = list(self.samples[cells[0].name])
        others = [peer for peer in peers if peer != self.reference]
        ratios = [f"{peer}/{self.reference}" for peer in others]
        lines = [["CPU us per", "", *peers, *ratios, *(f"{peer} busy" for peer in peers)]]
        for cell in cells:
            taken = self.samples[cell.name]
            lines.append(
                [cell.unit, cell.name]
                + [_spread([sample.cpu_us for sample in taken[peer]]) for peer in peers]
                + [f"{self.ratio(cell.name, peer):.2f}" for peer in others]
                + [f"{median(sample.busy for sample in taken[peer]):.0%}" for peer in peers]
            )
        text = _aligned(lines)
        if self.first_text_ms:
            text += "\n\n" + _aligned(self._first_texts())
        return text

    def _first_texts(self) -> list[list[str]]:
        lines = [["first text, 1 connection", "p50 ms", "p99 ms", "added p50", "added p99"]]
        base = self.first_text_ms["direct"]
        for name, times in self.first_text_ms.items():
            p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
            added = ["", ""] if name == "direct" else [_ms(p50 - quantile(base, 0.5)), _ms(p99 - quantile(base, 0.99))]
            lines.append([name, _ms(p50), _ms(p99), *added])
        return lines

    @property
    def other(self) -> list[float]:
        """The share of the machine that other work took, in every sample."""
        return [sample.other for by_peer in self.samples.values() for taken in by_peer.values() for sample in taken]

    def worse(self) -> list[str]:
        """What is worse than the committed ratios allow; a sentence each."""
        committed: dict[str, float] = json.loads(RATIOS.read_text(encoding="utf-8"))["ratios"]
        return [
            f"{name}: ours/{self.reference} is {found:.2f}, committed is {committed[name]:.2f} (allowed: x{TOLERANCE})"
            for name in self.samples
            if name in committed and (found := self.ratio(name, "ours")) > committed[name] * TOLERANCE
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything, for other programs."""
        return {
            "measured": _now(),
            "machine": machine(),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
            "other_work": {"median": round(median(self.other), 3), "highest": round(max(self.other), 3)},
            "cells": {
                name: {
                    "cpu_us": {peer: self.cpu_us(name, peer) for peer in by_peer},
                    "ratio": {peer: self.ratio(name, peer) for peer in by_peer if peer != self.reference},
                    "samples": {peer: [asdict(sample) for sample in taken] for peer, taken in by_peer.items()},
                }
                for name, by_peer in self.samples.items()
            },
            "first_text_ms": {
                name: {"p50": quantile(times, 0.5), "p99": quantile(times, 0.99), "count": len(times)}
                for name, times in self.first_text_ms.items()
            },
        }

    def write_ratios(self) -> None:
        """Makes the ratios of this run the committed ones, for the cells that it has."""
        before = json.loads(RATIOS.read_text(encoding="utf-8"))["ratios"] if RATIOS.exists() else {}
        found = {name: round(self.ratio(name, "ours"), 3) for name in self.samples}
        written = {"measured": _now()[:10], "machine": machine(), "ratios": {**before, **found}}
        RATIOS.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def machine() -> str:
    """The machine, without its name."""
    return f"{os.cpu_count()} vCPU {platform.machine()}, {platform.system()} {platform.release().split('-')[0]}"


def quantile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the ordered values lie."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _ms(value: float) -> str:
    return f"{value:.2f}"


def _spread(values: list[float]) -> str:
    return f"{_figure(median(values))} ({_figure(min(values))}-{_figure(max(values))})"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
