"""What goes out in the head of an upstream request, and what must never come back out of an answer."""

from collections.abc import Iterable, Mapping

from proxy import __version__
from proxy.core.errors import KeyInvalid, ProxyError, UpstreamError
from proxy.settings.model import Provider

USER_AGENT = f"reasoning-proxy/{__version__}"
_KEY_LENGTH = 6
"""Shorter keys are placeholders such as `EMPTY`; cutting them out would only spoil the message."""
_SECRET_LENGTH = 16
"""Configured header and query values of at least this length are taken for secrets."""


class Head:
    """The head of a request, which may be sent again and again."""

    __slots__ = ("fields", "written")

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = fields
        """Lower-case names."""
        self.written: bytes | None = None
        """The same as the bytes that are sent; the engine's to make and to keep."""


class Heads:
    """The heads of requests to one provider, each made once where no caller's own key is in it."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._kept: dict[str, Head] = {}

    def of(self, accept: str, client_key: str | None) -> Head:
        """See `headers`."""
        head = self._kept.get(accept)
        if head is None:
            head = Head(headers(self._provider, client_key, accept))
            if not self._provider.pass_client_key:
                self._kept[accept] = head
        return head


def headers(provider: Provider, client_key: str | None, accept: str) -> dict[str, str]:
    """The fields of a request's head, names in lower case. Nothing of the client's own headers is in it.

    `client_key` is sent where the provider says `api_key: {from: client}`; raises KeyInvalid where it is missing then.
    """
    head = {
        "content-type": "application/json",
        "accept": accept,
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
    }
    key = client_key if provider.pass_client_key else provider.api_key and provider.api_key.reveal()
    if provider.pass_client_key and not (client_key and client_key.isascii()):
        raise KeyInvalid("This model is called with your own provider key: send it as `Authorization: Bearer KEY`.")
    if key:
        head[provider.auth_header.lower()] = f"{provider.auth_scheme} {key}" if provider.auth_scheme else key
    head.update((name.lower(), value) for name, value in provider.headers.items())
    return head


def secrets(provider: Provider, client_key: str | None) -> tuple[str, ...]:
    """Every value of this request that no client may read in an error, longest first."""
    own = provider.api_key.reveal() if provider.api_key is not None else None
    found = {key for key in (own, client_key) if key and len(key) >= _KEY_LENGTH}
    configured = (*provider.headers.values(), *provider.query.values())
    found.update(value for value in configured if len(value) >= _SECRET_LENGTH)
    return tuple(sorted(found, key=len, reverse=True))


def cut_out(error: ProxyError, hidden: Iterable[str]) -> None:
    """Replaces each of the hidden values by `***` in all that the error tells."""
    for value in hidden:
        error.message = error.message.replace(value, "***")
        error.type = error.type.replace(value, "***")
        error.param = error.param and error.param.replace(value, "***")
        error.code = error.code.replace(value, "***") if isinstance(error.code, str) else error.code
        if isinstance(error, UpstreamError):
            error.upstream_type = error.upstream_type and error.upstream_type.replace(value, "***")
            if isinstance(error.upstream_code, str):
                error.upstream_code = error.upstream_code.replace(value, "***")


class Censor:
    """Cuts hidden values out of bytes that pass as they are, also where one is cut across two reads.

    Held back is only what may still become such a value: fewer bytes than the longest of them.
    """

    def __init__(self, hidden: Iterable[str]) -> None:
        self._hidden = [value.encode() for value in hidden]
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may leave of `data` and of what was held."""
        data = self._held + data
        for value in self._hidden:
            data = data.replace(value, b"***")
        held = max((_beginning(data, value) for value in self._hidden), default=0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def close(self) -> bytes:
        """What is still held."""
        held, self._held = self._held, b""
        return held


def _beginning(data: bytes, value: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of `value`."""
    return next((size for size in range(min(len(value) - 1, len(data)), 0, -1) if data.endswith(value[:size])), 0)


def cut_out_bytes(data: bytes, hidden: Iterable[str]) -> bytes:
    """The same for an error that is already on its way as JSON text."""
    for value in hidden:
        data = data.replace(value.encode(), b"***")
    return data
