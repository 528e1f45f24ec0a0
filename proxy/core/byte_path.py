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
"""As many of a kind are learned from at once if they leave as they came: that costs half of parsing one."""

_PROBE = b'"' + PROBE.encode() + b'"'
_PAYLOAD = re.compile(rb"data: ?")
_PADDED = re.compile(rb'"obfuscation":"([0-9A-Za-z+/=_-]*"\})\Z')
_LEAD = b"data: "
_PADDING_KEY = b'"obfuscation"'
_BETWEEN = b"|"
_WHITE_END = b" |"


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
        choice, said, chunk = found
        way = (choice.index, said.way)
        parsed = self._ways[way] = self._ways.get(way, 0) + 1
        if parsed < PATIENCE and (parsed > AT_ONCE or chunk.raw is None):
            return
        for known in self.frames:
            if known.choice is choice and known.said.way == said.way and block.startswith(known.head):
                return
        frame = self._frame(block, choice, said) if parsed >= PATIENCE else _frame_of_same(block, choice, said)
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


def _sure(splitter: TagSplitter, texts: list[bytes], *, look: bool) -> int:
    """How many of the texts, from the first one on, hold nothing that could be, or hold back, a delimiter.

    `look`: whether all of them together may be clean. White space other than a space, and characters in disguise,
    are escapes in JSON.
    """
    stops = [ESCAPE, *map(str.encode, splitter.heads)]
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


def _frame_of_same(block: bytes, choice: Choice, said: Short) -> Frame | None:
    """The frame of an event that left as it came, if all others that have it will: its text stands in one place.

    There is no other place where the text could be: it was found in the event, and no escape can hide it.
    """
    if LINE_FEED in block or BACKSLASH in block or not block.startswith(_LEAD) or block.find(_PADDING_KEY) >= 0:
        return None
    parts = block.split(b'"' + said.text.encode() + b'"')
    if len(parts) != 2 or said.times > 1:  # noqa: PLR2004 - before it, and behind
        return None
    around = _quoted(parts, b"\n\n")
    return Frame(around, around, choice, said, verbatim=True)


def _quoted(parts: list[bytes], end: bytes) -> list[bytes]:
    """Parts of a block without the text and its quotes → with the quotes, and what ends them all."""
    first, *between, last = parts
    return [first + b'"', *(b'"' + part + b'"' for part in between), b'"' + last + end]
