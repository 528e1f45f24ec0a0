r"""Events that differ from an already parsed one in nothing but a text, passed on as bytes.

    data: {"id":"x","choices":[{"index":0,"delta":{"reasoning":" odd"},"finish_reason":null}]}
    └──────────────────── head ───────────────────────────────┘    └────── tail ─────────────┘

A frame is what stands around the text of one event that took the short way. JSON is read from left to right, so that
whatever stands between that head and that tail, if it is the inside of one JSON string, is that text, and all else is
what was parsed before: no key, escape or space can hide. What the short way makes of such an event is known but for
the text: a probe in its place shows it. A padding at the very end (`"obfuscation":"4Zx"}`) may differ as well: it is
passed on by the parser, which does not read it. Hosts that change anything else in each event, such as a time, have no
frame that comes twice; their events are parsed.
"""

import re

import orjson

from proxy.core.choice import Choice
from proxy.core.chunk import Kind
from proxy.core.normalizer import Normalizer
from proxy.core.short_way import Short, may, spoke
from proxy.core.splitter import TagSplitter
from proxy.core.sse import LINE_FEED

PROBE = "the text of this event…"
"""Stands for every text. Not ASCII: how it leaves tells how all others would."""
MAX_FRAMES = 4
"""Reasoning and answer of two choices that take turns."""
CREDIT = 4
"""Frames learned in vain, before no more are learned."""
PATIENCE = 8
"""Events of a kind that are parsed before one of them is learned from: that costs as much as parsing three."""

_PROBE = b'"' + PROBE.encode() + b'"'
_PAYLOAD = re.compile(rb"data: ?")
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_PADDED = re.compile(rb'"obfuscation":"([0-9A-Za-z+/=_-]*"\})\Z')
_PADDING = re.compile(rb'[0-9A-Za-z+/=_-]*"\}\n\n')
_BETWEEN = b"|"
_WHITE_END = b" |"
_ESCAPE = b"\\"
_BACKSLASH = _ESCAPE[0]


