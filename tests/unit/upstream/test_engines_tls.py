"""TLS in both HTTP engines: whom they trust, and what they say of those whom they do not."""

import ssl
from pathlib import Path

import pytest

from tests.support.peer import certificate

CUT_SHORT = [
    "content-length in pieces",
    "chunked",
    "until close",
    "close in the body",
    "close in a chunk",
    "surplus: an answer",
    "head too long",
]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost and 127.0.0.1, and a host's context with it."""
    return certificate(tmp_path_factory.mktemp("tls"))
