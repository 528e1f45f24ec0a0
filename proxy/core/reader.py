"""What the two pipelines of `stream.py` share: an upstream's body, which is SSE or JSON, and what was found in it."""

from typing import Any

from proxy.core import codec, sse
from proxy.core.chunk import Kind
from proxy.core.context import AnswerContext
from proxy.core.errors import ProxyError, UpstreamError
from proxy.core.normalizer import Normalizer
from proxy.core.timeline import Timeline
from proxy.core.upstream_error import not_a_completion
from proxy.core.whole import WholeAnswer

MAX_BODY_BYTES = 256 * 1024 * 1024
"""A whole answer, or JSON where a stream was expected; several times the largest known (images as base64)."""

_BOM = b"\xef\xbb\xbf"


class Reader:
    """Tells JSON from SSE, and reads events in their order."""

    _parser: sse.EventParser
    _normalizer: Normalizer

    # No attribute has a default in the class: CPython 3.11 then looks there first, each time (`_Py_Specialize_LoadAttr`).
    def __init__(self, context: AnswerContext, timeline: Timeline) -> None:
        self._context = context
        self._timeline = timeline
        self.error: ProxyError | None = None
        self.begun = False
        self.source: str | None = None
        """Where reasoning was seen: a field's name, `details`, `content_parts`, `tags`, or None."""
        self._json: list[bytes] | None = None  # the body, once it is known to be JSON
        self._size = 0
        self._head: bytes | None = b""  # what came before it was told; None once it is
        self._ended = False  # nothing that the upstream sends counts any more
        self._marked: Kind | None = None  # what this read has generated last
        self._joined = b""  # the whole JSON body

    def _told(self, data: bytes) -> bytes:
        """Decides by the body's first byte whether it is JSON; returns what there is to read."""
        if self._head is None:
            return data
        if not self._head:  # as nearly all begin
            if data.startswith(b"data:"):
                self._head = None
                return data
            if data.startswith(b"{"):
                self._head, self._json = None, []
                return data
        head = (self._head + data).lstrip().removeprefix(_BOM).lstrip()
        if not head or _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        if head[:1] in (b"{", b"["):
            self._json = []
        elif head[:1] == b"<":
            self._fail(not_a_completion("it looks like HTML"))
        return head

    def _kept(self, data: bytes) -> bool:
        """Collects a JSON body; False where the body is none."""
        if self._json is None:
            return False
        self._json.append(data)
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            self._json = []
            self._fail(not_a_completion(f"a body of more than {MAX_BODY_BYTES} bytes"))
        return True

    def _events(self, data: bytes) -> list[sse.Event]:
        try:
            return self._parser.feed(data)
        except sse.EventTooLargeError as error:
            self._fail(not_a_completion(str(error)))
            return []

    def _parsed(self, *, exact: bool = True) -> tuple[Any, bool] | None:
        """The collected JSON body as a value, and whether it is one that may go on as it came; None with `error` set.

        `exact`: see `codec.loads_first_as_sent`.
        """
        if self.error is None:
            self._joined = b"".join(self._json or ())
            try:
                return codec.loads_first_as_sent(self._joined, exact=exact)
            except ValueError:
                self._fail(not_a_completion("the body is no valid JSON"))
        return None

    def _whole(self, value: Any, *, closer: bool = False) -> WholeAnswer | None:
        """A body as a canonical answer, or None with `error` set. `closer`: see there."""
        try:
            answer = WholeAnswer(value, self._context, closer=closer)
        except UpstreamError as error:
            self._fail(error)
            return None
        for kind in answer.odd:
            self._timeline.count(kind)
        self.source = answer.source
        self._timeline.usage = answer.usage
        self._timeline.finish_reason = answer.finish_reason
        self._timeline.response_model, self._timeline.unclosed = answer.model, answer.unclosed
        return answer

    def _mark(self, kind: Kind, now: float) -> None:
        """Enters into the timeline what was generated; to be called once for all that one read brings in a row."""
        self._marked = kind
        self.begun = True
        (self._timeline.reasoning if kind == "reasoning" else self._timeline.answer)(now)

    def _settle(self) -> None:
        """Takes over what the normalizer found out."""
        for kind in self._normalizer.odd:
            self._timeline.count(kind)
        self._normalizer.odd.clear()
        self.source = self._normalizer.source
        self._timeline.usage = self._normalizer.usage
        self._timeline.finish_reason = self._normalizer.finish_reason
        self._timeline.response_model, self._timeline.unclosed = self._normalizer.model, self._normalizer.unclosed
        if self._normalizer.error and self.error is None:
            self._fail(self._normalizer.error)

    def _fail(self, error: ProxyError) -> None:
        self.error = error
        self._ended = True
