"""The pipeline of one answer: upstream bytes → canonical chunks → this client's bytes.

    bytes ─► sse ─► normalizer ─► render ─► bytes

`StreamPipeline` serves a client that asked for a stream, `WholePipeline` one that asked for one body. Both take
whatever the upstream sends, SSE or JSON: the first byte that is no white space tells which.
"""

from functools import cached_property
from typing import Any

from proxy.core import codec, sse
from proxy.core.aggregate import Aggregator
from proxy.core.byte_path import BytePath
from proxy.core.chunk import Chunk, answers, kind_of
from proxy.core.context import AnswerContext
from proxy.core.errors import ProxyError
from proxy.core.frame import Frame
from proxy.core.memory import Collector
from proxy.core.normalizer import Normalizer
from proxy.core.reader import Reader
from proxy.core.render import CANONICAL, Renderer, keeps_whole, render_whole
from proxy.core.synthesize import chunks_of
from proxy.core.timeline import Timeline
from proxy.core.upstream_error import not_a_completion
from proxy.core.whole import is_canonical

__all__ = ["AnswerContext", "StreamPipeline", "WholePipeline"]

_DONE = sse.encode(sse.DONE)
_OBJECT = b"data: {"
_LAST = b"data: [DONE]"


class StreamPipeline(Reader):
    """Turns an upstream answer into the client's event stream.

    `begun` turns true with the first generated content: before it, `error` may still become a real HTTP status and
    the bytes returned so far may still be thrown away. `done` turns true when nothing more will come: after `[DONE]`
    or an error. Once begun, errors come out of `feed` and `close` as error events, followed by `[DONE]`.
    """

    def __init__(self, context: AnswerContext, timeline: Timeline) -> None:
        Reader.__init__(self, context, timeline)  # `super()` takes 0.1 µs more
        self._parser = sse.EventParser()
        self._normalizer = Normalizer(context)
        self.done = False
        self._tail = b""  # under `passthrough`: the last bytes, which tell whether an event is open
        rendering = context.rendering
        self._as_it_is = rendering.form == "passthrough"
        plain = self._as_it_is or rendering is CANONICAL or rendering == CANONICAL
        self._renderer = None if plain else Renderer(rendering)
        self._collector = None if context.keep is None else Collector(context.keep, snapshots=context.snapshots)
        self._simple = not self._as_it_is and self._renderer is None and self._collector is None
        self._bytes = BytePath(self._normalizer) if context.byte_path and self._simple else None
        self._lane: Frame | None = None  # of which the last read ended with an event

    def feed(self, data: bytes, now: float) -> bytes:
        """All that one read of upstream bytes gives the client; may be empty. Never raises for upstream data."""
        lane = self._lane
        if lane is not None:
            leaving = lane.alone(data)
            if leaving is not None:
                self._timeline.again(now)
                return leaving
            self._leave(lane)
        if self.done:
            return data if self._as_it_is else b""
        given = data
        if self._as_it_is:
            self._tail = (self._tail + data)[-4:]
        if self._head is not None or self._json is not None:
            data = self._told(data)
            if self._kept(data):
                return given if self._as_it_is else b""
        out: list[bytes] = []
        if not self._ended:
            self._pass(data, now, out)
        if self._ended or self._normalizer.odd:
            self._settle()
        if self._ended:
            out.append(self._ending())
        return given if self._as_it_is else b"".join(out)

    def _leave(self, lane: Frame) -> None:
        """Something else comes, or nothing more."""
        lane.leave()
        self._timeline.enter()
        self._lane = None

    def _pass(self, data: bytes, now: float, out: list[bytes]) -> None:
        """Reads the events that are now whole. `out` takes what leaves."""
        self._marked = None
        path, at, taken = self._bytes, 0, None
        try:
            text = self._parser.join(data)
            size = len(text)
            while at < size and not self._ended:
                taken = path.take(text, at) if path is not None and path.frames else None
                if taken is not None:
                    at, leaving, kind = taken
                    if kind is not self._marked:
                        self._mark(kind, now)
                    out.append(leaving)
                    continue
                end = text.find(b"\n", at)  # one byte is looked for many at a time, two are not
                one_line = 0 <= end < size - 1 and text[end + 1] == sse.LINE_FEED
                if not one_line:
                    end = text.find(b"\n\n", at)
                if end < 0:
                    self._parser.keep(text[at:])
                    return
                block, at = text[at:end], end + 2
                if one_line and block.startswith(_OBJECT):
                    self._event(block[6:], b"", block, now, out)
                elif block == _LAST:
                    self._end(now, out)
                else:
                    self._block(block, now, out)
            if taken is not None and path is not None:
                self._lane = path.lane()
        except sse.EventTooLargeError as error:
            self._fail(not_a_completion(str(error)))

    def _block(self, block: bytes, now: float, out: list[bytes]) -> None:
        """Reads lines of any kind, up to a blank one."""
        events: list[sse.Event] = []
        sse.read(block, events)
        for name, text in events:
            if name is None:
                if self.begun:
                    out.append(sse.comment(text))
            elif text.strip() == sse.DONE:
                self._end(now, out)
                break
            else:
                self._event(text, name, block, now, out)

    def _end(self, now: float, out: list[bytes]) -> None:
        """The upstream says that it has ended."""
        self._write(self._normalizer.done(), now, out)
        self._ended = True

    def _event(self, text: bytes, name: bytes, block: bytes, now: float, out: list[bytes]) -> None:
        """One event's data, and the lines in which it came."""
        normalizer = self._normalizer
        self._write(normalizer.feed(text, name), now, out)
        if normalizer.short is None:
            self._ended = normalizer.error is not None
        elif self._bytes is not None:
            self._bytes.learn(block)

    def close(self, now: float, error: ProxyError | None = None) -> bytes:
        """The end of the upstream body, or what broke it. Returns the closing bytes; sets `error` where there is one."""
        if self.done:
            return b""
        if self._json is not None and error is None:
            return self._close_json(now)
        if self._lane is not None:
            self._leave(self._lane)
        out: list[bytes] = []
        self._marked = None
        if self._json is None:
            self._last_events(now, out)
            if not self._ended and (error is None or self._normalizer.complete):
                self._write(self._normalizer.end(), now, out)  # a reset after the last chunk takes nothing away
                self._ended = True
        if error is not None and not self._ended:
            self._write(self._normalizer.flush(), now, out)
            self._fail(error)
        self._settle()
        out.append(self._ending())
        if self._as_it_is:
            broken = error is not None and self.error is error
            return sse.separation(self._tail) + self._ending_of(error) if broken else b""
        return b"".join(out)

    def _last_events(self, now: float, out: list[bytes]) -> None:
        """An event whose blank line never came."""
        for name, text in self._parser.close():
            if name is not None and text.strip() == sse.DONE:
                self._end(now, out)
            elif name is not None:
                self._write(self._normalizer.feed(text, name), now, out)
                self._ended = self._normalizer.error is not None

    def _close_json(self, now: float) -> bytes:
        parsed = self._parsed()
        answer = None if parsed is None else self._whole(parsed[0])
        if answer is None:
            return b"" if self._as_it_is else self._ending()
        chunks = chunks_of(answer.body)
        if self._context.include_usage and answer.usage:
            frame = {key: answer.body[key] for key in ("id", "created", "model")}
            last = {**frame, "object": "chat.completion.chunk", "choices": [], "usage": answer.usage}
            chunks.append(Chunk(last))
        out: list[bytes] = []
        self._write(chunks, now, out)
        out.append(self._ending())
        return b"" if self._as_it_is else b"".join(out)

    def _write(self, chunks: list[Chunk], now: float, out: list[bytes]) -> None:
        """Chunks as this client's events."""
        for chunk in chunks:
            kind = chunk.kind
            if kind is None:
                kind = kind_of(chunk.data)
            if kind and kind is not self._marked:
                self._mark(kind, now)
            if self._simple:
                out += (b"data: ", codec.dumps(chunk.data) if chunk.raw is None else chunk.raw, b"\n\n")
        if self._simple:
            return
        if self._collector is not None:
            for chunk in chunks:
                self._collector.feed(chunk)
        if self._renderer is not None:
            chunks = [rendered for chunk in chunks for rendered in self._renderer.feed(chunk)]
        if not self._as_it_is:
            _encode(chunks, out)

    def _ending(self) -> bytes:
        """The last bytes of the stream: what the rendering still holds, the error if there is one, `[DONE]`."""
        self.done = True
        held: list[bytes] = []
        if self._renderer is not None:
            _encode(self._renderer.close(), held)
        return b"".join([*held, self._ending_of(self.error)])

    def _ending_of(self, error: ProxyError | None) -> bytes:
        return (sse.encode(codec.dumps(error.event_body())) if error else b"") + _DONE


