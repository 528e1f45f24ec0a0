"""`reasoning_details`: typed entries beside the content, read but never altered (contract C10).

Entry types: `reasoning.text {text, signature?}`, `reasoning.summary {summary}`, `reasoning.encrypted {data}`
(openrouter.ai/docs/use-cases/reasoning-tokens, 2026-11-22).
"""

from typing import Any


class DetailsReader:
    """Reads the text out of one choice's entries. `snapshots`: each event repeats the whole text so far."""

    __slots__ = ("_seen", "_snapshots")

    def __init__(self, *, snapshots: bool) -> None:
        self._snapshots = snapshots
        self._seen: dict[tuple[str, str, str], int] = {}  # entry → characters already read

    def text(self, entries: Any) -> str:
        """What the entries of one delta add to the reasoning text; encrypted ones add nothing."""
        if not isinstance(entries, list):
            return ""
        found = []
        for entry in entries:
            text = text_of(entry)
            if text and self._snapshots:
                key = (str(entry.get("type")), str(entry.get("id")), str(entry.get("index")))
                seen = self._seen.get(key, 0)
                self._seen[key] = max(seen, len(text))
                text = text[seen:]
            found.append(text)
        return "".join(found)


def text_of(entry: Any) -> str:
    """The text of one entry; empty where it has none."""
    if not isinstance(entry, dict):
        return ""
    for key in ("text", "summary"):
        value = entry.get(key)
        if isinstance(value, str):
            return value
    return ""
