"""Routes and clients: who may ask for what, and where it goes."""

import re
from collections.abc import Mapping

from proxy.settings.checking import Branch, Items, Leaf, SecretReference, Tree
from proxy.settings.layers import Layer, plain
from proxy.settings.levels import check_levels, own_words
from proxy.settings.mistakes import Path as YamlPath
from proxy.settings.mistakes import Report, did_you_mean
from proxy.settings.model import Client, Limits, Provider, Retry, Route, Target
from proxy.settings.patterns import overlap
from proxy.settings.providers import ProviderTable
from proxy.settings.references import References
from proxy.settings.shapes import BLOCKS

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def branches(tree: Tree | None) -> list[tuple[int, Branch]]:
    """The mappings of a list with their positions; what is broken is left out."""
    items = tree.items if isinstance(tree, Items) else ()
    return [(i, item) for i, item in enumerate(items) if isinstance(item, Branch)]


def check_routes(tree: Tree | None, providers: ProviderTable, report: Report) -> list[str]:
    """Reports what is wrong between routes and providers; returns the routes' models."""
    seen: dict[str, int] = {}
    for i, route in branches(tree):
        model = route.value("model")
        if model in seen:
            report.add(
                route.marks["model"], ("routes", i, "model"), f"this model already has a route in line {seen[model]}"
            )
        elif model is not None:
            seen[model] = route.marks["model"].line
        targets = route.children.get("targets")
        for k, target in enumerate(targets.items if isinstance(targets, Items) else ()):
            _check_target(target, model, ("routes", i, "targets", k), providers, report)
    return list(seen)


def _check_target(target: Tree, route: str | None, path: YamlPath, providers: ProviderTable, report: Report) -> None:
    provider, model = _named(target)
    if provider is not None and provider not in providers.names:
        place = target.marks["provider"] if isinstance(target, Branch) else target.mark
        report.add(place, path, *providers.unknown(provider))
    elif provider is not None and isinstance(target, Branch):
        check_levels(target, path, providers.own_words(provider) | own_words(target), report)
    for word in _PLACEHOLDER.findall(model or ""):
        if word not in ("{model}", "{*}"):
            report.add(target.mark, path, f"unknown placeholder {word}", "known are {model} and {*}")
        elif word == "{*}" and route is not None and route.count("*") != 1:
            report.add(target.mark, path, "{*} needs exactly one `*` in the route's model")


def _named(target: Tree) -> tuple[str | None, str | None]:
    """Provider and model of a target; None for what is broken."""
    if isinstance(target, Branch):
        return target.value("provider"), target.value("model")
    if isinstance(target, Leaf) and isinstance(target.value, tuple):
        provider, model = target.value
        return provider, model
    return None, None


def build_routes(tree: Tree | None, tables: ProviderTable, providers: Mapping[str, Provider]) -> tuple[Route, ...]:
    routes = []
    for _, route in branches(tree):
        model: str = route.value("model")
        targets = route.children["targets"]
        retry = plain(route.branch("retry"))
        routes.append(
            Route(
                model=model,
                targets=tuple(
                    _target(target, f'route "{model}", target {k}', tables, providers)
                    for k, target in enumerate(targets.items if isinstance(targets, Items) else (), 1)
                ),
                strategy=route.value("strategy", "failover"),
                retry=Retry(retry.get("attempts", Retry().attempts), retry.get("cooldown", Retry().cooldown_s)),
                render=route.value("render"),
                origin=f"{route.mark.file}:{route.mark.line}",
            )
        )
    return tuple(routes)


def _target(target: Tree, who: str, tables: ProviderTable, providers: Mapping[str, Provider]) -> Target:
    name, model = _named(target)
    provider = providers[name or ""]
    if not isinstance(target, Branch):
        return Target(provider, model or "", manner_of=provider.manner_of)
    speaks = any(key in BLOCKS for key in target.children)
    manner_of = tables.speech(provider.name).with_target(Layer(who, target)) if speaks else provider.manner_of
    return Target(provider, model or "", target.value("weight", 1), manner_of)


def check_clients(tree: Tree | None, routes: list[str], references: References, report: Report) -> None:
    names: dict[str, int] = {}
    keys: dict[bytes, int] = {}
    for i, client in branches(tree):
        name = client.value("name")
        if name in names:
            report.add(
                client.marks["name"], ("clients", i, "name"), f"this name is already taken in line {names[name]}"
            )
        elif name is not None:
            names[name] = client.marks["name"].line
        reference = client.value("key")
        if isinstance(reference, SecretReference):
            try:
                digest = references.client_key(reference)
            except ValueError as error:
                report.add(reference.mark, ("clients", i, "key"), str(error))
            else:
                if digest in keys:
                    report.add(reference.mark, ("clients", i, "key"), f"the same key as in line {keys[digest]}")
                keys.setdefault(digest, reference.mark.line)
        _check_allowed(client.children.get("routes"), i, routes, report)


def _check_allowed(allowed: Tree | None, client: int, routes: list[str], report: Report) -> None:
    """A client's model that no route could ever serve is a misspelling."""
    for k, item in enumerate(allowed.items if isinstance(allowed, Items) else ()):
        if isinstance(item, Leaf) and isinstance(item.value, str) and not any(overlap(item.value, r) for r in routes):
            path = ("clients", client, "routes", k)
            report.add(item.mark, path, f'no route serves "{item.value}"', did_you_mean(item.value, routes))


def build_clients(tree: Tree | None, references: References) -> tuple[Client, ...]:
    clients = []
    for _, client in branches(tree):
        allowed = client.children.get("routes")
        clients.append(
            Client(
                name=client.value("name"),
                key_sha256=references.client_key(client.value("key")),
                routes=plain(allowed) if isinstance(allowed, Items) else None,
                render=client.value("render"),
                limits=Limits(**plain(client.branch("limits"))),
            )
        )
    return tuple(clients)
