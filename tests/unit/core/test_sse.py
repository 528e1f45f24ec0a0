"""Server-sent events by the specification, on bytes, in any cut."""

import pytest

from proxy.core.sse import Event, EventParser, EventTooLargeError, comment, encode, separation
from tests.support.streams import every_cut

HELLO: Event = (b"", b"hello")


def parsed(data: bytes) -> list[Event]:
    """What the parser makes of the bytes, the same in every cut."""
    found = []
    for parts in every_cut(data):
        parser = EventParser()
        found.append([event for part in parts for event in parser.feed(part)] + parser.close())
    assert all(one == found[0] for one in found), found
    return found[0]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: hello\n\n", [HELLO]),
        (b"data:hello\n\n", [HELLO]),
        (b"data:  hello\n\n", [(b"", b" hello")]),
        (b"data: hello\r\n\r\n", [HELLO]),
        (b"data: hello\r\rdata: hello\r\r", [HELLO, HELLO]),
        (b"data: hello\r\n\ndata: hello\n\r\n", [HELLO, HELLO]),
        (b"\xef\xbb\xbfdata: hello\n\n", [HELLO]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"event: error\ndata: x\n\n", [(b"error", b"x")]),
        (b"event: e\r\ndata: a\r\ndata: b\r\n\r\n", [(b"e", b"a\nb")]),
        (b"event:ping\ndata:x\nid: 7\nretry: 5\n\n", [(b"ping", b"x")]),
        (b": note\n\n", [(None, b"note")]),
        (b":\n\n", [(None, b"")]),
        (b": note\ndata: hello\n\n", [(None, b"note"), HELLO]),
        (b"\n\n\ndata: hello\n\n\n\n", [HELLO]),
        (b"data:\n\n", []),
        (b"data\n\n", []),
        (b"data: \n\n", []),
        (b"event: ping\n\n", []),
        (b"nonsense\n\n", []),
        (b"data: hello", [HELLO]),
        (b"data: hello\n", [HELLO]),
        (b"\xef\xbb", []),
        (b"", []),
    ],
)
def test_lines_are_read_as_the_specification_says(data: bytes, events: list[Event]) -> None:
    assert parsed(data) == events


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_only_cr_and_lf_end_a_line(char: str) -> None:
    assert parsed(f"data: a{char}b\n\n".encode()) == [(b"", f"a{char}b".encode())]


def test_a_character_cut_in_two_arrives_whole() -> None:
    assert parsed("data: 😀é\n\n".encode()) == [(b"", "😀é".encode())]


def test_an_event_larger_than_64_kib_is_one_event() -> None:
    parser = EventParser()
    size = 300_000
    assert [e for at in range(3) for e in parser.feed(b"data: " * (at == 0) + b"x" * (size // 3))] == []
    assert parser.feed(b"\n\n") == [(b"", b"x" * size)]


def test_an_event_without_end_is_refused_at_the_cap() -> None:
    parser = EventParser(max_event_bytes=10)
    assert parser.feed(b"data: x\n\ndata:") == [(b"", b"x")]
    with pytest.raises(EventTooLargeError, match="more than 10 bytes"):
        parser.feed(b" 12345678")


def test_many_small_events_never_reach_the_cap() -> None:
    parser = EventParser(max_event_bytes=10)
    assert len(parser.feed(b"data: x\n\n" * 100)) == 100


def test_what_is_written_can_be_read_again() -> None:
    assert encode(b"{}") == b"data: {}\n\n"
    assert comment(b"ok") == b": ok\n\n"
    assert parsed(encode(b"{}") + comment(b"ok")) == [(b"", b"{}"), (None, b"ok")]


@pytest.mark.parametrize(
    "tail", [b"", b"data: a\n\n", b"data: a\r\n\r\n", b"data: a\r\r", b"data: a", b"data: a\n", b"data: a\r\n"]
)
def test_an_event_put_behind_a_cut_stream_is_one_of_its_own(tail: bytes) -> None:
    assert parsed(tail + separation(tail) + encode(b"{}"))[-1] == (b"", b"{}")
    assert bool(separation(tail)) != tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) or not tail
