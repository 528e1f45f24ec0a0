"""Whole events that wait while all of their text may still be the beginning of a delimiter.

They leave as they came where it turns out to be answer, and with what they carry beside it where it does not.
"""

from proxy.core.choice import Choice, DialectReader
from proxy.core.chunk import Chunk
from proxy.core.deltas import without_text
from proxy.core.tags import Piece

MAX_WAITING = 64
"""Events without content that are held back. White space comes in few tokens, a delimiter in fewer."""


def may_wait(choice: Choice, waited: str) -> bool:
    """Whether an event that said nothing for certain is to wait. `waited`: the text that was undecided before it."""
    return bool(choice.undecided) and bool(choice.waiting or not waited) and len(choice.waiting) < MAX_WAITING


def release(choice: Choice, pieces: list[Piece], waited: str, reader: DialectReader) -> list[Chunk]:
    """What leaves of the events that waited, now that this was said. `pieces` lose what leaves with them."""
    waiting, choice.waiting = choice.waiting, []
    if not waiting:
        return waiting
    if pieces and not pieces[0][0] and pieces[0][1].startswith(waited):
        rest = pieces[0][1][len(waited) :]
        pieces[:1] = [(False, rest)] if rest else []
        return waiting
    kept = without_text(waiting, reader)
    if _names_role(waiting) and not _names_role(kept):
        choice.role_sent = False
    return kept


def _names_role(chunks: list[Chunk]) -> bool:
    return any("role" in choice["delta"] for chunk in chunks for choice in chunk.data["choices"])
