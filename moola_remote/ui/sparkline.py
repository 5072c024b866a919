"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], size: int, low: float, high: float) -> str:
    """Return a curve of `size` characters at most: means of neighbours, ``!`` where not finite."""
    count = min(size, len(values))
    parts = [
        values[i * len(values) // count : (i + 1) * len(values) // count] for i in range(count)
    ]
    return "".join(_spark(sum(part) / len(part), low, high) for part in parts)


def _spark(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "!"
    share = (value - low) / (high - low) if high > low else 0.0
    return SPARKS[min(int(share * len(SPARKS)), len(SPARKS) - 1)]


def axis_scale(values: Iterable[float]) -> tuple[float, float]:
    """Return the least and the largest finite value; zeros where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 0.0)
