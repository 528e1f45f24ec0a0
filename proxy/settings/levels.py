"""The words for effort in a provider's `request:` blocks: a misspelt one would be sent, and refused, or never match."""

from collections.abc import Iterator

from proxy.core.intent import NONE
from proxy.core.request import LEVELS
from proxy.settings.checking import Branch, Items, Leaf, Tree
from proxy.settings.mistakes import Mark, Path, Report, did_you_mean
from proxy.settings.spec import Special

KNOWN = (NONE, *LEVELS, "default")
"""What clients ask for, and `default`, which Groq takes for Qwen3 (console.groq.com/docs/reasoning)."""

Word = tuple[str, Mark, Path]


def own_words(*branches: Branch) -> set[str]:
    """The words of hosts' own that these providers, patterns or targets name."""
    found = (_items(effort.children.get("own_words"), ()) for each in branches for _, effort, _ in _blocks(each, ()))
    return {word for words in found for word, _, _ in words}


def check_levels(branch: Branch, path: Path, own: set[str], report: Report) -> None:
    """Reports words of this provider, pattern or target that are neither known nor in `own`."""
    for request, effort, place in _blocks(branch, path):
        below = (*place, "effort")
        levels = list(_items(effort.children.get("levels"), (*below, "levels")))
        mapped = effort.branch("map")
        asked = [(word, mapped.marks[word], (*below, "map", word)) for word in mapped.children]
        sent = list(_leaves(mapped, (*below, "map")))
        default = list(_word(request.children.get("default_effort"), (*place, "default_effort")))
        for word, mark, where in (*levels, *asked, *sent, *default):
            if word not in KNOWN and word not in own:
                hint = did_you_mean(word, (*KNOWN, *own)) or f"known are {', '.join(KNOWN)}; others go into own_words"
                report.add(mark, where, f'no level is named "{word}"', hint)
        taken = {word for word, _, _ in levels}
        for word, mark, where in sent:
            if taken and word not in taken and word != NONE:
                report.add(mark, where, f'"{word}" is not among the levels', did_you_mean(word, taken))


def _blocks(branch: Branch, path: Path) -> Iterator[tuple[Branch, Branch, Path]]:
    """The `request:` blocks of a provider and of its `models`, each with its `effort` and its place."""
    request = branch.branch("request")
    yield request, request.branch("effort"), (*path, "request")
    models = branch.branch("models")
    for pattern in models.children:
        yield from _blocks(models.branch(pattern), (*path, "models", pattern))


def _items(tree: Tree | None, path: Path) -> Iterator[Word]:
    for number, item in enumerate(tree.items if isinstance(tree, Items) else ()):
        yield from _word(item, (*path, number))


def _leaves(branch: Branch, path: Path) -> Iterator[Word]:
    for key, child in branch.children.items():
        yield from _word(child, (*path, key))


def _word(tree: Tree | None, path: Path) -> Iterator[Word]:
    if isinstance(tree, Leaf) and isinstance(tree.value, str) and not isinstance(tree.value, Special):
        yield tree.value, tree.mark, path
