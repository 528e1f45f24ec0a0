"""One try of one target, from its request to the end of its answer."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from proxy.core.errors import ProxyError, UpstreamError, UpstreamProtocol
from proxy.core.timeline import Timeline
from proxy.core.upstream_error import from_payload
from proxy.settings.model import Provider
from proxy.telemetry.exchange import AttemptOutcome, Exchange
from proxy.telemetry.target import TargetMetrics
from proxy.upstream import authority
from proxy.upstream.deadline import FIRST_ANSWER, FIRST_TOKEN, Deadline
from proxy.upstream.engine import Engine, UpstreamResponse
from proxy.upstream.healing import Mending
from proxy.upstream.health import TargetHealth
from proxy.upstream.reading import Collector, Pipeline
from proxy.upstream.refusal import outcome_of, outcome_of_error, outcome_of_no_answer, payload, retry_after

ERROR_BODY_BYTES = 64 * 1024
"""More of an upstream's error is not read."""
EVENT_STREAM = "text/event-stream; charset=utf-8"
_OK, _PROTOCOL_ERROR, _CANCELLED = AttemptOutcome.OK, AttemptOutcome.PROTOCOL_ERROR, AttemptOutcome.CANCELLED
_ACCEPT = {"stream": "text/event-stream", "whole": "application/json", "raw": "*/*"}


class Kind(StrEnum):
    """What the client gets: an event stream, one body, or the upstream's own bytes."""

    STREAM = "stream"
    WHOLE = "whole"
    RAW = "raw"

    # A look-up by a member must not call Python's own `Enum.__hash__`.
    __hash__ = str.__hash__


_WHOLE, _RAW = Kind.WHOLE, Kind.RAW


class Sink(Protocol):
    """Where the answer goes: the client's side, as far as a try needs to know it."""

    committed: bool
    """Bytes of an answer have left: there is no other try any more."""

    def hold(self, data: bytes) -> None:
        """Bytes before the first generated content, which may still be thrown away."""

    def drop(self) -> None:
        """Throws held bytes away."""

    def begin(self, content_type: str, status: int = 200) -> None:
        """There is generated content: the response begins with what is held."""

    def write(self, data: bytes) -> None:
        """Bytes that leave with the next `push`, or with the end of the response."""

    def push(self, data: bytes, now: float) -> bool:
        """Sends what was written, and this, in one piece. Whether the client is slower than the upstream: see `drained`."""

    async def drained(self) -> None:
        """Waits until the client has taken enough for more to be sent."""


class Question(Protocol):
    """The request as one target wants it, and the reading of its answer."""

    body: bytes
    notes: tuple[str, ...]
    """Parameters that could not be expressed for this target."""
    content_type: str | None
    """Of a streamed answer; None: the upstream's."""

    def expect(self, timeline: Timeline) -> None:
        """The request has left; what `stream` will need may be made while the answer is waited for."""

    def stream(self, timeline: Timeline, response: UpstreamResponse) -> Pipeline:
        """What reads an answer that is passed on as it comes."""

    def whole(self, timeline: Timeline) -> Collector:
        """What reads an answer of which one body is made."""

    def learn(self, source: str | None) -> None:
        """Told, after a good answer, where reasoning was seen."""

    def settle(self) -> None:
        """Called once the answer has begun: no target is asked any more, so that the request may be forgotten."""


class Candidate(Protocol):
    """A target that may answer."""

    provider: Provider
    model: str
    """As the provider calls it."""
    engine: Engine
    metrics: TargetMetrics
    health: TargetHealth
    mending: Mending | None
    """Changes what `ask` gives after a known refusal; None: refusals stand."""

    def ask(self) -> Question:
        """What this target is asked. Raises RequestInvalid where the request cannot be expressed for it."""


