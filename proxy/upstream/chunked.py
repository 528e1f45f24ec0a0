"""The chunked coding of HTTP/1.1 (RFC 9112, section 7.1) for chunks as small as events are: known by heart, not computed."""

SMALL = 2048
"""Below so many bytes."""
HEADS = tuple(b"%x\r\n" % size for size in range(SMALL))
"""Size of a chunk → what stands before its data."""
CRLF = b"\r\n"


def _whole() -> tuple[bytes, ...]:
    heads = [b""] * SMALL
    for size, head in enumerate(HEADS):
        total = len(head) + size + len(CRLF)
        if size and total < SMALL:  # a chunk without data is the last one
            heads[total] = head
    return tuple(heads)


WHOLE = _whole()
"""Size of a read → the head of the one chunk that it is, if it is one; b"" where no chunk has that size."""


def is_chunk(read: bytes, data: bytes) -> bool:
    """Whether a read, in which a parser found this data and nothing else, begins and ends where a chunk does.

    In a read that looks like it, data stands behind the head, or it is the rest of an earlier chunk and stands in front of
    all: no other byte before it ends a line. Where it could be either, no is said.
    """
    head = WHOLE[len(read)] if len(read) < SMALL else b""
    if len(head) + len(data) + len(CRLF) != len(read):
        return False
    return begins(read, head) and not read.startswith(data)


def begins(read: bytes, head: bytes) -> bool:
    """Whether a read begins with the head of a chunk, in letters of either case."""
    return read.startswith(head) or read[: len(head)].lower() == head
