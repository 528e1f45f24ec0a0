"""Ways to cut a body into the pieces in which it arrives."""

import random
import re
from collections.abc import Sequence
from itertools import pairwise

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)


def per_event(body: bytes) -> list[bytes]:
    """A piece for each event, its blank line included; what follows the last one is a piece too."""
    pieces = _EVENT.findall(body)
    rest = body[sum(map(len, pieces)) :]
    return [*pieces, rest] if rest else pieces


def per_byte(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


def by_lengths(body: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Pieces of these lengths, which must add up to the body's."""
    if sum(lengths) != len(body):
        raise ValueError(f"the lengths add up to {sum(lengths)}, the body has {len(body)} bytes")
    pieces, at = [], 0
    for length in lengths:
        pieces.append(body[at : at + length])
        at += length
    return pieces


def at_random(body: bytes, rng: random.Random, most: int = 40) -> list[bytes]:
    """Up to `most` pieces; half of the time a cut has a neighbour one or two bytes away."""
    places: set[int] = set()
    for _ in range(rng.randint(1, most)):
        place = rng.randint(0, len(body))
        places.add(place)
        if rng.random() < 0.5:
            places.add(min(len(body), place + rng.randint(1, 2)))
    edges = [0, *sorted(places - {0, len(body)}), len(body)]
    return [body[start:end] for start, end in pairwise(edges) if start < end]


def text_at_random(text: str, rng: random.Random, most: int = 8) -> list[str]:
    """The same for a text: up to `most` parts."""
    places = sorted({rng.randint(0, len(text)) for _ in range(rng.randint(1, most))} - {0, len(text)})
    edges = [0, *places, len(text)]
    return [text[start:end] for start, end in pairwise(edges)]
