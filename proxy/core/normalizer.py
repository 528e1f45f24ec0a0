"""Provider's events → canonical chunks (contract C1–C8). The only reader of provider JSON in a stream."""

from typing import Any

from proxy.core import codec, usage
from proxy.core.choice import Choice, Spoken, is_silent
from proxy.core.chunk import Chunk, kind_of
from proxy.core.context import AnswerContext
from proxy.core.deltas import choice_objects, deltas, own_delta, says_more
from proxy.core.envelope import Envelope, carries_more, framed
from proxy.core.errors import UpstreamError, UpstreamProtocol
from proxy.core.finish import inferred
from proxy.core.short_way import Short, may_stay_silent, only_content, plain_choice, short, spoke
from proxy.core.sse import LINE_FEED
from proxy.core.upstream_error import from_payload, is_error
from proxy.core.waiting import MAX_WAITING, may_wait, release

_ENDINGS = ("error", "finish_reason", "native_finish_reason")


class Normalizer:
    """Reads the events of one streamed answer. Once `error` is set, nothing more comes.

    `feed` takes one event's data, `done` the `[DONE]`, `end` a bare end, `flush` a breakage. Each returns the canonical
    chunks that are now certain.
    """

    def __init__(self, context: AnswerContext) -> None:
        self.odd: list[str] = []
        """Kinds of oddities met; whoever reads them empties the list."""
        self._context = context
        self._reader = context.reading()
        self._choices: dict[int, Choice] = {}
        self._envelope = Envelope(context)
        self._first = self._new(0)  # made before it is needed: while an answer is waited for, time costs nothing
        self._leading: list[Chunk] = []  # chunks without content that wait for the answer's id
        self._last: Chunk | None = None  # the usage chunk, which waits for the end: a later one would count instead
        self.short: tuple[Choice, Short, Chunk] | None = None
        """If the last event took the short way: its choice, what it said and the chunk that leaves for it."""
        self.usage: dict[str, Any] | None = None
        """The last usage of the stream, normalised."""
        self.error: UpstreamError | None = None

    @property
    def complete(self) -> bool:
        """Whether every choice that was seen has ended."""
        for choice in self._choices.values():
            if not choice.finished:
                return False
        return bool(self._choices)

    @property
    def finish_reason(self) -> str | None:
        """That of the first choice."""
        for choice in self._choices.values():
            return choice.finished
        return None

    @property
    def model(self) -> str | None:
        """What the upstream calls the model that answers."""
        return self._envelope.named

    @property
    def unclosed(self) -> bool:
        """Whether a choice ended inside a block of reasoning."""
        for choice in self._choices.values():  # noqa: SIM110 - most answers have one
            if choice.unclosed:
                return True
        return False

    @property
    def source(self) -> str | None:
        """Where reasoning was seen: a field's name, `details`, `content_parts`, `tags`, or None."""
        for choice in self._choices.values():
            if choice.source:
                return choice.source
        return None

    def feed(self, data: bytes, name: bytes = b"") -> list[Chunk]:
        """One event. What is no JSON object is skipped and counted."""
        try:
            value, as_sent = codec.loads_as_sent(data)
        except ValueError:
            value, as_sent = None, False
        as_sent = as_sent and LINE_FEED not in data
        self.short = None
        choice = plain_choice(value) if as_sent and not name else None
        if choice is not None:
            self.short = found = self._short(value, choice, data)
            if found is not None:
                state, said, chunk = found
                text = said.text
                spoke(state, said, text, len(text))
                return [chunk]
            look = self._cut if choice["delta"].get("content") else self._silent
            seen = look(value, choice, data)
            if seen is not None:
                return seen
        if name == b"error" or is_error(value):
            return self._fail(value, data)
        if not isinstance(value, dict):
            self.odd.append("malformed_json")
            return []
        if name not in (b"", b"message") and "choices" not in value:
            return []  # a gateway's own event, such as `ping`
        return self._take(value, data if as_sent else None)

    def would_say(self, data: bytes) -> tuple[Short, bytes] | None:
        """What `feed` would give for an event that takes the short way, as JSON; None for all others. Changes nothing."""
        try:
            value, as_sent = codec.loads_as_sent(data)
        except ValueError:
            return None
        choice = plain_choice(value) if as_sent else None
        found = None if choice is None else self._short(value, choice, data)
        if found is None:
            return None
        _, said, chunk = found
        return said, codec.dumps(chunk.data) if chunk.raw is None else chunk.raw

    def _short(self, event: dict[str, Any], choice: dict[str, Any], data: bytes) -> tuple[Choice, Short, Chunk] | None:
        """What an event says that is nothing but one delta in mid-answer, and the chunk that leaves for it.

        None: it wants a closer look. Changes the event, but no choice; see `spoke`.
        """
        if not self._envelope.settled or choice.get("finish_reason") is not None:
            return None
        state, delta = self._choices.get(choice["index"]), choice["delta"]
        said = None if state is None else short(state, delta)
        if state is None or said is None:
            return None
        if len(delta) > 1 and not self._reader.known.issuperset(delta):  # one key alone is that of the text
            state.look(delta)
        chunk = Chunk(event, data, "reasoning" if said.source else "answer")
        if said.delta is not None:
            choice["delta"] = said.delta
            chunk.raw = None
        return state, said, self._envelope.stamp(chunk)

    def _silent(self, event: dict[str, Any], choice: dict[str, Any], data: bytes) -> list[Chunk] | None:
        """What leaves for an event that says nothing but a role, or why the answer ended, just as a client wants it.

        None: it wants a closer look. So most answers begin and end.
        """
        delta, word, envelope = choice["delta"], choice.get("finish_reason"), self._envelope
        if self._leading or not is_silent(delta):
            return None
        state = self._choices.get(choice["index"])
        if state is None:
            role = delta.get("role")
            if word is not None or type(role) is not str or not role:
                return None
            if not envelope.settled:
                envelope.learn(event)
                if envelope.id is None:
                    return None
                envelope.settle()
            self._state(choice, 0).role_sent = True
        elif "role" in delta or not envelope.settled or not may_stay_silent(state, word):
            return None
        else:
            state.finished = word
        return [envelope.stamp(Chunk(event, data, ""))]

    def _cut(self, event: dict[str, Any], choice: dict[str, Any], data: bytes) -> list[Chunk] | None:
        """What leaves for an event that holds a text in `content` and nothing else: maybe a part of a delimiter.

        None: it wants a closer look. So tags come, in one event or cut into several.
        """
        state, text = self._choices.get(choice["index"]), only_content(event, choice)
        if state is None or text is None or not state.role_sent or self._leading or not self._envelope.settled:
            return None
        waited = state.undecided
        pieces = state.read_content(text)
        if not pieces and may_wait(state, waited):
            state.waiting.append(Chunk(event, data))
            return []
        chunks = release(state, pieces, waited, self._reader) if state.waiting else []
        if pieces == [(False, text)]:
            chunks.append(Chunk(event, data))
        elif pieces:
            role = None if state.role_sent else "assistant"
            made = deltas(choice["delta"], Spoken(pieces), self._reader, role=role)
            chunks += framed(event, choice_objects(choice, state.index, made, None, None))
            state.role_sent = True
        return self._sendable(chunks) if chunks else chunks

    def done(self) -> list[Chunk]:
        """`[DONE]`: what the answer's end lacks is inferred."""
        if not self._choices:
            self.error = UpstreamProtocol("The upstream ended its stream without a completion.")
            return []
        chunks = self._close(infer=True)
        if self._context.include_usage and self.usage:
            last = self._last or Chunk({"choices": []})
            if last.data.get("usage") is not self.usage:
                last.data["usage"] = self.usage
                last.raw = None
            self._last = None
            chunks += self._sendable([last])
        return chunks

    def end(self) -> list[Chunk]:
        """The stream ended without `[DONE]`: complete if every choice has ended, else broken off."""
        self.odd.append("missing_done")
        if self.complete or (self._choices and self._context.dialect.finish_reason.missing == "infer"):
            return self.done()
        chunks = self.flush()
        what = "before the answer was complete" if self._choices else "without a completion"
        self.error = UpstreamProtocol(f"The upstream closed the stream {what}.")
        return chunks

    def flush(self) -> list[Chunk]:
        """Something broke: what was held, so that nothing that arrived is lost."""
        last = [self._last] if self._last is not None else []
        self._last = None
        return self._close(infer=False) + self._sendable(last)

    def _fail(self, value: Any, data: bytes) -> list[Chunk]:
        chunks: list[Chunk] = []
        choices = value.get("choices") if isinstance(value, dict) else None
        if isinstance(choices, list) and choices:  # text may ride on the event that reports the failure
            kept = [{k: v for k, v in one.items() if k not in _ENDINGS} for one in choices if isinstance(one, dict)]
            chunks = self._take({**{k: v for k, v in value.items() if k != "error"}, "choices": kept}, None)
        chunks += self.flush()
        self.error = from_payload(value if value is not None else data.decode("utf-8", "replace"))
        return chunks

    def _take(self, event: dict[str, Any], raw: bytes | None) -> list[Chunk]:
        if not self._envelope.settled:
            self._envelope.learn(event)
        choices = event.get("choices")
        if not isinstance(choices, list):
            event["choices"] = choices = []
            raw = None
        found = usage.find(event)
        if found is not None:
            if self._last is not None:
                self.odd.append("duplicate_usage")
            self.usage = usage.canonical(found, self._context.dialect.usage.completion_excludes_reasoning)
        if not choices:
            return self._sendable(self._without_choices(event, raw))
        if event.get("usage") is not None:
            del event["usage"]
            raw = None
        one = choices[0] if len(choices) == 1 else None
        chunks = self._single(event, one, raw) if isinstance(one, dict) else self._several(event, choices, raw)
        if not chunks and found is not None and self.complete:
            chunks = self._without_choices({**event, "choices": [], "usage": self.usage}, None)
        return self._sendable(chunks)

    def _without_choices(self, event: dict[str, Any], raw: bytes | None) -> list[Chunk]:
        """A chunk with usage alone, or with something of the host's own."""
        given = event.get("usage")
        if given is not None and self.usage and self._context.include_usage and self.complete:
            self._last = Chunk({**event, "usage": self.usage}, raw if given is self.usage else None)
            return []
        if given is not None:
            del event["usage"]
            raw = None
        return [Chunk(event, raw)] if carries_more(event) else []

    def _single(self, event: dict[str, Any], choice: dict[str, Any], raw: bytes | None) -> list[Chunk]:
        """An event with one choice, as nearly all are."""
        state = self._state(choice, 0)
        waited = state.undecided
        delta, same = own_delta(choice, generated=state.generated)
        spoken = state.read(delta, choice.get("finish_reason"))
        if spoken.is_nothing and may_wait(state, waited):
            state.waiting += self._as_it_came(event, choice, delta, raw, state, same=same)
            return []
        released = release(state, spoken.pieces, waited, self._reader) if state.waiting else []
        said = self._said(state, choice, delta, spoken, same=same)
        if said is None:
            return [*released, Chunk(event, raw, "" if spoken.silent else None)]
        if not said and carries_more(event):
            said = [{"index": state.index, "delta": {}, "finish_reason": None}]
        return [*released, *framed(event, said)]

    def _several(self, event: dict[str, Any], choices: list[Any], raw: bytes | None) -> list[Chunk]:
        """An event with several choices; each has its own state."""
        released: list[Chunk] = []
        every: list[dict[str, Any]] = []
        unchanged = True
        for position, choice in enumerate(choices):
            if not isinstance(choice, dict):
                self.odd.append("empty_choice")
                unchanged = False
                continue
            state = self._state(choice, position)
            waited = state.undecided
            delta, same = own_delta(choice, generated=state.generated)
            spoken = state.read(delta, choice.get("finish_reason"))
            released += release(state, spoken.pieces, waited, self._reader)
            said = self._said(state, choice, delta, spoken, same=same)
            unchanged = unchanged and said is None
            every += [choice] if said is None else said
        return [*released, *([Chunk(event, raw)] if unchanged else framed(event, every))]

    def _said(
        self, state: Choice, choice: dict[str, Any], delta: dict[str, Any], spoken: Spoken, *, same: bool
    ) -> list[dict[str, Any]] | None:
        """The choice objects that say it canonically; None where the one that came does."""
        word, reason = choice.get("finish_reason"), None
        if word and state.finished is None:
            state.finished = reason = state.reason(word)
        same = same and (word == reason if word else word is None)
        role = delta.get("role")
        named = isinstance(role, str) and bool(role)
        same = same and ("role" not in delta if state.role_sent else named) and choice.get("index") == state.index
        if same and spoken.is_same_as(delta):
            state.role_sent = True
            return None
        first_role = None if state.role_sent else role if named else "assistant"
        made = deltas(delta, spoken, self._reader, role=first_role)
        if not (spoken.pieces or spoken.entries or reason or says_more(choice, made[0], self._reader)):
            return []
        state.role_sent = True
        return choice_objects(choice, state.index, made, reason, None if reason == word else word)

    def _as_it_came(
        self,
        event: dict[str, Any],
        choice: dict[str, Any],
        delta: dict[str, Any],
        raw: bytes | None,
        state: Choice,
        *,
        same: bool,
    ) -> list[Chunk]:
        """A whole event that waits: right but for its text, of which nothing is known yet. None where it says nothing."""
        said = self._said(
            state, choice, delta, Spoken(pieces=[(False, delta["content"])] if delta.get("content") else []), same=same
        )
        if said is None:
            return [Chunk(event, raw)]
        if not said and carries_more(event):
            said = [{"index": state.index, "delta": {}, "finish_reason": None}]
        return framed(event, said)

    def _close(self, *, infer: bool) -> list[Chunk]:
        chunks: list[Chunk] = []
        for state in self._choices.values():
            if state.finished is not None and not state.waiting:
                continue
            waited = state.undecided
            spoken = state.close(stopped=infer)
            chunks += release(state, spoken.pieces, waited, self._reader)
            reason = None
            if infer and state.finished is None:
                state.finished = reason = inferred(called=state.calls.made)
            if spoken.pieces or spoken.entries or reason:
                made = deltas({}, spoken, self._reader, role=None if state.role_sent else "assistant")
                state.role_sent = True
                chunks += framed({}, choice_objects({}, state.index, made, reason, None))
        self._envelope.settle()
        return self._sendable(chunks)

    def _sendable(self, chunks: list[Chunk]) -> list[Chunk]:
        """Puts the frame on. Chunks before the first content wait for the answer's id, if theirs has none."""
        if not self._envelope.settled:
            if (
                self._envelope.id is None
                and not any(kind_of(chunk.data) for chunk in chunks)
                and len(self._leading) < MAX_WAITING
            ):
                self._leading += chunks
                return []
            self._envelope.settle()
        if self._leading:
            chunks, self._leading = [*self._leading, *chunks], []
        for chunk in chunks:
            self._envelope.stamp(chunk)
        return chunks

    def _state(self, choice: dict[str, Any], position: int) -> Choice:
        index = choice.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            index = position
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = self._new(index) if index else self._first
        return state

    def _new(self, index: int) -> Choice:
        made = Choice(self._reader, index, seed=self._envelope.seed)
        made.odd = self.odd
        return made
