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
from proxy.core.chunk import Chunk, Kind
from proxy.core.frame import BACKSLASH, ESCAPE, Frame, PaddedFrame
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
PATIENCE = 4
"""Events of a kind that are parsed before one of them is learned from: that costs as much as parsing two."""
AT_ONCE = 2
"""As many of a kind are learned from at once if their text stands in one place: that costs half of parsing one."""

_PROBE = b'"' + PROBE.encode() + b'"'
_PAYLOAD = re.compile(rb"data: ?")
_PADDED = re.compile(rb'"obfuscation":"([0-9A-Za-z+/=_-]*"\})\Z')
_LEAD = b"data: "
_PADDING_KEY = b'"obfuscation"'
_BETWEEN = b"|"
_LINE_END = b"\n"
_WHITE_END = b" \n"


class _Run:
    """Events of one frame that follow each other in a read, some of which have to be parsed.

    `at` is where the next one begins in the read.
    """

    __slots__ = ("_end", "_found", "_line", "_lines", "_next", "_step", "_texts", "at", "frame")

    def __init__(self, frame: Frame, at: int, texts: list[bytes], end: int) -> None:
        self.frame = frame
        self.at = at
        self._end = end
        self._texts = texts
        self._lines = _LINE_END.join([*texts, b""])
        self._next = 0  # index of the next one's text,
        self._line = 0  # and where it begins in the lines
        self._step = frame.size + len(frame.tail) - 1  # bytes that an event has more than its line
        self._found: dict[bytes, int] = {}  # what was looked for → where it comes next

    def take(self, stops: list[bytes]) -> list[bytes]:
        """The next texts, up to one that holds any of these."""
        start, at = self._next, self._until(stops)
        count = self._lines.count(_LINE_END, self._line, at)
        self._go(count, self._lines.rfind(_LINE_END, 0, at) + 1)
        return self._texts[start : start + count]

    def skip(self) -> int:
        """Passes the next event over; where it ends. To be called where there is one."""
        self._go(1, self._lines.find(_LINE_END, self._line) + 1)
        return self.at

    def skip_to(self, at: int) -> bool:
        """Forgets the events before `at`; False where none begins there."""
        while self.at < at and not self.over:
            self.skip()
        return self.at == at and not self.over

    @property
    def sound(self) -> bool:
        """Whether a line is a text: none that is JSON holds the end of one."""
        return self._lines.count(_LINE_END) == len(self._texts)

    @property
    def over(self) -> bool:
        return self._next == len(self._texts)

    def _go(self, count: int, line: int) -> None:
        self._next += count
        self.at = self._end if self.over else self.at + line - self._line + count * self._step
        self._line = line

    def _until(self, stops: list[bytes]) -> int:
        """Where the first of these is in the lines that are left; where they end, if none is."""
        lines, line, found = self._lines, self._line, self._found
        until = len(lines)
        for stop in stops:
            at = found.get(stop, -1)
            if at < line:
                at = lines.find(stop, line)
                found[stop] = at = len(lines) if at < 0 else at
            until = min(until, at)
        return until


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
        if frame is None or (frame.watched and not frame.choice.literal):
            return None
        if frame.lone is None:
            frame.lone = frame.may_be_alone()
        return frame if frame.lone else None

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
        if run is None or run.frame.given != frame.given or not run.skip_to(at):
            texts, end = frame.texts(data, at)
            if splitter is None or not texts:
                return texts, end
            run = _Run(frame, at, texts, end)
            if not run.sound:
                self._parsed_to = end
                return [], at
        texts, end = run.take(_stops(splitter)), run.at
        self._rest = None if run.over else run
        if not run.over:
            self._parsed_to = run.skip()
        return texts, end

    def learn(self, block: bytes) -> None:
        """Looks at the lines of an event that the normalizer has just been fed, and keeps its frame if it has one."""
        found = self._normalizer.short
        if found is None or not self._credit:
            return
        choice, said, chunk = found
        way = (choice.index, said.way)
        parsed = self._ways[way] = self._ways.get(way, 0) + 1
        if AT_ONCE < parsed < PATIENCE:
            return
        for known in self.frames:
            if known.choice is choice and known.said.way == said.way and block.startswith(known.head):
                return
        frame = self._frame(block, choice, said) if parsed >= PATIENCE else _frame_at_once(block, choice, said, chunk)
        if frame is not None:
            self._credit -= 1
            self.frames = [frame, *self.frames[: MAX_FRAMES - 1]]

    def _frame(self, block: bytes, choice: Choice, said: Short) -> Frame | None:
        """The frame of a block. With no escape in it, it holds the probe nowhere in disguise."""
        payload = _PAYLOAD.match(block)
        if payload is None or LINE_FEED in block or BACKSLASH in block or block.find(_PROBE) >= 0:
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


def _stops(splitter: TagSplitter | None) -> list[bytes]:
    """What a text holds that could be, or hold back, a delimiter; and an escape.

    White space other than a space, and characters in disguise, are escapes in JSON.
    """
    if splitter is None:
        return []
    stops = [ESCAPE, *map(str.encode, splitter.heads)]
    if splitter.holds_white:
        stops.append(_WHITE_END)
    return stops


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


def _frame_at_once(block: bytes, choice: Choice, said: Short, chunk: Chunk) -> Frame | None:
    """The frame of an event whose text stands in one place of it, and in one of what left for it.

    There is no other place where the text could be: it was found in the event, it is what left, and where the event has
    no escape, none hides it in either.
    """
    if LINE_FEED in block or BACKSLASH in block or not block.startswith(_LEAD) or block.find(_PADDING_KEY) >= 0:
        return None
    quoted = b'"' + said.text.encode() + b'"'
    parts = block.split(quoted)
    if len(parts) != 2 or said.times > 1:  # noqa: PLR2004 - before it, and behind
        return None
    around = _quoted(parts, b"\n\n")
    if chunk.raw is not None:
        return Frame(around, around, choice, said, verbatim=True)
    try:
        left = _LEAD + orjson.dumps(chunk.data)
    except TypeError:  # it leaves as `codec.dumps` writes what orjson refuses, and so would its text
        return None
    parts = left.split(quoted)
    if len(parts) != 2:  # noqa: PLR2004 - the same
        return None
    return Frame(around, _quoted(parts, b"\n\n"), choice, said, verbatim=False)


def _quoted(parts: list[bytes], end: bytes) -> list[bytes]:
    """Parts of a block without the text and its quotes → with the quotes, and what ends them all."""
    first, *between, last = parts
    return [first + b'"', *(b'"' + part + b'"' for part in between), b'"' + last + end]
