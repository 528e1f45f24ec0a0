"""Listen addresses, `HOST:PORT`."""

from proxy.cli.failure import Failure
from proxy.edge.listeners import bind


def split(address: str) -> tuple[str, int]:
    """(host, port) of a valid address; the brackets of an IPv6 host are gone."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def url_of(address: str) -> str:
    """How a client on this machine reaches `address`."""
    host, port = split(address)
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def require_free(address: str, option: str) -> str:
    """The address to listen on: `address`, port 0 replaced by a free one.

    Raises Failure where it cannot be listened on; `option` says how to choose another one.
    """
    try:
        with bind(address) as bound:
            return f"{address.rpartition(':')[0]}:{bound.getsockname()[1]}"
    except OSError as error:
        raise Failure(f"cannot listen on {address}: {error.strerror}; choose another address with {option}") from error
