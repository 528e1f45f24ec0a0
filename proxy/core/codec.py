"""JSON in and out, without losing what orjson alone would refuse."""

import json
import re
from typing import Any

import orjson

_BIG_INT = re.compile(rb"\d{19}")


def loads(text: bytes) -> Any:
    """JSON text (UTF-8) → value. Raises ValueError where it is no JSON.

    Lone surrogates (`"\\ud83d"`, half an emoji cut by a tokenizer) and raw control characters in strings are read by
    the standard library, which keeps them.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, strict=False)


def loads_exact(text: bytes) -> Any:
    """Like `loads`, but integers beyond 64 bits stay integers. For whole bodies: the look for them costs more than parsing."""
    return json.loads(text, strict=False) if _BIG_INT.search(text) else loads(text)


def loads_first(text: bytes) -> Any:
    """Like `loads_exact`, but what follows the first JSON value is ignored (some gateways append stray SSE frames)."""
    try:
        return loads_exact(text)
    except ValueError:
        return json.JSONDecoder(strict=False).raw_decode(text.decode("utf-8").lstrip())[0]


def dumps(value: Any) -> bytes:
    """Value → compact JSON text. Lone surrogates and huge integers leave as they came."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
