"""JSON that leaves must be readable; JSON that comes is read as far as it can be."""

import json
from typing import Any

import pytest

from proxy.core import codec


@pytest.mark.parametrize(
    ("text", "value", "as_sent"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}, True),
        (b'"\\ud83d"', "\ud83d", True),
        ('"é\u2028"'.encode(), "é\u2028", True),
        (b'"a\tb"', "a\tb", False),
        (b"[NaN, Infinity, -Infinity]", [None, None, None], False),
        (b'"\xe2\x82"', "\ufffd", False),
    ],
)
def test_a_text_that_every_client_reads_may_go_on_as_it_is(text: bytes, value: Any, as_sent: bool) -> None:
    assert codec.loads_as_sent(text) == (value, as_sent)
    assert codec.loads(text) == value


@pytest.mark.parametrize("text", [b"", b"{", b"oops", b"[" * 100_000, b'{"a":\t"x\x01' + b"[" * 100_000, b"{} {}"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        codec.loads(text)


def test_integers_beyond_64_bits_stay_in_whole_bodies() -> None:
    assert codec.loads_exact(b'{"n": 123456789012345678901234567890}') == {"n": 123456789012345678901234567890}
    assert codec.loads_exact(b'{"n": 1}') == {"n": 1}
    assert codec.dumps({"n": 2**80}) == b'{"n":%d}' % 2**80


def test_the_first_value_is_read_and_stray_text_after_it_is_ignored() -> None:
    assert codec.loads_first(b'\n {"a": 1}\n\ndata: {}\n\n') == {"a": 1}
    assert codec.loads_first_as_sent(b'{"a": 1} x') == ({"a": 1}, False)
    assert codec.loads_first_as_sent(b' {"a": 1}\n') == ({"a": 1}, True)
    for rubbish in (b"", b"oops", b"[" * 100_000 + b" x"):
        with pytest.raises(ValueError, match=r".+"):
            codec.loads_first(rubbish)


def test_lone_surrogates_leave_as_escapes() -> None:
    assert codec.dumps({"a": "\ud83d"}) == b'{"a":"\\ud83d"}'


def test_what_is_nested_too_deeply_to_be_written_becomes_null() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [{"a": deep}]
    assert b"null" in codec.dumps(deep)
    json.loads(codec.dumps(deep))


def test_a_number_without_a_word_in_json_becomes_null() -> None:
    assert (
        codec.dumps({"a": float("inf"), "b": 2**80, "c": [float("nan"), 1.5]})
        == b'{"a":null,"b":%d,"c":[null,1.5]}' % 2**80
    )


@pytest.mark.parametrize("at", range(20))
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_big_integer_is_exact_wherever_it_begins(at: int, sign: str) -> None:
    value = int(sign + "9" * 20)
    assert codec.loads_exact(f'{{"pad":"{"x" * at}","n":{value}}}'.encode()) == {"pad": "x" * at, "n": value}


@pytest.mark.parametrize("places", [0, 1, 15, 16, 17, 40])
@pytest.mark.parametrize("near", ["1764000000123", "0a1b2c3d4e5f60718293a4b5c6d7", "1" * 18])
def test_a_big_integer_is_exact_however_many_texts_look_like_one(places: int, near: str) -> None:
    for shift in range(6):
        value = {"pad": "x" * shift, "near": [near] * places, "n": 10**19 + 7}
        assert codec.loads_exact(json.dumps(value).encode()) == value
        value["n"] = "none"
        assert codec.loads_exact(json.dumps(value).encode()) == value


@pytest.mark.parametrize(("text", "value"), [(b'{"n":%d}' % 2**70, {"n": 2**70}), (b'{"n":7}', {"n": 7})])
def test_numbers_can_be_made_exact_later(text: bytes, value: Any) -> None:
    read, as_sent = codec.loads_first_as_sent(text, exact=False)
    assert as_sent
    assert codec.exactly(read, text) == value


def test_numbers_before_what_is_ignored_are_exact_at_once() -> None:
    assert codec.loads_first_as_sent(b'{"n":%d}data: x' % 2**70, exact=False) == ({"n": 2**70}, False)
