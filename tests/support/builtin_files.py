"""The built-in provider files: as raw data, and as the settings read them."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from proxy.core.dialect import Manner
from proxy.settings import BuiltIn, builtins

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "providers"


class Loader(yaml.SafeLoader):
    """Plain YAML with the booleans of YAML 1.2; a date is a string."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.iterdir())


@cache
def data(name: str) -> dict[str, Any]:
    loaded = yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), Loader)
    assert isinstance(loaded, dict)
    return loaded


def key_of(name: str) -> str | None:
    """The variable that holds the key; None: the server asks for none."""
    key: str | None = data(name).get("api_key", {}).get("env")
    return key


@cache
def built_ins() -> dict[str, BuiltIn]:
    return builtins(FOLDER)


def manner(name: str, model: str) -> Manner:
    return built_ins()[name].manner_of(model)
