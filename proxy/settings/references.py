"""Secrets by reference: variables and files are read once, at load; what is missing, empty or unusable is a mistake."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from proxy.settings.checking import SecretReference
from proxy.settings.formats import carries_in_header
from proxy.settings.model import Secret

MAX_SECRET_BYTES = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")

# Keys that stand in documentation and examples, and so are known to everybody.
_SAMPLE_KEYS = frozenset(
    {
        "1234", "12345678", "abc123", "api-key", "apikey", "change-me", "change_me", "changeit", "changeme", "demo", "dummy",
        "empty", "example", "foobar", "my-key", "none", "password", "replace-me", "replaceme", "secret", "sk-1234",
        "sk-12345", "sk-123456", "sk-123456789", "sk-1234567890", "sk-changeme", "sk-dummy", "sk-example", "sk-fake",
        "sk-local", "sk-no-key-required", "sk-proxy", "sk-test", "sk-xxx", "sk-xxxx", "sk-xxxxxxxx", "sk-your-key",
        "test", "test-key", "token", "token-abc123", "xxx", "your-api-key", "your-key", "your_api_key",
    }
)  # fmt: skip


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


# What stands in documentation where a provider's key belongs. Other samples (`EMPTY`, `token-abc123`) are the real keys of
# servers that ask for none.
_PLACEHOLDER = re.compile(
    r"(sk-)?(x{3,}|\*{3,}|\.{3,}|change[-_ ]?me|replace[-_ ]?me|(insert[-_ ])?(your|my)[-_ ](\w+[-_ ]){0,3}key([-_ ]here)?)|<[^>]*>|\$\{?\w+\}?",
    re.IGNORECASE,
)

_SAMPLE_DIGESTS = frozenset(map(_digest, _SAMPLE_KEYS))


class References:
    """Reads what references name, each once. Relative paths count from the folder of the file that holds the reference.

    Both methods raise ValueError with a message that says what is wrong and never repeats a secret.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._secrets: dict[SecretReference, Secret] = {}

    def secret(self, reference: SecretReference) -> Secret:
        """The secret of an `env` or `file` reference, for a provider."""
        secret = self._secret(reference)
        if _PLACEHOLDER.fullmatch(secret.reveal()):
            raise ValueError(f"{_what(reference)} holds a sample out of some documentation, not a key of your own")
        return secret

    def _secret(self, reference: SecretReference) -> Secret:
        """A line end behind it is not part of it."""
        if reference not in self._secrets:
            value = (self._variable if reference.kind == "env" else self._file)(reference).rstrip("\r\n")
            if not value.strip():
                raise ValueError(f"{_what(reference)} is empty")
            if not carries_in_header(value):
                raise ValueError(f"{_what(reference)} holds white space or characters that no header can carry")
            self._secrets[reference] = Secret(value, f"{reference.kind} {reference.name}")
        return self._secrets[reference]

    def client_key(self, reference: SecretReference) -> bytes:
        """The SHA-256 digest (32 bytes) of a client's key."""
        if reference.kind == "sha256":
            if not _DIGEST.fullmatch(reference.name):
                raise ValueError("not a SHA-256 digest: write its 64 hexadecimal digits")
            digest, key = bytes.fromhex(reference.name), ""
        else:
            key = self._secret(reference).reveal()
            digest = _digest(key)
        if digest in _SAMPLE_DIGESTS or key.casefold() in _SAMPLE_KEYS or _PLACEHOLDER.fullmatch(key):
            raise ValueError("this is a sample key that everybody knows: make one with `openssl rand -hex 32`")
        return digest

    def _variable(self, reference: SecretReference) -> str:
        if not _VARIABLE.fullmatch(reference.name):
            # Not repeated: it may be the secret itself.
            raise ValueError("not the name of an environment variable: write {env: NAME}")
        value = self._env.get(reference.name)
        if value is None:
            raise ValueError(f"{_what(reference)} is not set")
        return value

    def _file(self, reference: SecretReference) -> str:
        try:
            with (Path(reference.mark.file).parent / reference.name).open("rb") as file:
                data = file.read(MAX_SECRET_BYTES + 1)
        except FileNotFoundError:
            raise ValueError(f"{_what(reference)} is not there") from None
        except OSError as error:
            raise ValueError(f"{_what(reference)} cannot be read: {error.strerror}") from None
        if len(data) > MAX_SECRET_BYTES:
            raise ValueError(f"{_what(reference)} is larger than {MAX_SECRET_BYTES // 1024} KiB")
        return data.decode("utf-8", "replace")


def _what(reference: SecretReference) -> str:
    return f"the variable {reference.name}" if reference.kind == "env" else f"the file {reference.name}"
