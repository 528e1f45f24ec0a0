"""Where each target was seen to send its reasoning, so that earlier reasoning can go back in the same place."""

from collections import OrderedDict

MOST = 4096
"""Targets remembered; the one used longest ago is forgotten first. Wildcard routes take model names from clients."""


class Seen:
    """(provider, model as the provider calls it) → a field's name, `details`, `content_parts` or `tags`."""

    def __init__(self) -> None:
        self._sources: OrderedDict[tuple[str, str], str] = OrderedDict()

    def source(self, provider: str, model: str) -> str | None:
        """What was seen last; None where no reasoning was seen yet."""
        return self._sources.get((provider, model))

    def learn(self, provider: str, model: str, source: str | None) -> None:
        """A good answer had its reasoning there; None: it had none, which says nothing."""
        if source is None:
            return
        key = (provider, model)
        self._sources[key] = source
        self._sources.move_to_end(key)
        if len(self._sources) > MOST:
            self._sources.popitem(last=False)
