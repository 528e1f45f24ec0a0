"""The figures of a run: kept, added to those of other runs, and held against the committed ratios."""

import datetime
import json
import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Self

from tests.bench.idle import Idle
from tests.bench.kit import Kind

RATIOS = Path(__file__).with_name("ratios.json")
TOLERANCE = 1.5
"""A ratio may be this many times the committed one: shared machines move single figures by a third."""
USUAL: Idle = "kept busy"
"""What can be had wherever a program in C can: by its ratios are judged the modes that have none of their own."""
REFERENCES = ("bare", "nginx")
_PACKAGES = ("httptools", "httpx2", "orjson", "starlette", "uvicorn", "uvloop")
Samples = dict[str, dict[str, dict[str, list[float]]]]


@dataclass
class Results:
    """All samples, by cell, figure and peer; `direct` is the upstream without a peer."""

    kit: Kind
    idle: Idle = "halts"
    """What the peers' core did with nothing to do."""
    samples: Samples = field(default_factory=dict)
    points: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    """What cells that draw a curve have seen, by cell and peer."""
    other: list[float] = field(default_factory=list)
    """The share of the machine that other work took, in every sample."""
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Of a file that `write` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        names = ("kit", "idle", "samples", "points", "other")
        if missing := [name for name in names if name not in found]:
            raise SystemExit(
                f"bench: {path} has no {', '.join(missing)}: an earlier scripts/bench wrote it; measure again"
            )
        return cls(**{name: found.pop(name) for name in names}, facts=found)

    def write(self, path: Path) -> None:
        about = {"measured": _now(), "machine": machine(), "versions": versions()}
        self.facts = {**self.facts, **about}
        run = {"kit": self.kit, "idle": self.idle, "other": self.other}
        whole = {**self.facts, **run, "samples": self.samples, "points": self.points}
        path.write_text(json.dumps(whole) + "\n", encoding="utf-8")

    def add(self, cell: str, peer: str, figures: dict[str, float]) -> None:
        for figure, value in figures.items():
            self.samples.setdefault(cell, {}).setdefault(figure, {}).setdefault(peer, []).append(round(value, 4))

    def add_points(self, cell: str, peer: str, points: list[tuple[float, ...]]) -> None:
        rounded = [[round(value, 4) for value in point] for point in points]
        self.points.setdefault(cell, {}).setdefault(peer, []).extend(rounded)

    def drop(self, cell: str) -> None:
        """Forgets the samples of a cell, to take them again."""
        self.samples.pop(cell, None)
        self.points.pop(cell, None)

    def taken(self, cell: str, figure: str, peer: str) -> list[float]:
        return self.samples.get(cell, {}).get(figure, {}).get(peer, [])

    def middle(self, cell: str, figure: str, peer: str) -> float | None:
        """The median of the samples; None where there are none."""
        values = self.taken(cell, figure, peer)
        return median(values) if values else None

    def ratio(self, cell: str, peer: str, reference: str, figure: str = "cpu_us") -> float | None:
        above, below = self.middle(cell, figure, peer), self.middle(cell, figure, reference)
        return above / below if above is not None and below else None

    @property
    def peers(self) -> list[str]:
        """All peers that have samples, in the order in which they came."""
        return list(dict.fromkeys(name for cell in self.samples.values() for taken in cell.values() for name in taken))

    def ratios(self) -> dict[str, dict[str, float]]:
        """CPU time of ours against each reference, by cell."""
        found = {
            cell: {
                name: round(ratio, 3) for name in REFERENCES if (ratio := self.ratio(cell, "ours", name)) is not None
            }
            for cell in self.samples
        }
        return {cell: by_name for cell, by_name in found.items() if by_name}

    def worse(self) -> dict[str, str]:
        """What is worse than the committed ratios allow, against every reference that was measured: cell → a sentence."""
        modes = _committed()["ratios"]
        committed = modes.get(self._mode) or modes.get(f"{self.kit}, {USUAL}", {})
        found = {}
        for cell, by_name in self.ratios().items():
            known = {name: committed.get(cell, {}).get(name) for name in by_name}
            pairs = {name: (by_name[name], known[name]) for name in by_name if known[name]}
            # Noise moves one reference; a change of ours moves its ratio to each of them.
            if pairs and all(ratio > before * TOLERANCE for ratio, before in pairs.values()):
                said = ", ".join(
                    f"ours/{name} is {ratio:.2f} and was {was:.2f}" for name, (ratio, was) in pairs.items()
                )
                found[cell] = f"{cell}: {said} (allowed: x{TOLERANCE})"
        return found

    @property
    def _mode(self) -> str:
        """Runs are held against runs of the same mode: how a core wakes counts most for peers that are seldom busy."""
        return f"{self.kit}, {self.idle}"

    def write_ratios(self) -> None:
        """Makes the ratios of this run the committed ones, for its cells, its kit and what idle cores did."""
        ratios = _committed()["ratios"]
        ratios[self._mode] = {**ratios.get(self._mode, {}), **self.ratios()}
        RATIOS.write_text(
            json.dumps({"measured": _now()[:10], "machine": machine(), "ratios": ratios}, indent=2) + "\n",
            encoding="utf-8",
        )


def _committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RATIOS.read_text(encoding="utf-8")) if RATIOS.exists() else {"ratios": {}}
    return found


def versions() -> dict[str, str]:
    """Of what the proxy runs on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def machine() -> str:
    """The machine, without its name."""
    return f"{os.cpu_count()} vCPU {platform.machine()}, {platform.system()} {platform.release().split('-')[0]}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
