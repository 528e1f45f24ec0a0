"""What hosts say on the wire, well and badly, and what comes of it."""

import gzip
from dataclasses import dataclass

from tests.support.peer import End, Steps

FIN, RESET = End.FIN, End.RESET
GZIPPED = gzip.compress(b"hello, hello, hello")
CHUNKED = "Transfer-Encoding: chunked"
NO_HTTP = ("protocol", False)
CLOSED = ("closed", False)
BROKEN = ("200 hello, then broken", False)


@dataclass(frozen=True)
class Said:
    """One answer to one request, and what a good client makes of it."""

    steps: Steps
    heard: str = "200 hello"
    """Status and body, and how that ended; or `protocol` (no HTTP), `closed` (no whole head)."""
    again: bool = True
    """Whether the connection may carry the next request."""


def head(*lines: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """A status line and header lines; latin-1."""
    return "\r\n".join([f"HTTP/{version} {status}", *lines, "", ""]).encode("latin-1")


def whole(body: bytes = b"hello", *lines: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """An answer of known length."""
    return head(f"Content-Length: {len(body)}", *lines, status=status, version=version) + body


def chunked(*chunks: bytes) -> bytes:
    """A chunked body without its head and end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def _pairs(body: bytes) -> list[bytes]:
    return [body[at : at + 2] for at in range(0, len(body), 2)]


def _long(size: int) -> bytes:
    """A whole answer whose head has exactly `size` bytes."""
    lines = whole(b"hello", "X: ")
    return lines.replace(b"X: ", b"X: " + b"x" * (size - len(lines) + 5))


ANSWERS = {
    # Length known
    "content-length": Said([whole()]),
    "content-length in pieces": Said([head("Content-Length: 10"), 0.02, b"hello", 0.02, b"world"], "200 helloworld"),
    "empty body": Said([whole(b"")], "200 "),
    "content-length twice, the same": Said([head("Content-Length: 5", "Content-Length: 5") + b"hello"], *NO_HTTP),
    "content-length twice, different": Said([head("Content-Length: 5", "Content-Length: 6") + b"hello!"], *NO_HTTP),
    "content-length is no number": Said([head("Content-Length: five") + b"hello"], *NO_HTTP),
    "content-length is negative": Said([head("Content-Length: -1") + b"hello"], *NO_HTTP),
    "content-length and chunked": Said([head("Content-Length: 3", CHUNKED) + chunked(b"hello", b"")], *NO_HTTP),
    "no content": Said([head("X-A: 1", status="204 No Content")], "204 x-a=1 "),
    "not modified": Said([head("Content-Length: 5", status="304 Not Modified")], "304 "),
    # Chunks
    "chunked": Said([head(CHUNKED) + chunked(b"hel", b"lo", b"")]),
    "chunked in pieces": Said([head(CHUNKED), 0.02, b"5\r", 0.02, b"\nhel", 0.02, b"lo\r\n0\r\n\r", 0.02, b"\n"]),
    "chunked in capitals": Said([head(CHUNKED.upper()) + chunked(b"hello", b"")]),
    "chunk sizes of any form": Said(
        [head(CHUNKED) + b"0A\r\n0123456789\r\na\r\nabcdefghij\r\n000\r\n\r\n"], "200 0123456789abcdefghij"
    ),
    "chunk extensions": Said([head(CHUNKED) + b'5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n']),
    "chunk size is no number": Said([head(CHUNKED) + b"five\r\nhello\r\n0\r\n\r\n"], "200 , then broken", again=False),
    "chunk longer than its size": Said(
        [head(CHUNKED) + b"3\r\nhello\r\n0\r\n\r\n"], "200 hel, then broken", again=False
    ),
    "trailers": Said([head(CHUNKED) + b"5\r\nhello\r\n0\r\nContent-Type: text/evil\r\nX-A: 1\r\n\r\n"]),
    "trailers too long": Said(
        [head(CHUNKED) + chunked(b"hello") + b"0\r\n", *[b"X: %b\r\n" % (b"x" * 10_000)] * 30, FIN],
        "200 hello, then broken",
        again=False,
    ),
    "another transfer coding": Said([head("Transfer-Encoding: gzip") + b"hello", FIN], *NO_HTTP),
    "one transfer coding in another": Said(
        [head("Transfer-Encoding: gzip, chunked") + chunked(b"hello", b"")], *NO_HTTP
    ),
    # Until the connection closes
    "until close": Said(
        [head("Content-Type: text/plain") + b"hello", 0.02, b" world", FIN], "200 hello world", again=False
    ),
    "until close, empty": Said([head(), FIN], "200 ", again=False),
    "until close, broken": Said([head() + b"hello", 0.05, RESET], *BROKEN),
    "connection: close": Said([whole(b"hello", "Connection: close")], again=False),
    "connection: close in a list": Said([whole(b"hello", "Connection: x, Close")], again=False),
    # Interim answers
    "continue first": Said([head("X-A: 1", status="100 Continue") + whole()]),
    "continue much earlier": Said([head("X-A: 1", status="100 Continue"), 0.02, whole()]),
    "early hints first": Said(
        [head("Link: </a>", status="103 Early Hints") + head(status="103 Early Hints") + whole()]
    ),
    "continue and nothing": Said([head(status="100 Continue"), FIN], *CLOSED),
    "switching protocols": Said(
        [head("Upgrade: x", "Connection: upgrade", status="101 Switching Protocols"), FIN], *NO_HTTP
    ),
    # Versions
    "HTTP/1.0": Said([whole(version="1.0")], again=False),
    "HTTP/1.0 that is kept alive": Said([whole(b"hello", "Connection: keep-alive", version="1.0")]),
    "HTTP/1.0 until close": Said([head(version="1.0") + b"hello", FIN], again=False),
    "HTTP/2.0": Said([whole(version="2.0")], again=False),
    # Heads
    "names in any case": Said([whole(b"hello", "X-MiXeD: a", "x-A: 1")], "200 x-a=1 hello"),
    "space around values": Said([whole(b"hello", "X-A:   a  b \t ", "X-B:b", "X-Empty:")], "200 x-a=a  b hello"),
    "repeated headers": Said([whole(b"hello", "X-A: 1", "x-b: 2", "x-a: 3")], "200 x-a=1, 3 hello"),
    "latin-1 values": Said([whole(b"hello", "X-A: caf\xe9")], "200 x-a=caf\xe9 hello"),
    "UTF-8 values": Said([whole(b"hello", "X-A: caf\xc3\xa9")], "200 x-a=caf\xc3\xa9 hello"),
    "folded header": Said([whole(b"hello", "X-A: one\r\n two", "X-B: 3")], *NO_HTTP),
    "header without a colon": Said([whole(b"hello", "nonsense")], *NO_HTTP),
    "space before the colon": Said([whole(b"hello", "X-A : 1")], *NO_HTTP),
    "control character in a value": Said([whole(b"hello", "X-A: a\x01b")], *NO_HTTP),
    "NUL in a value": Said([whole(b"hello", "X-A: a\0b")], *NO_HTTP),
    "no reason phrase": Said([whole(status="200")]),
    "reason in latin-1": Said([whole(status="200 Tr\xe8s bien")]),
    "error status": Said([whole(b"{}", status="503 Busy")], "503 {}"),
    "status of four digits": Said([whole(status="2000 OK")], *NO_HTTP),
    "bare line feeds": Said([whole(b"hello").replace(b"\r\n", b"\n")], *NO_HTTP),
    "empty lines first": Said([b"\r\n\r\n" + whole()]),
    "many headers": Said([whole(b"hello", *(f"X-{n}: {n}" for n in range(500)))]),
    "head just short enough": Said([_long(64 * 1024)]),
    "head too long": Said([_long(64 * 1024 + 1)], *NO_HTTP),
    "head much too long": Said([_long(300 * 1024)], *NO_HTTP),
    "head without end": Said([head("X: " + "x" * 400_000)[:-4], FIN], *NO_HTTP),
    "interim answers without end": Said([head("X: " + "x" * 900, status="103 Early Hints") * 400, FIN], *NO_HTTP),
    # No HTTP
    "garbage": Said([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], *NO_HTTP),
    "garbage that is binary": Said([bytes(range(256)) * 4], *NO_HTTP),
    "a TLS alert": Said([b"\x15\x03\x01\x00\x02\x02\x46"], *NO_HTTP),
    "FTP greeting": Said([b"220 ready\r\n"], *NO_HTTP),
    # Broken off
    "reset at once": Said([RESET], *CLOSED),
    "reset in the head": Said([head("Content-Length: 5")[:20], 0.05, RESET], *CLOSED),
    "reset in the body": Said([head("Content-Length: 10") + b"hello", 0.05, RESET], *BROKEN),
    "close at once": Said([FIN], *CLOSED),
    "close in the status line": Said([b"HTTP/1.1 20", FIN], *CLOSED),
    "close in the head": Said([head("Content-Length: 5")[:30], FIN], *CLOSED),
    "close in the body": Said([head("Content-Length: 10") + b"hello", FIN], *BROKEN),
    "close in a chunk": Said([head(CHUNKED) + b"a\r\nhello", FIN], *BROKEN),
    "close between chunks": Said([head(CHUNKED) + b"5\r\nhello\r\n", FIN], *BROKEN),
    "close in a chunk's size": Said([head(CHUNKED) + b"5\r\nhello\r\n1", FIN], *BROKEN),
    "close in the trailers": Said([head(CHUNKED) + b"5\r\nhello\r\n0\r\nX", FIN], *BROKEN),
    # More than the answer
    "surplus: an answer": Said([whole() + whole(b"evil!")], again=False),
    "surplus: garbage": Said([whole() + b"garbage"], again=False),
    "surplus: line ends": Said([whole() + b"\r\n"]),
    "surplus after a while": Said([whole(), 0.02, whole(b"evil!")], again=False),
    "surplus behind connection: close": Said([whole(b"hello", "Connection: close") + b"garbage"], again=False),
    "body behind no content": Said(
        [head("Content-Length: 5", status="204 No Content") + b"hello"], "204 ", again=False
    ),
    # Content codings
    "gzip": Said([whole(GZIPPED, "Content-Encoding: gzip")], "200 hello, hello, hello"),
    "gzip in chunks": Said(
        [head("Content-Encoding: GZip", CHUNKED) + chunked(*_pairs(GZIPPED), b"")], "200 hello, hello, hello"
    ),
    "gzip that is none": Said([whole(b"hello", "Content-Encoding: gzip")], "200 , then undecodable"),
    "identity, said aloud": Said([whole(b"hello", "Content-Encoding: identity")]),
    "an unknown encoding": Said([whole(b"hello", "Content-Encoding: br")], "200 , then undecodable"),
}
