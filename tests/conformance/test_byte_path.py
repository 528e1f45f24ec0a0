"""Every recorded stream says the same with the byte path and without it, byte for byte, in every cut."""

import random
from typing import Any

import pytest

from proxy.core.byte_path import BytePath
from proxy.core.dialect import Dialect, Tags
from tests.conformance.course import _stream_of
from tests.conformance.material import cases
from tests.conformance.test_conformance import MISSING
from tests.support import cuts
from tests.support.paths import both
from tests.support.streams import context

BODIES = [one.body if one.text is None else _stream_of(one.parts) for one in cases() if one.sse]
DIALECTS = {
    "detection": Dialect(),
    "blocks anywhere": Dialect(tags=Tags(position="anywhere", blocks="all", trim="none", case_sensitive=False)),
    "implicit start": Dialect(
        tags=Tags(
            implicit_start="always", pairs=(("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"))
        )
    ),
}
FEW_BYTES = 1500


@pytest.mark.conformance
@pytest.mark.parametrize("name", DIALECTS if BODIES else [pytest.param("", marks=MISSING)])
def test_every_stream_leaves_the_same_with_the_byte_path_and_without(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    take = BytePath.take

    def counted(path: BytePath, data: bytes, at: int) -> Any:
        found = take(path, data, at)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(BytePath, "take", counted)
    rng = random.Random(f"byte path {name}")
    for body in BODIES:
        for pieces in ([body], cuts.per_event(body), cuts.at_random(body, rng)):
            both(pieces, context(DIALECTS[name], usage=True))
        if len(body) < FEW_BYTES:
            both(cuts.per_byte(body), context(DIALECTS[name]))
    assert sum(taken) > len(BODIES), "the byte path was hardly taken"
