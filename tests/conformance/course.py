"""The course that every case is run over: the running proxy between a scripted upstream and a client."""

import asyncio
import json
import os
import random
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.conformance.comparison import judge
from tests.conformance.material import DETECTION, Case
from tests.support import cuts
from tests.support.canonical_check import DELIMITERS, Heard, Voice, check
from tests.support.proxying import Proxy, proxying
from tests.support.upstream import Framing, Reply, Upstream, event_loop

CUTS = ("whole", "event", "byte", "recorded", "random")
PATIENCE_S = 240.0
"""For one case, all others running beside it."""
PACE_S = 0.001
"""Between two pieces; the shortest pause that the event loop knows. A read of the proxy takes a tenth of it."""
_AT_ONCE = 16
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Effort:
    """How much is tried. `byte_limit`: larger bodies are not sent byte by byte; `randoms`: random cuts of each body."""

    byte_limit: int = 700
    randoms: int = 1
    seed: str = ""
    full: bool = False

    @classmethod
    def of_environment(cls) -> "Effort":
        seed = os.environ.get("REASONING_PROXY_CONFORMANCE_SEED") or str(random.SystemRandom().randrange(10**9))
        full = os.environ.get("REASONING_PROXY_CONFORMANCE") == "full"
        return cls(20_000, 3, seed, full=True) if full else cls(seed=seed)


@dataclass(frozen=True)
class Run:
    """One request to be made."""

    cut: str
    response: str
    """The provider's `response` block, as JSON."""
    reply: Reply
    stream: bool
    usage_asked: bool = True
    strip: bool = False

    def __str__(self) -> str:
        asked = "stream" if self.stream else "whole"
        rest = "" if self.usage_asked else ", no usage asked"
        return f"{self.cut} cut, {asked} client, response: {self.response}{rest}"


@dataclass
class Result:
    """What became of one case: for each cut the number of responses, and what was wrong with them."""

    case: Case
    responses: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    rules: set[str] = field(default_factory=set)


@dataclass
class Course:
    """`start` sends cases on their way, side by side; `result` waits for one."""

    proxy: Proxy
    client: httpx2.AsyncClient
    loop: asyncio.AbstractEventLoop
    effort: Effort
    providers: dict[str, str]
    """Provider's `response` block, as JSON → its name."""
    replies: dict[str, Reply]
    """What the upstream answers, by the model that is asked for."""
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _results: dict[str, "Future[Result]"] = field(default_factory=dict)
    _count: int = 0

    def start(self, cases: Iterable[Case]) -> None:
        for case in cases:
            self._results[case.id] = asyncio.run_coroutine_threadsafe(self._run(case), self.loop)

    def result(self, case: Case) -> Result:
        return self._results[case.id].result(PATIENCE_S)

    async def _run(self, case: Case) -> Result:
        result = Result(case)
        runs = list(runs_of(case, self.effort))
        heards = await asyncio.gather(*(self._ask(case, run) for run in runs))
        prints: dict[str, str] = {}
        for run, heard in zip(runs, heards, strict=True):
            verdict = judge(case, heard, stream=run.stream, usage_asked=run.usage_asked, strip=run.strip)
            result.rules |= verdict.rules
            faults = verdict.faults
            if heard.error is None:
                # C12, and the same for every cut
                found = _print(heard, made_up="made-up-call-id" in verdict.rules)
                if prints.setdefault(run.response, found) != found:
                    faults.append(f"not the same as in another cut or for another client: {found[:200]}")
            result.responses[run.cut] = result.responses.get(run.cut, 0) + 1
            result.faults.setdefault(run.cut, []).extend(f"[{run}] {fault}" for fault in faults)
        return result

    async def _ask(self, case: Case, run: Run) -> Heard:
        self._count += 1
        token = f"case-{self._count}"
        self.replies[token] = run.reply
        body: dict[str, Any] = {
            "model": f"{self.providers[run.response]}/{token}",
            "messages": [{"role": "user", "content": "?"}],
            "stream": run.stream,
        }
        if run.stream and run.usage_asked:
            body["stream_options"] = {"include_usage": True}
        async with self._places:
            response = await self.client.post("/v1/chat/completions", json=body)
        del self.replies[token]
        return check(
            response.status_code,
            response.headers.get("content-type", ""),
            response.content,
            stream=run.stream,
            usage_asked=run.usage_asked,
            delimiters=DELIMITERS if case.text is None else (),
        )


def _print(heard: Heard, *, made_up: bool) -> str:
    def of(voice: Voice) -> Any:
        calls = [{**call, "id": None} for call in voice.tool_calls] if made_up else voice.tool_calls
        return [voice.reasoning, voice.content, voice.refusal, calls, voice.finish]

    return json.dumps({index: of(voice) for index, voice in sorted(heard.voices.items())}, ensure_ascii=False)


