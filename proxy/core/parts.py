"""List-typed `content`: reasoning and text as typed items (Mistral, Databricks)."""

from typing import Any

from proxy.core.dialect import ContentPart

_TEXT_TYPES = ("text", "output_text")
_PLAIN_KEYS = frozenset({"type", "text", "index", "closed"})


class Parts:
    """What one list held. `pieces`: (is reasoning, text) in order; `opaque`: reasoning items that carry more than
    text, such as a signature, as they came; `others`: items that are neither reasoning nor text, as they came, and what
    text items carry beside their text, such as citations.
    """

    __slots__ = ("opaque", "others", "pieces")

    def __init__(self) -> None:
        self.pieces: list[tuple[bool, str]] = []
        self.opaque: list[dict[str, Any]] = []
        self.others: list[Any] = []


def read(content: list[Any], kinds: tuple[ContentPart, ...]) -> Parts:
    """Reads a list-typed content by the dialect's `content_parts`."""
    parts = Parts()
    paths = {kind.type: kind.text for kind in kinds}
    for item in content:
        if isinstance(item, str):
            parts.pieces.append((False, item))
            continue
        kind = item.get("type") if isinstance(item, dict) else None
        path = paths.get(kind) if isinstance(kind, str) else None
        if path is not None:
            parts.pieces.append((True, "".join(texts(item, path))))
            if _has_more(item, path):
                parts.opaque.append(item)
        elif isinstance(item, dict) and kind in (*_TEXT_TYPES, None) and isinstance(item.get("text"), str):
            parts.pieces.append((False, item["text"]))
            if any(value for key, value in item.items() if key not in _PLAIN_KEYS):
                parts.others.append({key: value for key, value in item.items() if key != "text"})
        else:
            parts.others.append(item)
    return parts


def texts(value: Any, path: str) -> list[str]:
    """The strings at a path such as `summary[].text`; a string where the path expects a list or mapping is taken too."""
    if isinstance(value, str):
        return [value]
    key, _, rest = path.partition(".")
    many = key.endswith("[]")
    inner = value.get(key.removesuffix("[]")) if isinstance(value, dict) else None
    items = inner if many and isinstance(inner, list) else [inner]
    if not rest:
        return [item for item in items if isinstance(item, str)]
    return [text for item in items for text in texts(item, rest)]


def _has_more(item: dict[str, Any], path: str) -> bool:
    """Whether a reasoning item carries state beside its text."""
    root = path.partition(".")[0].removesuffix("[]")
    if any(value for key, value in item.items() if key not in _PLAIN_KEYS and key != root):
        return True
    inner = item.get(root)
    nested = inner if isinstance(inner, list) else [inner]
    return any(
        value for part in nested if isinstance(part, dict) for key, value in part.items() if key not in _PLAIN_KEYS
    )
