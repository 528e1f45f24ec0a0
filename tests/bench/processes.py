"""CPU time as the kernel counts it: of one process with its children, and of the whole machine."""

import os
from contextlib import suppress
from pathlib import Path

COUNT = os.cpu_count() or 1
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and all its descendants, those that have ended and been waited for too."""
    ticks = 0
    pending = [pid]
    while pending:
        one = pending.pop()
        try:
            fields = Path(f"/proc/{one}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pending += _children(one)
        ticks += sum(map(int, fields[11:15]))  # utime stime cutime cstime: fields 14 to 17 of proc_pid_stat(5)
    return ticks / _TICKS


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, children.read_text(encoding="ascii").split())
    return found


def machine_busy_s() -> float:
    """Seconds that all cores together were not idle; stolen time counts as busy."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / _TICKS


def cores() -> tuple[int, int]:
    """The core for the peers and the core for upstream and clients; the same where there is but one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def pin(core: int) -> None:
    """Keeps this process, and what it starts from now on, on one core."""
    os.sched_setaffinity(0, {core})
