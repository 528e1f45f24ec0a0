"""One proxy before an upstream that goes wrong and one that is well: what the client sees of a fault, what is counted.

`python -m tests.support.chaos` prints the table of faults; with `--write` it goes into `docs/resilience.md`.
"""

import asyncio
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.support import content_faults
from tests.support.faults import FAULTS, Fault
from tests.support.proxied import CHAT, MESSAGES
from tests.support.scripted import Asked, Wire, delta, scripted
from tests.support.server import Running, running, settings_of

PAGE = Path(__file__).parents[2] / "docs" / "resilience.md"
BEGIN, END = "<!-- the table of faults: scripts/chaos --write -->\n", "<!-- its end -->\n"
QUICK = "{first_byte: 400ms, first_token: 400ms, first_answer: 600ms, idle: 300ms, total: 900ms}"
TABLE = """
version: 1
providers:
  house: {base_url: FAULTY, api_key: {env: KEY}}
  quick: {base_url: FAULTY, timeouts: QUICK}
  gone: {base_url: 'http://127.0.0.1:9/v1'}
  well: {base_url: WELL}
routes:
  - {model: m, targets: [house/big], retry: &once {attempts: 1, cooldown: 0s}}
  - {model: quick, targets: [quick/big], retry: *once}
  - {model: gone, targets: [gone/big], retry: *once}
  - {model: well, targets: [well/big]}
""".replace("QUICK", QUICK)
KEY = "the-key-of-the-house"
_SAMPLE = re.compile(r"reasoning_proxy_(requests|upstream_attempts|normalizer_events)_total\{(.*)\} (\d+)\.0")
EVENTS, PACE_S = 60, 0.004
assert content_faults


@dataclass(frozen=True)
class Seen:
    """What became of one fault. `error`: of the body or the last event."""

    status: int
    body: str
    error: dict[str, Any] | None
    reasoning: str
    answer: str
    finish: tuple[str, ...]
    counted: tuple[str, ...]
    undisturbed: bool

    @property
    def shown(self) -> str:
        """The fault as the client saw it, in a line."""
        if self.error is None:
            return "the whole answer"
        code = (
            f"`{self.error['code']}`"
            if isinstance(self.error["code"], str)
            else f"the host's code {self.error['code']}"
        )
        return (
            f"status {self.status}, {code}"
            if self.status != 200
            else f"what had come, then error event {code}, `[DONE]`"
        )


class Chaos:
    """A running proxy and its two upstreams."""

    def __init__(self, proxy: Running, client: httpx2.Client) -> None:
        self.proxy = proxy
        self.client = client
        self._requests = 0
        self.well = self.healthy()

    def run(self, fault: Fault) -> Seen:
        """Asks for the fault, with a stream of somebody else beside it."""
        before = self._counts()
        beside: list[str] = []
        other = threading.Thread(target=lambda: beside.append(self.healthy()))
        other.start()
        body = {"model": fault.route, "stream": fault.stream, "messages": MESSAGES, "user": fault.name}
        response = self.client.post(CHAT, json=body)
        other.join(30)
        self._requests += 1
        self.proxy.requests(self._requests)
        after = self._counts()
        counted = tuple(
            f"{name} {after[name] - before.get(name, 0)}" for name in sorted(after) if after[name] != before.get(name)
        )
        return _seen(response, counted, undisturbed=beside == [self.well])

    def healthy(self) -> str:
        """The hash of a stream's bytes."""
        with httpx2.Client(base_url=self.proxy.url, timeout=30, verify=False) as client:
            body = {"model": "well", "stream": True, "messages": MESSAGES}
            text = client.post(CHAT, json=body).content
        self._requests += 1
        assert text.count(b"data: ") == EVENTS + 2
        return hashlib.sha256(text).hexdigest()

    def _counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for kind, labels, count in _SAMPLE.findall(self.client.get("/metrics").text):
            if 'provider="well"' not in labels:
                label = re.search(r'(?:outcome|kind)="(\w+)"', labels)
                name = {"requests": "request", "upstream_attempts": "attempt", "normalizer_events": "oddity"}[kind]
                found[f"{name} `{label and label[1]}`"] = int(count) + found.get(f"{name} `{label and label[1]}`", 0)
        return found


def _seen(response: httpx2.Response, counted: tuple[str, ...], *, undisturbed: bool) -> Seen:
    text = response.text
    if response.headers["content-type"] == "application/json":
        body = response.json()
        message = body["choices"][0]["message"] if "choices" in body else {}
        finish = [choice["finish_reason"] for choice in body.get("choices", ())]
        parts = message.get("reasoning_content") or "", message.get("content") or ""
        error = body.get("error")
    else:
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        deltas = [choice.get("delta", {}) for event in events for choice in event.get("choices", ())]
        finish = [c["finish_reason"] for event in events for c in event.get("choices", ()) if c.get("finish_reason")]
        parts = tuple("".join(d.get(key) or "" for d in deltas) for key in ("reasoning_content", "content"))  # type: ignore[assignment]
        error = events[-1].get("error") if events else None
    return Seen(response.status_code, text, error, parts[0], parts[1], tuple(finish), _singular(counted), undisturbed)


def _singular(counted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.removesuffix(" 1") for name in counted)


@contextmanager
def chaos() -> Iterator[Chaos]:
    """Runs all three for the length of a `with` block."""
    scripts = {fault.name: fault.script for fault in FAULTS}

    async def faulty(asked: Asked, wire: Wire) -> None:
        await scripts[asked.json["user"]](asked, wire)

    async def well(_: Asked, wire: Wire) -> None:
        await wire.head()
        for n in range(EVENTS):
            await wire.event(delta({"reasoning_content" if n < EVENTS // 2 else "content": f"piece {n} "}))
            await asyncio.sleep(PACE_S)
        await wire.event(delta({}, "stop"))
        await wire.event(b"[DONE]")
        await wire.end()

    with scripted(faulty) as wrong, scripted(well) as right:
        settings = settings_of(TABLE.replace("FAULTY", wrong.url).replace("WELL", right.url), {"KEY": KEY})
        with running(settings) as proxy, httpx2.Client(base_url=proxy.url, timeout=30, verify=False) as client:
            yield Chaos(proxy, client)


def row(fault: Fault, seen: Seen) -> str:
    """A line of the table in `docs/resilience.md`."""
    return f"| {fault.does} | {seen.shown} | {', '.join(seen.counted)} |\n"


def table(results: list[tuple[Fault, Seen]]) -> str:
    head = "| what the upstream does | what the client sees | what the metrics count |\n|---|---|---|\n"
    return head + "".join(row(fault, seen) for fault, seen in results)


def main() -> int:
    """Prints the table, or writes it into the page."""
    with chaos() as running_one:
        results = [(fault, running_one.run(fault)) for fault in FAULTS]
    disturbed = [fault.name for fault, seen in results if not seen.undisturbed]
    text = table(results)
    if "--write" in sys.argv:
        page = PAGE.read_text("utf-8")
        PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + text + page[page.index(END) :], "utf-8")
    else:
        print(text)
    print(f"{len(results)} faults; streams beside them that were disturbed: {len(disturbed)} {disturbed or ''}")
    return 1 if disturbed else 0


if __name__ == "__main__":
    sys.exit(main())
