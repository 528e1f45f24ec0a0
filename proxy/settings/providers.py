"""Providers: the layers of each, who is called with what, and what is wrong with that."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.settings.builtins import Library
from proxy.settings.checking import Branch, SecretReference
from proxy.settings.formats import is_proxy_url
from proxy.settings.layers import Explained, Layer, Merged, Sourced, construct, explain, is_reset, merge
from proxy.settings.levels import check_levels, own_words
from proxy.settings.manners import MannerLayers
from proxy.settings.mistakes import Path as YamlPath
from proxy.settings.mistakes import Report, did_you_mean
from proxy.settings.model import Provider, SecretText, Timeouts
from proxy.settings.references import References
from proxy.settings.shapes import CONNECTION
from proxy.settings.spec import Object

# A built-in whose host belongs to an account has such a word in its base_url: https://ACCOUNT.example.com/v1.
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]{2,}")
_SECRET_HEADERS = frozenset(
    {"authorization", "api-key", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key"}
)
_SECRET_PARAMETERS = frozenset({"access_token", "api-key", "api_key", "apikey", "key", "token"})
_CONNECTION = Object("connection", "Who is called and with what.", CONNECTION)


class ProviderLayers(MannerLayers):
    """A provider's layers with its connection: what `Provider.manner_of` is where a file was read."""

    def __init__(self, layers: tuple[Layer, ...], connection: Merged, target: Layer | None = None) -> None:
        super().__init__(layers, target)
        self._provider = layers
        self.connection = connection

    def with_target(self, target: Layer) -> "ProviderLayers":
        return ProviderLayers(self._provider, self.connection, target)

    def explain_connection(self) -> list[Explained]:
        """Who is called and with what, each value with its origin; secrets are their references."""
        return list(explain(_CONNECTION, self.connection))


