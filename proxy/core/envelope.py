"""The frame around the choices: id, object, created, model, the same all through an answer (contract C4)."""

from operator import itemgetter
from typing import Any

from proxy.core.chunk import Chunk
from proxy.core.context import AnswerContext

_OBJECT = "chat.completion.chunk"
_REPEATED = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
FRAME = frozenset({*_REPEATED, "choices", "usage"})
"""Keys that a chunk may have without carrying anything of its own."""
_FRAME_OF = itemgetter("id", "object", "created", "model")
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_END_OF_TIME = 2**53  # what is beyond is no time, and some clients' numbers do not hold it


class Envelope:
    """Learns the frame from the upstream's first usable values and puts it on every chunk."""

    def __init__(self, context: AnswerContext) -> None:
        self._made_up_id, self._now = context.fresh()
        self._target = context.model
        self.id: str | None = None
        self._created: int | None = None
        self._model: str | None = None
        self.named: str | None = None
        """The model by the upstream's own word."""
        self.settled = False
        """Whether the frame is final."""

    @property
    def seed(self) -> str:
        """Of the ids of tool calls that have none."""
        return self._made_up_id[-24:]

    def learn(self, event: dict[str, Any]) -> None:
        """Takes what the upstream gives and is still missing."""
        if self.id is None:
            self.id = _text(event.get("id"))
        if self._created is None:
            self._created = _time(event.get("created"))
        if self._model is None:
            self._model = self.named = _text(event.get("model"))

    def settle(self) -> None:
        """From here on what is still missing is made up."""
        self.settled = True
        self.id = self.id or self._made_up_id
        self._created = self._created or self._now
        self._model = self._model or self._target

    def stamp(self, chunk: Chunk) -> Chunk:
        """Puts the frame on a chunk; one that has it already keeps its bytes."""
        data = chunk.data
        given = data.get
        if given("id") != self.id or given("created") != self._created or given("object") != _OBJECT:
            data["id"], data["object"], data["created"] = self.id, _OBJECT, self._created
            chunk.raw = None
        model = given("model")
        if type(model) is not str or not model:
            data["model"] = self._model
            chunk.raw = None
        return chunk

    def whole(self, body: dict[str, Any]) -> bool:
        """Puts the frame on a whole answer; returns whether anything had to change."""
        self.learn(body)
        self.settle()
        frame = {"id": self.id, "object": "chat.completion", "created": self._created, "model": self._model}
        wrong = {key: value for key, value in frame.items() if body.get(key) != value}
        body.update(wrong)
        return bool(wrong)


def is_framed(body: dict[str, Any]) -> bool:
    """Whether a whole answer has its frame at first sight; no means that only a closer look tells."""
    try:
        own, kind, created, model = _FRAME_OF(body)
    except KeyError:
        return False
    if kind != "chat.completion" or type(created) is not int or not 1 <= created < _END_OF_TIME:
        return False
    return type(own) is type(model) is str and own != "" and model != ""


def framed(event: dict[str, Any], choices: list[dict[str, Any]]) -> list[Chunk]:
    """One chunk for each choice. The first keeps all of the event's keys, the later ones its frame."""
    frame = {key: event[key] for key in _REPEATED if key in event}
    return [
        Chunk({**(event if position == 0 else frame), "choices": [choice]}) for position, choice in enumerate(choices)
    ]


def carries_more(event: dict[str, Any]) -> bool:
    """Whether an event holds anything beside its frame, choices and usage."""
    if event.keys() <= FRAME:
        return False
    return any(value not in _EMPTY for key, value in event.items() if key not in FRAME)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: Any) -> int | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < _END_OF_TIME
    return int(value) if usable else None
