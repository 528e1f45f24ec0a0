"""Listen addresses and how they are told."""

import socket

import pytest

from proxy.cli.address import require_free, split, url_of
from proxy.cli.failure import Failure


@pytest.mark.parametrize(
    ("address", "host", "port", "url"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, "http://127.0.0.1:8080"),
        ("localhost:80", "localhost", 80, "http://localhost:80"),
        ("[::1]:8080", "::1", 8080, "http://[::1]:8080"),
        ("0.0.0.0:8080", "0.0.0.0", 8080, "http://127.0.0.1:8080"),
        ("[::]:8080", "::", 8080, "http://127.0.0.1:8080"),
    ],
)
def test_an_address_is_told_as_a_client_on_this_machine_reaches_it(
    address: str, host: str, port: int, url: str
) -> None:
    assert split(address) == (host, port)
    assert url_of(address) == url


def test_port_0_becomes_a_free_port() -> None:
    address = require_free("127.0.0.1:0", "--listen")
    with socket.socket() as probe:
        probe.bind(split(address))
    assert split(address)[1] > 0


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(Failure, match=r"cannot listen on 192\.0\.2\.1:8080: .*; choose another address with --listen"):
        require_free("192.0.2.1:8080", "--listen")
