"""The built-in providers: one YAML file each, inside the installed package or in `config/providers` of a checkout."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from proxy.core.dialect import Manner
from proxy.settings.checking import Branch, SecretReference, check
from proxy.settings.document import compose
from proxy.settings.layers import Layer, plain
from proxy.settings.levels import check_levels, own_words
from proxy.settings.manners import MannerLayers
from proxy.settings.mistakes import Mark, Report, did_you_mean
from proxy.settings.shapes import BUILT_IN

LABEL = "config/providers"
"""Folder named in messages, wherever the files really are."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """One built-in provider, as `reasoning-proxy providers` lists it."""

    name: str
    title: str
    base_url: str
    key_env: str | None
    """Variable that holds the key by default; None: no key is sent."""
    sure: str
    """How sure the facts are: A, B, C or D."""
    checked: str
    """ISO 8601 date of the last check of the sources."""
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    manner_of: Callable[[str], Manner] = field(compare=False, repr=False)
    """Upstream model name → how it speaks."""
    patterns: tuple[str, ...] = ()
    """Of its `models:`, in their order; as a model name, each matches itself."""


class Library:
    """The built-ins of one folder, read when they are asked for. Mistakes in them go to `report`."""

    def __init__(self, report: Report, directory: Path | None = None) -> None:
        self._report = report
        self._files = _files(directory)
        self._layers: dict[str, tuple[Layer, ...]] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def layers(self, name: str) -> tuple[Layer, ...]:
        """The layers of the built-in `name`, those of its own `like` first; empty where there is none of that name."""
        return self._resolve(name, ()) if name in self._files else ()

    def _resolve(self, name: str, above: tuple[str, ...]) -> tuple[Layer, ...]:
        if name not in self._layers:
            branch = self._read(name)
            like = branch.value("like")
            below: tuple[Layer, ...] = ()
            if like is not None and (like not in self._files or like in (*above, name)):
                message = "no such built-in" if like not in self._files else "`like` goes round in a circle"
                hint = did_you_mean(like, self._files)
                self._report.add(branch.marks["like"], ("like",), message, hint)
            elif like is not None:
                below = self._resolve(like, (*above, name))
            self._layers[name] = (*below, Layer(f"built-in {name}", branch))
            words = own_words(*(layer.branch for layer in self._layers[name]))
            check_levels(branch, (), words, self._report)
        return self._layers[name]

    def _read(self, name: str) -> Branch:
        label = f"{LABEL}/{name}.yaml"
        tree = None
        try:
            node = compose(self._files[name].read_bytes().decode(), label, self._report)
            tree = check(BUILT_IN, node, (), self._report) if node else None
        except (OSError, UnicodeDecodeError) as error:
            self._report.add(Mark(label, 0, 0), (), f"cannot be read: {error}")
        return tree if isinstance(tree, Branch) else Branch({}, {}, Mark(label, 1, 1))


def _files(directory: Path | None) -> dict[str, Traversable]:
    folder: Traversable = directory or resources.files("proxy") / "_builtin" / "providers"
    if directory is None and not folder.is_dir():
        folder = Path(__file__).parents[2] / "config" / "providers"
    if not folder.is_dir():
        return {}
    return {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}


def builtins(directory: Path | None = None) -> dict[str, BuiltIn]:
    """All built-in providers by name, in alphabetical order. Raises SettingsError where one of the files is wrong."""
    return dict(_shipped() if directory is None else _read_all(directory))


@functools.cache
def _shipped() -> dict[str, BuiltIn]:
    return _read_all(None)


def _read_all(directory: Path | None) -> dict[str, BuiltIn]:
    report = Report()
    library = Library(report, directory)
    layers = {name: library.layers(name) for name in library.names}
    report.raise_if_any()
    return {name: _built_in(name, of_name) for name, of_name in layers.items()}


def _built_in(name: str, layers: tuple[Layer, ...]) -> BuiltIn:
    own = plain(layers[-1].branch)
    keys = [layer.branch.value("api_key") for layer in layers if "api_key" in layer.branch.children]
    key = keys[-1] if keys else None
    manners = MannerLayers(layers)
    return BuiltIn(
        name=name,
        title=own["title"],
        base_url=own["base_url"],
        key_env=key.name if isinstance(key, SecretReference) and key.kind == "env" else None,
        sure=own["sure"],
        checked=own["checked"],
        sources=own["sources"],
        notes=own.get("notes", ()),
        manner_of=manners,
        patterns=manners.patterns,
    )
