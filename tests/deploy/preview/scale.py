"""Numbers on an axis: round ticks, and units as Grafana writes them."""

import math
from collections.abc import Callable

TIMES = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"))
POWERS = ((1.0, ""), (1e3, " K"), (1e6, " M"))
BYTES = ((1.0, " B"), (1024.0, " KiB"), (1024.0**2, " MiB"), (1024.0**3, " GiB"))
SUFFIX = {"reqps": " req/s", "ops": " ops/s"}


def ticks(top: float, count: int = 4) -> list[float]:
    """About `count` round values from 0 up to `top`."""
    if top <= 0:
        return [0.0]
    rough = top / count
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [step * number for number in range(int(top / step * 1.0001) + 1)]


def text(value: float, unit: str) -> str:
    """A value with its unit, in three digits."""
    if unit == "percentunit":
        return f"{_digits(value * 100)}%"
    steps = TIMES if unit == "s" else BYTES if unit == "bytes" else POWERS
    size, word = next((step for step in reversed(steps) if abs(value) >= step[0]), steps[0])
    if value == 0:
        size, word = next(((size, word) for size, word in steps if size == 1.0), steps[0])
    return f"{_digits(value / size)}{' ' if unit == 's' else ''}{word}{SUFFIX.get(unit, '')}"


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def linear(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """A map of low…high to start…end."""
    size = (high - low) or 1.0
    return lambda value: start + (value - low) / size * (end - start)
