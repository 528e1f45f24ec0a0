"""What must be known of a request to read its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy.core.choice import DialectReader
from proxy.core.dialect import Dialect
from proxy.core.render import Rendering


@dataclass(slots=True)
class AnswerContext:
    """What the pipeline must know of the request whose answer it reads. Never changed: requests that are alike share it."""

    dialect: Dialect
    rendering: Rendering
    model: str
    """The target's model, for answers that name none."""
    fresh: Callable[[], tuple[str, int]]
    """Makes an id like no other and the Unix time in seconds, for an answer that has none; asked at most once for each."""
    thinking: bool = True
    """Whether this request makes the target think; decides `implicit_start: when_thinking`."""
    include_usage: bool = False
    """Whether the client asked for `stream_options.include_usage`."""
    keep: Callable[[dict[str, Any]], None] | None = None
    """Takes each complete canonical message, before the end of it leaves. None: a stream's messages are not collected."""
    byte_path: bool = True
    """Whether events that differ from a parsed one in their text alone are passed on as bytes; the result is the same."""
    reader: DialectReader | None = None
    """The dialect and `thinking`, prepared, where that is kept from one answer to the next."""

    def reading(self) -> DialectReader:
        """The dialect prepared for reading."""
        return self.reader or DialectReader(self.dialect, thinking=self.thinking)

    @property
    def snapshots(self) -> bool:
        """Whether each event repeats all the details so far."""
        return self.dialect.details is not None and self.dialect.details.snapshots
