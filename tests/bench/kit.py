"""Upstream and clients of the bench as programs: those in C where a compiler is found, else those in Python.

Both have one command line and one output; `upstream.c` and `load.c` describe them.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.request import urlopen

from tests.bench import processes
from tests.bench.answers import WrongAnswerError, answer, request_of
from tests.bench.idle import Idle, unhalted

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "bench"
PATIENCE_S = 60.0
"""A stream that has not ended so long after it should have is counted as an error."""
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror")
Kind = Literal["c", "python"]


class Times(NamedTuple):
    """Exact percentiles in milliseconds; all 0 where nothing was timed."""

    timed: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Loaded:
    """What the clients saw."""

    answers: int
    marks: int
    errors: int
    first_error: str
    seconds: float
    first: Times
    """From a request to the first mark of its answer."""
    delay: Times
    """From the upstream's write of a mark to the client's read of it."""

    @classmethod
    def of(cls, found: dict[str, Any]) -> Self:
        plain = {name: found[name] for name in ("answers", "marks", "errors", "first_error", "seconds")}
        return cls(**plain, first=_times(found["first_us"]), delay=_times(found["delay_us"]))


def _times(found: dict[str, int]) -> Times:
    return Times(found["count"], *(found.get(name, 0) / 1000 for name in ("p50", "p90", "p99", "max")))


def kind() -> Kind:
    """`c` where the C programs can be had on this machine."""
    try:
        for name in ("upstream", "load", "spin"):
            subprocess.run([program(name)], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return "python"
    return "c"


def program(name: str) -> Path:
    """The compiled program, from the cache if its source is still the same. Raises OSError or CalledProcessError."""
    source = Path(__file__).with_name(f"{name}.c")
    text = source.read_bytes() + Path(__file__).with_name("kit.h").read_bytes() + repr(_FLAGS).encode()
    digest = hashlib.sha256(text).hexdigest()[:12]
    compiled = CACHE / "kit" / f"{name}-{digest}"
    if compiled.exists():
        return compiled
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("no C compiler")
    compiled.parent.mkdir(parents=True, exist_ok=True)
    fresh = compiled.with_suffix(".new")
    subprocess.run([compiler, *_FLAGS, "-o", fresh, source], check=True, capture_output=True, timeout=60)
    fresh.rename(compiled)  # whoever compiles at the same time gets the same program
    return compiled


class Kit:
    """A running upstream, and what asks through a peer."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.kind: Kind = kind
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._upstream: subprocess.Popen[str]
        self.port = 0
        self._mode: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._upstream = subprocess.Popen(self.command("upstream", self.folder), stdout=subprocess.PIPE, text=True)
        assert self._upstream.stdout is not None
        self.port = int(self._upstream.stdout.readline())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._upstream.terminate()
        self._upstream.communicate()

    @property
    def pid(self) -> int:
        """Of the upstream."""
        return self._upstream.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def cpu_s(self) -> float:
        """User and system seconds of upstream and clients so far, those that have ended among them."""
        children = os.times()
        return processes.cpu_s(self.pid) + children.children_user + children.children_system

    def stats(self) -> dict[str, int]:
        """`answers`, `marks`, `open`, `left`, `left_us` and `awake` of the upstream."""
        return self._asked("stats")

    @contextmanager
    def awake(self, core: int, idle: Idle) -> Iterator[None]:
        """Within it nothing sleeps, if the kit is the one in C: no peer pays for waking another core, or waits for its own.

        Upstream and clients poll, and `core`, the peer's, is kept from halting in the way `idle`. They take all of their
        core, and so of the peer's too where that is the same one.
        """
        self._asked("awake")
        self._mode = ("awake",)
        try:
            with unhalted(core, idle if self.kind == "c" else "halts", program):
                yield
        finally:
            self._mode = ()
            self._asked("asleep")

    def _asked(self, what: str) -> dict[str, int]:
        with urlopen(f"http://127.0.0.1:{self.port}/{what}") as response:
            found: dict[str, int] = json.load(response)
        return found

    def prepare(self, model: str) -> None:
        """Puts the model's answer where the upstream looks for it."""
        path = self.folder / model
        if not path.exists():
            path.write_bytes(answer(model).packed())

    def closed(self, port: int, model: str, connections: int, seconds: float, **asking: str) -> Loaded:
        """So many connections, each asking again once it is answered. Raises WrongAnswerError if an answer is wrong."""
        loaded = self._load(port, model, ["closed", str(connections), str(seconds)], asking)
        if loaded.errors or not loaded.answers:
            raise WrongAnswerError(f"{loaded.errors} errors: {loaded.first_error}")
        return loaded

    def streams(self, port: int, model: str, count: int, ramp_s: float, patience_s: float, **asking: str) -> Loaded:
        """So many streams at once, begun one after another; what has not ended `patience_s` after the ramp is an error."""
        return self._load(port, model, ["streams", str(count), str(ramp_s), str(patience_s)], asking)

    def opening(
        self, port: int, model: str, count: int, ramp_s: float, patience_s: float, **asking: str
    ) -> "subprocess.Popen[str]":
        """The same, not waited for."""
        return subprocess.Popen(
            self._load_command(port, model, ["streams", str(count), str(ramp_s), str(patience_s)], asking),
            stdout=subprocess.PIPE,
            text=True,
        )

    def _load(self, port: int, model: str, mode: list[str], asking: dict[str, str]) -> Loaded:
        done = subprocess.run(self._load_command(port, model, mode, asking), stdout=subprocess.PIPE, check=True)
        return Loaded.of(json.loads(done.stdout))

    def _load_command(self, port: int, model: str, mode: list[str], asking: dict[str, str]) -> list[str | Path]:
        self.prepare(model)
        request = self.folder / f"{model}.request"
        request.write_bytes(request_of(model, asking))
        return self.command("load", str(port), request, str(answer(model).marks), *mode, *self._mode)

    def command(self, name: str, *arguments: str | Path) -> list[str | Path]:
        """One of the two programs, as this kit has it."""
        if self.kind == "c":
            return [program(name), *arguments]
        return [sys.executable, "-m", f"tests.bench.{name}", *arguments]
