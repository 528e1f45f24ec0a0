"""Deltas in mid-answer that say one text in a way the choice already knows: nearly all of them.

`short` gives exactly what the long way (`Choice.read`) would, or None where only that can tell. It depends on the text
in few ways, all of which are `passes`; so what it did with one event holds for all that differ in the text alone
(`byte_path.py`).
"""

from typing import Any, Literal

from proxy.core.choice import Choice, DialectReader
from proxy.core.chunk import Kind
from proxy.core.deltas import rest
from proxy.core.details import text_of
from proxy.core.envelope import FRAME

Way = Literal["field", "tags", "content", "call"]
"""How a text came: in a reasoning field, in `content` inside a block, in `content` as answer, as a call's arguments."""


PLAIN_CHOICE = frozenset(
    {
        *("index", "finish_reason", "logprobs", "native_finish_reason"),
        *("stop_reason", "token_ids", "content_filter_results"),
    }
)
"""Keys of a choice, beside its delta or message, that are told by a look at their values, or passed on."""
_BARE_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_PLAIN_DELTA = PLAIN_CHOICE | {"delta"}
_PLAIN_EVENT = frozenset({*FRAME, "obfuscation"})


class Short:
    """What a delta says.

    `text` is never empty. `times`: how many values of the delta are it; `twins`: how many of them are other spellings of
    the same field. `source`: where reasoning was seen; empty for answer. `call`: for arguments, the upstream's index of
    their call. `delta`: what leaves in its place; None where it leaves as it came.
    """

    __slots__ = ("call", "delta", "source", "text", "times", "twins", "way")

    def __init__(
        self,
        way: Way,
        text: str,
        times: int = 1,
        twins: int = 0,
        source: str = "",
        call: int = 0,
        delta: dict[str, Any] | None = None,
    ) -> None:
        self.way = way
        self.text = text
        self.times = times
        self.twins = twins
        self.source = source
        self.call = call
        self.delta = delta

    @property
    def kind(self) -> Kind:
        return "reasoning" if self.source else "answer"

    @property
    def enters_length_only(self) -> bool:
        """Whether `spoke` keeps nothing of an answer's text, and of reasoning what `Echo.lead` does."""
        return self.way == "content" or (self.way != "call" and self.source != "details" and not self.twins)

    def is_like(self, other: "Short") -> bool:
        """Whether both say a text, whichever it is, in the same places."""
        here = (self.times, self.twins, self.source, self.call)
        return here == (other.times, other.twins, other.source, other.call)


def plain_choice(event: Any) -> dict[str, Any] | None:
    """The choice of an event with one: an `index` that is a number, a `delta`, and no key in either that is not expected.

    None: the event wants a closer look.
    """
    if type(event) is not dict or not _PLAIN_EVENT.issuperset(event) or event.get("usage") is not None:
        return None
    choices = event.get("choices")
    if type(choices) is not list or len(choices) != 1 or event.get("object") == "error":
        return None
    choice = choices[0]
    if type(choice) is not dict or not _PLAIN_DELTA.issuperset(choice):
        return None
    return choice if type(choice.get("index")) is int and type(choice.get("delta")) is dict else None


def only_content(event: dict[str, Any], choice: dict[str, Any]) -> str | None:
    """The text in `content` of an event that passed `plain_choice`, if it holds nothing else; else None."""
    delta = choice["delta"]
    text = delta.get("content")
    if type(text) is not str or not text or len(delta) > 1 or "obfuscation" in event:
        return None
    if choice.get("logprobs") is not None or choice.get("finish_reason") is not None:
        return None
    if not _BARE_CHOICE.issuperset(choice):
        for name, value in choice.items():
            if value is not None and name not in _BARE_CHOICE:
                return None
    return text


def may_stay_silent(choice: Choice, word: Any) -> bool:
    """Whether a delta without a text changes nothing but the finish reason, which is `word` (None where there is none)."""
    if not choice.role_sent or choice.waiting:
        return False
    if not (choice.splitter is None or choice.literal or choice.splitter.straight == "answer"):
        return False  # a block is open, or a text held
    if word is None:
        return choice.finished is None
    return type(word) is str and choice.finished is None and choice.reason(word) == word and not choice.calls.made


def short(choice: Choice, delta: dict[str, Any]) -> Short | None:
    """What a delta says, if the short way can tell. Changes nothing; see `spoke`."""
    if not choice.role_sent or choice.waiting or choice.reader.dialect.dedupe_repeated_reasoning:
        return None
    content, entries = delta.get("content"), delta.get("tool_calls")
    if content:
        return None if entries or type(content) is not str else _content(choice, delta, content)
    if content is not None and content != "":
        return None
    return _call(choice, delta, entries) if entries else _field(choice, delta)


def may(choice: Choice, said: Short) -> bool:
    """Whether a delta like the one of `said` would still go the same way."""
    if not choice.role_sent or choice.waiting:
        return False
    if said.way == "field":
        return choice.echo.may_lead("field")
    if said.way == "call":
        return choice.calm and choice.calls.goes_on(said.call)
    return _way_of_content(choice) == said.way


