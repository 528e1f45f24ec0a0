"""The routing table as frozen, typed, resolved settings: what every other room works with.

Durations are seconds (`_s`), sizes are bytes; 0 seconds means "no limit". Secrets are read once, at load.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from proxy.core.dialect import Manner
from proxy.core.render import Rendering

Traces = Literal["off", "otlp"]
Strategy = Literal["failover", "weighted", "least_busy", "fastest"]


class Secret:
    """A secret's value, which no repr, log or error shows. `source` is its reference, such as `env DEEPSEEK_API_KEY`."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str) -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """The value itself, for the header that carries it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.source})"


class SecretText(str):
    """A text that goes out as it is, such as a header's value read by reference; only its repr keeps the secret."""

    __slots__ = ("source",)

    source: str

    def __new__(cls, value: str, source: str) -> Self:
        text = super().__new__(cls, value)
        text.source = source
        return text

    def __repr__(self) -> str:
        return f"SecretText({self.source})"


def _detection(_: str) -> Manner:
    """How a model speaks of which no YAML says anything."""
    return Manner()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one upstream request, in seconds; 0 is none."""

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    first_token_s: float = 600.0
    first_answer_s: float = 900.0
    idle_s: float = 120.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Provider:
    """One upstream: who is called and with what."""

    name: str
    base_url: str
    """Without a trailing slash; endpoint paths such as `/chat/completions` are appended."""
    api_key: Secret | None = None
    pass_client_key: bool = False
    """True (`api_key: {from: client}`): the caller's own key is sent on."""
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    """Word before the key; empty: the bare key."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; a value that was given by reference is a `SecretText`."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Values as for headers."""
    timeouts: Timeouts = Timeouts()
    max_connections: int | None = None
    propagate_trace: bool = False
    """Whether the caller's trace, or ours, is told to it (`traceparent`)."""
    proxy: str | None = None
    tls_ca: Path | None = None
    tls_verify: bool = True
    manner_of: Callable[[str], Manner] = field(default=_detection, compare=False, repr=False)
    """Upstream model name → how it speaks, with no route's target in play; cached by the loader."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Tries of one target; the next target follows in any case."""

    attempts: int = 2
    cooldown_s: float = 30.0


@dataclass(frozen=True)
class Target:
    """A provider and one of its models, as a route names it."""

    provider: Provider
    model: str
    """May hold `{model}` (what the client asked for) and `{*}` (what the route's `*` matched)."""
    weight: int = 1
    manner_of: Callable[[str], Manner] = field(default=_detection, compare=False, repr=False)
    """Upstream model name → how it speaks (all blocks merged); cached by the loader."""


@dataclass(frozen=True, slots=True)
class Route:
    """What clients ask for, and where it goes."""

    model: str
    """A name, or a pattern in which `*` matches any run of characters."""
    targets: tuple[Target, ...]
    strategy: Strategy = "failover"
    retry: Retry = Retry()
    render: Rendering | None = None
    origin: str = field(default="", compare=False)
    """`FILE:LINE` where it was written, for `explain`; empty for a route made in code."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one client key, or of all requests together; None is none."""

    requests_per_minute: int | None = None
    concurrent_streams: int | None = None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return self.requests_per_minute is not None or self.concurrent_streams is not None


@dataclass(frozen=True, slots=True)
class Cors:
    """Which web pages may call."""

    origins: tuple[str, ...]
    """Such as `https://chat.example`; `*` is any."""
    max_age_s: float = 600.0
    """How long a browser may remember that it may call."""


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who may call."""

    name: str
    key_sha256: bytes
    """Digest of the key, 32 bytes; the key itself is not kept."""
    routes: tuple[str, ...] | None = None
    """Model names or patterns this client may use; None: all."""
    render: Rendering | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Server:
    """Our own listeners and limits."""

    listen: str = "127.0.0.1:8080"
    admin: str | None = None
    max_request_bytes: int = 32 * 1024 * 1024
    heartbeat_s: float = 15.0
    drain_s: float = 300.0
    open: bool = False
    limits: Limits = Limits()
    """Of all clients together."""
    cors: Cors | None = None
    """None: no page of another origin may read an answer."""
    byte_path: bool = True
    """Whether events that differ from a parsed one in their text alone are passed on as bytes."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is told of requests, and how much of it: `metrics`, `logs` and `traces` of the file."""

    max_series: int = 20_000
    """Time series that the routes may make at most."""
    aliases: tuple[str, ...] = ()
    """Other names under which metrics are shown as well."""
    client_names: bool = False
    """Whether log lines name the client."""
    key_salt: Secret | None = None
    """Of the key ids in log lines; None: one of this process's own."""
    traces: Traces = "off"


@dataclass(frozen=True, slots=True)
class Settings:
    """One whole routing table."""

    server: Server
    clients: tuple[Client, ...]
    providers: Mapping[str, Provider]
    routes: tuple[Route, ...]
    source: str
    """The file it came from, for messages."""
    telemetry: Telemetry = Telemetry()
