"""Processes that are told to stop once more, or that die."""

import os
import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tests.e2e.test_process import BODY, CHAT, Process, becomes, children, forever, listening, process
from tests.support.scripted import Asked, Wire, delta, scripted


def test_second_interrupt_ends_the_process_at_once(tmp_path: Path) -> None:
    with scripted(forever) as upstream, process(tmp_path, upstream.url, drain="60s") as proxy:
        with proxy.client() as client, client.stream("POST", CHAT, json={**BODY, "stream": True}) as response:
            pieces = response.iter_raw()
            next(pieces)
            proxy.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            still = proxy.process.poll()
            began = time.monotonic()
            proxy.process.send_signal(signal.SIGINT)
            proxy.process.wait(10)
            took = time.monotonic() - began
            text = b"".join(pieces).decode()
        said = proxy.said()
    assert still is None
    assert took < 3
    assert "Traceback" not in said
    assert "Exception" not in said
    assert '"outcome":"shutdown"' in said
    assert '"code":"server_shutdown"' in text
    assert text.endswith("data: [DONE]\n\n")


def test_third_interrupt_waits_for_nobody(tmp_path: Path) -> None:
    async def never_mind(_: Asked, wire: Wire) -> None:
        await wire.head()
        while True:
            await wire.event(delta({"content": "x" * 100_000}))

    with (
        scripted(never_mind) as upstream,
        process(tmp_path, upstream.url, drain="60s") as proxy,
        proxy.client() as client,
        client.stream("POST", CHAT, json={**BODY, "stream": True}) as response,
    ):
        pieces = response.iter_raw()
        next(pieces)  # and no more: what is left cannot be sent
        time.sleep(0.5)
        for _ in range(3):
            proxy.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        began = time.monotonic()
        proxy.process.wait(10)
        took = time.monotonic() - began
    assert took < 3


def test_new_requests_are_refused_while_the_process_drains(tmp_path: Path) -> None:
    with scripted(forever) as upstream, process(tmp_path, upstream.url, drain="2s") as proxy:
        with (
            proxy.client() as client,
            proxy.client() as late,
            client.stream("POST", CHAT, json={**BODY, "stream": True}) as response,
        ):
            pieces = response.iter_raw()
            next(pieces)
            assert late.get("/livez").status_code == 200
            proxy.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{proxy.port}/livez", verify=False, timeout=2)
            text = b"".join(pieces).decode()
        assert proxy.process.wait(10) == 0
    assert '"code":"server_shutdown"' in text


class Stream:
    """A stream of a worker of its own choice, read in a thread."""

    def __init__(self, proxy: Process) -> None:
        self.pieces: list[bytes] = []
        self.broken = False
        self.thread = threading.Thread(target=self._read, args=(proxy,), daemon=True)
        self.thread.start()

    def _read(self, proxy: Process) -> None:
        try:
            with proxy.client() as client, client.stream("POST", CHAT, json={**BODY, "stream": True}) as response:
                for piece in response.iter_raw():
                    self.pieces.append(piece)
        except httpx2.TransportError:
            self.broken = True


STREAMS = 16


@pytest.mark.slow
def test_streams_of_a_worker_go_on_when_the_other_is_killed(tmp_path: Path) -> None:
    release = threading.Event()

    async def script(_: Asked, wire: Wire) -> None:
        await wire.head()
        await wire.event(delta({"content": "one"}))
        while not release.is_set() and not await wire.gone(0.02):
            pass
        for event in (delta({"content": "two"}), delta({}, "stop"), b"[DONE]"):
            await wire.event(event)
        await wire.end()

    with scripted(script) as upstream, process(tmp_path, upstream.url, workers=2) as proxy:
        assert becomes(lambda: listening(proxy.port) == 2)
        first, second = children(proxy.process.pid)
        streams = [Stream(proxy) for _ in range(STREAMS)]
        assert becomes(lambda: all(stream.pieces for stream in streams))
        assert becomes(lambda: in_flight(proxy) == f"{STREAMS}.0")
        os.kill(first, signal.SIGKILL)
        # Which worker takes a connection is the system's choice; that one of them takes all is a chance of 1 in 30,000.
        assert becomes(lambda: any(stream.broken for stream in streams))
        assert becomes(lambda: in_flight(proxy) == f"{sum(not stream.broken for stream in streams)}.0")
        kept = [stream for stream in streams if not stream.broken]
        release.set()
        for stream in kept:
            stream.thread.join(10)
        assert second in children(proxy.process.pid)
    assert 0 < len(kept) < STREAMS
    assert not any(stream.broken for stream in kept)
    assert all(b"".join(stream.pieces).endswith(b"data: [DONE]\n\n") for stream in kept)
    assert all(b'"two"' in b"".join(stream.pieces) for stream in kept)


def in_flight(proxy: Process) -> str:
    """The open streams of all workers, as whichever of them is asked says; empty where it has just been killed."""
    try:
        with proxy.client(admin=True) as admin:
            text = admin.get("/metrics").text
    except httpx2.TransportError:
        return ""
    return text.partition('streams_in_flight{route="m"} ')[2].partition("\n")[0]
