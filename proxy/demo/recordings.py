"""Folders of recorded answers, as the package's docstring describes them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.core.codec import loads

FIRST_WAIT_S = 0.3
WAIT_S = 0.02
MEDIA_TYPES = {".sse": "text/event-stream; charset=utf-8", ".json": "application/json"}

# An event and the blank line that ends it. The groups are atomic: the two bytes of CRLF are never taken for two breaks.
_EVENT = re.compile(rb".+?(?>\r\n|\r|\n)(?>\r\n|\r|\n)+|.+", re.DOTALL)
_WAIT = re.compile(r"(\d{1,7}(?:\.\d{1,6})?)(?:x(\d{1,6}))?")


class RecordingError(ValueError):
    """A folder or a file in it that cannot be replayed; the message names the path and says what is wrong."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded answer."""

    name: str
    media_type: str
    status: int
    pieces: tuple[tuple[float, bytes], ...]
    """(seconds to wait before it, bytes), in order; together the bytes are the body."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(data for _, data in self.pieces)

    @property
    def events(self) -> list[bytes]:
        """The pieces without their waits: events and comments of a stream, or the one whole body."""
        return [data for _, data in self.pieces]


class Library:
    """The recordings of one folder. Files are read when they are asked for, so that an edited one is served at once."""

    def __init__(self, folder: Path) -> None:
        """Raises RecordingError where `folder` is no folder or holds no recording."""
        self.folder = folder
        self._files: dict[str, set[str]] = {}
        self._scan()
        if not self._files:
            raise RecordingError(f"{folder}: no recording in it (a file NAME.sse or NAME.json)")

    def names(self) -> list[str]:
        """The models that can be asked for, sorted."""
        return sorted(self._files)

    def find(self, name: str, *, stream: bool = True) -> Recording | None:
        """The recording of the model `name`, preferably in the asked form; None where there is none.

        Raises RecordingError where its files cannot be read.
        """
        if name not in self._files:
            self._scan()
        suffixes = self._files.get(name)
        if not suffixes:
            return None
        wanted = ".sse" if stream else ".json"
        return _read(self.folder / name, wanted if wanted in suffixes else min(suffixes))

    def _scan(self) -> None:
        files: dict[str, set[str]] = {}
        try:
            for path in self.folder.iterdir():
                if path.suffix in MEDIA_TYPES and not path.name.endswith(".meta.json") and path.is_file():
                    files.setdefault(path.stem, set()).add(path.suffix)
        except OSError as error:
            raise RecordingError(f"{self.folder}: {error.strerror}") from error
        self._files = files


def _read(stem: Path, suffix: str) -> Recording:
    path = _beside(stem, suffix)
    try:
        body = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    events = _EVENT.findall(body) if suffix == ".sse" else [body]
    waits = _waits(_beside(stem, ".timing"))
    return Recording(
        name=stem.name,
        media_type=MEDIA_TYPES[suffix],
        status=_status(_beside(stem, ".meta.json")),
        pieces=tuple((next(waits), event) for event in events),
    )


def _beside(stem: Path, suffix: str) -> Path:
    # Not with_suffix: names such as "model-3.5" hold dots.
    return stem.with_name(stem.name + suffix)


def _waits(path: Path) -> Iterator[float]:
    """Seconds to wait before each event, without end."""
    waits = _read_timing(path) if path.is_file() else [FIRST_WAIT_S, WAIT_S]
    yield from waits
    while True:
        yield waits[-1]


def _read_timing(path: Path) -> list[float]:
    waits: list[float] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read as text ({error})") from error
    for number, line in enumerate(lines, 1):
        for word in line.partition("#")[0].split():
            match = _WAIT.fullmatch(word)
            if not match:
                raise RecordingError(f"{path}:{number}: {word!r} is no wait (milliseconds such as 25, or 25x40)")
            waits += [float(match[1]) / 1000] * int(match[2] or 1)
    if not waits:
        raise RecordingError(f"{path}: holds no wait (milliseconds such as 25, or 25x40)")
    return waits


def _status(path: Path) -> int:
    if not path.is_file():
        return 200
    try:
        meta = loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path}: cannot be read as JSON ({error})") from error
    status = meta.get("http_status") if isinstance(meta, dict) else None
    return status if isinstance(status, int) and 200 <= status <= 599 else 200  # noqa: PLR2004 - HTTP's own bounds
