"""Who is calling."""

import hashlib
import hmac
from collections.abc import Sequence

from proxy.core.errors import KeyInvalid
from proxy.settings.model import Client


def presented(headers: dict[str, str]) -> str | None:
    """The key of `Authorization: Bearer KEY` or `x-api-key: KEY`."""
    if "authorization" in headers:
        scheme, _, key = headers["authorization"].strip().partition(" ")
        if (scheme == "Bearer" or scheme.lower() == "bearer") and (key := key.strip()):
            return key
    return headers["x-api-key"].strip() or None if "x-api-key" in headers else None


def identify(headers: dict[str, str], clients: Sequence[Client]) -> tuple[Client | None, str | None]:
    """Who is behind these headers, None where the table asks for no key; and the key that was presented.

    That key reaches no log, and a provider only where its settings say so. Raises KeyInvalid where a key is asked for
    and none of them fits.
    """
    key = presented(headers)
    if not clients:
        return None, key
    if key is None:
        raise KeyInvalid("Send your key as `Authorization: Bearer KEY` or `x-api-key: KEY`.")
    # Headers are read as Latin-1, which gives back the very bytes that were sent.
    digest = hashlib.sha256(key.encode("latin-1")).digest()
    found = None
    for client in clients:
        # Every digest is compared, so that the time taken says nothing.
        if hmac.compare_digest(digest, client.key_sha256) and found is None:
            found = client
    if found is None:
        raise KeyInvalid("This key is not known here.")
    return found, key