def runs_of(case: Case, effort: Effort) -> Iterator[Run]:
    """All requests that a case asks for."""
    rng = random.Random(f"{effort.seed} {case.id}")
    response = block(case.response)
    replies = _text_replies(case, rng, effort) if case.text is not None else _body_replies(case, rng, effort)
    for cut, reply in replies:
        for stream in (True, False):
            if cut == "byte" and not stream and not effort.full:
                continue
            yield Run(cut, response, reply, stream)
            if case.text is None and cut in ("whole", "random") and "pairs" not in case.response["tags"]:
                yield Run(cut, _default(case), reply, stream, strip=True)
        if cut == "whole":
            yield Run(cut, response, reply, stream=True, usage_asked=False)


def _default(case: Case) -> str:
    """The same block, with white space trimmed as it is by default."""
    return block({key: value for key, value in case.response.items() if key != "tags"} or DETECTION)


def block(response: dict[str, Any]) -> str:
    return json.dumps(response, ensure_ascii=False, sort_keys=True)


def _body_replies(case: Case, rng: random.Random, effort: Effort) -> Iterator[tuple[str, Reply]]:
    head = {"content-type": case.content_type}

    def reply(pieces: list[bytes], framing: Framing = "chunked") -> Reply:
        return Reply(pieces, case.status, head, framing, pace_s=PACE_S)

    # one piece is also the place to end a body by its length, or with the connection
    yield "whole", Reply([case.body], case.status, head, "close" if case.sse else "length")
    if case.sse:
        yield "event", reply(cuts.per_event(case.body))
    if len(case.body) <= effort.byte_limit:
        yield "byte", reply(cuts.per_byte(case.body), "close")
    if case.lengths:
        yield "recorded", reply(cuts.by_lengths(case.body, case.lengths))
    for _ in range(effort.randoms):
        yield "random", reply(cuts.at_random(case.body, rng))


def _text_replies(case: Case, rng: random.Random, effort: Effort) -> Iterator[tuple[str, Reply]]:
    text = case.text or ""
    yield "whole", Reply([_stream_of([text])])
    yield "whole", Reply.of_json(_answer_of(text))
    yield "event", Reply(cuts.per_event(_stream_of(text)), pace_s=PACE_S)
    yield "recorded", Reply(cuts.per_event(_stream_of(case.parts)), pace_s=PACE_S)
    body = _stream_of(case.parts)
    if len(body) <= effort.byte_limit:
        yield "byte", Reply(cuts.per_byte(body), framing="close", pace_s=PACE_S)
    for _ in range(effort.randoms):
        yield "random", Reply(cuts.at_random(_stream_of(cuts.text_at_random(text, rng)), rng), pace_s=PACE_S)


def _stream_of(parts: Iterable[str]) -> bytes:
    """A stream of these content deltas."""
    deltas = [{"role": "assistant"}, *({"content": part} for part in parts), {}]
    choices = [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"} for delta in deltas]
    chunks = [{"id": "t-1", "created": 7, "model": "t", "choices": [choice]} for choice in choices]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + _DONE


def _answer_of(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "t-1",
        "created": 7,
        "model": "t",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


def table_of(upstream_url: str, providers: dict[str, str]) -> str:
    """The routing table: a provider and a route for each `response` block. JSON is YAML."""
    timeouts = {"first_byte": "30s", "first_token": "120s", "idle": "30s"}
    config = {
        "version": 1,
        "server": {"drain": "1s", "byte_path": os.environ.get("REASONING_PROXY_CONFORMANCE_BYTE_PATH") != "off"},
        "providers": {
            name: {"base_url": upstream_url, "timeouts": timeouts, "response": json.loads(response)}
            for response, name in providers.items()
        },
        "routes": [
            {"model": f"{name}/*", "targets": [{"provider": name, "model": "{*}"}], "retry": {"attempts": 1}}
            for name in providers.values()
        ],
    }
    return json.dumps(config, ensure_ascii=False, indent=1)


@contextmanager
def course(cases: Iterable[Case], effort: Effort) -> Iterator[Course]:
    """Upstream, proxy and client for these cases, for the length of a `with` block."""
    blocks = {block(case.response) for case in cases} | {_default(case) for case in cases if case.text is None}
    providers = {response: f"p{number}" for number, response in enumerate(sorted(blocks))}
    with event_loop() as loop:

        def call(coroutine: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

        replies: dict[str, Reply] = {}
        upstream = Upstream(lambda asked: replies[asked.json["model"]])
        server = call(upstream.start())
        with proxying(table_of(upstream.url, providers)) as proxy:
            client = httpx2.AsyncClient(base_url=proxy.url, timeout=PATIENCE_S, trust_env=False)
            built = Course(proxy, client, loop, effort, providers, replies)
            try:
                yield built
            finally:
                call(client.aclose())
                call(upstream.stop(server))
