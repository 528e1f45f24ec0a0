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


def require_free(address: str, option: str) -> None:
    """Raises Failure where `address` cannot be listened on; `option` says how to choose another one."""
    try:
        bind(address).close()
    except OSError as error:
        raise Failure(f"cannot listen on {address}: {error.strerror}; choose another address with {option}") from error
