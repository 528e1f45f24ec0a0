"""The `process_*` metrics, under the names and meanings of all Prometheus clients. Read from `/proc`, where that is."""

import contextlib
import os
from pathlib import Path

from proxy.telemetry.registry import Gauge, Kind, Registry

_PROC = Path("/proc")
_BOOTED = "btime "
_MOST_FILES = "Max open files "


class Process:
    """This process's families. Without `/proc` there are none but the processor's time."""

    def __init__(self, registry: Registry, proc: Path = _PROC) -> None:
        self._own = proc / "self"
        self._cpu = _gauge(registry, "process_cpu_seconds_total", "User and system CPU time in seconds.", Kind.COUNTER)
        self._there = (self._own / "stat").is_file()
        if not self._there:
            return
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._virtual = _gauge(registry, "process_virtual_memory_bytes", "Virtual memory size in bytes.")
        self._resident = _gauge(registry, "process_resident_memory_bytes", "Resident memory size in bytes.")
        self._open = _gauge(registry, "process_open_fds", "Number of open file descriptors.")
        most = _gauge(registry, "process_max_fds", "Maximum number of open file descriptors.")
        limits = (self._own / "limits").read_text().splitlines()
        most.set(float(next(line for line in limits if line.startswith(_MOST_FILES)).split()[3]))
        started = _gauge(registry, "process_start_time_seconds", "Start time since the Unix epoch in seconds.")
        boot = next(line for line in (proc / "stat").read_text().splitlines() if line.startswith(_BOOTED))
        started.set(float(boot.removeprefix(_BOOTED)) + float(self._stat()[19]) / os.sysconf("SC_CLK_TCK"))

    def read(self) -> None:
        """Brings the values up to date."""
        times = os.times()
        self._cpu.set(times.user + times.system)
        if not self._there:
            return
        stat = self._stat()
        self._virtual.set(float(stat[20]))
        self._resident.set(float(stat[21]) * self._page)
        with contextlib.suppress(OSError):
            self._open.set(sum(1 for _ in (self._own / "fd").iterdir()))

    def _stat(self) -> list[str]:
        """The fields of `/proc/self/stat` after the name, which may hold anything: the third is number 0 (proc(5))."""
        return (self._own / "stat").read_text().rpartition(")")[2].split()


def _gauge(registry: Registry, name: str, text: str, kind: Kind = Kind.GAUGE) -> Gauge:
    return registry.gauge(registry.family(name, kind, text))
