"""What is wrong with a file: every mistake with its place, collected and told at once."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and list positions from the root of the file to a value."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1, line 0 is the file as a whole."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and what to do about it."""

    file: str
    line: int
    column: int
    path: str
    """Such as `routes[0].targets[1]`; empty where the file could not be read as YAML."""
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        path = f" {self.path}" if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{path}: {self.message}{hint}"


class SettingsError(Exception):
    """A configuration that cannot be used; `mistakes` holds all that is wrong with it."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


class Report:
    """Collects mistakes; the same mistake in the same place, reached through two aliases, counts once."""

    def __init__(self) -> None:
        self._mistakes: dict[Mistake, None] = {}

    def add(self, mark: Mark, path: Path, message: str, hint: str | None = None) -> None:
        self._mistakes[Mistake(mark.file, mark.line, mark.column, path_text(path), message, hint)] = None

    @property
    def mistakes(self) -> list[Mistake]:
        """All mistakes in the order of the file."""
        return sorted(self._mistakes, key=lambda m: (m.file, m.line, m.column))

    def raise_if_any(self) -> None:
        if self._mistakes:
            raise SettingsError(self.mistakes)


def path_text(path: Path) -> str:
    """`("routes", 0, "model")` → `routes[0].model`; keys with other characters stand in brackets and quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def close_word(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant, or None."""
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The hint `did you mean "…"?`, or None where no known word is close."""
    close = close_word(word, known)
    return f'did you mean "{close}"?' if close else None
