"""Requests that are odd, huge or broken: a clear error or a plain answer, and nobody else disturbed."""

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chaos import Chaos, chaos
from tests.support.proxied import CHAT, MESSAGES


@pytest.fixture(scope="module")
def running() -> Iterator[Chaos]:
    with chaos() as one:
        yield one


def asking(**more: Any) -> bytes:
    return json.dumps({"model": "well", "messages": MESSAGES, "stream": True, **more}).encode()


DEEP = b"[" * 100_000 + b"]" * 100_000
WITHOUT_END = asking()[:-1]
CASES: dict[str, tuple[bytes, dict[str, str], int, str | None]] = {
    "no body": (b"", {}, 400, None),
    "no JSON": (b"model=m", {}, 400, None),
    "half a body": (asking()[:40], {}, 400, None),
    "nested 100,000 deep": (WITHOUT_END + b', "x": ' + DEEP + b"}", {}, 400, None),
    "a list": (b"[]", {}, 400, None),
    "a NUL between tokens": (asking().replace(b", ", b",\0", 1), {}, 400, None),
    "UTF-16": (asking().decode().encode("utf-16"), {}, 400, None),
    "Latin-1, read as U+FFFD": (asking(user="caf\u00e9").replace(b"\\u00e9", b"\xe9"), {}, 200, None),
    "model is a number": (asking(model=5), {}, 400, "model"),
    "model is empty": (asking(model=""), {}, 400, "model"),
    "messages is a text": (asking(messages="hello"), {}, 400, "messages"),
    "stream is a text": (asking(stream="yes"), {}, 400, "stream"),
    "stream_options is a list": (asking(stream_options=[1]), {}, 400, "stream_options"),
    "33 MiB": (asking(user="x" * (33 << 20)), {}, 413, None),
    "gzip": (gzip.compress(asking()), {"content-encoding": "gzip"}, 400, "content-encoding"),
    "a gzip bomb": (gzip.compress(b" " * 50_000_000), {"content-encoding": "gzip"}, 400, "content-encoding"),
    "multipart": (asking(), {"content-type": "multipart/form-data; boundary=x"}, 400, "content-type"),
    "unknown model": (asking(model="w" * 1_000_000), {}, 404, "model"),
    "a NUL in a text": (asking(user="a\0b"), {}, 200, None),
    "half a surrogate pair": (WITHOUT_END + b', "user": "\\ud83d"}', {}, 200, None),
    "a key that stands twice": (b'{"model": "other", ' + asking()[1:], {}, 200, None),
    "numbers that no float holds": (WITHOUT_END + b', "seed": 1' + b"0" * 400 + b"}", {}, 200, None),
    "messages of the wrong type": (
        asking(messages=[5, None, "x", {"role": 7, "content": {"a": []}}, []]),
        {},
        400,
        "messages[0]",
    ),
    "unknown keys": (asking(**{f"k{n}": n for n in range(5000)}), {}, 200, None),
}


@pytest.mark.parametrize("name", CASES)
def test_odd_request_gets_a_clear_answer_and_disturbs_nobody(running: Chaos, name: str) -> None:
    body, headers, status, param = CASES[name]
    beside: list[str] = []
    other = threading.Thread(target=lambda: beside.append(running.healthy()))
    other.start()
    response = running.client.post(CHAT, content=body, headers=headers)
    other.join(30)
    assert response.status_code == status
    if status != 200:
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["param"], error["type"]) == (param, "invalid_request_error")
        assert 0 < len(error["message"]) < 1000
    assert beside == [running.well], "a stream beside it was changed"
    assert not [line for line in running.proxy.lines if line["event"] == "bug"]
