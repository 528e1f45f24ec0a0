"""What a note is about, without the words of a client."""

import pytest

from proxy.core.notes import ASPECTS, CHANGES, parts


@pytest.mark.parametrize(
    ("note", "aspect", "change"),
    [
        ("effort=xhigh->high", "effort", "changed"),
        ("effort=high->budget=16384", "effort", "changed"),
        ("budget=200->1024", "budget", "changed"),
        ("budget=2048->effort=low", "budget", "changed"),
        ("effort=high dropped", "effort", "dropped"),
        ("off->low", "off", "changed"),
        ("on->medium", "on", "changed"),
        ("off->on", "off", "changed"),
        ("off dropped", "off", "dropped"),
        ("hide->drop", "hide", "changed"),
        ("hide dropped", "hide", "dropped"),
        ("adaptive->on", "auto", "changed"),
        ("auto->on", "auto", "changed"),
        ("thinking.keep dropped", "other", "dropped"),
        ("reasoning_format=raw dropped", "other", "dropped"),
        ("effort dropped", "other", "dropped"),
        ("auto dropped", "other", "dropped"),
    ],
)
def test_a_note_tells_its_aspect_and_its_change(note: str, aspect: str, change: str) -> None:
    assert parts(note) == (aspect, change)
    assert aspect in ASPECTS
    assert change in CHANGES
