"""Server-sent events: bytes → events and back, by the WHATWG specification, on bytes.

Never `str.splitlines`: it also breaks at U+2028, U+0085 and others, which are legal inside JSON strings.
https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation (2026-11-22)

One byte is looked for by its number (`LINE_FEED in data`), several with `find`, here and wherever events are read: given
bytes, `in` first takes them for a number, which raises and clears an exception inside (CPython 3.11, `_Py_bytes_contains`).
"""

Event = tuple[bytes | None, bytes]
"""(name, data). The name is b"" for the default event and None for a comment, whose text is then the data."""

DONE = b"[DONE]"
LINE_FEED = 0x0A
MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Precedent: none has a limit in the specification; base64 images and encrypted reasoning reach several MiB."""

_BOM = b"\xef\xbb\xbf"
_RETURN = 0x0D


class EventTooLargeError(ValueError):
    """One event is larger than the cap."""


def encode(payload: bytes) -> bytes:
    """One event with `payload` (which holds no line break) as its only data line."""
    return b"data: " + payload + b"\n\n"


def separation(tail: bytes) -> bytes:
    """What must precede a new event after these last bytes of a stream: line breaks that end an event cut off in it."""
    return b"" if not tail or tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) else b"\n\n"


def comment(text: bytes) -> bytes:
    """A comment, which clients skip; it keeps connections open."""
    return b": " + text + b"\n\n"


class EventParser:
    """Bytes in any cut → events.

    `feed` returns the events that are complete; `close` the last one, if the stream ended without its blank line
    (the specification drops it; relays that forget the blank line are common, so it is kept).
    Raises EventTooLargeError once the text of one event exceeds `max_event_bytes`.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._parts: list[bytes] = []  # text of the unfinished event: joined only when its end arrives
        self._size = 0
        self._skip_lf = False
        self._bom: bytes | None = b""  # what may still be a byte order mark; None once decided

    def feed(self, data: bytes) -> list[Event]:
        """Returns the events that `data` completes, in order."""
        *blocks, rest = self.join(data).split(b"\n\n")
        self.keep(rest)
        events: list[Event] = []
        for block in blocks:
            read(block, events)
        return events

    def join(self, data: bytes) -> bytes:
        """All bytes not yet read, with plain line feeds, once they hold the end of an event; before that, b"".

        The caller reads the blocks, each of which ends with a blank line, and gives the rest to `keep`.
        """
        if self._bom is not None:
            data = self._without_bom(data)
        if data.endswith(b"\n\n") and not self._parts and not self._skip_lf and _RETURN not in data:
            return data
        if self._skip_lf and data:
            self._skip_lf = False
            if data.startswith(b"\n"):
                data = data[1:]
        if _RETURN in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ends_inside = (
            data.endswith(b"\n\n")
            or data.find(b"\n\n") >= 0
            or (data.startswith(b"\n") and self._parts and self._parts[-1].endswith(b"\n"))
        )
        if not ends_inside:
            self._append(data)
            return b""
        if self._parts:
            self._parts.append(data)
            data = b"".join(self._parts)
            self._parts = []
            self._size = 0
        return data

    def keep(self, rest: bytes) -> None:
        """Takes back what of `join` holds no end of an event."""
        self._append(rest)

    def close(self) -> list[Event]:
        """Returns what is left, read as if its blank line had come."""
        events: list[Event] = []
        block = (self._bom or b"") + b"".join(self._parts)
        self._parts = []
        self._size = 0
        read(block, events)
        return events

    def _without_bom(self, data: bytes) -> bytes:
        head = (self._bom or b"") + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._bom = head
            return b""
        self._bom = None
        return head.removeprefix(_BOM)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._max:
            msg = f"an event of more than {self._max} bytes"
            raise EventTooLargeError(msg)


def read(block: bytes, events: list[Event]) -> None:
    """Appends what one block of lines (without its blank line) dispatches."""
    if block.startswith(b"data:") and LINE_FEED not in block:
        data = block[6:] if block.startswith(b" ", 5) else block[5:]
        if data:
            events.append((b"", data))
        return
    name = b""
    lines: list[bytes] = []
    for line in block.split(b"\n"):
        if not line:
            continue
        key, colon, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if key == b"data":
            lines.append(value)
        elif key == b"event":
            name = value
        elif colon and not key:
            events.append((None, value))
    data = b"\n".join(lines)
    if data:
        events.append((name, data))
