"""The HTTP calls of `chat`: an OpenAI-compatible API, read with the project's own event parser."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx2

from proxy import __version__
from proxy.cli.failure import Failure
from proxy.cli.terminal import Transcript
from proxy.core import sse
from proxy.core.codec import dumps, loads
from proxy.core.timeline import Timeline
from proxy.settings.formats import carries_in_header, is_loopback

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 600.0
"""Between two reads; the proxy's heartbeats come far more often."""

_ERROR_CHARACTERS = 300


@dataclass(slots=True)
class Turn:
    """What came back for one request."""

    timeline: Timeline
    reasoning: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    done: bool = False

    def message(self) -> dict[str, Any]:
        """The assistant message for the history, with its reasoning."""
        message = {"role": "assistant", "content": "".join(self.answer)}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        return message


class Api:
    """One server. `url` is its base, such as `http://127.0.0.1:8080/v1`; `key` may be empty. Raises Failure only."""

    def __init__(self, url: str, key: str) -> None:
        self.url = _base_of(url)
        headers = {"user-agent": f"reasoning-proxy/{__version__}", "accept-encoding": "identity"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        if not carries_in_header(key):
            raise Failure("the key in REASONING_PROXY_KEY holds characters that no header can carry")
        # A proxy of the environment cannot reach this machine's own loopback addresses.
        self._client = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            trust_env=not is_loopback(f"{self.url.host}:0"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def models(self) -> list[str]:
        """Ids of `GET /models`, in the server's order."""
        try:
            response = self._client.get(f"{self.url}/models")
        except httpx2.HTTPError as error:
            raise self._failure(error) from error
        if response.status_code != httpx2.codes.OK:
            raise _refusal(response.status_code, response.content)
        try:
            return [str(model["id"]) for model in loads(response.content)["data"]]
        except (ValueError, TypeError, KeyError) as error:
            raise Failure(f"{self.url}/models answers something that is no list of models") from error

    def ask(self, model: str, messages: list[dict[str, Any]], transcript: Transcript) -> Turn:
        """Streams one answer into `transcript`."""
        body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        turn = Turn(Timeline(time.monotonic()))
        try:
            with self._client.stream(
                "POST",
                f"{self.url}/chat/completions",
                content=dumps(body),
                headers={"content-type": "application/json", "accept": "text/event-stream"},
            ) as response:
                if response.status_code != httpx2.codes.OK:
                    raise _refusal(response.status_code, response.read())
                for payload in _payloads(response):
                    _take(payload, turn, transcript)
        except httpx2.HTTPError as error:
            raise self._failure(error) from error
        finally:
            transcript.close()
            turn.timeline.end(time.monotonic())
        if not turn.done:
            raise Failure("the answer broke off before its end")
        return turn

    def _failure(self, error: httpx2.HTTPError) -> Failure:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return Failure(
                f"cannot reach {self.url} ({error or 'no answer'}): start a proxy with `reasoning-proxy serve`, "
                "or say where it is with --url or REASONING_PROXY_URL"
            )
        return Failure(f"the connection to {self.url} failed: {error or type(error).__name__}")


def _base_of(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url.rstrip("/"))
    except httpx2.InvalidURL as error:
        raise Failure(f"{url!r} is no URL: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Failure(f"{url!r} is no URL of a server (such as http://127.0.0.1:8080/v1)")
    return parsed.copy_with(path="/v1") if parsed.path in {"", "/"} else parsed


def _payloads(response: httpx2.Response) -> Iterator[bytes]:
    parser = sse.EventParser()
    for data in response.iter_raw():
        yield from (payload for name, payload in parser.feed(data) if name is not None)
    yield from (payload for name, payload in parser.close() if name is not None)


def _take(payload: bytes, turn: Turn, transcript: Transcript) -> None:
    if payload == sse.DONE:
        turn.done = True
        return
    try:
        chunk = loads(payload)
    except ValueError:
        chunk = None
    if not isinstance(chunk, dict):
        raise Failure("the server answers something that is no chat completion")
    if chunk.get("error"):
        raise Failure(_message_of(chunk))
    if isinstance(chunk.get("usage"), dict):
        turn.timeline.usage = chunk["usage"]
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        reasoning = delta.get("reasoning_content")
        if isinstance(reasoning, str) and reasoning:
            turn.timeline.reasoning(time.monotonic())
            turn.reasoning.append(reasoning)
            transcript.reasoning(reasoning)
        for text in (delta.get("content"), delta.get("refusal")):
            if isinstance(text, str) and text:
                turn.timeline.answer(time.monotonic())
                turn.answer.append(text)
                transcript.answer(text)


def _refusal(status: int, body: bytes) -> Failure:
    try:
        message = _message_of(loads(body))
    except ValueError:
        message = body.decode("utf-8", "replace").strip()[:_ERROR_CHARACTERS]
    return Failure(f"the server answers {status}: {message or 'without a word'}")


def _message_of(value: Any) -> str:
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or value)[:_ERROR_CHARACTERS]
