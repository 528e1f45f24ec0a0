"""Names with `*`, which matches any run of characters, also none. Linear in the length of the name: names come from clients."""

import functools


def is_pattern(text: str) -> bool:
    return "*" in text


def literal_length(pattern: str) -> int:
    """Number of characters that are not `*`."""
    return len(pattern) - pattern.count("*")


def matched(pattern: str, name: str) -> str | None:
    """What the first `*` of `pattern` stands for in `name` ("" for a pattern without one); None: no match."""
    head, star, rest = pattern.partition("*")
    if not star:
        return "" if name == pattern else None
    *middles, tail = rest.split("*")
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return None
    end = len(name) - len(tail)
    position, first_end = len(head), None if middles else end
    for middle in middles:
        found = name.find(middle, position, end)
        if found < 0:
            return None
        first_end = found if first_end is None else first_end
        position = found + len(middle)
    return name[len(head) : first_end]


@functools.lru_cache(maxsize=4096)
def overlap(one: str, other: str) -> bool:
    """Whether some name matches both patterns. Patterns come from the configuration, never from a client."""
    reachable = {0}
    for character in one:
        reachable = _closure(reachable, other)
        if character == "*":
            reachable = set(range(min(reachable), len(other) + 1))
            continue
        reachable = {
            at if other[at] == "*" else at + 1
            for at in reachable
            if at < len(other) and other[at] in ("*", character)
        }  # fmt: skip
        if not reachable:
            return False
    return len(other) in _closure(reachable, other)


def _closure(positions: set[int], pattern: str) -> set[int]:
    """Adds the positions behind each `*`, which may stand for nothing."""
    closed = set(positions)
    for at in sorted(positions):
        step = at
        while step < len(pattern) and pattern[step] == "*":
            step += 1
            closed.add(step)
    return closed
