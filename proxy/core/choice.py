"""One choice of an answer: a provider's deltas (or its whole message) → canonical ones.

The order of sources is that of `docs/dialects.md`: flat fields, details, typed parts, the flag, tags.
"""

from typing import Any

from proxy.core import codec, finish
from proxy.core.chunk import COMMON, Chunk
from proxy.core.details import DetailsReader
from proxy.core.dialect import Dialect, Flag
from proxy.core.echo import Echo
from proxy.core.parts import read as read_parts
from proxy.core.splitter import Mark, TagSplitter
from proxy.core.tags import Grammar, Piece, grammar
from proxy.core.tool_calls import ToolCalls


class DialectReader:
    """A dialect prepared for reading; answers may share it. `thinking`: whether their requests think."""

    def __init__(self, dialect: Dialect, *, thinking: bool) -> None:
        self.dialect = dialect
        canonical = () if "reasoning_content" in dialect.fields else ("reasoning_content",)
        self.fields = (*dialect.fields, *canonical)  # what is canonical is read as such, whatever else a host calls it
        self.details_key = dialect.details.field if dialect.details else ""
        implicit = dialect.tags.implicit_start
        self.inside = implicit == "always" or (implicit == "when_thinking" and thinking)
        self.flag_path = tuple(dialect.flag.path.split(".")) if dialect.flag else ()
        self.unless_path = tuple(dialect.flag.unless.split(".")) if dialect.flag and dialect.flag.unless else ()
        self.grammar: Grammar = grammar(dialect.tags, dialect.flag.pairs if dialect.flag else ())
        self.names = frozenset(self.fields)
        self.snapshots = dialect.details is not None and dialect.details.snapshots
        self.known = frozenset({*COMMON, *self.fields, self.details_key, *self.flag_path[:1]})
        """Keys that are expected. Text in others may be reasoning that a host has renamed."""
        self.spoken = frozenset({"role", "content", "reasoning_content"} - {*dialect.fields} | {"reasoning_content"})
        """Keys of a message that are texts as in the schema."""
        self.telling = frozenset({self.details_key, "tool_calls", "function_call", *self.flag_path[:1]})
        """Keys of a delta that are read, beside its texts."""

    def is_strange(self, name: str, value: Any) -> bool:
        """Whether a key that is not expected holds prose: a word of a list, or an id, has no space."""
        return name not in self.known and " " in flat_text(value)

    def mark(self, delta: dict[str, Any], *, whole: bool) -> Mark:
        """What the dialect's flag says of the content beside it."""
        if not self.flag_path or self.flag_path[0] not in delta:
            return Mark.NONE
        flag: Flag | None = self.dialect.flag
        value = _at(delta, self.flag_path)
        if flag is None or type(value) is not type(flag.equals) or value != flag.equals:
            return Mark.NONE
        return Mark.MAYBE if whole or _at(delta, self.unless_path) is not None else Mark.REASONING