class Attempt:
    """One try. `run` returns when the answer is complete, and raises while another try is still possible."""

    outcome: AttemptOutcome
    """How it ended, once it has."""
    said: object = None
    """The JSON or text of the error that the target answered with."""
    _question: Question
    _reading: Pipeline
    _pipeline: Pipeline | None = None
    _response: UpstreamResponse | None = None
    _status = 200
    _content_type = EVENT_STREAM
    _complete = False

    # What each read needs has no default in the class: CPython 3.11 would look there first (`_Py_Specialize_LoadAttr`).
    def __init__(
        self,
        candidate: Candidate,
        path: str,
        kind: Kind,
        client_key: str | None,
        exchange: Exchange,
        sink: Sink,
        clock: Callable[[], float],
        began: float = 0.0,
    ) -> None:
        self.candidate = candidate
        self._path = path
        self._kind = kind
        self._client_key = client_key
        self._exchange = exchange
        if exchange.attempts:
            exchange.timeline = Timeline(exchange.started)  # the marks of one try say nothing of the next
        self._timeline = exchange.timeline
        self._sink = sink
        self._clock = clock
        self._began = began
        self.deadline = Deadline(candidate.engine.deadlines)
        self.outcome = _CANCELLED
        self._censor: authority.Censor | None = None
        self._answering = self._slow = False
        self._raised: Exception | None = None
        exchange.target = candidate.metrics
        exchange.answering = f"{candidate.provider.name}/{candidate.model}"

    async def run(self) -> bytes:
        """Gives the whole body where one is asked for, else b"", the answer having gone to the sink.

        Raises a ProxyError where the try failed and nothing generated has left. A failure later than that is written
        into the stream by the pipeline.
        """
        exchange = self._exchange
        try:
            self._question = question = self.candidate.ask()
            exchange.notes = question.notes
            head = self._head()
            self._asks()
            response = await self.candidate.engine.open(self._path, head, question.body, sent=self._sent)
            question.body = b""
            self._response = response
            self._timeline.first_byte = self._clock()
            if response.status >= 300:  # noqa: PLR2004 - HTTP's successes end there
                raise await self._refusal(response)
            if self._kind is _WHOLE:
                return await self._collect(response, question.whole(self._timeline))
            await self._pass_on(response, question.stream(self._timeline, response))
        except ProxyError as error:
            if self._response is None and self._timeline.upstream_written is not None:
                self.outcome = outcome_of_no_answer(error)
            return self._failed(error)
        except asyncio.CancelledError:
            if not self.deadline.expired():
                self.outcome = AttemptOutcome.CANCELLED
                raise
            self.outcome = self.deadline.outcome
            return self._failed(self.deadline.error)
        finally:
            self.deadline.stop()
            if self._timeline.upstream_written is not None:
                self.candidate.metrics.attempt(self.outcome, self._timeline.events)
            if exchange.trace is not None:
                exchange.trace.tried(exchange, self.outcome)
            if self._response is not None:
                if self._complete:
                    self._response.release()
                else:
                    await self._response.aclose()
        return b""

    def _head(self) -> authority.Head:
        provider, trace = self.candidate.provider, self._exchange.trace
        head = self.candidate.engine.heads.of(_ACCEPT[self._kind], self._client_key)
        if trace is not None:
            told = trace.attempt(self._exchange, provider.base_url)
            if told and provider.propagate_trace:
                return authority.Head({**head.fields, **told})
        return head

    def _asks(self) -> None:
        """The request leaves now."""
        self._exchange.attempts += 1
        now = self._timeline.upstream_written = self._clock()
        self.deadline.start(now)
        if self._exchange.asked is None:
            self._exchange.asked = now

    def _sent(self) -> None:
        if self._kind is not _WHOLE:
            self._question.expect(self._timeline)

    def _hidden(self) -> tuple[str, ...]:
        return authority.secrets(self.candidate.provider, self._client_key)

    async def _refusal(self, response: UpstreamResponse) -> UpstreamError:
        status = response.status
        if status < 400:  # noqa: PLR2004 - redirects: following one would carry the key to another host
            self.outcome = AttemptOutcome.PROTOCOL_ERROR
            name = self.candidate.provider.name
            return UpstreamProtocol(f"Provider {name!r} redirects ({status}) instead of answering; check its base_url.")
        self.outcome = outcome_of(status)
        body = b""
        self.deadline.read_at = self._clock()
        try:
            while len(body) < ERROR_BODY_BYTES and (data := await response.read()):
                body += data
            self._complete = len(body) < ERROR_BODY_BYTES
        except UpstreamError:
            body += b""  # what has been read of a broken error still says something
        self.said = payload(body, status)
        error = from_payload(self.said, status)
        error.retry_after_s = retry_after(response.headers.get("retry-after"))
        return error

    async def _pass_on(self, response: UpstreamResponse, pipeline: Pipeline) -> None:
        sink, deadline = self._sink, self.deadline
        self._pipeline = pipeline
        self._status = response.status
        self._content_type = self._question.content_type or response.content_type
        if self._question.content_type is None:
            self._censor = authority.Censor(self._hidden())
        deadline.wait = FIRST_TOKEN
        self.outcome = _PROTOCOL_ERROR
        self._reading = pipeline
        while data := await response.read():
            if self._arrived(data):
                await response.hand_on(self._arrived)
            if self._raised is not None:
                try:
                    raise self._raised
                finally:
                    self._raised = None  # whose frames hold this try
            if pipeline.done:
                self._complete = pipeline.error is None
                break
            if self._slow:
                deadline.paused = True
                await sink.drained()
                self._slow = deadline.paused = False
                deadline.read_at = self._clock()
        if not pipeline.done:
            self._close(pipeline)
        self._concluded(pipeline)
        self._question.learn(pipeline.source)

    def _arrived(self, data: bytes) -> bool:
        """Passes one read on. False: the task has something to do before the next one. Raises nothing."""
        exchange, pipeline, now = self._exchange, self._reading, self._clock()
        try:
            out = pipeline.feed(data, now)
            after = self._clock()
            exchange.core_s += after - now
            if not self._answering and (exchange.content_read is None or self._timeline.first_answer is not None):
                self._answering = self._progress(pipeline, now)
            if self._censor is not None or pipeline.error is not None:
                out = self._judged(out, pipeline)
            if not pipeline.begun:
                self._sink.hold(out)
            elif pipeline.done:
                self._sink.write(out)
            else:
                # Before the first content a silent upstream is limited by first_token: it may be thinking unseen.
                self.deadline.read_at = after
                self._slow = self._sink.push(out, after)
        except Exception as error:  # noqa: BLE001 - whoever called is no task
            self._raised = error
            return False
        return not self._slow and not pipeline.done

    def _close(self, pipeline: Pipeline) -> None:
        """The answer has ended before its pipeline knew of it."""
        self._complete = True
        now = self._clock()
        out = pipeline.close(now)
        self._progress(pipeline, now)
        if self._censor is not None or pipeline.error is not None:
            out = self._judged(out, pipeline)
        if out:
            (self._sink.write if pipeline.begun else self._sink.hold)(out)

    def _progress(self, pipeline: Pipeline, now: float) -> bool:
        """Follows an answer up to its first text; True once it is there."""
        if pipeline.begun and self._exchange.content_read is None:
            self._exchange.content_read = now
            self._taken()
            self._question.settle()
            self.candidate.health.answered(self.candidate.model, self._began, now - self._began)
            self._sink.begin(self._content_type, self._status)
            if self._kind is _RAW:
                self.deadline.answering(now)
            else:
                self.deadline.wait = FIRST_ANSWER
        if self._timeline.first_answer is not None:
            self.deadline.answering(now)
            return True
        return False

    def _taken(self) -> None:
        if self.candidate.mending is not None:
            self.candidate.mending.taken()

    def _judged(self, out: bytes, pipeline: Pipeline) -> bytes:
        """What may leave of bytes in which a secret may be. Raises an error that came before any content."""
        if self._censor is not None:
            out = self._censor.feed(out) + (self._censor.close() if pipeline.done else b"")
        if pipeline.error is not None:
            hidden = self._hidden()
            authority.cut_out(pipeline.error, hidden)
            out = authority.cut_out_bytes(out, hidden)
            if not pipeline.begun:
                self.outcome = outcome_of_error(pipeline.error)
                raise pipeline.error
        return out

    def _concluded(self, pipeline: Pipeline) -> None:
        if pipeline.error is not None:
            self.outcome = outcome_of_error(pipeline.error)
            self._exchange.failed(pipeline.error)
            return
        self.outcome = _OK
        self._taken()
        if not pipeline.begun:
            # An answer may be empty: a finish reason and nothing else.
            self._sink.begin(self._content_type, self._status)

    async def _collect(self, response: UpstreamResponse, collector: Collector) -> bytes:
        clock, exchange = self._clock, self._exchange
        self.deadline.wait = FIRST_TOKEN
        self.outcome = _PROTOCOL_ERROR
        while data := await response.read():
            now = clock()
            self.deadline.answering(now)
            collector.feed(data, now)
            exchange.core_s += clock() - now
            if response.ended or collector.done:
                break
        self._complete = True
        now = exchange.content_read = clock()
        body = collector.close(now)
        exchange.core_s += clock() - now
        if collector.error is not None:
            self.outcome = outcome_of_error(collector.error)
            raise collector.error
        self.outcome = _OK
        self._taken()
        self._question.learn(collector.source)
        return body

    def _failed(self, error: ProxyError) -> bytes:
        hidden = self._hidden()
        authority.cut_out(error, hidden)
        pipeline = self._pipeline
        if pipeline is None or not pipeline.begun or pipeline.done:
            raise error
        out = pipeline.close(self._clock(), error)
        if not out:
            raise error
        if self._censor is not None:
            out = self._censor.close() + out
        self._exchange.failed(error)
        self._sink.write(authority.cut_out_bytes(out, hidden))
        return b""
