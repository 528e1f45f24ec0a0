"""Text for people: colour only on a terminal, and the two voices of an answer."""

import os
from typing import Literal, TextIO

Style = Literal["bold", "dim", "cyan", "green", "red", "yellow"]

_CODES: dict[Style, str] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
# Models can write escape sequences, and a terminal would obey them. Line breaks and tabs stay.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\N{REPLACEMENT CHARACTER}")
del _CONTROLS[ord("\n")], _CONTROLS[ord("\t")]


def is_coloured(stream: TextIO) -> bool:
    """Whether escape sequences may be written: a terminal, unless NO_COLOR is set (https://no-color.org) or it is dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: Style, stream: TextIO) -> str:
    """`text` in that style, or as it is where `stream` takes no colour."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if is_coloured(stream) else text


class Transcript:
    """Prints one answer as it arrives, reasoning and answer told apart.

    On one terminal they follow each other in two colours, or under headings where there is no colour. Where
    `answer_to` is another stream than `reasoning_to`, it gets the answer alone, and a line break at its end.
    """

    def __init__(
        self,
        reasoning_to: TextIO,
        answer_to: TextIO,
        *,
        reasoning_style: Style = "dim",
        answer_style: Style | None = None,
    ) -> None:
        self._streams = {"reasoning": reasoning_to, "answer": answer_to}
        self._styles: dict[str, Style | None] = {"reasoning": reasoning_style, "answer": answer_style}
        self._shared = reasoning_to is answer_to
        self._last: str | None = None
        self._in_line = {"reasoning": False, "answer": False}

    def reasoning(self, text: str) -> None:
        """Prints reasoning text."""
        self._write("reasoning", text)

    def answer(self, text: str) -> None:
        """Prints answer text."""
        self._write("answer", text)

    def close(self) -> None:
        """Ends the lines that are open."""
        for voice in self._in_line:
            self._end_line(voice)
        self._last = None

    def _write(self, voice: str, text: str) -> None:
        if not text:
            return
        if voice != self._last:
            self._switch(voice)
        stream = self._streams[voice]
        style = self._styles[voice]
        shown = text.translate(_CONTROLS) if stream.isatty() else text
        stream.write(paint(shown, style, stream) if style else shown)
        stream.flush()
        self._in_line[voice] = not text.endswith("\n")

    def _switch(self, voice: str) -> None:
        if self._last == "reasoning" or (self._shared and self._last):
            self._end_line(self._last)
        self._last = voice
        stream = self._streams[voice]
        if self._shared and not is_coloured(stream):
            stream.write(f"[{voice}]\n")

    def _end_line(self, voice: str) -> None:
        if self._in_line[voice]:
            self._in_line[voice] = False
            self._streams[voice].write("\n")
            self._streams[voice].flush()
