"""What may stand at a place in the YAML, as data: `checking` validates by it, `schema` prints it, `merged` builds by it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Union


class Special(Enum):
    """Values that no YAML can write."""

    RESET = "reset"
    """An explicit null: back to the default."""
    BROKEN = "broken"
    """Given, but wrong; the mistake is already reported."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `parse` gives the value that is kept and raises ValueError saying what is wrong with the text."""

    what: str = "text"
    """What the text is, for messages: `expected {what}`."""
    parse: Callable[[str], Any] = str
    pattern: str | None = None
    """Regular expression for the JSON Schema (ECMA 262)."""
    numbers: bool = False
    """Whether a bare number is taken as the text it was written as."""
    may_be_empty: bool = False
    show: Callable[[Any], str] | None = None
    """Writes the value back as it would stand in the YAML, where the value is no text itself."""


@dataclass(frozen=True, slots=True)
class Integer:
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class Boolean:
    pass


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `words`; YAML's true and false count as on/yes and off/no where those are among them."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    value: int


@dataclass(frozen=True, slots=True)
class Json:
    """Any JSON value; null is kept."""

    scalar_only: bool = False


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object, merged key by key; a null takes the key of an earlier layer away."""


@dataclass(frozen=True, slots=True)
class ListOf:
    item: "Spec"
    minimum: int = 0
    length: int | None = None
    """The exact number of items."""


@dataclass(frozen=True, slots=True)
class MapOf:
    """Any keys that `key` takes."""

    value: "Spec"
    key: Text = field(default_factory=Text)
    null_is_empty: bool = False
    """Whether `name:` with nothing behind it means `name: {}`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key of an `Object`."""

    spec: "Spec"
    doc: str
    required: bool = False
    default: Any = Special.RESET
    """What holds where the key is absent, in the form of the finished settings; RESET: there is none."""


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping with known keys. `make` is the dataclass that holds the values in the finished settings."""

    name: str
    doc: str
    fields: Mapping[str, Field]
    make: type[Any] | None = None


@dataclass(frozen=True, slots=True)
class Nullable:
    """null, and the word `off` where `off` is true, mean None: there is none of it."""

    spec: "Spec"
    off: bool = False


@dataclass(frozen=True, slots=True)
class Either:
    """A scalar or list form, and a mapping form. `from_scalar` gives the finished value of the short form."""

    short: "Spec"
    mapping: "Spec"
    from_short: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A secret by reference: a mapping with one of `kinds` as its only key. The text itself is never a secret."""

    kinds: tuple[str, ...]
    name: str = "secret"


Spec = Union[  # noqa: UP007 - the classes name it in quotes
    Text, Integer, Boolean, Choice, Constant, Json, JsonObject, ListOf, MapOf, Object, Nullable, Either, Reference
]
