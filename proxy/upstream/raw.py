"""Answers of endpoints that are not ours to understand: bytes as they come, with the interface of a pipeline."""

from proxy.core import sse
from proxy.core.codec import dumps
from proxy.core.errors import ProxyError
from proxy.core.timeline import Timeline


class RawPipeline:
    """Passes bytes on. It has begun with the first byte, and it is done at the end of the body."""

    def __init__(self, timeline: Timeline, *, event_stream: bool) -> None:
        self.begun = False
        self.done = False
        self.error: ProxyError | None = None
        self.source: str | None = None
        self._timeline = timeline
        self._event_stream = event_stream
        self._tail = b""  # the last bytes, which tell whether an event is open

    def feed(self, data: bytes, now: float) -> bytes:
        """The same bytes."""
        if not self.begun:
            self.begun = True
            self._timeline.first_chunk = now
        self._timeline.last_content = now
        self._tail = (self._tail + data)[-4:]
        return data

    def close(self, now: float, error: ProxyError | None = None) -> bytes:
        """Nothing more; of an event stream that broke an error event."""
        del now
        self.done = True
        self.error = error
        if error is None or not self._event_stream or not self.begun:
            return b""
        return sse.separation(self._tail) + error_event(error)


def error_event(error: ProxyError) -> bytes:
    """The end of an event stream that failed: the error as an event, then `[DONE]`."""
    return b"data: " + dumps(error.event_body()) + b"\n\ndata: [DONE]\n\n"
