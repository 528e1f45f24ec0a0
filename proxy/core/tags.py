"""Text with delimiters → reasoning and answer, in any cut.

Held back is only what may still become a delimiter (always fewer characters than the longest one) and white space
that `trim` may have to remove. Edge cases and their sources: `docs/dialects.md`.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from proxy.core.dialect import Tags

Piece = tuple[bool, str]
"""(is reasoning, text); the text is never empty."""

WHITE = " \t\r\n\f\v"
MAX_HELD_WHITE = 1024
"""White space held for trimming, in characters; what is beyond stays. Models get stuck repeating line breaks."""

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Delimiters:
    """Several literal texts, searched leftmost-longest in text that may still go on."""

    __slots__ = ("_firsts", "_fold", "_longest", "_regex", "_words", "heads")

    def __init__(self, words: Iterable[str], *, case_sensitive: bool = True) -> None:
        self._fold = not case_sensitive
        folded = {word.translate(_LOWER) if self._fold else word for word in words if word}
        self._words = sorted(folded, key=len, reverse=True)
        self._longest = len(self._words[0]) if self._words else 0
        self._firsts = {word[0] for word in self._words}
        self.heads = (*self._firsts, *(first.upper() for first in self._firsts if self._fold and "a" <= first <= "z"))
        """Each character with which a delimiter may begin; a text without any of them holds no part of one's head."""
        self._regex = re.compile("|".join(map(re.escape, self._words)) if self._words else r"(?!)")

    def __bool__(self) -> bool:
        return bool(self._words)

    def search(self, text: str, *, final: bool) -> tuple[int, int, str]:
        """Returns (start, end, delimiter) of the first one, or (n, n, "") where only text[:n] is free of any.

        With `final` no more text will come, so that nothing can still become a delimiter.
        """
        if self._fold:
            text = text.translate(_LOWER)
        found = self._regex.search(text)
        free = len(text) if final else self._partial(text)
        if found and found.start() < free:
            return found.start(), found.end(), found.group()
        return free, free, ""

    def match(self, text: str, at: int, *, final: bool) -> tuple[int, bool]:
        """Returns (end, False) of the longest one that starts at `at` (or -1), or (-1, True) if only more text can tell."""
        if self._fold:
            text = text.translate(_LOWER)
        if not final and self._may_grow(text, at):
            return -1, True
        found = self._regex.match(text, at)
        return (found.end() if found else -1), False

    def _partial(self, text: str) -> int:
        """Index of the first suffix of `text` that is the beginning of a delimiter, else its length."""
        size = len(text)
        first = max(0, size - self._longest + 1)
        end = text[first:] if first else text
        for head in self._firsts:
            if head in end:
                break
        else:
            return size
        for start in range(first, size):
            if text[start] in self._firsts and self._may_grow(text, start):
                return start
        return size

    def _may_grow(self, text: str, at: int) -> bool:
        rest = text[at:]
        return any(len(word) > len(rest) and word.startswith(rest) for word in self._words)


class Grammar:
    """Tags compiled for searching."""

    __slots__ = (
        "ends_of",
        "flag_ends",
        "flag_starts",
        "implicit",
        "starts",
        "stray",
        "tags",
        "wary",
        "wrapper_ends_of",
        "wrappers",
    )

    def __init__(self, tags: Tags, flag_pairs: tuple[tuple[str, str], ...]) -> None:
        self.tags = tags
        ends: dict[str, set[str]] = {}
        for start, end in tags.pairs:
            for label in ("", *tags.labels):
                ends.setdefault(self.key(start + label), set()).add(end)
        every_end = {end for _, end in tags.pairs}
        self.implicit = {self.key(word) for word in tags.implicit_end}
        self.starts = self._delimiters(ends)
        self.stray = self._delimiters(every_end if tags.stray_end == "strip" else ())
        self.wary: frozenset[str] | None = None
        """Characters that have to be looked behind where a text begins with one; with another one it is answer all
        through. None: there is no such other one."""
        if tags.position != "anywhere":
            self.wary = frozenset((*WHITE, *self.starts.heads, *self.stray.heads))
        self.ends_of = {start: self._delimiters({*some, *tags.implicit_end}) for start, some in ends.items()}
        self.ends_of[""] = self._delimiters({*every_end, *tags.implicit_end})
        flag_ends = {end for _, end in flag_pairs}
        self.flag_starts = self._delimiters({*ends, *(start for start, _ in flag_pairs)})
        self.flag_ends = self._delimiters({*every_end, *flag_ends, *tags.implicit_end})
        wrapper_ends: dict[str, set[str]] = {}
        for start, end in tags.answer_wrapper:
            wrapper_ends.setdefault(self.key(start), set()).add(end)
        self.wrappers = self._delimiters(wrapper_ends)
        self.wrapper_ends_of = {start: self._delimiters(some) for start, some in wrapper_ends.items()}

    def key(self, word: str) -> str:
        """The form under which `Delimiters` reports a delimiter."""
        return word if self.tags.case_sensitive else word.translate(_LOWER)

    def leaves(self, text: str) -> bool:
        """Whether a whole text, which is not empty, is answer all through, at first sight."""
        if self.tags.position == "anywhere":
            for head in self.starts.heads:
                if head in text:
                    return False
        first = text.lstrip(WHITE)[:1]
        return bool(first) and first not in self.starts.heads and first not in self.stray.heads

    def _delimiters(self, words: Iterable[str]) -> Delimiters:
        return Delimiters(words, case_sensitive=self.tags.case_sensitive)


@lru_cache(maxsize=256)
def grammar(tags: Tags, flag_pairs: tuple[tuple[str, str], ...] = ()) -> Grammar:
    """Compiles tags; the same data gives the same object."""
    return Grammar(tags, flag_pairs)
