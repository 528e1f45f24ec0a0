"""Texts of the YAML with a form of their own: durations, sizes, addresses, URLs, names, patterns."""

import datetime
import ipaddress
import re
from urllib.parse import urlsplit

from proxy.core.render import parse_rendering
from proxy.settings.spec import Text

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_SIZE = re.compile(r"([0-9]{1,15})\s?(B|KB|MB|GB|KiB|MiB|GiB)?")
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_MAX_PORT = 65535
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def parse_duration(text: str) -> float:
    """Seconds of `500ms`, `2s`, `5m`, `1.5h`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("write a number and ms, s, m or h, such as 500ms, 2s, 5m")
    return round(float(match[1]) * _SECONDS[match[2]], 6)


def parse_size(text: str) -> int:
    """Bytes of `10MiB`, `32MB`, `1024`; at least 1."""
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError("write a number above 0 and B, KiB, MiB, GiB, KB, MB or GB, such as 10MiB")
    return int(match[1]) * _BYTES[match[2] or "B"]


def parse_listen(text: str) -> str:
    """`HOST:PORT` as it stands; the host is a name, an IPv4 address, or an IPv6 address in brackets."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > _MAX_PORT or not host:
        raise ValueError("write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    if host.startswith("[") and host.endswith("]"):
        ipaddress.IPv6Address(host[1:-1])
    elif re.fullmatch(r"[0-9.]+", host):
        ipaddress.IPv4Address(host)
    elif not _HOST.fullmatch(host):
        raise ValueError("the host is neither a name nor an address; an IPv6 address stands in brackets")
    return text


def is_loopback(listen: str) -> bool:
    """Whether `HOST:PORT` can be reached from this machine alone."""
    host = listen.rpartition(":")[0].strip("[]").casefold()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parse_url(text: str) -> str:
    """An http or https URL with a host and no credentials, without its trailing slash."""
    return _url(text, ("http", "https"))


def parse_proxy(text: str) -> str:
    """The URL of an HTTP or SOCKS proxy, without credentials."""
    return _url(text, _PROXY_SCHEMES)


def is_proxy_url(text: str) -> bool:
    """Whether `text`, which was read by reference and may hold credentials, is a proxy's URL."""
    scheme, _, rest = text.partition("://")
    try:
        parse_proxy(f"{scheme}://{rest.rpartition('@')[2]}")
    except ValueError:
        return False
    return True


def _url(text: str, schemes: tuple[str, ...]) -> str:
    if not text.isprintable() or " " in text:
        raise ValueError("a URL has no white space in it")
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("a user name or password is a secret and does not stand in a URL")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Python's own message would repeat parts of the URL.
        raise ValueError("the host or the port is not valid") from None
    if parts.scheme.lower() not in schemes or not parts.hostname:
        raise ValueError(f"write {' or '.join(f'{s}://' for s in schemes)} and a host")
    if port == 0 or parts.query or parts.fragment:
        raise ValueError("a base URL has no port 0, no `?` and no `#`; use `query:` for parameters")
    return text.rstrip("/")


def parse_origin(text: str) -> str:
    """What a browser sends as `Origin`: scheme, host and port of a page, in lower case; or `*`."""
    if text == "*":
        return text
    scheme, separator, rest = text.casefold().partition("://")
    if not _SCHEME.fullmatch(scheme) or not separator or not rest or set(rest) & set("/?#@* ") or not rest.isascii():
        raise ValueError("write scheme, host and port alone, such as https://chat.example or http://localhost:3000")
    return f"{scheme}://{rest}"


def parse_provider_name(text: str) -> str:
    """Letters, digits, dot, dash and underscore: a slash would end the provider's name in PROVIDER/MODEL."""
    if not _PROVIDER.fullmatch(text):
        raise ValueError("a provider's name is made of letters, digits, `.`, `-` and `_`")
    return text


def parse_header_name(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise ValueError("letters, digits and `-` without white space")
    return text.lower()


def parse_header_value(text: str) -> str:
    if not carries_in_header(text):
        raise ValueError("a header carries visible ASCII characters and inner spaces only")
    return text


def carries_in_header(text: str) -> bool:
    """Whether RFC 9110, section 5.5, lets `text` be a field value; obsolete non-ASCII bytes are refused."""
    return text.isascii() and text.isprintable() and text == text.strip()


def parse_model_name(text: str) -> str:
    """A model name or pattern: printable, no white space around it."""
    if not text.isprintable() or text != text.strip():
        raise ValueError("a model's name has no control characters and no white space around it")
    return text


def parse_target_reference(text: str) -> tuple[str, str]:
    """`PROVIDER/MODEL`, split at the first slash."""
    provider, slash, model = parse_model_name(text).partition("/")
    if not slash or not provider or not model:
        raise ValueError("write PROVIDER/MODEL: the name of a provider, a slash, and its model")
    return provider, model


def parse_date(text: str) -> str:
    """An ISO 8601 calendar date as it stands."""
    return datetime.date.fromisoformat(text).isoformat()


ORIGIN = Text("an origin such as https://chat.example", parse_origin, r"^(\*|[A-Za-z][A-Za-z0-9+.-]*://[^/?#@* ]+)$")
DATE = Text("a date such as 2026-01-31", parse_date, r"^\d{4}-\d{2}-\d{2}$")
DURATION = Text(
    "a duration such as 500ms, 2s, 5m",
    parse_duration,
    r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h)$",
    show=lambda seconds: f"{seconds:g}s",
)
SIZE = Text("a size such as 10MiB", parse_size, r"^0*[1-9][0-9]{0,14}\s?(B|KB|MB|GB|KiB|MiB|GiB)?$", numbers=True)
LISTEN = Text("an address such as 127.0.0.1:8080", parse_listen, r"^.+:[0-9]{1,5}$")
URL = Text("a URL such as https://host/v1", parse_url, r"^[hH][tT][tT][pP][sS]?://[^\s@]+$")
PROXY_URL = Text("a proxy's URL such as http://host:3128", parse_proxy, r"^(https?|socks5h?)://[^\s@]+$")
PROVIDER_NAME = Text("a provider's name", parse_provider_name, r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
HEADER_NAME = Text("a header's name", parse_header_name, r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
HEADER_VALUE = Text("a header's value", parse_header_value, numbers=True, may_be_empty=True)
QUERY_VALUE = Text("a parameter's value", numbers=True, may_be_empty=True)
MODEL = Text("a model's name", parse_model_name)
TARGET = Text("PROVIDER/MODEL", parse_target_reference, r"^[^/]+/.+$")
RENDERING = Text("a rendering such as think_tags", parse_rendering)
