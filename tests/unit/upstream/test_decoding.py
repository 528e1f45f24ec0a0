"""Compressed bodies, cut anywhere."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import UpstreamProtocol
from proxy.upstream.decoding import PIECE, decoder_of


def decoded(encoding: str, data: bytes, cut: int) -> bytes:
    decoder = decoder_of(encoding, "p")
    assert decoder is not None
    out = []
    for at in range(0, len(data), cut):
        out.append(decoder.feed(data[at : at + cut]))
        while rest := decoder.feed(b""):
            out.append(rest)
    assert all(len(piece) <= PIECE for piece in out)
    return b"".join(out)


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_any_cut_gives_the_same_bytes(plain: bytes, cut: int) -> None:
    assert decoded("gzip", gzip.compress(plain), cut) == plain
    assert decoded("X-GZIP", gzip.compress(plain) + gzip.compress(plain) + b"\0\0", cut) == plain * 2
    assert decoded("deflate", zlib.compress(plain), cut) == plain


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_small_read_that_unpacks_to_much_comes_in_pieces(encoding: str) -> None:
    plain = bytes(5 * PIECE + 3)
    packed = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    assert decoded(encoding, packed, len(packed)) == plain


def test_deflate_without_its_head_is_read_too() -> None:
    assert decoded("deflate", bare(b"Hi" * 500), 10_000) == b"Hi" * 500


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_body_that_is_not_what_it_says_is_a_protocol_error(encoding: str) -> None:
    with pytest.raises(UpstreamProtocol):
        decoded(encoding, b"\xffplain text", 100)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_unknown_encoding_is_a_protocol_error(encoding: str) -> None:
    with pytest.raises(UpstreamProtocol):
        decoder_of(encoding, "p")


@pytest.mark.parametrize("encoding", ["", " identity ", "none"])
def test_nothing_to_decode(encoding: str) -> None:
    assert decoder_of(encoding, "p") is None
