"""A head that came before on its connection is not parsed again, and nobody can tell that from what is answered."""

import asyncio
import contextlib
from itertools import pairwise
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import RequestTooLarge
from proxy.edge import bodies, protocol
from proxy.edge.client_request import ClientRequest
from proxy.edge.known_head import MOST_BYTES, KnownHead
from proxy.edge.protocol import MOST_LESSONS, ClientConnection
from proxy.relay import ClientGoneError
from tests.support.connected import GET, POST, Answer, answered, connected, echo, settled

BIG = 70_000  # bytes: beyond uvicorn's HIGH_WATER_LIMIT, where a body that nobody has asked for is not read on
HEAD = POST[:-2]


def head_of(line: bytes = b"host: x", length: bytes = b"content-length: %d", start: bytes = b"POST /v1/x") -> bytes:
    return b"%b HTTP/1.1\r\n%b\r\n%b\r\n\r\n" % (start, line, length)


def sent(head: bytes, body: bytes = b"{}") -> bytes:
    return head % len(body) + body


LONG = sent(head_of(b"x: " + b"a" * 2000))
CHUNKED = head_of(length=b"transfer-encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"
HEADS = (
    head_of(),
    head_of(b"Host: x\r\nX-A: 1\r\nx-a: 2", b"Content-Length:%d\r\nexpected: 100-continue"),
    head_of(b"CONTENT-LENGTH: %d", b"accept: */*", b"POST /v1/at%%20once?a=b"),
    head_of(b"connection: keep-alive", b"content-length: %05d", b"POST /v1/late"),
    head_of(start=b"\r\nPOST /v1/x"),
)
NEVER_KEPT = (
    *map(head_of, (b"content-length: 1", b"x-content-length: 1", b"x: Content-Length", b"x: " + b"a" * MOST_BYTES)),
    *map(head_of, (b"connection: close", b"Expect: 100-continue", b"transfer-encoding: chunked", b"a: b\nc: d")),
    *(head_of(length=b"content-length:" + number) for number in (b"  %d", b"\t%d", b" %d ", b" %010d")),
    *(head_of(start=start) for start in (b"GET /v1/x", b"POST /v2/x", b"POST /v1/x?content-length")),
    head_of(b"connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
)
UPGRADE = head_of(b"connection: upgrade\r\nupgrade: h2c")
BODIES = (b"", b"{}", b"\r\n\r\n", POST, GET, HEADS[1] % 10**8, b"{" * BIG, POST * (BIG // len(POST)))
OTHERS = (GET, CHUNKED, CHUNKED + b"\r\n", b"\r\n", b"POST", b"content-length: 2\r\n\r\n{}")
Reads = list[tuple[bytes, bool]]  # and whether all that a read brings about has come to its end before the next
_odd = st.builds(sent, st.sampled_from(NEVER_KEPT), st.sampled_from(BODIES)) | st.sampled_from(OTHERS)


@st.composite
def reads(draw: st.DrawFn) -> Reads:
    """Requests of one head or two, and an odd one or two; each one read, or cut somewhere, or joined with the next."""
    heads = draw(st.lists(st.sampled_from(HEADS), min_size=1, max_size=2))
    requests = draw(st.lists(st.builds(sent, st.sampled_from(heads), st.sampled_from(BODIES)), min_size=3, max_size=9))
    for at, odd in draw(st.lists(st.tuples(st.integers(0, 9), _odd), max_size=2)):
        requests.insert(at, odd)
    first = sent(heads[0])
    end, cuts = 2 * len(first), {0, len(first)}
    for request in requests:
        begin, end = end, end + len(request)
        body = min(end, begin + request.find(b"\r\n\r\n") + 4)
        cuts.update(draw(st.sampled_from([[begin], [begin, body], []]) | st.lists(st.integers(begin, end), max_size=3)))
    data = b"".join([first, first, *requests])
    rests = st.sampled_from([True] * 6 + [False])
    return [(data[a:b], a < 2 * len(first) or draw(rests)) for a, b in pairwise(sorted(cuts | {end}))]


async def served(pieces: Reads) -> list[object]:
    """What the client has got after each read, whether the connection is closed and read on; and what was relayed."""
    got: list[object] = []

    async def relayed(client: ClientRequest) -> None:
        got.append((client.path, {name: value for name, value in client.headers.items() if name != "content-length"}))
        for _ in range(5 * (client.path == "/late")):
            await asyncio.sleep(0)
        if client.arriving:
            await client.arrival(-1 if client.path == "/at once" else 2 * BIG)
        with contextlib.suppress(ClientGoneError):
            got.append(client.take())
            client.whole(200, "", b"%d" % client.size)

    async with connected(relayed) as (connection, wire):
        for data, rests in pieces:
            if not wire.closed:
                connection.data_received(data)
            if rests:
                await settled()
            got.append((wire.written[:], wire.closed, wire.reading))
    return [*got, wire.written, wire.closed]


@settings(max_examples=300)
@given(reads())
def test_known_heads_change_nothing(pieces: Reads) -> None:
    found = asyncio.run(served(pieces))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "MOST_LESSONS", 0)
        assert asyncio.run(served(pieces)) == found


async def told(connection: ClientConnection, *pieces: bytes) -> None:
    for piece in pieces:
        connection.data_received(piece)
        await settled()


def parsed(*pieces: bytes, relayed: Answer = echo) -> list[bytes]:
    """What of these reads goes through the parser."""

    async def run() -> list[bytes]:
        async with connected(relayed) as (connection, _):
            connection.parser = parser = Mock(wraps=connection.parser)
            await told(connection, *pieces)
        return [call.args[0] for call in parser.feed_data.call_args_list]

    return asyncio.run(run())


async def stays(client: ClientRequest) -> None:
    """Answers all but a list."""
    await client.arrival(1000)
    if client.take() == b"[]":
        client.watch()
        await asyncio.Event().wait()
    client.whole(200, "", b"")


def test_head_that_comes_again_is_not_parsed_whatever_its_length_and_how_its_body_comes() -> None:
    other = [sent(HEADS[0], b"{" * size) for size in (0, 5000, BIG)]
    whole = parsed(POST, POST, POST, *other, POST)
    pieces = parsed(POST, POST, HEAD, b"{}", HEAD + b"{", b"}", other[1][:-1], b"{", POST)
    assert whole == pieces == parsed(POST, POST, HEADS[0] % (10**9 - 1) + b"{", b"}") == [POST, POST]
    assert parsed(POST, HEAD, b"{}", POST) == [POST, HEAD, b"{}"]
    assert [parsed(POST, sent(head), sent(head)) for head in HEADS] == [[POST, sent(head)] for head in HEADS]
    assert parsed(POST, POST, HEADS[0] % 2000 + b"{" * 1500, b"{" * 500 + POST) == [POST, POST]  # answered at 1001


def test_head_is_parsed_where_one_byte_differs_or_it_does_not_begin_its_read_and_its_request() -> None:
    for at in range(len(HEAD)):
        other = POST[:at] + bytes([POST[at] ^ 0x20]) + POST[at + 1 :]
        assert parsed(POST, POST, other) == [POST, POST, other]
    for begin in (GET, CHUNKED, b"\r\n", POST[:9]):
        assert parsed(POST, POST, begin + POST) == [POST, POST, begin + POST]
    assert parsed(POST, HEAD[:9], POST[9:], POST) == [POST, HEAD[:9], POST[9:], POST]
    assert parsed(POST, POST, b"\r\n", POST) == [POST, POST, b"\r\n", POST]
    assert parsed(POST, POST + b"\r\n", POST) == [POST, POST + b"\r\n", POST]


def test_head_is_parsed_where_the_request_before_is_not_answered_or_of_another_kind() -> None:
    assert parsed(POST, POST, HEAD + b"[]", POST, relayed=stays) == [POST, POST, POST]
    assert parsed(POST, POST, POST + POST) == parsed(POST, POST, HEAD + b"{", b"}" + POST) == [POST, POST, POST]
    assert parsed(POST, POST, GET, POST, POST) == [POST, POST, GET, POST]
    assert parsed(POST, POST, CHUNKED, POST) == [POST, POST, CHUNKED]


@pytest.mark.parametrize("head", [*NEVER_KEPT, UPGRADE])
def test_head_is_not_kept(head: bytes) -> None:
    one = sent(head, b"")
    assert parsed(POST, one, one) == [POST, one, one]


def test_no_more_than_some_heads_are_kept_and_the_last_one_stays_and_not_each_read_is_one() -> None:
    *kept, more = (sent(head_of(b"x: %d" % n)) for n in range(MOST_LESSONS + 1))
    assert parsed(POST, *kept, more, more, kept[-1]) == [POST, *kept, more, more]
    for none in ([POST + POST], [POST[:9], POST[9:]]):
        assert parsed(POST, *none * MOST_LESSONS, POST, POST) == [POST, *none * MOST_LESSONS, POST]


@pytest.mark.parametrize("more", [b"", b"[", b"[]", b"[]" + POST])
def test_client_that_leaves_in_a_known_request_ends_it(more: bytes) -> None:
    ended: list[tuple[bool, bool]] = []

    async def relayed(client: ClientRequest) -> None:
        try:
            await stays(client)
        finally:
            ended.append((client.disconnected, client.gone()))

    async def run() -> None:
        async with connected(relayed) as (connection, _):
            await told(connection, POST, POST, HEAD + more)
            connection.connection_lost(None)

    asyncio.run(run())
    assert ended == [(False, False), (False, False), (True, b"]" in more)]


@pytest.mark.parametrize(
    ("known", "pieces", "seconds"),
    [
        (POST, [HEAD + b"{"], 60),
        (POST, [HEADS[0] % 9999 + b"{" * 500, b"{" * 500], 62),
        (LONG, [LONG[:-2]], 64),
    ],
)
def test_body_that_comes_too_late_is_answered_with_408(known: bytes, pieces: list[bytes], seconds: int) -> None:
    async def run() -> list[bytes]:
        async with connected(echo) as (connection, wire):
            await told(connection, POST, known, *pieces)
            for later in (seconds - 0.9, 2):
                assert not wire.closed
                connection._began -= later
                connection._check()
            return wire.written

    assert asyncio.run(run())[2][:12] == b"HTTP/1.1 408"


def test_body_that_is_announced_as_too_large_is_refused_before_it_comes() -> None:
    async def judge(client: ClientRequest) -> None:
        with contextlib.suppress(RequestTooLarge):
            await bodies.arrival(client, 10)
        client.whole(413 if client.arriving else 200, "", b"")

    assert b"".join(answered(judge, POST, POST, HEADS[0] % 11)[0]).count(b"HTTP/1.1 413 ") == 1


def test_spans_need_the_whole_head_and_a_number() -> None:
    head = KnownHead.of(LONG, 2, "/x", {"host": "x", "content-length": "2"})
    assert head is not None and (head.path, head.headers) == ("/x", {"host": "x"})
    size = len(LONG) - 2
    assert [head.spans(LONG[:cut]) for cut in range(size)] == [None] * size
    assert head.spans(LONG[:-2]) == head.spans(LONG) == head.spans(LONG + POST) == (size, 2)
    before, after = LONG[:-2].split(b"2\r\n")
    for good in (b"0", b"007", b"123456789"):
        assert head.spans(before + good + b"\r\n" + after) == (size + len(good) - 1, int(good))
        assert head.spans(before + good + b"\n" + after) is None
    for bad in b"|a|2a|a2|-2|+2|2_0| 2|2 |\t2|2\r|\r2|2, 2|\xb2|1234567890|0000000002".split(b"|"):
        assert head.spans(before + bad + b"\r\n" + after) is None


def test_head_is_kept_only_where_the_parser_took_the_same_for_the_body() -> None:
    long = sent(head_of(length=b"content-length: %010d"))
    for data, size in (
        (long, 2),
        (POST + b"x", 2),
        (POST, 1),
        (POST, 3),
        (HEAD[:-2], 0),
        (HEAD[:-2], -1),
        (CHUNKED, 12),
    ):
        assert KnownHead.of(data, size, "/x", {}) is None
    assert not any(KnownHead.of(POST, 2, "/x", {name: ""}) for name in ("transfer-encoding", "expect"))