class WholePipeline(Reader):
    """Turns an upstream answer into one JSON body. `error` is set where the answer is an error or no completion."""

    def __init__(self, context: AnswerContext, timeline: Timeline) -> None:
        Reader.__init__(self, context, timeline)  # `super()` takes 0.1 µs more
        self._given: list[bytes] | None = [] if context.rendering.form == "passthrough" else None
        self._as_bytes = context.keep is None and keeps_whole(context.rendering)
        """Whether a canonical body leaves as it came, and is wanted for nothing else."""

    @cached_property
    def _parser(self) -> sse.EventParser:  # type: ignore[override]
        """Made where there are events to read: a JSON body needs none."""
        return sse.EventParser()

    @cached_property
    def _normalizer(self) -> Normalizer:  # type: ignore[override]
        """The same."""
        return Normalizer(self._context)

    @cached_property
    def _aggregator(self) -> Aggregator:
        return Aggregator(snapshots=self._context.snapshots)

    @property
    def done(self) -> bool:
        """Whether nothing that may still come counts: after `[DONE]` or an error. A JSON body ends with its connection."""
        return self._ended

    def feed(self, data: bytes, now: float) -> bytes:
        """Takes upstream bytes; always returns b""."""
        if self._given is not None:
            self._given.append(data)
        if self._head is not None:
            data = self._told(data)
        if not self._kept(data) and data and not self._ended:
            self._aggregate(self._events(data), now)
        return b""

    def close(self, now: float, error: ProxyError | None = None) -> bytes:
        """The whole body (a JSON object), or b"" where `error` is set."""
        if error is not None:
            self._fail(self.error or error)
            return b""
        if self.error is not None:
            return b""
        body = self._whole_body(now) if self._json is not None else self._aggregated(now)
        if self._given is None or self._json is None or self.error is not None:
            return body
        return b"".join(self._given)

    def _aggregate(self, events: list[sse.Event], now: float) -> None:
        chunks: list[Chunk] = []
        for name, text in events:
            if name is None or self._ended:
                continue
            if text.strip() == sse.DONE:
                chunks += self._normalizer.done()
                self._ended = True
            else:
                chunks += self._normalizer.feed(text, name)
                self._ended = self._normalizer.error is not None
        self._settle()
        self._marked = None
        for chunk in chunks:
            kind = chunk.kind or kind_of(chunk.data)
            if kind is not None and kind is not self._marked:
                self._mark(kind, now)
            self._aggregator.feed(chunk)

    def _aggregated(self, now: float) -> bytes:
        if not self._ended:
            self._aggregate(self._parser.close(), now)
        if not self._ended:
            self._ended = True
            for chunk in self._normalizer.end():
                self._aggregator.feed(chunk)
            self._settle()
        if self.error is not None:
            return b""
        body = self._aggregator.result()
        self._keep_messages(body)
        if self._normalizer.usage:
            body["usage"] = self._normalizer.usage
        return codec.dumps(render_whole(body, self._context.rendering))

    def _whole_body(self, now: float) -> bytes:
        as_bytes, context = self._as_bytes, self._context
        parsed = self._parsed(exact=not as_bytes)
        if parsed is None:
            return b""
        value, as_sent = parsed
        closer = as_bytes and as_sent
        if closer:
            if is_canonical(value, context.reader or context.reading()):
                self._tell(value, now)
                return self._joined.strip()
            value = codec.exactly(value, self._joined)
        answer = self._whole(value, closer=closer)
        if answer is None:
            return b""
        self._mark_all(answer.body, now)
        self._keep_messages(answer.body)
        rendered = render_whole(answer.body, context.rendering)
        if answer.same and as_sent and rendered is answer.body:
            return self._joined.strip()
        return codec.dumps(rendered)

    def _tell(self, body: dict[str, Any], now: float) -> None:
        """What a body that was canonical at first sight says of itself."""
        timeline = self._timeline
        timeline.usage, timeline.response_model = body.get("usage"), body["model"]
        timeline.finish_reason = body["choices"][0]["finish_reason"]
        if self._mark_all(body, now):
            self.source = "reasoning_content"

    def _mark_all(self, body: dict[str, Any], now: float) -> bool:
        """Enters into the timeline what a canonical body holds; whether there is reasoning in it."""
        reasoned = False
        for choice in body["choices"]:
            said = choice["message"]
            if said.get("reasoning_content"):
                reasoned = True
                self._timeline.reasoning(now)
            if said.get("content") or answers(said):
                self._timeline.answer(now)
        return reasoned

    def _keep_messages(self, body: dict[str, Any]) -> None:
        if self._context.keep is not None:
            for choice in body["choices"]:
                self._context.keep(choice["message"])


def _encode(chunks: list[Chunk], out: list[bytes]) -> None:
    for chunk in chunks:
        out += (b"data: ", codec.dumps(chunk.data) if chunk.raw is None else chunk.raw, b"\n\n")
