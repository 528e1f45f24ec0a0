"""C4: the frame around the choices."""

from typing import Any

import pytest

from proxy.core.chunk import Chunk
from proxy.core.envelope import Envelope, carries_more, framed
from tests.support.streams import CREATED, FALLBACK_ID, FRAME, TARGET, context


def settled(*events: dict[str, Any]) -> Envelope:
    envelope = Envelope(context())
    for event in events:
        envelope.learn(event)
    envelope.settle()
    return envelope


def test_the_first_usable_values_are_taken() -> None:
    empty = {"id": "", "created": 0, "model": "", "object": ""}
    envelope = settled(empty, {"id": "a", "created": 5.0}, {"id": "b", "created": 6, "model": "m"})
    stamped = envelope.stamp(Chunk(dict(empty), b"{}"))
    assert stamped.data == {"id": "a", "created": 5, "model": "m", "object": "chat.completion.chunk"}
    assert stamped.raw is None


@pytest.mark.parametrize("created", [None, 0, -1, True, "5", 1e30, float("inf"), float("nan"), []])
def test_what_is_missing_or_unusable_is_made_up(created: Any) -> None:
    stamped = settled({"id": 5, "created": created, "model": None}).stamp(Chunk({}))
    assert stamped.data == {"id": FALLBACK_ID, "created": CREATED, "model": TARGET, "object": "chat.completion.chunk"}


def test_a_right_frame_keeps_its_bytes_and_its_own_model() -> None:
    envelope = settled(FRAME)
    assert envelope.stamp(Chunk({**FRAME, "model": "snapshot-2"}, b"raw")).raw == b"raw"
    assert envelope.stamp(Chunk({**FRAME, "id": "other"}, b"raw")).data["id"] == FRAME["id"]


def test_a_whole_answer_says_whether_anything_changed() -> None:
    body = {**FRAME, "object": "chat.completion"}
    assert not Envelope(context()).whole(dict(body))
    wrong: dict[str, Any] = {**body, "object": "", "id": ""}
    assert Envelope(context()).whole(wrong)
    assert wrong == {**body, "id": FALLBACK_ID}


def test_one_event_with_several_choices_keeps_its_own_keys_once() -> None:
    event = {**FRAME, "provider": "p", "citations": [1], "choices": []}
    first, second = framed(event, [{"index": 0}, {"index": 1}])
    assert first.data == {**event, "choices": [{"index": 0}]}
    assert second.data == {**FRAME, "provider": "p", "choices": [{"index": 1}]}


@pytest.mark.parametrize(
    ("event", "more"),
    [
        ({**FRAME, "choices": [1], "usage": {"a": 1}}, False),
        ({"x": None, "y": "", "z": []}, False),
        ({"x": 0}, True),
        ({"x": {"a": 1}}, True),
    ],
)
def test_an_event_carries_more_than_its_frame(event: dict[str, Any], more: bool) -> None:
    assert carries_more(event) is more
