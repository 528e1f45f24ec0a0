"""One HTTP/1.1 connection to an upstream, on httptools: bytes in as they come, no task, no timer, no copy per read.

A connection carries one exchange at a time; its answer lives on when the connection is already used for the next.
The body is handed over read by read, all that has arrived at once, and the socket is not read while more than
`HIGH_WATER` bytes wait (RFC 9112).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Literal, cast

import httptools

from proxy.upstream.chunked import CRLF, SMALL, WHOLE, begins, is_chunk

HIGH_WATER = 256 * 1024
"""Body bytes waiting for the reader, above which the socket is not read. Precedent: aiohttp waits at 128 KiB."""
MAX_HEAD_BYTES = 64 * 1024
"""Of the head of one answer, and of its trailers; twice what nginx takes by default."""


Break = Literal["closed", "protocol"]
"""The peer closed the connection, or what it sends is no HTTP."""


class BrokenError(Exception):
    """An answer cannot come to its end."""

    def __init__(self, kind: Break) -> None:
        super().__init__(kind)
        self.kind = kind


class Answer:
    """One answer on its way: the head is there once `Connection.ask` returns, the body comes by `read`."""

    __slots__ = (
        "_body",
        "_left_alone",
        "_reader",
        "_take",
        "begun",
        "complete",
        "connection",
        "ended",
        "error",
        "fields",
        "head",
        "status",
    )

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self._reader: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._left_alone: Callable[[], None] | None = None
        self._body = b""
        self.head: asyncio.Future[bool] = connection.loop.create_future()
        """Done when the head has arrived, or can no longer come: which of the two."""
        self.status = 0
        self.fields: dict[bytes, bytes] = {}
        """The head. Lower-case names; the values of a repeated one are joined by commas."""
        self.begun = False
        """Whether one byte of it has arrived."""
        self.complete = False
        """Whether all of it has arrived."""
        self.ended = False
        """Whether all of it has been read."""
        self.error: Break | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The head as text."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.fields.items()}

    async def read(self) -> bytes:
        """All of the body that has arrived, b"" at its end. Raises what `broken` gives."""
        while not self._body:
            if self.complete:
                self.ended = True
                return b""
            if self.error is not None:
                raise self.broken(self.error)
            self._reader = self.connection.loop.create_future()
            await self._reader
        data, self._body = self._body, b""
        self.ended = self.complete
        if len(data) > HIGH_WATER and not self.complete:
            self.connection.resume()
        return data

    async def hand_on(self, take: Callable[[bytes], bool]) -> None:
        """Calls `take` in the very read of the socket, until it gives False or there is something else for `read`."""
        if self._body or self.complete or self.error is not None:
            return
        self._take, self._reader = take, self.connection.loop.create_future()
        try:
            await self._reader
        finally:
            self._take = None

    def broken(self, how: Break) -> Exception:
        """What a reader is told of an answer that cannot come to its end."""
        return BrokenError(how)

    def discard(self, ended: Callable[[], None]) -> None:
        """The rest is of no interest; its end frees the connection. `ended` is called once no more will come."""
        self._left_alone = ended
        full, self._body = len(self._body) > HIGH_WATER, b""
        if full and not self.complete:
            self.connection.resume()
        self.wake()

    def abort(self) -> None:
        """The rest is not wanted: closes the connection, unless it is free already."""
        if not self.complete:
            self.connection.abort()

    def add(self, data: bytes) -> bool:
        """More of the body; returns whether more than enough is waiting."""
        reader = self._reader
        if self._take is not None and reader is not None and not reader.done():  # done: its task was cancelled
            if not self._take(data):
                self.wake()
            return False
        if self._left_alone is not None:
            return False
        if self._body:
            data = self._body + data
        self._body = data
        if reader is not None:
            self.wake()
        return len(data) > HIGH_WATER

    def wake(self) -> None:
        """Something has happened that a reader, or whoever called `discard`, may be waiting for."""
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
        if self._left_alone is not None and (self.complete or self.error is not None):
            ended, self._left_alone = self._left_alone, None  # which may hold this answer
            ended()


class Connection(asyncio.Protocol):
    """A connection and its parser. `idle` is called when it can carry another exchange, `gone` when it is closed."""

    def __init__(self, idle: Callable[["Connection"], None], gone: Callable[["Connection"], None]) -> None:
        self._on_idle = idle
        self._on_gone = gone
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._answer: Answer | None = None
        self._fields: dict[bytes, bytes] | None = None  # of the head that is being read
        self._pieces: list[bytes] = []  # of the body, from the read that is being parsed
        self._bare_bytes = 0  # of reads since the head, or the last one with a piece of the body
        self._framed = False  # the head of the final answer is complete
        self._surplus = False  # bytes came after the answer
        self._between = False  # the parser stands between two chunks: a read that is one chunk would leave it there
        self._reusable = False
        self.closed = False
        self.idle_since = 0.0
        self.loop = asyncio.get_running_loop()
        # The parser calls it for each chunk of the body, of which one read may hold hundreds.
        self.on_body = self._pieces.append

    async def ask(self, request: bytes, answer: Answer, sent: Callable[[], None] | None = None) -> None:
        """Sends a whole request, calls `sent`, and waits for the head of the answer. Raises BrokenError."""
        # The future of the head is the answer's own: the next exchange may begin before this task has seen its result.
        self._answer = answer
        self._bare_bytes = 0
        self._framed = self._surplus = self._reusable = False
        if self._transport is None or self._transport.is_closing():
            raise BrokenError("closed")
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._transport.write(request)
            if sent is not None:
                sent()
            arrived = await answer.head
        except BaseException:
            answer.abort()
            raise
        if not arrived:
            raise BrokenError(answer.error or "closed")

    def resume(self) -> None:
        """The reader has caught up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Closes in good order."""
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # the peer may never take the rest of the request, and closing would wait for it
        else:
            self._transport.close()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if self._between:
            head = WHOLE[len(data)] if len(data) < SMALL else b""
            begun = data.startswith(head) or begins(data, head)  # a call saved for nearly all
            if begun and head and data.endswith(CRLF) and answer is not None:
                if answer.add(data[len(head) : -2]) and self._transport is not None:
                    self._transport.pause_reading()
                return
            self._between = False
        if answer is None:
            if data.strip(b"\r\n"):  # some hosts end an answer with one line too many
                self.abort()  # bytes that no request asked for
            return
        answer.begun = True
        try:
            bare = self._bare_bytes + len(data)
            if bare < MAX_HEAD_BYTES:
                self._bare_bytes = bare
                self._parser.feed_data(data)
            else:
                self._feed(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            self._hand_over(answer)
            self._fail("protocol")
            return
        pieces = self._pieces
        if len(pieces) == 1 and not self._surplus:
            self._bare_bytes = 0
            piece = pieces.pop()
            self._between = is_chunk(data, piece)
            if answer.add(piece) and self._transport is not None:
                self._transport.pause_reading()
        elif pieces:
            self._hand_over(answer)
        if answer.complete:
            self._end()
            answer.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        answer = self._answer
        if answer is not None and not answer.complete:
            if exc is None and self._framed and _until_close(answer.fields) and answer.error is None:
                answer.complete = True  # a body without a length ends with its connection (RFC 9112, section 6.3)
                answer.wake()
            else:
                self._fail("closed")
        self._parser = self._answer = None  # which hold this connection
        self._on_gone(self)

    def _hand_over(self, answer: Answer) -> None:
        """All that one read brought of the body goes to its reader."""
        if self._pieces:
            self._bare_bytes = 0
            data = b"".join(self._pieces)
            self._pieces.clear()
            if not self._surplus and answer.add(data) and self._transport is not None:
                self._transport.pause_reading()

    def _feed(self, data: bytes) -> None:
        """Parses a read that may go beyond what a head, trailers or the framing of chunks may take."""
        room = MAX_HEAD_BYTES - self._bare_bytes
        if not self._framed and len(data) > room:
            self._feed(data[:room])
            data = data[room:]
        self._bare_bytes += len(data)
        self._parser.feed_data(data)
        if (
            self._bare_bytes >= MAX_HEAD_BYTES
            and not self._pieces
            and self._answer is not None
            and not self._answer.complete
        ):
            raise httptools.HttpParserError("head or trailers too long")

    # What the parser calls.

    def on_message_begin(self) -> None:
        answer = self._answer
        self._surplus = answer is None or answer.complete
        if answer is not None and not self._surplus:
            self._fields = answer.fields = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self._fields
        if fields is not None:  # not a trailer
            key = name.lower()
            value = value.rstrip(b" \t")
            fields[key] = b"%b, %b" % (fields[key], value) if key in fields else value

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None or self._surplus:
            return
        status = answer.status = self._parser.get_status_code()
        coding = answer.fields.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise httptools.HttpParserError("no other transfer coding was asked for")
        if status >= 200:  # noqa: PLR2004 - below are interim answers (RFC 9110, section 15.2)
            self._framed = True
            self._fields = None
            self._bare_bytes = 0
            if not answer.head.done():
                answer.head.set_result(True)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and self._framed and not self._surplus:  # not the end of an interim answer
            answer.complete = True
            self._hand_over(answer)  # what may come behind it is not of this body
            self._reusable = self._parser.should_keep_alive()

    def _end(self) -> None:
        """The answer is complete. Bytes behind it could be taken for the next one, so they cost the connection."""
        self._answer = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        # A host may answer before it has read the whole request: what is unsent then stands before the next one.
        if self._reusable and not self._surplus and not transport.get_write_buffer_size():
            transport.resume_reading()
            self._on_idle(self)
        else:
            self.close()

    def _fail(self, how: Break) -> None:
        answer = self._answer
        if answer is not None and answer.error is None:
            answer.error = how
            if not answer.head.done():
                answer.head.set_result(False)
            answer.wake()
        self.abort()


def _until_close(fields: dict[bytes, bytes]) -> bool:
    return b"content-length" not in fields and b"transfer-encoding" not in fields
