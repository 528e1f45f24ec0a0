"""A request's head that has come before on its connection, and need not be parsed again.

A client says the same in each request but for the length of what it sends. Bytes that were parsed once mean the same
again where a new request begins.
"""

import re
from typing import Self

MOST_BYTES = 4096
"""Of a head that is kept; those of the SDKs have about 800."""
_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})\r\n", re.IGNORECASE)
_LENGTH_NAME = b"content-length"
_APART = frozenset({"transfer-encoding", "expect", "upgrade"})
"""With one of these the parser, or who answers, does more than what the length says."""
_END = b"\r\n\r\n"
_MOST_DIGITS = 9


class KnownHead:
    """A head on both sides of the number in its `Content-Length`, and what the parser made of it."""

    __slots__ = ("_after", "_before", "headers", "path")

    def __init__(self, before: bytes, after: bytes, path: str, headers: dict[str, str]) -> None:
        self._before = before
        self._after = after
        self.path = path
        """See `ClientRequest.path`."""
        self.headers = headers
        """See `ClientRequest.headers`; without the length, which differs."""

    @classmethod
    def of(cls, data: bytes, body_size: int, path: str, headers: dict[str, str]) -> Self | None:
        """The head of a request of which one read brought the beginning, and nothing else; None where it is not to be kept.

        The parser took the last `body_size` bytes of the read for the body. `headers` as of `ClientRequest`.
        """
        size = data.find(_END) + len(_END)
        head = data[:size]
        found = _LENGTH.search(head)
        if found is None or size > MOST_BYTES or len(data) - size != body_size:
            return None
        if head.lower().count(_LENGTH_NAME) > 1 or not _APART.isdisjoint(headers):
            return None
        kept = {name: value for name, value in headers.items() if name != "content-length"}
        return cls(head[: found.start(1)], head[found.end(1) :], path, kept)

    def spans(self, data: bytes) -> tuple[int, int] | None:
        """Where the body begins in a read that begins with this head, and how many bytes it has; else None."""
        if not data.startswith(self._before):
            return None
        at = len(self._before)
        end = data.find(b"\r", at, at + _MOST_DIGITS + 1)
        digits = data[at:end]
        if not digits.isdigit() or not data.startswith(self._after, end):
            return None
        return end + len(self._after), int(digits)
