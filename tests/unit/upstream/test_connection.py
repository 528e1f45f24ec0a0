"""One connection, fed by hand: no socket, any cut."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.connection import HIGH_WATER, MAX_HEAD_BYTES, Answer, BrokenError
from tests.support.answers import ANSWERS, CHUNKED, chunked, head, whole
from tests.support.asking import answered
from tests.support.cuts import per_byte
from tests.support.line import REQUEST, Line, after, bytes_of, heard, meaning, run
from tests.support.peer import End

SMALL = [name for name, said in ANSWERS.items() if len(bytes_of(said)[0]) < 2000]
CODED = ["gzip", "gzip in chunks", "gzip that is none", "an unknown encoding"]  # a connection does not decode
LARGE = [name for name in ANSWERS if name not in SMALL]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in CODED])
def test_answer_means_what_it_says(name: str) -> None:
    said = ANSWERS[name]
    words, _, closed, _ = after([bytes_of(said)[0]], bytes_of(said)[1])
    assert words == said.heard
    assert closed == (not said.again)


@pytest.mark.parametrize("name", SMALL)
def test_answer_that_comes_byte_by_byte_means_the_same(name: str) -> None:
    data, end = bytes_of(ANSWERS[name])
    assert meaning(per_byte(data), end) == meaning([data], end)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("size", [1, 1000, MAX_HEAD_BYTES - 1, MAX_HEAD_BYTES, MAX_HEAD_BYTES + 1])
def test_long_answer_means_the_same_in_pieces_of_any_size(name: str, size: int) -> None:
    data, end = bytes_of(ANSWERS[name])
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert meaning(pieces, end) == meaning([data], end)


@given(st.sampled_from(SMALL), st.data())
def test_any_cut_of_an_answer_means_the_same(name: str, data: st.DataObject) -> None:
    sent, end = bytes_of(ANSWERS[name])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=12)) | {0, len(sent)})
    pieces = [sent[start:stop] for start, stop in pairwise(cuts) if start < stop]
    assert meaning(pieces, end) == meaning([sent], end)


HTTP_WORDS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"\r\n",
        b"abc",
        b"0\r\n\r\n",
        b"5;x\r\n",
        CHUNKED.encode() + b"\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: x\r\n",
        b"X: \x00\r\n",
        b"ffffffffffffffffff\r\n",
    ]
)


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=40), HTTP_WORDS), max_size=20), st.sampled_from([*End]))
def test_no_bytes_raise_and_each_request_ends(pieces: list[bytes], end: End) -> None:
    words, *_, idle = after(pieces, end)
    assert words in {"closed", "protocol"} or words[:3].isdigit()
    assert idle <= 1


@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([*End]))
def test_no_bytes_behind_a_good_head_raise(pieces: list[bytes], end: End) -> None:
    words, *_ = after([head(CHUNKED), *pieces], end)
    assert words.startswith("200 ")


def test_next_exchange_may_begin_before_the_last_one_knows_of_its_head() -> None:
    """Else the first task, when it wakes, takes away what the second one waits for."""

    async def use(line: Line) -> None:
        first = await line.ask()
        second = asyncio.create_task(answered(line.connection, REQUEST))  # its turn comes before the first one's
        line.feed(whole(b"one"))
        await asyncio.sleep(0)
        line.feed(whole(b"two"))
        async with asyncio.timeout(1):
            assert (await heard(first))[0] == "200 one"
            assert (await heard(second))[0] == "200 two"
        assert line.idle == 2

    run(use)


def test_cancelled_request_does_not_close_what_already_carries_the_next() -> None:
    async def use(line: Line) -> None:
        first = await line.ask()
        second = asyncio.create_task(answered(line.connection, REQUEST))
        line.feed(whole(b"one"))
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        assert line.transport.closed_by is None
        line.feed(whole(b"two"))
        assert (await heard(second))[0] == "200 two"

    run(use)


def test_request_that_is_cancelled_before_its_head_closes_the_connection() -> None:
    async def use(line: Line) -> None:
        asking = await line.ask()
        line.feed(head()[:9])
        asking.cancel()
        await asyncio.wait([asking])
        assert line.transport.closed_by == "abort"

    run(use)


def test_aborted_answer_that_is_complete_leaves_the_connection_alone() -> None:
    async def use(line: Line) -> None:
        asking = await line.ask()
        line.feed(whole())
        answer = await asking
        following = await line.ask()
        answer.abort()
        line.feed(whole(b"two"))
        assert (await heard(following))[0] == "200 two"
        assert line.transport.closed_by is None

    run(use)


def test_socket_is_not_read_while_too_much_waits() -> None:
    async def use(line: Line) -> None:
        asking = await line.ask()
        line.feed(head(f"Content-Length: {HIGH_WATER * 3}"))
        answer = await asking
        line.feed(b"x" * HIGH_WATER)
        assert line.transport.reading
        line.feed(b"y")
        assert not line.transport.reading
        assert await answer.read() == b"x" * HIGH_WATER + b"y"
        assert line.transport.reading
        line.feed(b"z" * (HIGH_WATER * 2 - 1))
        assert line.transport.reading, "the answer is complete, so the connection is free"
        assert line.idle == 1
        assert len(await answer.read()) == HIGH_WATER * 2 - 1
        assert await answer.read() == b""

    run(use)


def test_what_has_come_is_read_before_the_error_that_followed() -> None:
    async def use(line: Line) -> None:
        asking = await line.ask()
        line.feed(head(CHUNKED) + chunked(b"x" * (HIGH_WATER + 1)))
        answer = await asking
        line.feed(b"garbage")
        assert line.transport.closed_by == "abort"
        assert len(await answer.read()) == HIGH_WATER + 1  # and nothing is resumed any more: the transport would say so
        for _ in range(2):
            with pytest.raises(BrokenError):
                await answer.read()

    run(use)


def test_cancelled_read_loses_nothing() -> None:
    async def use(line: Line) -> None:
        asking = await line.ask()
        line.feed(head("Content-Length: 5"))
        answer = await asking
        reading = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        line.feed(b"hello")
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        assert await answer.read() == b"hello"

    run(use)


@pytest.mark.parametrize("end", ["complete", "completes", "lost", "garbage", "abort"])
def test_discarded_answer_tells_its_end_once(end: str) -> None:
    async def use(line: Line) -> None:
        told: list[bool] = []
        asking = await line.ask()
        line.feed(head(CHUNKED) + chunked(b"x" * (HIGH_WATER + 1)))
        answer = await asking
        if end == "complete":
            line.feed(b"0\r\n\r\n")
        answer.discard(lambda: told.append(line.idle == 1))
        assert told == ([True] if end == "complete" else [])
        assert line.transport.reading
        line.feed(*[chunked(b"y" * HIGH_WATER)] * 3 if end != "complete" else [])
        assert line.transport.reading, "nobody reads it, so nothing waits"
        if end == "completes":
            line.feed(b"0\r\n\r\n")
        elif end == "garbage":
            line.feed(b"garbage")
        elif end == "lost":
            line.lose()
        elif end == "abort":
            answer.abort()
            await asyncio.sleep(0)
        assert told == [end.startswith("complete")]

    run(use)


def test_answer_that_comes_before_the_request_has_left_costs_the_connection() -> None:
    """The rest of that request would stand before the next; and the host may never take it, so nothing waits for that."""

    async def use(line: Line) -> None:
        asking = await line.ask()
        line.transport.unsent = 100_000
        line.feed(whole(b"too large", status="413 Content Too Large"))
        assert (await heard(asking))[0] == "413 too large"
        assert (line.idle, line.transport.closed_by) == (0, "abort")

    run(use)


@pytest.mark.parametrize("asked", [False, True])
def test_bytes_that_nobody_asked_for_close_the_connection(*, asked: bool) -> None:
    async def use(line: Line) -> None:
        if asked:
            asking = await line.ask()
            line.feed(whole())
            await asking
        line.feed(b"\r\n")
        assert line.transport.closed_by is None
        line.feed(whole(b"evil!"))
        assert line.transport.closed_by == "abort"

    run(use)


def test_connection_that_is_about_to_close_is_not_written_to() -> None:
    async def use(line: Line) -> None:
        line.connection.abort()
        for _ in range(2):  # before and after the event loop has told of the end
            answer = Answer(line.connection)
            with pytest.raises(BrokenError) as caught:
                await line.connection.ask(REQUEST, answer)
            assert caught.value.kind == "closed"
            assert not answer.begun
            await asyncio.sleep(0)
        assert line.transport.written == b""

    run(use)
