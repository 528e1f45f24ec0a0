"""What leaves for a client, with a client and a clock of our own."""

import asyncio
import io
import json
from dataclasses import dataclass, field

import pytest

from proxy.core.errors import RequestInvalid
from proxy.core.timeline import Timeline
from proxy.relay import KEEP_ALIVE, Drain, Outlet, Relay
from proxy.telemetry.exchange import Exchange
from proxy.telemetry.logs import Log
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.target import TargetMetrics
from proxy.upstream.attempts import Plan
from proxy.upstream.sweep import Sweep
from tests.support.connected import settled


@dataclass
class Flow:
    write_paused: bool = False

    async def drain(self) -> None:
        self.write_paused = False


@dataclass
class Client:
    """Keeps what is written: heads as text, pieces as bytes, and their end."""

    flow: Flow = field(default_factory=Flow)
    got: list[object] = field(default_factory=list)

    def watch(self) -> None:
        """It stays."""

    def gone(self) -> bool:
        return False

    def start(self, status: int, fields: str) -> None:
        self.got.append(f"{status} {fields}")

    def write(self, data: bytes, last: bool) -> bool:
        self.got.append(data)
        if last:
            self.got.append("end")
        return self.flow.write_paused

    def whole(self, status: int, fields: str, body: bytes) -> None:
        self.got += [f"{status} {fields}", body, "end"]


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


def made(marks: str = "") -> tuple[Outlet, Client, Exchange, Clock]:
    client, clock = Client(), Clock()
    exchange = Exchange("id", 0.0, Metrics("1").unmatched(), Timeline(0.0))
    return Outlet(client, exchange, clock, marks), client, exchange, clock


def test_what_is_written_leaves_in_one_piece_behind_the_head() -> None:
    outlet, client, exchange, _ = made("x-mark: 1\r\n")
    exchange.answering, exchange.attempts, exchange.notes = "p/m é", 2, ("a=b",)
    outlet.hold(b"role")
    assert not outlet.push(b"", 0.0)
    assert client.got == []
    outlet.begin("text/plain", 201)
    outlet.write(b" one")
    outlet.write(b" two")
    assert not outlet.push(b"", 0.0)
    outlet.write(b"three")
    outlet.end()
    outlet.end()
    own = "x-request-id: id\r\nx-reasoning-proxy-target: p/m %C3%A9\r\nx-reasoning-proxy-attempts: 2\r\n"
    head = f"201 content-type: text/plain\r\n{own}x-reasoning-proxy-notes: a=b\r\nx-mark: 1\r\n"
    assert client.got == [head, b"role one two", b"three", "end"]
    assert (exchange.status, exchange.bytes_out, exchange.timeline.first_sent) == (201, 17, 5.0)


def test_slow_client_is_waited_for_and_gets_no_comment_meanwhile() -> None:
    outlet, client, _, clock = made()
    client.flow.write_paused = True
    outlet.begin("text/event-stream")
    outlet.write(b"data: 1\n\n")
    assert outlet.push(b"", clock.now)

    async def looks() -> bool:
        outlet.beats(Sweep(50.0))
        clock.now += 60
        outlet.look()
        silent = KEEP_ALIVE not in client.got
        await outlet.drained()
        outlet.look()
        outlet.stop()
        return silent

    assert asyncio.run(looks())
    assert client.got[-1] == KEEP_ALIVE


@pytest.mark.parametrize(("sent", "comments"), [(b"data: 1\n\n", 1), (b"data: 1\r\n\r\n", 1), (b"data: 1\n", 0)])
def test_comment_stands_only_between_events(sent: bytes, comments: int) -> None:
    outlet, client, _, __ = made()
    outlet.begin("text/event-stream")
    outlet.write(sent)
    outlet.push(b"", 0.0)
    outlet.beat()
    assert client.got[2:] == [KEEP_ALIVE] * comments


def test_comment_before_the_first_content_begins_no_answer_and_a_role_that_waited_does() -> None:
    outlet, client, exchange, _ = made()
    outlet.beat()
    assert (client.got[1:], outlet.committed, exchange.timeline.first_sent) == ([KEEP_ALIVE], False, None)
    outlet.hold(b"data: role\n\n")
    outlet.beat()
    assert (client.got[2:], outlet.committed) == ([b"data: role\n\n"], True)
    outlet.hold(b"data: more\n\n")
    outlet.begin("text/event-stream")
    outlet.push(b"", 0.0)
    assert client.got[3:] == [b"data: more\n\n"]
    assert exchange.timeline.first_sent == 5.0


@pytest.mark.parametrize("value", ["a\r\nx-b: 2", "a\nb", "a\rb", "a\0b"])
def test_line_break_in_a_header_never_leaves(value: str) -> None:
    outlet, client, _, __ = made()
    outlet.begin(value)
    with pytest.raises(ValueError, match="line break"):
        outlet.push(b"", 0.0)
    assert client.got == []


def test_failure_is_a_status_an_event_or_a_cut() -> None:
    error = RequestInvalid("No.", status=401)
    outlet, client, _, __ = made()
    outlet.fail(error)
    assert client.got[0] == "401 content-type: application/json\r\nwww-authenticate: Bearer\r\nx-request-id: id\r\n"
    assert client.got[2:] == ["end"]
    outlet, client, _, __ = made()
    outlet.begin("text/event-stream")
    outlet.push(b"", 0.0)
    outlet.fail(error)
    assert b"data: [DONE]" in client.got[2]  # type: ignore[operator]
    assert client.got[3:] == ["end"]
    outlet, client, _, __ = made()
    outlet.begin("audio/mpeg")
    outlet.write(b"x")
    outlet.push(b"", 0.0)
    outlet.write(b"y")
    outlet.fail(error)
    assert client.got[1:] == [b"x", b"y"]


class Refused:
    """A request that deserves an error."""

    async def plan(self) -> Plan:
        raise RequestInvalid("no")

    def leave(self) -> None:
        """It has ended."""


def test_requests_that_end_in_one_turn_are_all_counted_and_logged_in_their_order() -> None:
    out, metrics = io.StringIO(), Metrics("1")
    relay = Relay(Log(out), Drain(), Clock())

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for turn in range(2):
            ends = [Exchange(f"id-{turn}-{n}", 0.0, metrics.unmatched(), Timeline(0.0)) for n in range(3)]
            running = [loop.create_task(relay.run(one, Client(), Refused())) for one in ends]
            await settled()
            assert all(task.done() for task in running)

    asyncio.run(run())
    assert [json.loads(line)["request_id"] for line in out.getvalue().splitlines()] == [
        f"id-{turn}-{n}" for turn in range(2) for n in range(3)
    ]
    counts = [
        line for line in metrics.render().decode().splitlines() if line.startswith("reasoning_proxy_requests_total{")
    ]
    assert [
        line.rpartition(" ")[2] for line in counts if 'outcome="client_error"' in line and 'stream="false"' in line
    ] == ["6.0"]


def test_request_that_cannot_be_counted_takes_no_line_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    out, metrics, told = io.StringIO(), Metrics("1"), list[object]()
    relay = Relay(Log(out), Drain(), Clock())
    monkeypatch.setattr(TargetMetrics, "ended", lambda *_: 1 / 0)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        for number in range(3):
            await relay.run(Exchange(f"id-{number}", 0.0, metrics.unmatched(), Timeline(0.0)), Client(), Refused())
        await settled()

    asyncio.run(run())
    assert [json.loads(line)["request_id"] for line in out.getvalue().splitlines()] == ["id-0", "id-1", "id-2"]
    assert [type(error) for error in told] == [ZeroDivisionError]
