"""The shape of the two kinds of file: the routing table, and a built-in provider.

The three blocks are derived from the dataclasses of `proxy.core.dialect`: their types, defaults and docstrings.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from proxy.core.dialect import CallIds, Details, Dialect, Flag, History, Request, Scalar, Tags
from proxy.settings import formats
from proxy.settings.model import Cors, Limits, Retry, Server, Telemetry, Timeouts
from proxy.settings.spec import (
    Boolean,
    Choice,
    Constant,
    Either,
    Field,
    Integer,
    Json,
    JsonObject,
    ListOf,
    MapOf,
    Nullable,
    Object,
    Reference,
    Spec,
    Special,
    Text,
)

_SHORT_FORMS: dict[type[Any], Callable[[Object], Spec]] = {
    Details: lambda spec: Either(Text("a key or a mapping"), spec, Details),
    Tags: lambda spec: Either(Choice(("off",)), spec, lambda _: Tags(pairs=())),
}

_NARROWER: dict[tuple[type[Any], str], Spec] = {(CallIds, "length"): Integer(1)}
"""Fields that take less than their type says."""


def _of_type(hint: Any) -> Spec:
    """The spec of a field's type hint; only the types that the blocks use are known."""
    if hint == Scalar:
        return Json(scalar_only=True)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return Choice(arguments)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (a for a in arguments if a is not types.NoneType)
        return Nullable(_of_type(inner), off=inner in (Details, Flag))
    if origin is tuple and arguments[-1] is Ellipsis:
        return ListOf(_of_type(arguments[0]))
    if origin is tuple:
        return ListOf(_of_type(arguments[0]), length=len(arguments))
    if origin is Mapping:
        is_words = arguments[1] is str or typing.get_origin(arguments[1]) is typing.Literal
        return MapOf(_of_type(arguments[1]), Text("a word")) if is_words else JsonObject()
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        spec = _of_dataclass(hint)
        return _SHORT_FORMS[hint](spec) if hint in _SHORT_FORMS else spec
    plain: dict[Any, Spec] = {str: Text(), bool: Boolean(), int: Integer()}
    return plain[hint]


@functools.cache
def _of_dataclass(cls: type[Any]) -> Object:
    hints = typing.get_type_hints(cls)
    docs = _attribute_docs(cls)
    fields = {}
    for field in dataclasses.fields(cls):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default = Special.RESET if required else _default_of(field)
        spec = _NARROWER.get((cls, field.name)) or _of_type(hints[field.name])
        fields[field.name] = Field(spec, docs.get(field.name, ""), required, default)
    doc = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")
    return Object(cls.__name__.lower(), doc, fields, cls)


