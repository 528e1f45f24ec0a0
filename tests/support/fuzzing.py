"""Any bytes → the readers of them: each of these functions raises nothing but AssertionError, which is a find.

`tests/property/test_fuzz.py` gives them mutated examples; `python -m tests.support.fuzzing TARGET [OPTIONS]` hands one to
atheris (libFuzzer), where that is installed.
"""

import asyncio
import contextlib
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any, get_args

from proxy.core.dialect import Dialect, Manner, Tags
from proxy.core.errors import RequestInvalid
from proxy.core.render import Form, Rendering
from proxy.core.request import prepare
from proxy.core.stream import StreamPipeline, WholePipeline
from proxy.core.timeline import Timeline
from proxy.edge import bodies
from proxy.settings import SettingsError, loads
from proxy.settings.builtins import Library
from proxy.settings.mistakes import Report
from proxy.upstream.connection import Answer, BrokenError, Connection
from tests.support.streams import DONE, context

FORMS = get_args(Form)
DIALECTS = (
    Dialect(),
    Dialect(tags=Tags(position="anywhere", blocks="all", implicit_start="always")),
    Dialect(fields=()),
)


def stream(data: bytes) -> None:
    """An upstream's stream. The first byte chooses the dialect and the rendering, the second how it is cut."""
    if len(data) < 2:
        return
    form = FORMS[data[0] % len(FORMS)]
    dialect, size, body = DIALECTS[data[0] // 16 % len(DIALECTS)], data[1] % 64 + 1, data[2:]
    pipeline = StreamPipeline(context(dialect, rendering=Rendering(form), usage=True), Timeline(0.0))
    out = b"".join(pipeline.feed(body[at : at + size], 1.0) for at in range(0, len(body), size)) + pipeline.close(2.0)
    assert pipeline.done or pipeline.error is not None
    if form != "passthrough":
        _legible(out, begun=pipeline.begun)
    assert len(out) < 200 * len(body) + 20_000


def _legible(out: bytes, *, begun: bool) -> None:
    payloads = [line[6:] for line in out.split(b"\n") if line.startswith(b"data: ")]
    for payload in payloads:
        if payload != b"[DONE]":
            assert isinstance(json.loads(payload), dict)
    if begun:
        assert out.endswith(DONE)
        assert payloads.count(b"[DONE]") == 1


def whole(data: bytes) -> None:
    """An upstream's whole answer."""
    if not data:
        return
    pipeline = WholePipeline(context(DIALECTS[data[0] % len(DIALECTS)]), Timeline(0.0))
    pipeline.feed(data[1:], 1.0)
    out = pipeline.close(2.0)
    assert pipeline.error is not None or isinstance(json.loads(out), dict)


def _manners() -> tuple[Manner, ...]:
    report = Report()
    names = list(Library(report).names)
    lines = "".join(f"  {name}: {{base_url: 'http://h/v1', api_key: null}}\n" for name in names)
    settings = loads(
        f"version: 1\nproviders:\n{lines}routes: [{{model: m, targets: [{', '.join(f'{name}/m' for name in names)}]}}]",
        "f",
        {},
    )
    return tuple(target.manner_of("m") for target in settings.routes[0].targets)


MANNERS = _manners()


def request(data: bytes) -> None:
    """A client's request, on its way to one of the built-ins; the first byte says which."""
    if not data:
        return
    try:
        body = bodies.parse(data[1:])
        bodies.judge_chat(body)
        prepared = prepare(body, MANNERS[data[0] % len(MANNERS)], model="m", seen_field=None, verbatim=False)
    except RequestInvalid:
        return
    assert isinstance(json.loads(json.dumps(prepared.body)), dict)


def config(data: bytes) -> None:
    """A configuration file."""
    with contextlib.suppress(SettingsError):
        loads(data.decode("utf-8", "replace"), "fuzz.yaml", {"KEY": "k" * 20})


class _Transport(asyncio.Transport):
    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self.gone = False

    def write(self, data: Any) -> None:
        """Nobody reads it."""

    def is_closing(self) -> bool:
        return self.gone

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        if not self.gone:
            self.gone = True
            self._connection.connection_lost(None)

    close = abort

    def pause_reading(self) -> None:
        """There is nothing to pause."""

    def resume_reading(self) -> None:
        """There is nothing to resume."""


async def _answered(data: bytes, size: int) -> None:
    connection = Connection(lambda _: None, lambda _: None)
    transport = _Transport(connection)
    connection.connection_made(transport)
    answer = Answer(connection)
    asking = asyncio.ensure_future(connection.ask(b"POST / HTTP/1.1\r\n\r\n", answer))
    await asyncio.sleep(0)
    for at in range(0, len(data), size):
        if not transport.gone:
            connection.data_received(data[at : at + size])
    transport.abort()
    try:
        await asyncio.wait_for(asking, 5)
        while await asyncio.wait_for(answer.read(), 5):
            pass
    except BrokenError:
        return
    assert 100 <= answer.status <= 999


def http(data: bytes) -> None:
    """An upstream's answer on the wire; the first byte says how it is cut."""
    if data:
        asyncio.run(_answered(data[1:], data[0] % 64 + 1))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "stream": stream,
    "whole": whole,
    "request": request,
    "config": config,
    "http": http,
}


def main() -> int:
    """Hands one target to atheris, with the options of libFuzzer, such as `-max_total_time=60`."""
    try:
        atheris = importlib.import_module("atheris")
    except ModuleNotFoundError:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 2
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        print(f"usage: scripts/fuzz {'|'.join(TARGETS)} [OPTIONS OF LIBFUZZER]", file=sys.stderr)
        return 2
    for name in [name for name in sys.modules if name.partition(".")[0] in ("proxy", "tests")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["proxy"]):
        instrumented = importlib.import_module("tests.support.fuzzing")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], instrumented.TARGETS[sys.argv[1]])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