class ProviderTable:
    """The `providers:` of one file. `check` reports all that is wrong; `build` is for a file with no mistake."""

    def __init__(self, entries: Branch, library: Library, references: References, report: Report) -> None:
        self._entries = entries
        self._library = library
        self._references = references
        self._report = report
        self._unlike: set[str] = set()
        """Providers whose `like` is wrong, which is reported already."""
        self._layers = {name: self._chain(name, ()) for name in entries.children}
        self._connections = {name: merge(layers, CONNECTION) for name, layers in self._layers.items()}

    @property
    def names(self) -> list[str]:
        return list(self._layers)

    def check(self) -> None:
        for name, connection in self._connections.items():
            own = self._entries.children[name]
            if not isinstance(own, Branch):
                continue
            self._check_base_url(name, connection, own)
            check_levels(own, ("providers", name), self.own_words(name), self._report)
            for path, reference in _references(connection):
                self._check_secret(name, path, reference)
            self._check_literals(name, own)
            ca = _tls_ca(connection)
            if ca and not ca.is_file():
                self._report.add(
                    own.branch("tls").marks.get("ca", own.mark), ("providers", name, "tls", "ca"), "no such file"
                )

    def unknown(self, name: str) -> tuple[str, str | None]:
        """Message and hint for a target that names a provider which is not in the file."""
        if name in self._library.names:
            return f'provider "{name}" is not listed under `providers`', f"add `{name}: {{}}` there to use the built-in"
        hint = did_you_mean(name, self.names) or did_you_mean(name, self._library.names)
        return f'no provider "{name}"', hint or "list it under `providers` with its base_url"

    def own_words(self, name: str) -> set[str]:
        """Words for effort that the provider `name` has besides the known ones."""
        return own_words(*(layer.branch for layer in self._layers[name]))

    def build(self) -> dict[str, Provider]:
        return {name: self._provider(name) for name in self._layers}

    def speech(self, name: str) -> ProviderLayers:
        """How the provider `name` speaks, and its connection for `explain`."""
        return ProviderLayers(self._layers[name], self._connections[name])

    def _chain(self, name: str, above: tuple[str, ...]) -> tuple[Layer, ...]:
        built_in = self._library.layers(name)
        own = self._entries.children.get(name)
        if not isinstance(own, Branch):
            return built_in
        like = own.value("like")
        below: tuple[Layer, ...] = ()
        if like in (*above, name) and not (like == name and built_in):
            names = (*above, name, like)
            circle = " → ".join(names[names.index(like) :])
            self._unlike.update(names)
            self._report.add(own.marks["like"], ("providers", name, "like"), f"goes round in a circle: {circle}")
        elif like in self._entries.children and like != name:
            below = self._chain(like, (*above, name))
        elif like is not None and like != name:
            below = self._library.layers(like)
            if not below:
                self._unlike.add(name)
                known = [*self._entries.children, *self._library.names]
                message = f'neither a provider nor a built-in is named "{like}"'
                self._report.add(own.marks["like"], ("providers", name, "like"), message, did_you_mean(like, known))
        return (*built_in, *below, Layer(f"provider {name}", own))

    def _check_base_url(self, name: str, connection: Merged, own: Branch) -> None:
        url = connection.get("base_url")
        place = self._entries.marks[name]
        path = ("providers", name, "base_url")
        if not isinstance(url, Sourced) or is_reset(url):
            if "like" in own.children or name in self._library.names:
                message, hint = "missing", None
            else:
                message = f'missing, and there is no built-in "{name}"'
                hint = did_you_mean(name, self._library.names)
            if name not in self._unlike:
                self._report.add(place, path, message, hint)
        elif isinstance(url.value, str) and url.origin.who.startswith("built-in "):
            word = _PLACEHOLDER.search(url.value)
            if word:
                message = f"must be given: that of {url.origin.who} is {url.value}"
                self._report.add(place, path, message, f"{word[0]} is yours to fill in")

    def _check_secret(self, name: str, path: YamlPath, reference: Sourced) -> None:
        if not isinstance(reference.value, SecretReference) or reference.value.kind == "from":
            return
        try:
            secret = self._references.secret(reference.value)
            if path == ("proxy",) and not is_proxy_url(secret.reveal()):
                raise ValueError(f"{secret.source} is not a proxy's URL")  # noqa: TRY301 - reported below like the rest
        except ValueError as error:
            here = ("providers", name, *path)
            if reference.origin.mark.file == self._entries.mark.file:
                self._report.add(reference.value.mark, here, str(error))
            else:
                hint = f"set it, or give `api_key: {{env: NAME}}` or `{{file: PATH}}` under {name}, or leave {name} out"
                self._report.add(self._entries.marks[name], here, f"{error}; {reference.origin.who} asks for it", hint)

    def _check_literals(self, name: str, own: Branch) -> None:
        for block, secret_names in (("headers", _SECRET_HEADERS), ("query", _SECRET_PARAMETERS)):
            values = own.branch(block)
            for key in values.children:
                if key.lower() in secret_names and isinstance(values.value(key), str):
                    message = "a secret is given by reference, never in the file itself"
                    self._report.add(
                        values.marks[key], ("providers", name, block, key), message, "write {env: NAME} or {file: PATH}"
                    )

    def _provider(self, name: str) -> Provider:
        connection = self._connections[name]
        values: dict[str, Any] = {
            key: construct(CONNECTION[key].spec, child)
            for key, child in connection.items()
            if not (isinstance(child, Sourced) and is_reset(child))
        }
        key = values.get("api_key")
        auth, tls = values.get("auth", {}), values.get("tls", {})
        optional = {
            "auth_header": auth.get("header"),
            "auth_scheme": auth.get("scheme"),
            "tls_verify": tls.get("verify"),
        }
        return Provider(
            name=name,
            base_url=values["base_url"],
            api_key=self._references.secret(key) if key and key.kind != "from" else None,
            pass_client_key=bool(key and key.kind == "from"),
            headers=self._texts(values.get("headers", {})),
            query=self._texts(values.get("query", {})),
            timeouts=Timeouts(**{f"{limit}_s": seconds for limit, seconds in values.get("timeouts", {}).items()}),
            max_connections=values.get("max_connections"),
            propagate_trace=values.get("propagate_trace", False),
            proxy=self._text(values.get("proxy")),
            tls_ca=_tls_ca(connection),
            manner_of=self.speech(name),
            **{key: value for key, value in optional.items() if value is not None},
        )

    def _texts(self, values: Mapping[str, str | SecretReference]) -> dict[str, str]:
        return {key: self._text(value) or "" for key, value in values.items()}

    def _text(self, value: str | SecretReference | None) -> str | None:
        if not isinstance(value, SecretReference):
            return value
        secret = self._references.secret(value)
        return SecretText(secret.reveal(), secret.source)


def _references(connection: Merged) -> list[tuple[YamlPath, Sourced]]:
    """Every value of a connection that may be a secret by reference, with its path below the provider."""
    found: list[tuple[YamlPath, Sourced]] = []
    for key, child in connection.items():
        if isinstance(child, Sourced):
            found.append(((key,), child))
        elif key in ("headers", "query"):
            found.extend(((key, name), value) for name, value in child.items() if isinstance(value, Sourced))
    return found


def _tls_ca(connection: Merged) -> Path | None:
    tls = connection.get("tls")
    ca = tls.get("ca") if isinstance(tls, Merged) else None
    if not isinstance(ca, Sourced) or not isinstance(ca.value, str):
        return None
    return Path(ca.origin.mark.file).parent / ca.value
