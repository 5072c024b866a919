"""Where the lowest of many values stand, in order; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.io.compiled import compiled

BUCKETS = 512
TINY = 1e-300  # the least range of values that is cut into buckets


@compiled()
def fill_lowest(values: NDArray[Any], scratch: NDArray[Any], out: NDArray[Any]) -> None:
    """Write where the lowest ``len(out)`` stand, in order; of equal ones the first comes first.

    Values are sorted into buckets of one width, and only those of the lowest buckets further. Where
    a bucket holds too many, or a value is no number, all are sorted at once.

    Args:
        values: ``(S,)``.
        scratch: ``(3, max(S, BUCKETS))`` int64, to write to: of each value its bucket, places, and
            how many values are in the buckets before each.
        out: of S or fewer.
    """
    least, most, is_finite = np.inf, -np.inf, True
    for value in values:
        least, most = min(least, value), max(most, value)
        is_finite &= abs(value) < np.inf
    if not is_finite or not TINY < most - least < np.inf:
        out[:] = first_of(values, len(out))
        return
    bucket, places, before = scratch[0], scratch[1], scratch[2]
    scale = (BUCKETS - 1) / (most - least)
    before[:BUCKETS] = 0
    for i in range(len(values)):
        bucket[i] = min(np.int64((values[i] - least) * scale), BUCKETS - 1)
        before[bucket[i]] += 1
    last, size = -1, 0
    while size < len(out):
        last += 1
        here = before[last]
        before[last] = size
        size += here
    if size > 2 * len(out) + BUCKETS:
        out[:] = first_of(values, len(out))
        return
    for i in range(len(values)):
        if bucket[i] <= last:
            places[before[bucket[i]]] = i
            before[bucket[i]] += 1
    _sort(values, places[:size])
    out[:] = places[: len(out)]


@compiled()
def _sort(values: NDArray[Any], places: NDArray[Any]) -> None:
    """Sort places by their values, by insertion, as few are out of place; ties stay so."""
    for i in range(1, len(places)):
        one, k = places[i], i
        while k > 0 and values[places[k - 1]] > values[one]:
            places[k] = places[k - 1]
            k -= 1
        places[k] = one


@compiled()
def first_of(values: NDArray[Any], number: int) -> NDArray[Any]:
    """Return the same as `fill_lowest` writes, of any values."""
    if number < len(values) and not np.isnan(values).any():
        some = np.flatnonzero(values <= np.partition(values, number - 1)[number - 1])
        return some[np.argsort(values[some], kind="mergesort")][:number]
    return np.argsort(values, kind="mergesort")[:number]
