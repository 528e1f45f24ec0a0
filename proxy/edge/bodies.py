"""A request's body: read up to a size, parsed, and judged as far as every target would judge it alike."""

from typing import Any

from proxy.core.codec import loads_exact
from proxy.core.errors import RequestInvalid, RequestTooLarge
from proxy.edge.client_request import ClientRequest

_JSON = "application/json"


def judge_head(headers: dict[str, str]) -> None:
    """What a head says of its body. Raises RequestInvalid where that cannot be relayed."""
    kind = headers.get("content-type")
    if kind is not None and kind != _JSON and kind.lower().startswith("multipart/"):
        raise RequestInvalid("Multipart bodies are not relayed: send a JSON body with a `model`.", param="content-type")
    if "content-encoding" in headers and headers["content-encoding"].lower() != "identity":
        raise RequestInvalid("Send the body without a content-encoding.", param="content-encoding")


async def arrival(client: ClientRequest, limit: int) -> None:
    """Waits for the whole body, or the client's leaving. Raises RequestTooLarge for one announced above `limit` bytes."""
    length = client.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    await client.arrival(limit)


def taken(client: ClientRequest, limit: int) -> bytes:
    """The whole body. Raises RequestTooLarge above `limit` bytes, ClientGoneError where the client has left."""
    if client.size > limit:
        raise _too_large(limit)
    return client.take()


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request's body is larger than {limit} bytes (server.max_request_bytes).")


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object of a body that names a `model`. Raises RequestInvalid."""
    try:
        body = loads_exact(data)
    except (ValueError, RecursionError):
        raise RequestInvalid(
            "The request's body is not JSON." if data.strip() else "The request has no body."
        ) from None
    if not isinstance(body, dict):
        raise RequestInvalid("The request's body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RequestInvalid("`model` must be a non-empty string.", param="model")
    if "stream" not in body:
        return body
    stream = body["stream"]
    if stream is not None and not isinstance(stream, bool):
        raise RequestInvalid("`stream` must be true or false.", param="stream")
    return body


def judge_chat(body: dict[str, Any]) -> None:
    """What a chat completion needs beyond `parse`. Raises RequestInvalid."""
    if not isinstance(body.get("messages"), list):
        raise RequestInvalid("`messages` must be a list.", param="messages")
    if "stream_options" not in body:
        return
    options = body["stream_options"]
    if options is not None and not isinstance(options, dict):
        raise RequestInvalid("`stream_options` must be an object.", param="stream_options")


def wants_usage(body: dict[str, Any]) -> bool:
    """Whether the client asked for a last chunk with the usage."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
