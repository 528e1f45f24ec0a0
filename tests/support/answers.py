"""What hosts say on the wire, well and badly: answers for the tests of everything that reads HTTP."""

import gzip

from tests.support.peer import End, Steps

FIN, RESET = End.FIN, End.RESET
GZIPPED = gzip.compress(b"hello, hello, hello")
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def head(*lines: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """A status line and header lines; latin-1."""
    return "\r\n".join([f"HTTP/{version} {status}", *lines, "", ""]).encode("latin-1")


def whole(body: bytes = b"hello", *lines: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """An answer of known length."""
    return head(f"Content-Length: {len(body)}", *lines, status=status, version=version) + body


def chunked(*chunks: bytes) -> bytes:
    """A chunked body without its head and end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def _long(size: int) -> bytes:
    """A whole answer whose head has exactly `size` bytes."""
    lines = whole(b"hello", "X: ")
    return lines.replace(b"X: ", b"X: " + b"x" * (size - len(lines) + 5))


ANSWERS: dict[str, Steps] = {
    "content-length": [whole()],
    "content-length in pieces": [head("Content-Length: 10"), 0.02, b"hello", 0.02, b"world"],
    "empty body": [whole(b"")],
    "content-length twice, the same": [head("Content-Length: 5", "Content-Length: 5") + b"hello"],
    "content-length twice, different": [head("Content-Length: 5", "Content-Length: 6") + b"hello!"],
    "content-length is no number": [head("Content-Length: five") + b"hello"],
    "content-length is negative": [head("Content-Length: -1") + b"hello"],
    "content-length and chunked": [head("Content-Length: 3", "Transfer-Encoding: chunked") + chunked(b"hello", b"")],
    "chunked": [_CHUNKED + chunked(b"hel", b"lo", b"")],
    "chunked in pieces": [_CHUNKED, 0.02, b"5\r", 0.02, b"\nhel", 0.02, b"lo\r\n", 0.02, b"0\r\n\r", 0.02, b"\n"],
    "chunked in capitals": [head("TRANSFER-ENCODING: CHUNKED") + chunked(b"hello", b"")],
    "chunk sizes in hex of any case": [_CHUNKED + b"0A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n"],
    "chunk extensions": [_CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n'],
    "chunk size is no number": [_CHUNKED + b"five\r\nhello\r\n0\r\n\r\n"],
    "chunk longer than its size": [_CHUNKED + b"3\r\nhello\r\n0\r\n\r\n"],
    "trailers": [_CHUNKED + b"5\r\nhello\r\n0\r\nContent-Type: text/evil\r\nX-Sum: 1\r\n\r\n"],
    "another transfer coding": [head("Transfer-Encoding: gzip") + b"hello", FIN],
    "until close": [head("Content-Type: text/plain") + b"hello", 0.02, b" world", FIN],
    "until close, empty": [head(), FIN],
    "until close, broken": [head() + b"hello", 0.05, RESET],
    "no content": [head("X-A: 1", status="204 No Content")],
    "not modified": [head("Content-Length: 5", status="304 Not Modified")],
    "continue first": [head(status="100 Continue") + whole()],
    "continue much earlier": [head("X-Early: 1", status="100 Continue"), 0.02, whole()],
    "early hints first": [head("Link: </a>", status="103 Early Hints") + head(status="103 Early Hints") + whole()],
    "continue and nothing": [head(status="100 Continue"), FIN],
    "switching protocols": [head("Upgrade: x", "Connection: upgrade", status="101 Switching Protocols"), FIN],
    "HTTP/1.0": [whole(version="1.0")],
    "HTTP/1.0 that is kept alive": [whole(b"hello", "Connection: keep-alive", version="1.0")],
    "HTTP/1.0 until close": [head(version="1.0") + b"hello", FIN],
    "HTTP/2.0": [whole(version="2.0")],
    "connection: close": [whole(b"hello", "Connection: close")],
    "connection: close in a list": [whole(b"hello", "Connection: x, Close")],
    "header names in any case": [whole(b"hello", "X-MiXeD: a", "content-TYPE: text/plain")],
    "space around values": [whole(b"hello", "X-A:   a  b \t ", "X-B:b", "X-Empty:")],
    "repeated headers": [whole(b"hello", "X-A: 1", "x-b: 2", "x-a: 3")],
    "latin-1 values": [whole(b"hello", "X-A: caf\xe9")],
    "UTF-8 values": [whole(b"hello", "X-A: caf\xc3\xa9")],
    "folded header": [whole(b"hello", "X-A: one\r\n two", "X-B: 3")],
    "header without a colon": [whole(b"hello", "nonsense")],
    "space before the colon": [whole(b"hello", "X-A : 1")],
    "control character in a value": [whole(b"hello", "X-A: a\x01b")],
    "NUL in a value": [whole(b"hello", "X-A: a\0b")],
    "no reason phrase": [whole(status="200")],
    "reason in latin-1": [whole(status="200 Tr\xe8s bien")],
    "error status": [whole(b"{}", "Content-Type: application/json", status="503 Busy")],
    "status of four digits": [whole(status="2000 OK")],
    "bare line feeds": [whole(b"hello", "X-A: 1").replace(b"\r\n", b"\n")],
    "empty lines first": [b"\r\n\r\n" + whole()],
    "head just short enough": [_long(64 * 1024 - 1)],
    "head too long": [_long(64 * 1024)],
    "head much too long": [_long(300 * 1024)],
    "head without end": [head("X: " + "x" * 400_000)[:-4], FIN],
    "many headers": [whole(b"hello", *(f"X-{n}: {n}" for n in range(500)))],
    "garbage": [b"SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    "garbage that is binary": [bytes(range(256)) * 4],
    "a TLS alert": [b"\x15\x03\x01\x00\x02\x02\x46"],
    "FTP greeting": [b"220 ready\r\n"],
    "reset at once": [RESET],
    "reset in the head": [head("Content-Length: 5")[:20], 0.05, RESET],
    "reset in the body": [head("Content-Length: 10") + b"hello", 0.05, RESET],
    "close at once": [FIN],
    "close in the status line": [b"HTTP/1.1 20", FIN],
    "close in the head": [head("Content-Length: 5")[:30], FIN],
    "close in the body": [head("Content-Length: 10") + b"hello", FIN],
    "close in a chunk": [_CHUNKED + b"a\r\nhello", FIN],
    "close between chunks": [_CHUNKED + b"5\r\nhello\r\n", FIN],
    "close in a chunk's size": [_CHUNKED + b"5\r\nhello\r\n1", FIN],
    "close in the trailers": [_CHUNKED + b"5\r\nhello\r\n0\r\nX", FIN],
    "surplus: an answer": [whole() + whole(b"evil!")],
    "surplus: garbage": [whole() + b"garbage"],
    "surplus: line ends": [whole() + b"\r\n"],
    "surplus behind connection: close": [whole(b"hello", "Connection: close") + b"garbage"],
    "body behind no content": [head("Content-Length: 5", status="204 No Content") + b"hello"],
    "gzip": [whole(GZIPPED, "Content-Encoding: gzip")],
    "gzip in chunks": [head("Content-Encoding: GZip", "Transfer-Encoding: chunked") + chunked(*(GZIPPED[n:n+1] for n in range(len(GZIPPED))), b"")],
    "gzip that is none": [whole(b"hello", "Content-Encoding: gzip")],
    "identity, said aloud": [whole(b"hello", "Content-Encoding: identity")],
    "an unknown encoding": [whole(b"hello", "Content-Encoding: br")],
}
"""Each is one answer to one request, and how the connection goes on."""
