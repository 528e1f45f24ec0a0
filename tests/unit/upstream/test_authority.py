"""What must never come back out of an answer."""

import pytest

from proxy.core.errors import KeyInvalid
from proxy.settings.model import Provider, Secret
from proxy.upstream.authority import Censor, Heads


@pytest.mark.parametrize("hidden", [("sk-SECRET",), ("sk-SECRET", "sk-SECOND"), ("aab",), ("xx", "xxx")])
@pytest.mark.parametrize("text", ["a sk-SECRET b", "sk-SECRETsk-SECOND", "aaab", "sk-SEC", "xxxx", "nothing", ""])
def test_hidden_values_are_cut_out_in_any_cut(hidden: tuple[str, ...], text: str) -> None:
    hidden = tuple(sorted(hidden, key=len, reverse=True))
    data = text.encode()
    expected = data
    for value in hidden:
        expected = expected.replace(value.encode(), b"***")
    for cut in range(len(data) + 1):
        censor = Censor(hidden)
        out = censor.feed(data[:cut]) + censor.feed(data[cut:]) + censor.close()
        assert not any(value.encode() in out for value in hidden)
        if len(hidden) == 1:
            assert out == expected
    censor = Censor(hidden)
    out = b"".join(censor.feed(data[at : at + 1]) for at in range(len(data))) + censor.close()
    assert not any(value.encode() in out for value in hidden)


def test_no_more_is_held_than_could_become_a_hidden_value() -> None:
    censor = Censor(("sk-SECRET",))
    assert censor.feed(b"Hello sk-") == b"Hello "
    assert censor.feed(b"ate") == b"sk-ate"
    assert Censor(()).feed(b"sk-") == b"sk-"


def test_head_with_our_own_key_is_made_once() -> None:
    heads = Heads(Provider("p", "http://h", api_key=Secret("ours", "env KEY")))
    head = heads.of("*/*", "a caller's")
    assert head is heads.of("*/*", None)
    assert head is not heads.of("application/json", None)
    assert head.fields["authorization"] == "Bearer ours"


def test_head_with_a_callers_key_is_never_another_callers() -> None:
    heads = Heads(Provider("p", "http://h", pass_client_key=True))
    assert [heads.of("*/*", key).fields["authorization"] for key in ("one", "two")] == ["Bearer one", "Bearer two"]
    with pytest.raises(KeyInvalid):
        heads.of("*/*", None)
