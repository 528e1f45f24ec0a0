"""The bench itself, without a clock: that it notices what is wrong."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.bench import results
from tests.bench.answers import WrongAnswerError, answer
from tests.bench.cells import Cell, Sample, cells
from tests.bench.load import Load
from tests.bench.upstream import Upstream

SHAPES = ("whole", "burst", "block", "paced")


def body_of(model: str) -> bytes:
    """The body of a prepared answer, without its HTTP chunks."""
    given = answer(model)
    if not given.events:
        return given.pieces[0]
    lines = b"".join(given.pieces).split(b"\r\n")
    return b"".join(lines[1::2])


def direct(model: str, *, parts_tags: bool) -> int:
    async def run() -> int:
        upstream = Upstream()
        await upstream.start()
        load = Load(urlsplit(upstream.url).port or 0, model, parts_tags=parts_tags)
        try:
            await load.staggered(3, 0.001)
        finally:
            await upstream.stop()
            await asyncio.sleep(0)  # the clients' sockets close one turn later
        assert upstream.events == 3 * answer(model).events
        return load.answers

    return asyncio.run(run())


@pytest.mark.parametrize("dialect", ["reasoning_content", "think_tags"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_upstream_sends_is_what_the_clients_expect(shape: str, dialect: str) -> None:
    assert direct(f"{shape}.{dialect}.40.1", parts_tags=False) == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_that_was_not_renamed_is_wrong(shape: str) -> None:
    with pytest.raises(WrongAnswerError):
        direct(f"{shape}.reasoning.40.1", parts_tags=False)


def test_tags_left_in_the_answer_are_wrong_where_the_peer_should_part_them() -> None:
    with pytest.raises(WrongAnswerError):
        direct("burst.think_tags.40.0", parts_tags=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Granted", b"granted"),
        (b'" number"', b'""'),
        (b"data: [DONE]\n\n", b""),
        (b'"finish_reason":"stop"', b'"finish_reason":null'),
        (b'"choices":[{', b'"choices":[{]'),
    ],
)
def test_a_stream_that_was_changed_is_noticed(old: bytes, new: bytes) -> None:
    body = body_of("burst.reasoning_content.40.0")
    answer("burst.reasoning_content.40.0").check(body, parts_tags=True)
    assert old in body
    with pytest.raises(WrongAnswerError):
        answer("burst.reasoning_content.40.0").check(body.replace(old, new, 1), parts_tags=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Granted", b"granted"), (b'"stop"', b'"length"'), (b'"total_tokens":130', b'"total_tokens":131'), (b"}", b"")],
)
def test_a_whole_answer_that_was_changed_is_noticed(old: bytes, new: bytes) -> None:
    body = body_of("whole.reasoning_content.0.0")
    answer("whole.reasoning_content.0.0").check(body, parts_tags=True)
    assert old in body
    with pytest.raises(WrongAnswerError):
        answer("whole.reasoning_content.0.0").check(body.replace(old, new, 1), parts_tags=True)


def taken(cell: Cell, ours: float, bare: float) -> results.Results:
    found = results.Results("bare")
    for peer, cost in (("ours", ours), ("bare", bare)):
        found.add(cell, peer, Sample(cost, 0.5, 0.0))
    return found


def test_only_a_ratio_beyond_the_tolerance_is_worse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cell = cells(short=True)[0]
    monkeypatch.setattr(results, "RATIOS", tmp_path / "ratios.json")
    taken(cell, 50, 100).write_ratios()
    assert taken(cell, 74, 100).worse() == []
    assert taken(cell, 37, 50).worse() == []
    assert [cell.name in sentence for sentence in taken(cell, 76, 100).worse()] == [True]


def test_every_cell_has_a_committed_ratio() -> None:
    committed = json.loads(results.RATIOS.read_text(encoding="utf-8"))["ratios"]
    assert sorted(committed) == sorted(cell.name for cell in cells(short=False))
