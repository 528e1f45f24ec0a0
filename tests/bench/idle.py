"""Keeps the peers' core from halting while they are measured.

An idle core of a virtual machine halts, and the hypervisor gives it back when it gets round to it: milliseconds on a busy
host, and each way costs CPU that the kernel books to whoever woke or was woken.
"""

import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Idle = Literal["polls", "kept busy", "halts"]
"""What the peers' core does with nothing to do: it looks in the kernel for work, which only root may ask for; a process of
the lowest class runs on it; or it sleeps."""

LATENCY = Path("/dev/cpu_dma_latency")
"""While this is held open, no core idles more deeply than the microseconds written into it (int32; kernel.org, PM QoS)."""
_STATES = Path("/sys/devices/system/cpu")


def idle_of(core: int) -> Idle:
    """How the core can be kept from halting on this machine, where programs in C can be had."""
    with suppress(OSError):
        shallowest = _STATES / f"cpu{core}" / "cpuidle" / "state0" / "name"
        if shallowest.read_text(encoding="ascii").strip() == "POLL":
            with _no_latency():
                return "polls"
    return "kept busy"


@contextmanager
def unhalted(core: int, how: Idle, program: Callable[[str], Path]) -> Iterator[None]:
    """Within it the core does not halt. Raises OSError where that cannot be had."""
    if how == "halts":
        yield
        return
    with _no_latency() if how == "polls" else _busy(core, program("spin")):
        yield


@contextmanager
def _no_latency() -> Iterator[None]:
    held = os.open(LATENCY, os.O_WRONLY)
    try:
        os.write(held, struct.pack("i", 0))
        yield
    finally:
        os.close(held)


@contextmanager
def _busy(core: int, spin: Path) -> Iterator[None]:
    with subprocess.Popen([spin, str(core)], stdout=subprocess.PIPE, text=True) as spinning:
        try:
            assert spinning.stdout is not None
            if not spinning.stdout.readline():
                raise OSError(f"no process can be kept on core {core}: see above")
            yield
        finally:
            spinning.kill()
