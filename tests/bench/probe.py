"""Clients that are not about speed: one that checks an answer word by word, one that leaves, one that does not read."""

import http.client
import socket
import time

from tests.bench.answers import WrongAnswerError, answer, request_of
from tests.bench.kit import Kit
from tests.bench.peers import Peer

LEFT_WITHIN_S = 5.0
_PATIENCE_S = 30.0


def check(port: int, model: str, peer: Peer, asking: dict[str, str]) -> None:
    """Raises WrongAnswerError unless the answer that comes is the one that was sent, as this peer should give it."""
    head, _, body = request_of(model, asking).partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    try:
        connection.request("POST", "/v1/chat/completions", body, dict(lines))
        response = connection.getresponse()
        received = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswerError(f"{model}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise WrongAnswerError(f"{model}: status {response.status}: {received[:300]!r}")
    answer(model).check(received, parts_tags=peer.parts_tags)


def _asked(port: int, model: str, asking: dict[str, str], receive_bytes: int | None = None) -> socket.socket:
    client = socket.socket()
    client.settimeout(_PATIENCE_S)
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)  # before connect: it limits the window
    client.connect(("127.0.0.1", port))
    client.sendall(request_of(model, asking))
    return client


def leave(kit: Kit, port: int, model: str, asking: dict[str, str]) -> float:
    """Milliseconds from a client's close, in the middle of a stream, until the upstream sees a close; at most 5 s."""
    kit.prepare(model)
    before = kit.stats()["left"]
    with _asked(port, model, asking) as client:
        received = b""
        while b"@@" not in received:
            received += _received(client)
        time.sleep(0.05)
    closed = time.monotonic()
    while (stats := kit.stats())["left"] == before:
        if time.monotonic() - closed > LEFT_WITHIN_S:
            return LEFT_WITHIN_S * 1000
        time.sleep(0.02)
    return stats["left_us"] / 1000 - closed * 1000


def _received(client: socket.socket) -> bytes:
    received = client.recv(1 << 16)
    if not received:
        raise WrongAnswerError("closed before the first mark")
    return received


class SlowReader:
    """A client that asks for a long answer and does not read it, until it does."""

    def __init__(self, kit: Kit, port: int, model: str, asking: dict[str, str]) -> None:
        kit.prepare(model)
        self._wanted = answer(model).marks
        self._client = _asked(port, model, asking, 4096)

    def read(self) -> None:
        """Takes it all. Raises WrongAnswerError unless all of it comes."""
        with self._client, http.client.HTTPResponse(self._client) as response:
            response.begin()
            body = response.read()
        if body.count(b"@@") != self._wanted or b"[DONE]" not in body:
            raise WrongAnswerError(f"{body.count(b'@@')} marks instead of {self._wanted}, {body[-200:]!r}")