def _default_of(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _attribute_docs(cls: type[Any]) -> dict[str, str]:
    """Field name → the string that stands below it in the source (`inspect` gives only the class's own)."""
    tree = _tree_of(cls.__module__)
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    docs: dict[str, str] = {}
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            docs[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return docs


@functools.cache
def _tree_of(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))


RESPONSE = _of_dataclass(Dialect)
REQUEST = _of_dataclass(Request)
HISTORY = _of_dataclass(History)

BLOCKS: dict[str, Field] = {
    "response": Field(RESPONSE, RESPONSE.doc),
    "request": Field(REQUEST, REQUEST.doc),
    "history": Field(HISTORY, HISTORY.doc),
}
BLOCKS_OBJECT = Object("blocks", "How a model speaks: the three blocks.", BLOCKS)

_SERVER, _TIMEOUTS, _RETRIES, _NO_LIMITS = Server(), Timeouts(), Retry(), Limits()
_KEY = Reference(("env", "file"))
_BY_REFERENCE = "or a secret by reference: {env: NAME} or {file: PATH}"

TIMEOUTS = Object(
    "timeouts",
    "Limits of one upstream request; 0s is none.",
    {
        "connect": Field(formats.DURATION, "Until the connection stands, TLS included.", default=_TIMEOUTS.connect_s),
        "first_byte": Field(formats.DURATION, "Until the response's head.", default=_TIMEOUTS.first_byte_s),
        "first_token": Field(formats.DURATION, "Until the first generated content.", default=_TIMEOUTS.first_token_s),
        "first_answer": Field(formats.DURATION, "Until the first answer text.", default=_TIMEOUTS.first_answer_s),
        "idle": Field(formats.DURATION, "Between two reads.", default=_TIMEOUTS.idle_s),
        "total": Field(formats.DURATION, "For the whole request.", default=_TIMEOUTS.total_s),
    },
)

CONNECTION: dict[str, Field] = {
    "base_url": Field(formats.URL, "What an OpenAI client would be given as its base_url."),
    "api_key": Field(
        Reference(("env", "file", "from"), "key"),
        "{env: NAME}, {file: PATH}, or {from: client} to send the caller's own key on. Null: no key.",
        default=None,
    ),
    "auth": Field(
        Object(
            "auth",
            "Where the key goes.",
            {
                "header": Field(formats.HEADER_NAME, "Header that carries the key.", default="authorization"),
                "scheme": Field(
                    Text("a word", formats.parse_header_value, may_be_empty=True),
                    "Word before the key; empty: the bare key.",
                    default="Bearer",
                ),
            },
        ),
        "Where the key goes.",
    ),
    "headers": Field(
        MapOf(Either(formats.HEADER_VALUE, _KEY), formats.HEADER_NAME),
        f"Sent with every request: text, {_BY_REFERENCE}.",
        default={},
    ),
    "query": Field(
        MapOf(Either(formats.QUERY_VALUE, _KEY), Text("a parameter's name")),
        f"Added to every request's URL: text, {_BY_REFERENCE}.",
        default={},
    ),
    "timeouts": Field(TIMEOUTS, TIMEOUTS.doc),
    "max_connections": Field(Nullable(Integer(1)), "Connections open at one time. Null: no limit.", default=None),
    "propagate_trace": Field(
        Boolean(),
        "Tell it the caller's trace, or ours, in `traceparent`: ids that outsiders need not see.",
        default=False,
    ),
    "proxy": Field(
        Nullable(Either(formats.PROXY_URL, _KEY)),
        f"HTTP or SOCKS proxy on the way: its URL, {_BY_REFERENCE}.",
        default=None,
    ),
    "tls": Field(
        Object(
            "tls",
            "How the upstream's certificate is checked.",
            {
                "ca": Field(
                    Nullable(Text("a path")), "File of the authorities to trust instead of the system's.", default=None
                ),
                "verify": Field(Boolean(), "False: any certificate is taken.", default=True),
            },
        ),
        "How the upstream's certificate is checked.",
    ),
}

_SPEAKING: dict[str, Field] = {
    "like": Field(formats.PROVIDER_NAME, "Start from this built-in or other provider."),
    **CONNECTION,
    **BLOCKS,
    "models": Field(
        MapOf(BLOCKS_OBJECT, formats.MODEL),
        "The three blocks for upstream models whose name matches; `*` matches any run of characters.",
    ),
}
PROVIDER = Object("provider", "One upstream: who is called, and how it speaks.", _SPEAKING)

_BUILT_IN_DOC = "One built-in provider, `config/providers/NAME.yaml`."
BUILT_IN = Object(
    "built_in_provider",
    _BUILT_IN_DOC,
    {
        "title": Field(Text(), "One line for people.", required=True),
        **_SPEAKING,
        "base_url": dataclasses.replace(CONNECTION["base_url"], required=True),
        "sources": Field(ListOf(Text(), minimum=1), "Where the facts come from.", required=True),
        "checked": Field(formats.DATE, "When they were checked.", required=True),
        "sure": Field(Choice(("A", "B", "C", "D")), "How sure the facts are, A best.", required=True),
        "notes": Field(ListOf(Text()), "What is odd; what is not sure begins with `unsure:`."),
    },
)

TARGET = Object(
    "target",
    "A provider and one of its models.",
    {
        "provider": Field(formats.PROVIDER_NAME, "A name under `providers`.", required=True),
        "model": Field(
            formats.MODEL,
            "The upstream's model; {model} is what the client asked for, {*} what the route's `*` matched.",
            required=True,
        ),
        "weight": Field(Integer(), "Share under `strategy: weighted`; 0: only after all others.", default=1),
        **BLOCKS,
    },
)

_RETRY = Object(
    "retry",
    "Tries of one target; the next target follows in any case.",
    {
        "attempts": Field(Integer(1), "Tries of one target; 1: no second try of the same.", default=_RETRIES.attempts),
        "cooldown": Field(formats.DURATION, "How long a failed target is passed over.", default=_RETRIES.cooldown_s),
    },
)

ROUTE = Object(
    "route",
    "What clients ask for, and where it goes.",
    {
        "model": Field(
            formats.MODEL, "A model's name, or a pattern: `*` matches any run of characters.", required=True
        ),
        "targets": Field(
            ListOf(Either(formats.TARGET, TARGET), minimum=1), "PROVIDER/MODEL, or a mapping, in order.", required=True
        ),
        "strategy": Field(
            Choice(("failover", "weighted", "least_busy", "fastest")),
            "Which target is tried first.",
            default="failover",
        ),
        "retry": Field(_RETRY, _RETRY.doc),
        "render": Field(formats.RENDERING, "How reasoning is shown to callers of this route."),
    },
)


def _limits(whose: str) -> Object:
    return Object(
        "limits",
        f"Limits of {whose}. Null: none.",
        {
            "requests_per_minute": Field(
                Nullable(Integer(1)), "Requests in one minute.", default=_NO_LIMITS.requests_per_minute
            ),
            "concurrent_streams": Field(
                Nullable(Integer(1)), "Streams open at one time.", default=_NO_LIMITS.concurrent_streams
            ),
        },
    )


_LIMITS, _LIMITS_IN_ALL = _limits("one client key"), _limits("all clients together")

CLIENT = Object(
    "client",
    "Somebody who may call.",
    {
        "name": Field(Text("a name"), "For logs and metrics.", required=True),
        "key": Field(
            Reference(("env", "file", "sha256"), "client key"),
            "{env: NAME}, {file: PATH}, or {sha256: HEX} of the key.",
            required=True,
        ),
        "routes": Field(ListOf(formats.MODEL), "Model names or patterns this client may ask for. Absent: all."),
        "render": Field(formats.RENDERING, "How reasoning is shown to this client."),
        "limits": Field(_LIMITS, _LIMITS.doc),
    },
)

_CORS = Object(
    "cors",
    "Which web pages may call. Absent: none of another origin.",
    {
        "origins": Field(ListOf(formats.ORIGIN, minimum=1), "Such as https://chat.example; `*` is any.", required=True),
        "max_age": Field(
            formats.DURATION, "How long a browser remembers that it may call.", default=Cors(()).max_age_s
        ),
    },
)

SERVER = Object(
    "server",
    "Our own listeners and limits.",
    {
        "listen": Field(formats.LISTEN, "Where clients call.", default=_SERVER.listen),
        "admin": Field(
            Nullable(formats.LISTEN), "Second listener for /metrics, /readyz and /-/reload.", default=_SERVER.admin
        ),
        "max_request_bytes": Field(formats.SIZE, "Largest request body.", default=_SERVER.max_request_bytes),
        "heartbeat": Field(
            formats.DURATION, "SSE comment while the upstream is silent; 0s: off.", default=_SERVER.heartbeat_s
        ),
        "drain": Field(formats.DURATION, "How long open streams may go on at the end.", default=_SERVER.drain_s),
        "open": Field(Boolean(), "True: serve a public address without client keys.", default=_SERVER.open),
        "limits": Field(_LIMITS_IN_ALL, _LIMITS_IN_ALL.doc),
        "cors": Field(_CORS, _CORS.doc),
        "byte_path": Field(
            Boolean(),
            "False: every event of every stream is parsed. The answers are the same.",
            default=_SERVER.byte_path,
        ),
    },
)

_TELEMETRY = Telemetry()

METRICS = Object(
    "metrics",
    "What `/metrics` shows.",
    {
        "max_series": Field(
            Integer(1),
            "Time series that the routes may make; with more, nothing starts.",
            default=_TELEMETRY.max_series,
        ),
        "aliases": Field(
            ListOf(Choice(("otel_genai",))), "Other names under which metrics are shown as well.", default=[]
        ),
    },
)

LOGS = Object(
    "logs",
    "What log lines say beside what they always say.",
    {
        "client_names": Field(
            Boolean(), "The `name` of the client whose key was sent.", default=_TELEMETRY.client_names
        ),
        "key_salt": Field(
            Nullable(_KEY),
            "Secret that makes `key_id` of a key, so that it stays the same. Null: one of the process's own.",
            default=_TELEMETRY.key_salt,
        ),
    },
)

TRACES = Object(
    "traces",
    "Spans of requests, for OpenTelemetry.",
    {
        "export": Field(
            Choice(("off", "otlp")),
            "Where spans go; `otlp`: as the standard variables OTEL_* say. Needs the extra `otel`.",
            default=_TELEMETRY.traces,
        ),
    },
)

TABLE = Object(
    "routing_table",
    "The routing table of reasoning-proxy.",
    {
        "version": Field(Constant(1), "Version of this format: 1.", required=True),
        "server": Field(SERVER, SERVER.doc),
        "metrics": Field(METRICS, METRICS.doc),
        "logs": Field(LOGS, LOGS.doc),
        "traces": Field(TRACES, TRACES.doc),
        "clients": Field(ListOf(CLIENT), "Who may call. None: no key is asked for."),
        "providers": Field(
            MapOf(PROVIDER, formats.PROVIDER_NAME, null_is_empty=True),
            "Who is called, and how it speaks. A name of a built-in starts from it.",
        ),
        "routes": Field(ListOf(ROUTE, minimum=1), "What clients ask for, and where it goes.", required=True),
    },
)
