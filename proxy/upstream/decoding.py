"""Answers that come compressed although we asked for none: decoded as they come, never collected."""

import zlib
from typing import Protocol

from proxy.core.errors import UpstreamProtocol

PIECE = 1 << 20
"""Bytes that one call gives at most, so that a small compressed read cannot become a huge one."""
_GZIP = 16 + zlib.MAX_WBITS


class Decoder(Protocol):
    """`feed` takes compressed bytes and gives at most `PIECE` bytes; b"" fed gives what is still waiting."""

    def feed(self, data: bytes) -> bytes: ...


class Inflate:
    """Decodes gzip (several members too) and deflate (with or without the zlib head)."""

    def __init__(self, provider: str, *, gzip: bool) -> None:
        self._provider = provider
        self._gzip = gzip
        self._begun = False
        self._full = False
        self._between = False
        self._waiting = b""
        self._inflate = zlib.decompressobj(_GZIP if gzip else zlib.MAX_WBITS)

    def feed(self, data: bytes) -> bytes:
        """Compressed bytes → plain bytes. Raises UpstreamProtocol where they are not what the header says."""
        data = self._waiting + data
        if self._between:
            # gzip allows members one after another, and zero bytes after the last (RFC 1952, section 2.2).
            self._waiting = data = data.lstrip(b"\0")
        if not data and not self._full:
            return b""
        try:
            return self._decode(data)
        except zlib.error:
            message = f"Provider {self._provider!r} sent a body that does not match its content-encoding."
            raise UpstreamProtocol(message) from None

    def _decode(self, data: bytes) -> bytes:
        try:
            out = self._inflate.decompress(data, PIECE)
        except zlib.error:
            if self._gzip or self._begun:
                raise
            # RFC 9110 means zlib by "deflate", but some servers send the bare stream.
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            out = self._inflate.decompress(data, PIECE)
        self._begun = True
        self._full = len(out) == PIECE
        self._waiting = self._inflate.unconsumed_tail
        self._between = self._inflate.eof
        if self._inflate.eof:
            self._waiting = self._inflate.unused_data if self._gzip else b""
            if self._gzip:
                self._inflate = zlib.decompressobj(_GZIP)
        return out


def decoder_of(content_encoding: str, provider: str) -> Decoder | None:
    """The decoder for a `content-encoding`, None where there is nothing to decode.

    Raises UpstreamProtocol for an encoding we cannot read.
    """
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity", "none"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return Inflate(provider, gzip=True)
    if encoding == "deflate":
        return Inflate(provider, gzip=False)
    raise UpstreamProtocol(f"Provider {provider!r} sent a body in an encoding that it was not asked for.")
