"""How many instructions the proxy executes, counted by callgrind: what a noisy machine cannot move.

Kernel time is not in it, nor what a cache miss costs. It needs valgrind, and takes about fifty times as long as running.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.bench.answers import answer
from tests.bench.cells import BURST_EVENTS
from tests.bench.kit import Kit, Loaded
from tests.bench.peers import Peer, Running, Site

MODELS = {
    "whole.reasoning_content": "whole.reasoning_content.200.0",
    "burst.reasoning_content": f"burst.reasoning_content.{BURST_EVENTS}.0",
    "burst.reasoning": f"burst.reasoning.{BURST_EVENTS}.0",
    "burst.think_tags": f"burst.think_tags.{BURST_EVENTS}.0",
    "alone.reasoning_content": "paced.reasoning_content.50.100",
}
_PACED_STREAMS = 4
"""So few, and so slow, that even under callgrind each event arrives alone."""
_WARM_UP_S = 1.0
_SECONDS = 3.0
_SUMMARY = re.compile(r"^summary: (\d+)", re.MULTILINE)


def found() -> bool:
    """Whether callgrind is on this machine."""
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


def under_callgrind(peer: Peer) -> Peer:
    """The same peer, its instructions counted once that is switched on."""

    def command(site: Site) -> list[str]:
        into = f"--callgrind-out-file={site.folder / 'callgrind'}"
        return ["valgrind", "--tool=callgrind", "--instr-atstart=no", into, *peer.command(site)]

    return replace(peer, command=command, environment={**peer.environment, "PYTHONHASHSEED": "0"})


def instructions(kit: Kit, running: Running, say: Callable[[str], None]) -> dict[str, float]:
    """Instructions of each request or event, by cell. The peer is one process, under callgrind."""
    for model in MODELS.values():
        say(f"bench: warming up, {model}")
        _load(kit, running, model, _WARM_UP_S)
    _control(running, "-i", "on")
    counted = {}
    for name, model in MODELS.items():
        say(f"bench: counting, {model}")
        _load(kit, running, model, 0.1)  # what runs for the first time is translated, and dumped with the counts before
        _control(running, "-d", "before")
        loaded = _load(kit, running, model, _SECONDS)
        _control(running, "-d", "counted")
        units = loaded.answers * (1 if model.startswith("whole") else answer(model).events)
        counted[name] = _last_count(running.folder) / units
    return counted


def _load(kit: Kit, running: Running, model: str, seconds: float) -> Loaded:
    if model.startswith("paced"):
        return kit.streams(running.port, model, _PACED_STREAMS, 0.1, 60.0, **running.asking)
    return kit.closed(running.port, model, 1, seconds, **running.asking)


def _control(running: Running, *what: str) -> None:
    subprocess.run(["callgrind_control", *what, str(running.pid)], check=True, capture_output=True)


def _last_count(folder: Path) -> int:
    newest = max(folder.glob("callgrind.*"), key=lambda path: int(path.suffix[1:]))
    match = _SUMMARY.search(newest.read_text(encoding="utf-8"))
    assert match is not None, newest
    return int(match[1])
