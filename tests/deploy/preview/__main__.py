"""`python -m tests.deploy.preview`: the dashboard drawn from a real Prometheus, with a proxy under load and without Grafana."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.deploy.preview.draw import Box, named, page, panel, row
from tests.support.loaded import loaded
from tests.support.monitoring import dashboard, filled
from tests.support.prometheus import Prometheus, installed, prometheus
from tests.support.providing import Providing
from tests.support.scripted import scripted

COLUMN, LINE, GAP, WIDTH = 62.0, 30.0, 6.0, 24
STEP_S, INTERVAL = 3.0, "12s"
PHASES = ((6, 0.012), (14, 0.012), (14, 0.03), (6, 0.012))
"""(callers, seconds between two events) of each quarter: quiet, busy, slow providers, quiet."""


def main() -> int:
    """Writes overview.svg and one SVG a panel, and PNGs of them where rsvg-convert is installed."""
    parser = argparse.ArgumentParser(prog="scripts/dashboard-preview", description="Draws the dashboard under load.")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--seconds", type=float, default=120, help="how long the load lasts (default: 120)")
    args = parser.parse_args()
    if not installed():
        print("dashboard-preview: prometheus is not installed (Debian: apt-get install prometheus)", file=sys.stderr)
        return 1
    args.folder.mkdir(parents=True, exist_ok=True)
    providing = Providing(length=30)
    with (
        tempfile.TemporaryDirectory() as made,
        scripted(providing) as upstream,
        loaded(Path(made), upstream.url) as proxy,
        prometheus(Path(made), [proxy.admin]) as watcher,
    ):
        watcher.wait_for('up{job="reasoning-proxy"} == 1')
        start = time.time()
        for callers, pace_s in PHASES:
            providing.pace_s = pace_s
            requests = _while_reloading(proxy, callers, args.seconds / len(PHASES))
            print(f"dashboard-preview: {callers} callers, {requests} requests", flush=True)
        pictures = _pictures(watcher, start, time.time())
    for name, svg in pictures.items():
        _write(args.folder / f"{name}.svg", svg)
    print(f"dashboard-preview: {len(pictures)} pictures in {args.folder}")
    return 0


def _while_reloading(proxy: Any, callers: int, seconds: float) -> int:
    thread = threading.Timer(seconds / 2, proxy.reload)
    thread.start()
    requests: int = proxy.load(seconds, callers)
    thread.join()
    return requests


def _pictures(watcher: Prometheus, start: float, end: float) -> dict[str, str]:
    """Name → SVG of the overview, and of each panel."""
    found, bodies, bottom = {}, [], 0.0
    for spec in dashboard()["panels"]:
        place = spec["gridPos"]
        box = Box(
            place["x"] * COLUMN + GAP,
            place["y"] * LINE + GAP,
            place["w"] * COLUMN - GAP,
            place["h"] * LINE - GAP,
            start,
            end,
        )
        bottom = max(bottom, box.y + box.height)
        if spec["type"] == "row":
            bodies.append(row(spec["title"], box))
            continue
        series = [
            one
            for target in spec["targets"]
            for one in named(
                watcher.query_range(filled(target["expr"], INTERVAL), start, end, STEP_S), target["legendFormat"]
            )
        ]
        bodies.append(panel(spec, series, box))
        alone = Box(0, 0, box.width, box.height, start, end)
        found[f"{spec['id']:02d}-{spec['title'].lower().replace(' ', '-')}"] = page(
            box.width, box.height, panel(spec, series, alone)
        )
    return {"overview": page(WIDTH * COLUMN + GAP, bottom + GAP, "".join(bodies)), **found}


def _write(file: Path, svg: str) -> None:
    file.write_text(svg, encoding="utf-8")
    if shutil.which("rsvg-convert"):
        subprocess.run(["rsvg-convert", "--output", str(file.with_suffix(".png")), str(file)], check=True)


if __name__ == "__main__":
    sys.exit(main())
