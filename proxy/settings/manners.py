"""How a model speaks: the three blocks of all layers merged, for one provider and, where there is one, one target."""

from proxy.core.dialect import Manner
from proxy.settings.checking import Branch, Leaf
from proxy.settings.layers import Explained, Layer, Merged, Sourced, construct, explain, merge
from proxy.settings.patterns import matched
from proxy.settings.shapes import BLOCKS, BLOCKS_OBJECT

MAX_REMEMBERED = 1024
"""Model names whose manner is kept; behind a wildcard route the names come from clients."""


class MannerLayers:
    """A provider's layers; called with an upstream model name it gives the `Manner`, cached.

    Order: built-in, `like`, provider; then all matching `models` patterns in the same order; then the target.
    """

    def __init__(self, layers: tuple[Layer, ...], target: Layer | None = None) -> None:
        self._layers = layers
        self._target = target
        self._patterns = _patterns(layers)
        self._by_model: dict[str, Manner] = {}
        self._by_patterns: dict[tuple[int, ...], Manner] = {}

    def __call__(self, model: str) -> Manner:
        manner = self._by_model.get(model)
        if manner is None:
            manner = self._find(model)
            if len(self._by_model) >= MAX_REMEMBERED:
                self._by_model.clear()
            self._by_model[model] = manner
        return manner

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of `models`, in their order; each also matches itself."""
        return tuple(pattern for pattern, _ in self._patterns)

    def explain(self, model: str) -> list[Explained]:
        """Every value of the three blocks for this upstream model, with its origin."""
        return list(explain(BLOCKS_OBJECT, self._merged(self._matching(model))))

    def _find(self, model: str) -> Manner:
        matching = self._matching(model)
        if matching not in self._by_patterns:
            merged = self._merged(matching)
            blocks = {key: construct(BLOCKS[key].spec, child) for key, child in merged.items() if _given(child)}
            self._by_patterns[matching] = Manner(**blocks)
        return self._by_patterns[matching]

    def _matching(self, model: str) -> tuple[int, ...]:
        return tuple(i for i, (pattern, _) in enumerate(self._patterns) if matched(pattern, model) is not None)

    def _merged(self, matching: tuple[int, ...]) -> Merged:
        layers = [*self._layers, *(self._patterns[i][1] for i in matching), *([self._target] if self._target else [])]
        return merge(layers, BLOCKS)


def _patterns(layers: tuple[Layer, ...]) -> list[tuple[str, Layer]]:
    """The `models` of all layers in order. An explicit null takes earlier patterns away: all, or those of the same text."""
    patterns: list[tuple[str, Layer]] = []
    for layer in layers:
        models = layer.branch.children.get("models")
        if isinstance(models, Leaf):
            patterns = []
        for pattern, blocks in layer.branch.branch("models").children.items():
            if isinstance(blocks, Branch):
                patterns.append((pattern, Layer(f'{layer.who}, models "{pattern}"', blocks)))
            else:
                patterns = [(text, kept) for text, kept in patterns if text != pattern]
    return patterns


def _given(child: Merged | Sourced) -> bool:
    """False for a block that an explicit null sent back to its defaults."""
    return isinstance(child, Merged)
