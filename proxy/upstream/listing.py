"""A provider's own list of its models."""

from collections.abc import Iterable
from typing import Any


def names_in(listing: Any) -> Iterable[str]:
    """The names in the JSON of `GET /models`: `{"data": [{"id": …}]}`, as OpenAI lists them, or a bare list (Together)."""
    entries = listing.get("data", listing.get("models")) if isinstance(listing, dict) else listing
    for entry in entries if isinstance(entries, list) else []:
        name = entry.get("id", entry.get("name")) if isinstance(entry, dict) else entry
        if isinstance(name, str) and name:
            yield name
