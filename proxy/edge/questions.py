"""What a request asks of one target: the body that it is sent, and the reading of its answer."""

import dataclasses
import time
from typing import Any, ClassVar, Self

from proxy.core.codec import dumps
from proxy.core.context import AnswerContext
from proxy.core.dialect import Dialect
from proxy.core.render import Rendering
from proxy.core.request import prepare
from proxy.core.stream import StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from proxy.edge import bodies, heads
from proxy.edge.service import Aim, Service, State
from proxy.upstream.attempt import EVENT_STREAM
from proxy.upstream.engine import UpstreamResponse
from proxy.upstream.healing import Mending
from proxy.upstream.memory import Recall
from proxy.upstream.raw import RawPipeline
from proxy.upstream.reading import Collector, Pipeline


class Asked:
    """A judged request, as it is before any target is asked."""

    __slots__ = ("body", "mending", "recall", "rendering", "service", "state")

    service: Service
    state: State
    body: dict[str, Any]
    rendering: Rendering
    recall: Recall | None
    """None where no target's memory is on."""
    mending: Mending | None
    """Of the target that is asked now."""

    def settle(self) -> None:
        """No further target will be asked: of a long conversation nothing stays for the length of its answer."""
        self.body = {}
        if self.mending is not None:
            self.mending.sent = {}
        if self.recall is not None:
            self.recall.settle()


class RawQuestion:
    """A request whose body is not ours to understand, before one target: its `Candidate` and its `Question`."""

    __slots__ = (
        *("_aim", "_asked", "body", "content_type", "engine", "health"),
        *("mending", "metrics", "model", "notes", "provider"),
    )

    understood: ClassVar[bool] = False
    """Whether the body is ours to understand, so that a refusal of it can be mended."""

    def __init__(self, aim: Aim, asked: Asked) -> None:
        self._aim = aim
        self._asked = asked
        self.provider = aim.resolved.target.provider
        self.model = aim.resolved.model
        self.engine = aim.engine
        self.metrics = aim.metrics
        self.health = aim.health
        self.mending: Mending | None = None
        if aim.manner.history.self_heal and self.understood:
            self.mending = Mending(asked.service.healings, self.provider.name, self.model, aim.manner, aim.metrics)
        self.body = b""
        self.notes: tuple[str, ...] = ()
        self.content_type: str | None = None

    def ask(self) -> Self:
        """This, with the body that the target gets. Raises RequestInvalid where it cannot be expressed."""
        self.body = dumps({**self._asked.body, "model": self.model})
        return self

    def expect(self, timeline: Timeline) -> None:
        """A streamed answer is on its way."""

    def stream(self, timeline: Timeline, response: UpstreamResponse) -> Pipeline:
        """What passes a streamed answer on."""
        return RawPipeline(timeline, event_stream=response.content_type.startswith("text/event-stream"))

    def whole(self, timeline: Timeline) -> Collector:
        """What gathers an answer that leaves as one body; nothing but a chat completion does."""
        raise NotImplementedError

    def learn(self, source: str | None) -> None:
        """After a good answer: where reasoning was seen."""

    def settle(self) -> None:
        """The answer has begun: no target is asked any more, so that the request may be forgotten."""
        self._asked.settle()


class ChatQuestion(RawQuestion):
    """A chat completion before one target."""

    __slots__ = ("_context", "_expecting")

    understood: ClassVar[bool] = True
    _context: AnswerContext

    def __init__(self, aim: Aim, asked: Asked) -> None:
        RawQuestion.__init__(self, aim, asked)  # `super()` takes 0.1 µs more
        self._expecting: StreamPipeline | None = None

    def ask(self) -> Self:
        """This, with the body that the target gets. Raises RequestInvalid where it cannot be expressed."""
        asked, mending, recall = self._asked, self.mending, self._asked.recall
        manner = self._aim.manner if mending is None else mending.manner
        body = asked.body
        if recall is not None:
            messages = recall.messages(manner.history, self.metrics)
            if messages is not body["messages"]:
                body = {**body, "messages": messages}
        verbatim = asked.rendering.form == "passthrough"
        model = self.model
        seen = asked.service.seen.source(self.provider.name, model)
        prepared = prepare(body, manner, model=model, seen_field=seen, verbatim=verbatim)
        asked.mending = mending
        if mending is not None:
            mending.sent = prepared.body
        self._expecting = None  # an answer to an earlier try, which failed
        self.body = dumps(prepared.body)
        self.notes = prepared.notes
        self.content_type = None if verbatim else EVENT_STREAM
        rendering = dataclasses.replace(asked.rendering, form="drop") if prepared.hide else asked.rendering
        self._context = self._reading(manner.response, rendering, thinking=prepared.reasoning)
        keep = None if recall is None else recall.keeper(self.metrics)
        if keep is not None:
            self._context = dataclasses.replace(self._context, keep=keep)
        return self

    def _reading(self, dialect: Dialect, rendering: Rendering, *, thinking: bool) -> AnswerContext:
        """How the answer is to be read: kept from one request to the next, as most are read alike."""
        asked, contexts = self._asked, self._aim.contexts
        include_usage = "stream_options" in asked.body and bodies.wants_usage(asked.body)
        known = contexts.get((thinking, include_usage))
        if (
            known is not None
            and known.dialect is dialect
            and (known.rendering is rendering or known.rendering == rendering)
        ):
            return known
        state = asked.state
        made = contexts[thinking, include_usage] = AnswerContext(
            dialect=dialect,
            rendering=rendering,
            model=self.model,
            fresh=_fresh,
            thinking=thinking,
            include_usage=include_usage,
            byte_path=state.settings.server.byte_path,
            reader=state.reader(self.provider.name, self.model, dialect, thinking=thinking),
        )
        return made

    def expect(self, timeline: Timeline) -> None:
        """A streamed answer is on its way."""
        self._expecting = StreamPipeline(self._context, timeline)

    def stream(self, timeline: Timeline, response: UpstreamResponse) -> Pipeline:
        """What passes a streamed answer on. The answer to one try, and no later one, may be expected."""
        del response
        expecting, self._expecting = self._expecting, None
        return StreamPipeline(self._context, timeline) if expecting is None else expecting

    def whole(self, timeline: Timeline) -> Collector:
        """What gathers an answer that leaves as one body."""
        return WholePipeline(self._context, timeline)

    def learn(self, source: str | None) -> None:
        """After a good answer: where reasoning was seen."""
        if source is not None:
            self._asked.service.seen.learn(self.provider.name, self.model, source)


def _fresh() -> tuple[str, int]:
    return "chatcmpl-" + heads.digits(), int(time.time())