def passes(choice: Choice, text: str) -> bool:
    """Whether a text in `content` holds nothing that could be, or hold back, a delimiter."""
    return choice.literal or (choice.splitter is not None and choice.splitter.passes(text))


def begins_answer(reader: DialectReader, text: str) -> bool:
    """Whether the first text in `content` shows by its first character that it and all after it is answer."""
    wary = reader.grammar.wary
    return wary is not None and text[0] not in wary and not reader.inside and not text.isspace()


def spoke(choice: Choice, said: Short, text: str, size: int, events: int = 1) -> None:
    """Enters into the choice what one or more such deltas said: `text`, as far as `Echo.lead` wants it, and its size."""
    way, source = said.way, said.source
    if way == "content":
        if choice.splitter is None:  # see `begins_answer`
            choice.literal = choice.generated = True
        return
    choice.generated = True
    if way == "call":
        choice.calls.go_on(said.call, text)
        return
    choice.echo.lead(way, text, size)
    if source == "details":
        choice.echo.same("details", "field")
    choice.source = source
    if said.twins:
        choice.odd += ["both_reasoning_fields"] * (said.twins * events)


def is_plain(message: dict[str, Any], reader: DialectReader) -> bool:
    """Whether a whole message without tool calls is canonical at first sight; no means that only a closer look tells."""
    role, content = message.get("role"), message.get("content")
    if type(role) is not str or not role or reader.inside:
        return False
    if content is not None and (type(content) is not str or (content and not reader.grammar.leaves(content))):
        return False
    reasoning = message.get("reasoning_content")
    if reasoning is not None and type(reasoning) is not str:
        return False
    if reader.spoken.issuperset(message):
        return True
    for name, value in message.items():
        if name in reader.spoken:
            continue
        if name in reader.names:
            if value is not None and value != "":
                return False
        elif not _is_beside(name, value, reader) or reader.is_strange(name, value):
            return False
    return True


def _content(choice: Choice, delta: dict[str, Any], text: str) -> Short | None:
    way: Way | None = "content"
    if choice.splitter is not None or choice.literal:
        way = _way_of_content(choice)
        if way is None or not passes(choice, text):
            return None
    elif "role" in delta or not begins_answer(choice.reader, text):
        return None
    reader = choice.reader
    if len(delta) > 1 and not _alone(delta, reader):
        return None
    if way == "tags":
        return Short("tags", text, source="tags", delta=rest(delta, reader, "reasoning_content", text))
    return Short("content", text, delta=rest(delta, reader, "content", text) if "role" in delta else None)


def _way_of_content(choice: Choice) -> Way | None:
    if choice.literal:
        return "content"
    straight = choice.splitter.straight if choice.splitter else None
    if straight == "reasoning":
        return "tags" if choice.echo.may_lead("tags") else None
    return "content" if straight else None


def _field(choice: Choice, delta: dict[str, Any]) -> Short | None:
    reader = choice.reader
    names, text, source, twins = reader.names, "", "", -1
    for name, value in delta.items():
        if name in names:
            if value is None or value == "":
                continue
            if type(value) is not str or (text and value != text):
                return None
            if not text or reader.fields.index(name) < reader.fields.index(source):
                source = name
            text = value
            twins += 1
        elif name not in ("content", reader.details_key) and not _is_beside(name, value, reader):
            return None
    if not text or not choice.echo.may_lead("field"):
        return None
    same = not twins and source == "reasoning_content" and "role" not in delta
    out = None if same else rest(delta, reader, "reasoning_content", text)
    details = delta.get(reader.details_key) if len(delta) > 1 else None
    if not details:
        return Short("field", text, 1 + twins, twins, source, 0, out) if details is None or details == [] else None
    if reader.snapshots or type(details) is not list or len(details) != 1 or text_of(details[0]) != text:
        return None
    return Short("field", text, 2 + twins, twins, "details", 0, out)


def _call(choice: Choice, delta: dict[str, Any], entries: Any) -> Short | None:
    if type(entries) is not list or len(entries) != 1 or not choice.calm or "role" in delta:
        return None
    entry = entries[0]
    if type(entry) is not dict or "id" in entry:
        return None
    index, function = entry.get("index"), entry.get("function")
    if type(function) is not dict or "name" in function:
        return None
    text = function.get("arguments")
    if type(text) is not str or not text or type(index) is not int or not choice.calls.goes_on(index):
        return None
    return Short("call", text, call=index) if _alone(delta, choice.reader, "tool_calls") else None


def _alone(delta: dict[str, Any], reader: DialectReader, own: str = "content") -> bool:
    """Whether nothing beside the text of `own` wants to be read."""
    for name, value in delta.items():
        if name in reader.names:
            if value is not None and value != "":
                return False
        elif name not in ("content", own) and not _is_beside(name, value, reader):
            return False
    return True


def _is_beside(name: str, value: Any, reader: DialectReader) -> bool:
    """Whether a key may stand beside the text: what it holds is passed on, and means nothing to us."""
    if value is None or (type(value) is list and not value and name in (reader.details_key, "tool_calls")):
        return True
    return type(value) is str and name not in reader.telling
