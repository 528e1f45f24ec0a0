"""The replay upstream: an OpenAI-compatible server whose models are recordings."""

import asyncio
import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.core.codec import dumps, loads
from proxy.demo.recordings import Library, Recording, RecordingError

MAX_REQUEST_BYTES = 32 * 1024 * 1024

_COMPLETIONS = "/v1/chat/completions"
_MODELS = "/v1/models"


class Refused(Exception):
    """A request that gets no recording: `status` and the message of its error body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Replay:
    """A plain ASGI application: `POST /v1/chat/completions`, `GET /v1/models`.

    `speed` divides the waits of the recordings: 2 is twice as fast as recorded, `math.inf` does not wait at all.
    """

    def __init__(self, library: Library, *, speed: float = 1.0) -> None:
        self._library = library
        self._speed = speed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except Refused as error:
            await _send_json(send, error.status, _error(str(error)))
        except RecordingError as error:
            await _send_json(send, 500, _error(str(error)))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == _MODELS:
            _require_method(scope, "GET")
            await _send_json(send, 200, self._models())
        elif scope["path"] == _COMPLETIONS:
            _require_method(scope, "POST")
            recording = self._recording(await _read_body(receive))
            await self._play(recording, receive, send)
        else:
            raise Refused(404, f"no such path: {scope['path']} (there are {_COMPLETIONS} and {_MODELS})")

    def _models(self) -> dict[str, Any]:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "replay"} for name in self._library.names()]
        return {"object": "list", "data": models}

    def _recording(self, body: bytes) -> Recording:
        try:
            request = loads(body)
        except ValueError:
            raise Refused(400, "the body is no JSON") from None
        if not isinstance(request, dict) or not isinstance(request.get("model"), str):
            raise Refused(400, "the body is no JSON object with a string 'model'")
        model = request["model"]
        recording = self._library.find(model, stream=request.get("stream") is True)
        if recording is None:
            near = get_close_matches(model, self._library.names(), 3)
            hint = f"; close names: {', '.join(near)}" if near else ""
            raise Refused(404, f"no recording of {model!r}{hint}")
        return recording

    async def _play(self, recording: Recording, receive: Receive, send: Send) -> None:
        """Sends the recording at its pace, until its end or until the client leaves."""
        headers = [(b"content-type", recording.media_type.encode()), (b"cache-control", b"no-cache")]
        started = False
        clock = asyncio.get_running_loop().time
        due = clock()
        gone = asyncio.ensure_future(_client_left(receive))
        try:
            for wait, data in _batches(recording.pieces):
                due += wait / self._speed
                await asyncio.wait({gone}, timeout=max(0.0, due - clock()))
                if gone.done():
                    return
                if not started:
                    started = True
                    await send({"type": "http.response.start", "status": recording.status, "headers": headers})
                await send({"type": "http.response.body", "body": data, "more_body": True})
            if not started:
                await send({"type": "http.response.start", "status": recording.status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


def speed_of(text: str) -> float:
    """The value of `--speed`: a positive number, or `inf`. Raises ValueError."""
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise ValueError("write a number above 0, or inf")
    return speed


def _batches(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Joins what arrives together: pieces that wait for nothing go out with the piece before them."""
    wait_s = 0.0
    held: list[bytes] = []
    for wait, data in pieces:
        if wait > 0 and held:
            yield wait_s, b"".join(held)
            held = []
        wait_s = wait if not held else wait_s
        held.append(data)
    if held:
        yield wait_s, b"".join(held)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request broke off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_REQUEST_BYTES:
            raise Refused(413, f"the body is larger than {MAX_REQUEST_BYTES} bytes")
        if not message.get("more_body"):
            return b"".join(parts)


def _require_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise Refused(405, f"{scope['path']} takes {method}")


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "replay_error", "param": None, "code": None}}


async def _send_json(send: Send, status: int, value: dict[str, Any]) -> None:
    body = dumps(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
