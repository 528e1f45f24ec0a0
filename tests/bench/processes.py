"""What the kernel counts: CPU time and memory of a process with all its descendants, and of the whole machine."""

import os
from contextlib import suppress
from pathlib import Path

COUNT = os.cpu_count() or 1
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, children.read_text(encoding="ascii").split())
    return found


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and all its descendants, those that have ended and been waited for too."""
    ticks = 0
    for one in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{one}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime stime cutime cstime: fields 14 to 17 of proc_pid_stat(5)
    return ticks / _TICKS


def rss_mb(pid: int) -> float:
    """Resident megabytes (10^6) of a process and its descendants, added up: pages that they share count for each."""
    pages = 0
    for one in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            pages += int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE / 1e6


def machine_busy_s() -> float:
    """Seconds that all cores together were not idle; stolen time counts as busy."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / _TICKS


def cores() -> tuple[int, int]:
    """The core for the peers and the core for upstream and clients; the same where there is but one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def pin(*cores: int) -> None:
    """Keeps this process, and what it starts from now on, on these cores."""
    os.sched_setaffinity(0, cores)
