"""JSON in and out, without losing what orjson alone would refuse."""

import json
import re
from typing import Any

import orjson

MAX_DEPTH = 200
"""Levels of nesting that `dumps` is sure to write; orjson's own limit is 254."""

_BIG_INT = re.compile(rb"[:\[,]\s*-?\d{19}")  # a number that may not fit into 64 bits
_DIGITS = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else ord(" ") for byte in range(256))  # noqa: PLR2004 - ASCII
_NINETEEN = b"0" * 19
_STEP = 6
_SAMPLE = b"0" * (19 // _STEP)  # what a run of 19 digits shows of itself at every sixth place, wherever it begins
_SAMPLED = (len(_SAMPLE) - 1) * _STEP + 1  # bytes of the run from the first of these to the last
_MOST_PLACES = 16  # that are looked at one by one; where there are more, a look at the whole text takes less


def loads(text: bytes) -> Any:
    """JSON text (UTF-8) → value. Raises ValueError where it is no JSON. What is read leniently: see `loads_as_sent`."""
    return loads_as_sent(text)[0]


def loads_as_sent(text: bytes) -> tuple[Any, bool]:
    r"""The same, and whether the text is JSON that every client can read, so that it may go on as it is.

    Lone surrogates (`"\ud83d"`, half an emoji cut by a tokenizer) are. Raw control characters in strings, `NaN`,
    infinities and broken UTF-8 are not: they are read as the character, as null and as U+FFFD.
    """
    try:
        return orjson.loads(text), True
    except orjson.JSONDecodeError:
        return _parsed(text)


def loads_exact(text: bytes) -> Any:
    """Like `loads`, but integers beyond 64 bits stay integers. For whole bodies: the look for them costs more than parsing."""
    return _exact(text)[0]


def loads_first(text: bytes) -> Any:
    """Like `loads_exact`, but what follows the first JSON value is ignored (some gateways append stray SSE frames)."""
    return loads_first_as_sent(text)[0]


def loads_first_as_sent(text: bytes, *, exact: bool = True) -> tuple[Any, bool]:
    """The same, and whether the text is just this value, which may go on as it is.

    Not `exact`: nobody has looked for integers beyond 64 bits, so that they may have become floats; see `exactly`.
    """
    try:
        return _exact(text) if exact else loads_as_sent(text)
    except ValueError:
        return _lenient(text, first=True), False


def exactly(value: Any, text: bytes) -> Any:
    """What `loads_first_as_sent` gives, of what it gave without `exact`."""
    return loads_first(text) if _has_big_int(text) else value


def dumps(value: Any) -> bytes:
    """Value → compact JSON text. Lone surrogates and huge integers leave as they came; what is nested deeper than can be
    written becomes null.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        try:
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        except (RecursionError, ValueError):
            return json.dumps(_plain(value, MAX_DEPTH), separators=(",", ":")).encode()


def _exact(text: bytes) -> tuple[Any, bool]:
    return _parsed(text) if _has_big_int(text) else loads_as_sent(text)


def _has_big_int(text: bytes) -> bool:
    """Whether there may be a number that does not fit into 64 bits."""
    samples = text[::_STEP].translate(_DIGITS)
    at = samples.find(_SAMPLE)
    return at >= 0 and _has_nineteen(text, samples, at) and _BIG_INT.search(text) is not None


def _has_nineteen(text: bytes, samples: bytes, at: int) -> bool:
    """Whether 19 digits stand in a row. `at`: the first of the samples behind which they may."""
    places = 0
    while places < _MOST_PLACES and not text[at * _STEP : at * _STEP + _SAMPLED].isdigit():
        at = samples.find(_SAMPLE, at + 1)
        if at < 0:
            return False
        places += 1
    return _NINETEEN in text.translate(_DIGITS)


def _parsed(text: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_refused), True
    except (RecursionError, ValueError):
        return _lenient(text), False


def _lenient(text: bytes, *, first: bool = False) -> Any:
    decoder = json.JSONDecoder(strict=False, parse_constant=_null)
    decoded = text.decode("utf-8", "replace")
    try:
        return decoder.raw_decode(decoded.lstrip())[0] if first else decoder.decode(decoded)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refused(word: str) -> Any:
    raise ValueError(word)


def _null(word: str) -> Any:  # noqa: ARG001 - the decoder's interface
    return None


def _plain(value: Any, depth: int) -> Any:
    """The value down to a depth, with null for what JSON has no word for."""
    if isinstance(value, dict):
        return {key: _plain(item, depth - 1) for key, item in value.items()} if depth else None
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value] if depth else None
    return None if isinstance(value, float) and value - value != 0 else value
