"""What stands around the text of an event, and how events that have it are taken (see `byte_path.py`)."""

import re

import orjson

from proxy.core.choice import Choice
from proxy.core.chunk import Kind
from proxy.core.short_way import Short

ESCAPE = b"\\"
BACKSLASH = ESCAPE[0]
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_PADDING = re.compile(rb'[0-9A-Za-z+/=_-]*"\}\n\n')


class Frame:
    """What stands around the text of an event (`given`) and of what leaves for it (`left`), in one or more places.

    Both begin with `data:` and end with the blank line.
    """

    __slots__ = (
        "choice",
        "given",
        "glue",
        "head",
        "hungry",
        "kind",
        "left",
        "lone",
        "met",
        "said",
        "same",
        "size",
        "tail",
        "under_two",
        "unsaid",
        "verbatim",
        "watched",
    )

    def __init__(self, given: list[bytes], left: list[bytes], choice: Choice, said: Short, *, verbatim: bool) -> None:
        self.given = given
        self.head, self.tail = given[0], given[-1]
        self.size = len(self.head)
        self.left = left
        self.glue = left[-1] + left[0]
        self.same = given == left
        self.verbatim = verbatim
        """Whether the JSON of an event leaves as it came."""
        self.choice = choice
        self.said = said
        self.kind: Kind = said.kind
        self.watched = said.way in ("tags", "content")
        """Whether the text may hold a delimiter."""
        self.met = False
        """Whether a second event had it."""
        self.lone: bool | None = None
        """Whether `alone` can take its events; None: nobody has asked, as in reads of many events nobody does."""
        self.under_two = 2 * (self.size + len(self.tail))
        """Bytes that two events have more than: most reads that begin and end with this frame and have fewer are one."""
        self.hungry = True
        """Whether the texts that `alone` takes may still be wanted, and not only their size (`Echo.hungry`)."""
        self.unsaid = 0
        """Characters of reasoning that `alone` took and `leave` has not entered yet."""

    def may_be_alone(self) -> bool:
        """Whether `alone` can take its events."""
        in_one_place = len(self.given) == len(self.left) == 2  # noqa: PLR2004 - what stands before the text, and behind it
        return in_one_place and self.tail.endswith(b"\n\n") and self.said.enters_length_only

    def alone(self, data: bytes) -> bytes | None:
        """What leaves for a read that is one event of this frame and nothing else; None: it may be more than that.

        Only while nothing but events of this frame has come since one was taken, and no part of one is waiting; `leave`
        ends that. Does what `texts`, `leaving` and `_enter` do, for nearly all reads of a stream whose events come one by
        one.
        """
        head, tail = self.head, self.tail
        if len(data) > self.under_two or not data.startswith(head) or not data.endswith(tail):
            return None
        quoted = data[self.size - 1 : 1 - len(tail)]
        try:
            text: str = orjson.loads(quoted)
        except orjson.JSONDecodeError:
            return None
        if not text:
            return None
        if self.same:
            leaving = data
        elif BACKSLASH in quoted and not self.verbatim:
            return None
        else:
            leaving = self.left[0] + quoted[1:-1] + self.left[1]
        if not self.said.source:
            return leaving
        if self.hungry:
            self.choice.echo.lead(self.said.way, text, len(text))
            self.hungry = self.choice.echo.hungry
        else:
            self.unsaid += len(text)
        return leaving

    def leave(self) -> None:
        """Enters what `alone` took: something else is to be read."""
        if self.unsaid:
            self.choice.echo.lead(self.said.way, "", self.unsaid)
            self.unsaid = 0

    def texts(self, data: bytes, at: int) -> tuple[list[bytes], int]:
        """The texts of the events that have this frame, one after the other from `at`, as JSON writes them; their end."""
        if len(self.given) > 2:  # noqa: PLR2004 - the text stands in more than one place
            return self._repeated(data, at)
        head, tail, size = self.head, self.tail, self.size
        texts: list[bytes] = []
        while data.startswith(head, at):
            start = at + size
            end = data.find(b'"', start)
            if not data.startswith(tail, end):
                end = _end(data, start)
                if not data.startswith(tail, end):
                    break
            if end == start:
                break
            texts.append(data[start:end])
            at = end + len(tail)
        return texts, at

    def _repeated(self, data: bytes, at: int) -> tuple[list[bytes], int]:
        """The same where the text stands in several places."""
        head, size, (_, *others) = self.head, self.size, self.given
        texts: list[bytes] = []
        while data.startswith(head, at):
            start = at + size
            end = _end(data, start)
            text = data[start:end]
            tail = text.join(others)
            if not text or not data.startswith(tail, end):
                break
            texts.append(text)
            at = end + len(tail)
        return texts, at

    def leaving(self, texts: list[bytes], joined: bytes) -> bytes:
        """What leaves for these texts. JSON has several ways to write a text with escapes; one of them leaves."""
        plain = texts
        if not self.verbatim and BACKSLASH in joined:
            plain = [_rewritten(text) if BACKSLASH in text else text for text in texts]
        if len(self.left) > 2:  # noqa: PLR2004 - the text stands in more than one place
            return b"".join([text.join(self.left) for text in plain])
        return self.left[0] + self.glue.join(plain) + self.left[1]


class PaddedFrame(Frame):
    """One whose events end with a padding of their own. It takes one event at a time; `given` and `left` end before that."""

    __slots__ = ("_padding",)

    def texts(self, data: bytes, at: int) -> tuple[list[bytes], int]:
        """The text of the event at `at`, which begins as this frame does, and the event's end."""
        start = at + self.size
        end = _end(data, start)
        found = None
        if end > start and data.startswith(self.tail, end):
            found = _PADDING.match(data, end + len(self.tail))
        if found is None:
            return [], at
        self._padding = found.group()
        return [data[start:end]], found.end()

    def leaving(self, texts: list[bytes], joined: bytes) -> bytes:
        """What leaves for this text, with the event's own padding."""
        return super().leaving(texts, joined) + self._padding


def _end(data: bytes, start: int) -> int:
    """Where the inside of a JSON string that begins at `start` ends."""
    end = data.find(b'"', start)
    if data.find(ESCAPE, start, end) < 0:
        return end
    found = _INSIDE.match(data, start)
    return found.end() if found else start


def _rewritten(text: bytes) -> bytes:
    return orjson.dumps(orjson.loads(b'"' + text + b'"'))[1:-1]
