"""The doubles of several processes: each has two files in a common folder, which the others read.

`NAME.values` is a memory map of doubles, which its process holds a lock on as long as it lives. `NAME.names` has one
line of JSON for each series: family, label values, first slot. A process that died leaves both: what it counted stays
counted, and its gauges are passed over.
"""

import contextlib
import json
import mmap
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

with contextlib.suppress(ImportError):  # not on Windows, where there are no workers
    import fcntl

from proxy.telemetry.registry import Family, Kind, Memory, Merge, Registry, Values

SLOTS = 1 << 20
"""Doubles in one file, which is sparse: what is not used needs no room."""
_VALUES, _NAMES = ".values", ".names"


class SharedStore:
    """This process's doubles. Raises OSError where the folder takes none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"  # process ids repeat
        self._file = (folder / (self.name + _VALUES)).open("x+b")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.truncate(SLOTS * 8)
        self._map = mmap.mmap(self._file.fileno(), SLOTS * 8)
        self._view = memoryview(self._map).cast("d")
        self.values: Values = self._view
        self._names = (folder / (self.name + _NAMES)).open("x", encoding="utf-8")
        self._used = 0

    def reserve(self, family: Family, labels: tuple[str, ...]) -> int:
        """Makes room for one series and tells the others of it. Raises MemoryError where the file is full."""
        slot = self._used
        if slot + family.width > SLOTS:
            raise MemoryError(f"no room for another series of {family.name}")
        self._used += family.width
        self._names.write(json.dumps([family.name, labels, slot]) + "\n")
        self._names.flush()
        return slot

    def close(self) -> None:
        """This process counts no more; what it counted stays."""
        self._names.close()
        self._view.release()
        self._map.close()
        self._file.close()


class Neighbour:
    """Another process's doubles."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = (folder / (name + _VALUES)).open("rb")
        self._map = mmap.mmap(self._file.fileno(), SLOTS * 8, access=mmap.ACCESS_READ)
        self.values = memoryview(self._map).cast("d")
        self._names = (folder / (name + _NAMES)).open("rb")
        self._rest = b""
        self._series: list[tuple[str, tuple[str, ...], int]] = []

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    def series(self) -> list[tuple[str, tuple[str, ...], int]]:
        """Family, label values and first slot of all series that it has by now."""
        *lines, self._rest = (self._rest + self._names.read()).split(b"\n")
        for line in lines:
            name, labels, slot = json.loads(line)
            self._series.append((name, tuple(labels), slot))
        return self._series

    def close(self) -> None:
        """It is not read any more."""
        self.values.release()
        self._map.close()
        self._file.close()
        self._names.close()


class Neighbourhood:
    """All processes of one folder, as one of them sees it."""

    def __init__(self, own: Registry, store: SharedStore) -> None:
        self._own, self._store = own, store
        self._known: dict[str, Neighbour] = {}

    def merged(self) -> Iterator[Registry | None]:
        """None after each process that was read, so that the caller may see to other things; at last all together."""
        whole = Registry(Memory())
        for family in self._own.families.values():
            whole.family(family.name, family.kind, family.text, family.labels, bounds=family.bounds, merge=family.merge)
        for family, labels, slot in self._own.sources():
            _take(whole, whole.families[family.name], labels, self._own.row(family, slot))
        yield None
        for neighbour in self._others():
            alive = neighbour.alive
            for name, labels, slot in neighbour.series():
                family = whole.families[name]
                if alive or family.kind is not Kind.GAUGE:
                    _take(whole, family, labels, neighbour.values[slot : slot + family.width].tolist())
            yield None
        yield whole

    def _others(self) -> list[Neighbour]:
        for path in self._store.folder.glob("*" + _NAMES):
            if path.stem != self._store.name and path.stem not in self._known:
                self._known[path.stem] = Neighbour(self._store.folder, path.stem)
        return list(self._known.values())

    def close(self) -> None:
        """No one is read any more."""
        for neighbour in self._known.values():
            neighbour.close()


def _take(whole: Registry, family: Family, labels: tuple[str, ...], theirs: Sequence[float]) -> None:
    first = labels not in family.series
    slot, values = whole.slot(family, labels), whole.values
    for place, value in enumerate(theirs, slot):
        if first or family.merge is Merge.SUM:
            values[place] += value
        else:
            values[place] = (min if family.merge is Merge.LEAST else max)(values[place], value)


def prepare(folder: Path) -> None:
    """Makes the folder that the processes share, empty."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*" + _VALUES), *folder.glob("*" + _NAMES)):
        with contextlib.suppress(FileNotFoundError):
            old.unlink()
