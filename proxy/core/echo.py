"""One reasoning text from several sources (contract C3).

Hosts send the same reasoning in two places: `reasoning` and `reasoning_details`, or tags in `content` beside
`reasoning_content` (llama.cpp `deepseek-legacy`); most do it delta by delta, some repeat the whole at the end.
"""

_HEAD = 256
"""Characters by which a repetition is told from another text; nothing longer is kept."""
_OWN = -1


class Echo:
    """Lets a text through once, whichever source says it first. One per choice; bounded memory.

    A source whose text follows what has been said is silent as far as it repeats it. Once it differs, it is a text of
    its own and all of it is let through, also what had been taken for a repetition.
    """

    __slots__ = ("_at", "_head", "_said")

    def __init__(self) -> None:
        self._head = ""  # the beginning of what was said
        self._said = 0  # how much was said
        self._at: dict[str, int] = {}  # source → how much of it this one has said; `_OWN`: it says something else

    def new(self, source: str, text: str) -> str:
        """What of `text` has not been said yet."""
        at = self._at.get(source, 0)
        if at == _OWN:
            return text
        if at < len(self._head) and not text.startswith(self._head[at : at + len(text)]):
            self._at[source] = _OWN
            return self._head[:at] + text
        fresh = text[self._said - at :]
        self._at[source] = at + len(text)
        if fresh:
            self._said = at + len(text)
            if len(self._head) < _HEAD:
                self._head += fresh[: _HEAD - len(self._head)]
        return fresh

    @property
    def hungry(self) -> bool:
        """Whether `lead` still wants the text itself, and not only its size."""
        return len(self._head) < _HEAD

    def may_lead(self, source: str) -> bool:
        """Whether nobody has said more than `source`, so that what it says next is new."""
        at = self._at.get(source, 0)
        return at == self._said or at < 0

    def lead(self, source: str, text: str, size: int) -> None:
        """Enters what `source` says, which may lead: `size` characters, of which `text` is, while `hungry`, all."""
        at = self._at.get(source, 0)
        if at == _OWN:
            return
        self._said = self._at[source] = at + size
        if len(self._head) < _HEAD:
            self._head += text[: _HEAD - len(self._head)]

    def same(self, source: str, twin: str) -> None:
        """`source` has just said, in one delta, what `twin` did: what it says alone later goes on from there."""
        self._at[source] = self._at.get(twin, 0)
