"""The state machine that walks through one choice's `content` and tells reasoning from answer.

START ──► INSIDE ──► AFTER ──► WRAPPED ──► LITERAL
  │         │ ▲        │          │
  │         │ └─ TEXT ◄┴──────────┘    TEXT: only where blocks are recognised in mid-text
  │         └──► CLOSING ──► AFTER     CLOSING: the flag is gone, its end delimiter may still come
  └────────────► LITERAL
"""

from collections.abc import Callable
from enum import Enum, IntEnum, auto
from typing import ClassVar

from proxy.core.chunk import Kind
from proxy.core.tags import MAX_HELD_WHITE, WHITE, Delimiters, Grammar, Piece


class Mark(Enum):
    """What a dialect's flag says of a text."""

    NONE = auto()
    MAYBE = auto()  # it may begin with the flag's own delimiters
    REASONING = auto()  # it is reasoning, with or without delimiters


class _State(IntEnum):
    START = auto()  # nothing but white space so far
    INSIDE = auto()  # in a block
    CLOSING = auto()  # see above
    AFTER = auto()  # a block has ended, no answer text yet
    TEXT = auto()  # answer text in which a block may start
    WRAPPED = auto()  # answer text inside a wrapper
    LITERAL = auto()  # answer text to the end


class TagSplitter:
    """Splits one choice's text. `feed` takes text in any cut, `end_block` says that a tool call came, `close` ends it.

    `inside`: the text begins inside a block (an implicit start). `literal`: there has been text, and it was answer that
    needs no further look. Each method returns the pieces that are now certain.
    """

    def __init__(self, grammar: Grammar, *, inside: bool = False, literal: bool = False) -> None:
        self._grammar = grammar
        self._trim = grammar.tags.trim
        self._text = ""  # what is held
        self._out: list[Piece] = []
        self._starts = grammar.starts
        self._ends = grammar.ends_of[""]
        self._fresh = True  # the block, or the wrapped answer, has no text yet
        self._flagged = False  # the open block was opened by the flag
        self._from_flag = 0  # in CLOSING: how much of the held text came with the flag
        self._blocks = 0
        self._answered = literal
        self._kept: list[str] | None = [] if grammar.tags.unclosed == "content_if_stop" else None
        self._state = _State.INSIDE if inside else _State.START
        if literal or not (inside or grammar.starts or grammar.stray):
            self._state = _State.LITERAL

    @property
    def literal(self) -> bool:
        """Whether all later text without the flag is answer, so that it need not come here."""
        return self._state is _State.LITERAL

    @property
    def undecided(self) -> str:
        """The text so far, where all of it waits to be told from a delimiter; else empty."""
        return self._text if self._state is _State.START and not self._out else ""

    @property
    def calm(self) -> bool:
        """Whether `end_block` would change nothing."""
        return not self._text and self._state is not _State.INSIDE

    @property
    def straight(self) -> Kind | None:
        """What a text without a mark that `passes` is, all of it and at once; None where every text has to be fed."""
        if self._text or self._flagged or self._kept is not None:
            return None
        if self._state is _State.INSIDE:
            return None if self._fresh else "reasoning"
        if self._state is _State.TEXT or (self._state is _State.WRAPPED and not self._fresh):
            return "answer"
        return None

    @property
    def heads(self) -> tuple[str, ...]:
        """For `straight`: characters with which a delimiter may begin here."""
        return (self._grammar.starts if self._state is _State.TEXT else self._ends).heads

    @property
    def holds_white(self) -> bool:
        """For `straight`: whether white space at the end of a text has to wait for what follows it."""
        return self._trim != "none" and self._state is not _State.TEXT

    def passes(self, text: str) -> bool:
        """For `straight`: whether a text holds nothing that could be, or hold back, a delimiter."""
        for head in self.heads:
            if head in text:
                return False
        return not self.holds_white or text[-1] not in WHITE

    @property
    def inside(self) -> bool:
        """Whether a block of reasoning is open."""
        return self._state is _State.INSIDE or self._state is _State.CLOSING

    @property
    def turns(self) -> int:
        """How often a block has begun or ended."""
        return 2 * self._blocks + self.inside

    @property
    def held(self) -> bool:
        """Whether text waits that may be the beginning of a delimiter, and not for being white space alone."""
        return bool(self._text) and not self._text.isspace()

    def feed(self, text: str, mark: Mark = Mark.NONE) -> list[Piece]:
        """Takes more text; `mark` is what the dialect's flag says of it."""
        if mark is Mark.MAYBE:
            self._starts = self._grammar.flag_starts
        if mark is Mark.REASONING:
            self._open_by_flag()
        elif self._flagged and self._state is _State.INSIDE:
            self._state = _State.CLOSING
            self._from_flag = len(self._text)
        self._text += text
        return self._run(final=False)

    def end_block(self) -> list[Piece]:
        """A tool call came: an open block ends here, and nothing stays held."""
        inside = self._state is _State.INSIDE
        if inside and self._trim != "none":
            self._text = _without_trailing_white(self._text)
        pieces = self._run(final=True)
        if inside:
            self._block_ended()
        return pieces

    def close(self, *, stopped: bool = False) -> list[Piece]:
        """No more text will come. `stopped`: the model ended by itself (finish reason `stop`)."""
        pieces = self._run(final=True)
        if self._kept and stopped and not self._answered and self._state is _State.INSIDE:
            pieces.append((False, "".join(self._kept)))
        return pieces

    def _run(self, *, final: bool) -> list[Piece]:
        while self._text and self._STEPS[self._state](self, final):
            pass
        out, self._out = self._out, []
        return out

    # One method a state. Each handles what it can of the held text and returns True where the state has moved on.

    def _at_start(self, final: bool) -> bool:
        white = _leading_white(self._text)
        if white == len(self._text) and not final and (white <= MAX_HELD_WHITE or self._trim != "both"):
            if self._trim != "both":
                self._answer(white)  # byte-true: it is answer text whatever follows
            return False
        if white <= MAX_HELD_WHITE or self._trim != "both":
            for delimiters in (self._starts, self._grammar.stray):
                if self._text[white : white + 1] not in delimiters.heads:
                    continue
                end, may_grow = delimiters.match(self._text, white, final=final)
                if may_grow:
                    return False
                if end >= 0:
                    delimiter = self._text[white:end]
                    self._white_around_block(white)
                    self._text = self._text[len(delimiter) :]
                    if delimiters is self._starts:
                        self._open(self._grammar.ends_of.get(self._grammar.key(delimiter), self._grammar.flag_ends))
                    else:
                        self._state = _State.AFTER
                    return True
        self._state = self._state_of_text()
        return True

    def _inside(self, final: bool) -> bool:
        if self._fresh:
            repeated = self._grammar.flag_starts if self._flagged else self._starts
            return self._head(self._ends, self._reasoning, final=final, repeated=repeated)
        return self._body(self._ends, self._reasoning, final=final)

    def _closing(self, final: bool) -> bool:
        white = _leading_white(self._text)
        end, may_grow = self._grammar.flag_ends.match(self._text, white, final=final)
        if may_grow and white <= MAX_HELD_WHITE:
            return False
        if end >= 0 and white <= MAX_HELD_WHITE:
            if self._trim == "none":
                self._reasoning(white)
                end -= white
            self._text = self._text[end:]
        else:
            held, self._text = self._text[: self._from_flag], self._text[self._from_flag :]
            if self._trim != "none":
                held = _without_trailing_white(held.lstrip(WHITE) if self._fresh else held)
            answer, self._text = self._text, held
            self._reasoning(len(held))
            self._text = answer
        self._block_ended()
        return True

    def _after(self, final: bool) -> bool:
        white = _leading_white(self._text)
        again = self._grammar.starts if self._grammar.tags.blocks == "all" else None
        for delimiters in (self._grammar.wrappers, again):
            if delimiters is None:
                continue
            start, end, delimiter = delimiters.search(self._text, final=final)
            if start > white or start == len(self._text):
                continue
            if not delimiter:
                return False
            self._white_around_block(start)
            self._text = self._text[end - start :]
            if delimiters is again:
                self._open(self._grammar.ends_of[delimiter])
            else:
                self._ends = self._grammar.wrapper_ends_of[delimiter]
                self._fresh = True
                self._state = _State.WRAPPED
            return True
        self._white_around_block(white)
        if self._text:
            self._state = self._state_of_text()
        return True

    def _in_text(self, final: bool) -> bool:
        start, end, delimiter = self._grammar.starts.search(self._text, final=final)
        self._answer(start)
        if not delimiter:
            return False
        self._text = self._text[end - start :]
        self._open(self._grammar.ends_of[delimiter])
        return True

    def _wrapped(self, final: bool) -> bool:
        if self._fresh:
            return self._head(self._ends, self._answer, final=final)
        return self._body(self._ends, self._answer, final=final)

    def _literal(self, final: bool) -> bool:  # noqa: ARG002 - one signature for all states
        self._answer(len(self._text))
        return False

    # A span is text up to an end delimiter: a block of reasoning or a wrapped answer.

    def _head(
        self, ends: Delimiters, emit: Callable[[int], None], *, final: bool, repeated: Delimiters | None = None
    ) -> bool:
        """The span has no text yet: leading white space and repeated starts go (SGLang does so too)."""
        white = _leading_white(self._text)
        start, end, delimiter = ends.search(self._text, final=final)
        if delimiter and start <= white:
            return self._end_span(start, end, delimiter, emit)
        if start < len(self._text) and start <= white:
            return False
        if repeated and white < len(self._text):
            again, may_grow = repeated.match(self._text, white, final=final)
            if may_grow:
                return False
            if again >= 0:
                self._white_inside(white, emit)
                self._text = self._text[again - white :]
                return True
        self._white_inside(white, emit)
        if self._text:
            self._fresh = False
        return bool(self._text)

    def _body(self, ends: Delimiters, emit: Callable[[int], None], *, final: bool) -> bool:
        start, end, delimiter = ends.search(self._text, final=final)
        if delimiter:
            return self._end_span(start, end, delimiter, emit)
        if self._trim != "none" and not final:
            start = len(_without_trailing_white(self._text[:start]))
        emit(start)
        return False

    def _end_span(self, start: int, end: int, delimiter: str, emit: Callable[[int], None]) -> bool:
        rest = self._text[start if delimiter in self._grammar.implicit else end :]
        self._text = self._text[:start]
        if self._trim != "none":
            self._text = _without_trailing_white(self._text)
        emit(len(self._text))
        self._text = rest
        if self._state is _State.WRAPPED:
            self._state = self._state_of_text()
        else:
            self._block_ended()
        return True

    def _open(self, ends: Delimiters) -> None:
        self._ends = ends
        self._fresh = True
        self._state = _State.INSIDE

    def _open_by_flag(self) -> None:
        if self._state is _State.CLOSING:
            self._state = _State.INSIDE
        if self._state is _State.INSIDE:
            return
        if self._state is not _State.START:
            self._steps_to_end()
        self._open(self._grammar.flag_ends)
        self._flagged = True

    def _steps_to_end(self) -> None:
        while self._text and self._STEPS[self._state](self, True):
            pass

    def _block_ended(self) -> None:
        self._flagged = False
        self._blocks += 1
        self._state = _State.AFTER
        if self._kept is not None:
            self._kept = []

    def _state_of_text(self) -> _State:
        tags = self._grammar.tags
        if tags.position == "anywhere" and (tags.blocks == "all" or not self._blocks):
            return _State.TEXT
        return _State.LITERAL

    def _white_around_block(self, size: int) -> None:
        """White space outside a block: answer text, unless `trim` says that it goes."""
        if self._trim == "both":
            self._text = self._text[size:]
        else:
            self._answer(size)

    def _white_inside(self, size: int, emit: Callable[[int], None]) -> None:
        if self._trim == "none":
            emit(size)
        else:
            self._text = self._text[size:]

    def _reasoning(self, size: int) -> None:
        """The first `size` characters of the held text are reasoning."""
        text, self._text = self._text[:size], self._text[size:]
        if text:
            self._out.append((True, text))
            if self._kept is not None:
                self._kept.append(text)

    def _answer(self, size: int) -> None:
        """The first `size` characters of the held text are answer."""
        text, self._text = self._text[:size], self._text[size:]
        if text:
            self._out.append((False, text))
            self._answered = self._answered or not text.isspace()

    _STEPS: ClassVar[dict[_State, Callable[["TagSplitter", bool], bool]]] = {
        _State.START: _at_start,
        _State.INSIDE: _inside,
        _State.CLOSING: _closing,
        _State.AFTER: _after,
        _State.TEXT: _in_text,
        _State.WRAPPED: _wrapped,
        _State.LITERAL: _literal,
    }


def _leading_white(text: str) -> int:
    return len(text) - len(text.lstrip(WHITE))


def _without_trailing_white(text: str) -> str:
    """Without its last white space, at most MAX_HELD_WHITE characters of it, so that every cut gives the same."""
    stripped = text.rstrip(WHITE)
    return text[: max(len(stripped), len(text) - MAX_HELD_WHITE)]
