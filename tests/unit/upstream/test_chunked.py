"""Chunks that are told by their size alone mean what the parser makes of them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.chunked import CRLF, HEADS, SMALL, WHOLE
from tests.support.answers import CHUNKED, head
from tests.support.cuts import per_byte
from tests.support.line import Line, heard, meaning, run
from tests.support.peer import End


def test_the_size_of_a_read_tells_which_chunk_it_may_be() -> None:
    sizes = {len(start) + size + len(CRLF): size for size, start in enumerate(HEADS) if size}
    assert len(sizes) == SMALL - 1, "no two chunks have one size"
    for total, start in enumerate(WHOLE):
        assert start == (HEADS[sizes[total]] if total in sizes else b"")


DATA = [b"a", b"4\r\n4", b"1", b"x" * 16, b"5\r\nhello\r\n", b"data: {}\n\n", b"y" * 3000, b"z" * (SMALL - 7)]


@given(st.lists(st.sampled_from(DATA), min_size=1, max_size=8), st.booleans(), st.data())
def test_chunks_mean_the_same_however_they_come(chunks: list[bytes], upper: bool, data: st.DataObject) -> None:
    framed = [b"%x\r\n%b\r\n" % (len(one), one) for one in chunks]
    if upper:
        framed = [one.replace(b"bb8\r", b"BB8\r").replace(b"b\r", b"B\r").replace(b"a\r", b"A\r") for one in framed]
    sent = b"".join([*framed, b"0\r\n\r\n"])
    at_ends = {sum(map(len, framed[:count])) for count in range(len(framed) + 1)}
    anywhere = data.draw(st.sets(st.integers(0, len(sent)), max_size=4))
    cuts = sorted(data.draw(st.sets(st.sampled_from(sorted(at_ends)))) | anywhere | {0, len(sent)})
    pieces = [sent[start:stop] for start, stop in pairwise(cuts) if start < stop]
    assert meaning([head(CHUNKED), *pieces], None) == meaning([head(CHUNKED) + sent], None)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"8\r\n1234", b"4\r\n4\r\n4\r\n", b"1\r\na\r\n", b"0\r\n\r\n"],  # the rest of a chunk, and the next one's size
        [b"2\r\n1", b"1\r\n1\r\n", b"1\r\na\r\n", b"0\r\n\r\n"],
        [b"3;x=", b"5\r\nabc\r\n01", b"1\r\na\r\n", b"0\r\n\r\n"],  # the end of an extension, and half a size
        [b"a\r\n", b"5\r\nhello\r\n", b"\r\n0\r\n\r\n"],  # a chunk that holds another
        [b"0", b"5\r\nhello\r\n", b"5\r\nthere\r\n", b"0\r\n\r\n"],  # a size with a nought before it
        [b"5;x=", b"5\r\nhello\r\n", b"5\r\nthere\r\n", b"0\r\n\r\n"],
        [b"1\r\na\r\n", b"1\r\nb\r\n", b"1\r\ncd\n", b"0\r\n\r\n"],  # two bytes that end no chunk
        [b"1\r\na\r\n", b"1\r\nb\r\n", b"2\r\nc\r\n", b"0\r\n\r\n"],
        [b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n", b"1\r\nc\r\n"],  # behind the end
        [b"1\r\na\r\n", b"0\r\nx: 1\r\n", b"1\r\nb\r\n", b"\r\n"],  # among trailers
    ],
)
def test_what_only_looks_like_a_chunk_is_none(pieces: list[bytes]) -> None:
    sent = b"".join(pieces)
    assert meaning([head(CHUNKED), *pieces], End.FIN) == meaning([head(CHUNKED) + sent], End.FIN)
    assert meaning([head(CHUNKED), *pieces], End.FIN) == meaning([head(CHUNKED), *per_byte(sent)], End.FIN)


@pytest.mark.parametrize("upper", [False, True])
def test_reads_that_are_one_chunk_each_need_no_parser(upper: bool) -> None:
    read = b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n"
    read = read.replace(b"1a", b"1A") if upper else read

    async def use(line: Line) -> None:
        asking = await line.ask()
        line.feed(head(CHUNKED))
        fed: list[bytes] = []
        line.connection._parser = Fed(line.connection._parser, fed)
        line.feed(*[read] * 9, b"0\r\n\r\n")
        words, _ = await heard(asking)
        assert words.count("abcdefghijklmnopqrstuvwxyz") == 9
        assert fed == [read, b"0\r\n\r\n"]
        assert line.idle == 1

    run(use)


@dataclass
class Fed:
    """A parser, and what it was fed."""

    parser: Any
    fed: list[bytes]

    def feed_data(self, data: bytes) -> None:
        self.fed.append(data)
        self.parser.feed_data(data)

    def should_keep_alive(self) -> bool:
        keeps: bool = self.parser.should_keep_alive()
        return keeps