class Frame:
    """What stands around the text of an event (`given`) and of what leaves for it (`left`), in one or more places.

    Both begin with `data:` and end with the blank line.
    """

    __slots__ = (
        "choice",
        "given",
        "glue",
        "head",
        "kind",
        "left",
        "lone",
        "met",
        "said",
        "same",
        "size",
        "tail",
        "under_two",
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
        in_one_place = len(given) == len(left) == 2  # noqa: PLR2004 - what stands before the text, and behind it
        self.lone = in_one_place and self.tail.endswith(b"\n\n") and said.enters_length_only
        """Whether `alone` can take its events."""
        self.under_two = 2 * (self.size + len(self.tail))
        """Bytes that two events have more than: most reads that begin and end with this frame and have fewer are one."""

    def alone(self, data: bytes) -> bytes | None:
        """What leaves for a read that is one event of this frame and nothing else; None: it may be more than that.

        Only while nothing but events of this frame has come since one was taken, and no part of one is waiting. Does what
        `texts`, `leaving` and `_enter` do, for nearly all reads of a stream whose events come one by one.
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
        elif _BACKSLASH in quoted and not self.verbatim:
            return None
        else:
            leaving = self.left[0] + quoted[1:-1] + self.left[1]
        if self.kind == "reasoning":
            self.choice.echo.lead(self.said.way, text, len(text))
        return leaving

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
        if not self.verbatim and _BACKSLASH in joined:
            plain = [_rewritten(text) if _BACKSLASH in text else text for text in texts]
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


class _Run:
    """Events of one frame that follow each other in a read, some of which have to be parsed."""

    __slots__ = ("at", "end", "frame", "texts")

    def __init__(self, frame: Frame, at: int, texts: list[bytes], end: int) -> None:
        self.frame = frame
        self.at = at
        self.texts = texts
        self.end = end

    def after(self, count: int) -> int:
        """Where the first `count` events end."""
        frame = self.frame
        return self.at + sum(map(len, self.texts[:count])) + count * (frame.size + len(frame.tail))

    def skip_to(self, at: int) -> bool:
        """Forgets the events before `at`; False where none begins there."""
        count = 0
        while self.at < at and count < len(self.texts):
            self.at += self.frame.size + len(self.texts[count]) + len(self.frame.tail)
            count += 1
        self.texts = self.texts[count:]
        return self.at == at and bool(self.texts)


class BytePath:
    """The frames of one stream. `learn` looks at events that were parsed, `take` passes on the ones after them."""

    def __init__(self, normalizer: Normalizer) -> None:
        self._normalizer = normalizer
        self.frames: list[Frame] = []
        """While there are none, `take` takes nothing."""
        self._credit = CREDIT
        self._ways: dict[tuple[int, str], int] = {}  # index of a choice, and how it spoke → how often it was parsed
        self._parsed_to = 0
        self._rest: _Run | None = None
        self._last: Frame | None = None  # whose events were taken, since when nothing was parsed

    def lane(self) -> Frame | None:
        """The frame whose events were taken last, where `Frame.alone` may take the next one."""
        frame = self._last
        if frame is not None and frame.lone and (not frame.watched or frame.choice.literal):
            return frame
        return None

    def take(self, data: bytes, at: int) -> tuple[int, bytes, Kind] | None:
        """Takes the events at `at` of `data` that have one frame: their end, what leaves for them, what they generate.

        None: the event there has to be parsed, or is not whole. A new read begins at 0.
        """
        last, self._last = self._last, None
        if not at:
            self._parsed_to = 0
            self._rest = None
        elif at < self._parsed_to:
            return None
        for frame in self.frames:
            # What has just been taken changes nothing of whether more of it may be.
            if data.startswith(frame.head, at) and (frame is last or may(frame.choice, frame.said)):
                splitter = frame.choice.splitter if frame.watched and not frame.choice.literal else None
                if splitter is None and self._rest is None:
                    texts, end = frame.texts(data, at)
                else:
                    texts, end = self._run(frame, splitter, data, at)
                if not texts:
                    continue
                joined = _BETWEEN.join(texts)
                try:
                    _enter(frame, texts, joined)
                except orjson.JSONDecodeError:
                    self._parsed_to = end
                    return None
                if not frame.met:
                    frame.met = True
                    self._credit += 1
                self._last = frame
                return end, data[at:end] if frame.same else frame.leaving(texts, joined), frame.kind
        return None

    def _run(self, frame: Frame, splitter: TagSplitter | None, data: bytes, at: int) -> tuple[list[bytes], int]:
        """The texts from `at` that need no look, and their end. Each event is looked for once in a read."""
        run = self._rest
        known = run is not None and run.frame.given == frame.given and run.skip_to(at)
        if run is None or not known:
            run = _Run(frame, at, *frame.texts(data, at))
        count = len(run.texts) if splitter is None else _sure(splitter, run.texts, look=not known)
        self._rest = None
        if count == len(run.texts):
            return run.texts, run.end
        self._rest = run
        texts, end = run.texts[:count], run.after(count)
        self._parsed_to = run.after(count + 1)
        return texts, end

    def learn(self, block: bytes) -> None:
        """Looks at the lines of an event that the normalizer has just been fed, and keeps its frame if it has one."""
        found = self._normalizer.short
        if found is None or not self._credit:
            return
        choice, said, _ = found
        way = (choice.index, said.way)
        parsed = self._ways[way] = self._ways.get(way, 0) + 1
        if parsed < PATIENCE:
            return
        if any(
            frame.choice is choice and frame.said.way == said.way and block.startswith(frame.head)
            for frame in self.frames
        ):
            return
        frame = self._frame(block, choice, said)
        if frame is not None:
            self._credit -= 1
            self.frames = [frame, *self.frames[: MAX_FRAMES - 1]]

    def _frame(self, block: bytes, choice: Choice, said: Short) -> Frame | None:
        """The frame of a block. With no escape in it, it holds the probe nowhere in disguise."""
        payload = _PAYLOAD.match(block)
        if payload is None or LINE_FEED in block or _BACKSLASH in block or block.find(_PROBE) >= 0:
            return None
        padded = _PADDED.search(block)
        own = b"" if padded is None else padded.group(1)
        parts = block.removesuffix(own).split(b'"' + said.text.encode() + b'"')
        if len(parts) != said.times + 1 or (padded is not None and said.times > 1):
            return None
        event = _PROBE.join(parts)[payload.end() :] + own
        would = self._normalizer.would_say(event)
        if would is None or would[0].text != PROBE or not would[0].is_like(said):
            return None
        left = (b"data: " + would[1].removesuffix(own)).split(_PROBE)
        if len(left) == 1:
            return None
        verbatim = would[1] == event
        if padded is None:
            return Frame(_quoted(parts, b"\n\n"), _quoted(left, b"\n\n"), choice, said, verbatim=verbatim)
        if not left[-1].endswith(b'"obfuscation":"'):
            return None
        return PaddedFrame(_quoted(parts, b""), _quoted(left, b""), choice, said, verbatim=verbatim)


def _end(data: bytes, start: int) -> int:
    """Where the inside of a JSON string that begins at `start` ends."""
    end = data.find(b'"', start)
    if data.find(_ESCAPE, start, end) < 0:
        return end
    found = _INSIDE.match(data, start)
    return found.end() if found else start


def _sure(splitter: TagSplitter, texts: list[bytes], *, look: bool) -> int:
    """How many of the texts, from the first one on, hold nothing that could be, or hold back, a delimiter.

    `look`: whether all of them together may be clean. White space other than a space, and characters in disguise,
    are escapes in JSON.
    """
    stops = [_ESCAPE, *map(str.encode, splitter.heads)]
    if splitter.holds_white:
        stops.append(_WHITE_END)
    if look and not _any_in(stops, _BETWEEN.join(texts) + _BETWEEN):
        return len(texts)
    for count, text in enumerate(texts):
        if _any_in(stops, text + _BETWEEN):
            return count
    return len(texts)


def _any_in(stops: list[bytes], text: bytes) -> bool:
    for stop in stops:  # noqa: SIM110 - a generator costs as much as the search
        if text.find(stop) >= 0:
            return True
    return False


def _enter(frame: Frame, texts: list[bytes], joined: bytes) -> None:
    """Enters into the choice what was said. Raises JSONDecodeError where a text is not the inside of one JSON string.

    What stands between two texts lets nothing of the one complete what the other lacks.
    """
    value: str = orjson.loads(b'"' + joined + b'"')
    said, choice = frame.said, frame.choice
    if said.way == "content":
        return
    size = len(value) - len(texts) + 1
    if len(texts) > 1 and (said.way == "call" or choice.echo.hungry):
        value = "".join(orjson.loads(b'["' + b'","'.join(texts) + b'"]'))
    spoke(choice, said, value, size, len(texts))


def _rewritten(text: bytes) -> bytes:
    return orjson.dumps(orjson.loads(b'"' + text + b'"'))[1:-1]


def _quoted(parts: list[bytes], end: bytes) -> list[bytes]:
    """Parts of a block without the text and its quotes → with the quotes, and what ends them all."""
    first, *between, last = parts
    return [first + b'"', *(b'"' + part + b'"' for part in between), b'"' + last + end]