def _at(value: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of keys, or None."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if path else None


class Spoken:
    """What one delta or message says.

    `pieces`: (is reasoning, text) in order. `entries`: tool calls. `opaque`: reasoning objects and typed parts that carry
    more than text. `others`: typed parts that are neither reasoning nor text. `plain`: every key but the text of
    `content` may stay as it came. `silent`: the delta held nothing but, maybe, a role.
    """

    __slots__ = ("entries", "opaque", "others", "pieces", "plain", "silent")

    def __init__(
        self,
        pieces: list[Piece] | None = None,
        entries: list[dict[str, Any]] | None = None,
        opaque: list[dict[str, Any]] | None = None,
        others: list[Any] | None = None,
    ) -> None:
        self.pieces = pieces or []
        self.entries = entries or []
        self.opaque = opaque or []
        self.others = others or []
        self.plain = True
        self.silent = False

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was said, or all of it is held."""
        return self.plain and not (self.pieces or self.entries or self.opaque or self.others)

    def is_same_as(self, delta: dict[str, Any]) -> bool:
        """Whether the delta or message says just this, in the canonical way, so that it may leave as it came."""
        if not self.plain:
            return False
        reasoning, content = delta.get("reasoning_content"), delta.get("content")
        said = [(True, reasoning)] if reasoning else []
        if content:
            said.append((False, content))
        return self.pieces == said


class Choice:
    """The state of one choice. Feed it deltas in order, or one whole message. `seed`: of the ids of its tool calls."""

    def __init__(self, reader: DialectReader, index: int = 0, *, seed: str) -> None:
        self.reader = reader
        self._dialect = reader.dialect
        self.echo = Echo()
        self._details = DetailsReader(snapshots=reader.snapshots)
        self.splitter: TagSplitter | None = None
        self.literal = False
        """Whether all later content is answer, whatever it holds."""
        self._last_reasoning = ""
        self.calls = ToolCalls(reader.dialect.tool_calls, f"{seed}_{index}" if index else seed)
        self.index = index
        self.role_sent = False
        self.finished: str | None = None
        """The finish reason, once it came."""
        self.generated = False
        """Whether anything was generated at all."""
        self.source: str | None = None
        """Where reasoning was last seen: a field's name, `details`, `content_parts` or `tags`."""
        self.waiting: list[Chunk] = []
        """Whole events of the caller's, all of whose text is still undecided."""
        self.odd: list[str] = []
        """Kinds of oddities met; whoever reads them empties the list."""
        self.strange = False
        """Whether text was met under a key that is not expected; it is told once."""
        self.unclosed = False
        """Whether the text ended inside a block of reasoning whose end never came."""

    @property
    def undecided(self) -> str:
        """All of the content so far, where it may still be the beginning of a delimiter; else empty."""
        return self.splitter.undecided if self.splitter else ""

    @property
    def calm(self) -> bool:
        """Whether a tool call would end no block and free no held text."""
        return self.splitter is None or self.splitter.calm

    def reason(self, word: Any) -> str | None:
        """The upstream's finish word → OpenAI's, knowing whether calls were made."""
        return finish.canonical(word, called=self.calls.made, own=self._dialect.finish_reason.map)

    def read(self, delta: dict[str, Any], word: Any = None) -> Spoken:
        """Reads one delta. `word`: the upstream's finish word, where one came with it."""
        spoken = Spoken()
        if is_silent(delta):
            spoken.silent = True
            if word:
                self._close(spoken, word)
                self.generated = self.generated or bool(spoken.pieces or spoken.entries)
            return spoken
        if not self.reader.known.issuperset(delta):
            self.look(delta)
        self._read_fields(delta, spoken)
        self._read_content(delta, spoken, whole=False)
        entries = delta.get("tool_calls")
        if isinstance(entries, list) and entries:
            if self.splitter:
                self._tagged(spoken.pieces, self.splitter.end_block())
            spoken.entries = self.calls.feed(entries)
            one_kind = not delta.get("content") and not any(flat_text(delta.get(name)) for name in self.reader.fields)
            spoken.plain = spoken.plain and one_kind and _identical(spoken.entries, entries)
        elif entries not in (None, []) or (delta.get("content") and spoken.pieces and spoken.pieces[0][0]):
            spoken.plain = False
        if word:
            self._close(spoken, word)
        self.generated = self.generated or bool(spoken.pieces or spoken.entries)
        return spoken

    def read_content(self, text: str) -> list[Piece]:
        """Reads a delta with nothing but a text in `content`: the pieces that are now certain."""
        pieces: list[Piece] = []
        self._split(pieces, text, mark=Mark.NONE)
        if pieces:
            self.generated = True
        return pieces

    def look(self, delta: dict[str, Any]) -> None:
        """Notes prose under a key that is not expected."""
        if not self.strange and any(self.reader.is_strange(name, value) for name, value in delta.items()):
            self.strange = True
            self.odd.append("unknown_field")

    def close(self, *, stopped: bool) -> Spoken:
        """The stream ended without a finish word: what was held. `stopped`: it counts as an end by the model itself."""
        spoken = Spoken()
        if self.finished is None:
            self._close(spoken, "stop" if stopped else "length")
        return spoken

    def read_whole(self, message: dict[str, Any], word: Any) -> Spoken:
        """Reads a whole message: the same road as a delta, all at once."""
        spoken = Spoken()
        self.look(message)
        self._read_fields(message, spoken)
        self._read_content(message, spoken, whole=True)
        entries = message.get("tool_calls")
        if isinstance(entries, list) and entries:
            spoken.entries = self.calls.whole(entries)
            spoken.plain = spoken.plain and _identical(spoken.entries, entries)
        elif entries not in (None, []):
            spoken.plain = False
        self._close(spoken, word, entries=False)
        self.generated = self.generated or bool(spoken.pieces or spoken.entries)
        return spoken

    def _read_fields(self, delta: dict[str, Any], spoken: Spoken) -> None:
        text = key = ""
        for name in () if self.reader.names.isdisjoint(delta) else self.reader.fields:
            given = delta.get(name)
            if given is None or given == "":
                continue
            value = flat_text(given)
            if not value and name != "reasoning_content":
                continue
            if isinstance(given, dict) and given.keys() != {"text"}:
                spoken.opaque.append(given)
            if value and not key:
                text, key = value, name
                spoken.plain = spoken.plain and name == "reasoning_content" and isinstance(given, str)
                continue
            spoken.plain = False
            if value:
                self.odd.append("both_reasoning_fields")
        listed = self._details.text(delta[self.reader.details_key]) if self.reader.details_key in delta else ""
        if key:
            new = self.echo.new("field", text)
            if listed == text:
                self.echo.same("details", "field")
            if self._dialect.dedupe_repeated_reasoning:
                new, self._last_reasoning = ("" if text == self._last_reasoning else new), text
        else:
            new = self.echo.new("details", listed) if listed else ""
        if new:
            spoken.pieces.append((True, new))
        if key or listed:
            self.source = "details" if listed else key

    def _read_content(self, delta: dict[str, Any], spoken: Spoken, *, whole: bool) -> None:
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                self._split(spoken.pieces, content, mark=self.reader.mark(delta, whole=whole))
            return
        if content is None:
            return
        spoken.plain = False
        if not isinstance(content, list | dict):
            self._split(spoken.pieces, codec.dumps(content).decode(), mark=Mark.NONE)
            return
        parts = read_parts(content if isinstance(content, list) else [content], self._dialect.content_parts)
        for is_reasoning, text in parts.pieces:
            if not is_reasoning:
                self._split(spoken.pieces, text, mark=self.reader.mark(delta, whole=whole))
            elif new := self.echo.new("parts", text):
                spoken.pieces.append((True, new))
                self.source = "content_parts"
        spoken.opaque += parts.opaque
        spoken.others = parts.others

    def _split(self, pieces: list[Piece], text: str, *, mark: Mark) -> None:
        if self.literal and mark is not Mark.REASONING:
            pieces.append((False, text))
            return
        if self.splitter is None:
            # reasoning that came in a field cannot also have an implicit start in the content
            inside = self.reader.inside and self.source is None and not self.calls.made
            self.splitter = TagSplitter(self.reader.grammar, inside=inside, literal=self.literal)
        splitter = self.splitter
        turns = splitter.turns if splitter.held else -1
        self._tagged(pieces, splitter.feed(text, mark))
        self.literal = splitter.literal
        if turns >= 0 and turns != splitter.turns:
            self.odd.append("tag_split_across_chunks")

    def _tagged(self, pieces: list[Piece], found: list[Piece]) -> None:
        for is_reasoning, text in found:
            if not is_reasoning:
                pieces.append((False, text))
            elif new := self.echo.new("tags", text):
                pieces.append((True, new))
                self.source = "tags"

    def _close(self, spoken: Spoken, word: Any, *, entries: bool = True) -> None:
        if self.splitter is not None and not self.literal:
            stopped = not self.calls.made and self.reason(word or "stop") == "stop"
            self._tagged(spoken.pieces, self.splitter.close(stopped=stopped))
            self.unclosed = self.splitter.inside
            self.literal = self.splitter.literal
        if entries and (more := self.calls.close()):
            spoken.plain = False
            spoken.entries = [*spoken.entries, *more]


def is_silent(delta: dict[str, Any]) -> bool:
    """Whether a delta says nothing but, maybe, a role: the first one of most answers, and the last one."""
    for name, value in delta.items():
        if value is not None and (value != "" or name == "tool_calls") and name != "role":
            return False
    return True


def flat_text(value: Any) -> str:
    """A reasoning field's text: a string, or an object with a `text` (Envoy AI Gateway for Bedrock sends that)."""
    if isinstance(value, dict):
        value = value.get("text")
    return value if isinstance(value, str) else ""


def _identical(found: list[Any], given: list[Any]) -> bool:
    return len(found) == len(given) and all(a is b for a, b in zip(found, given, strict=True))
