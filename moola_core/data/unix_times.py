"""Unix times of any unit to nanoseconds since 1970, as exact as they are given."""

from __future__ import annotations

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.time_limits import SECOND
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray

UNITS = ((1e17, "nanoseconds", 1), (1e14, "microseconds", 10**3), (1e11, "milliseconds", 10**6))
MICROSECOND = 10**3
LEAST, LAST_NS = 1e8, 9.2e18  # seconds of 1973, nanoseconds of 2261
EXACT = pa.decimal128(28, 9)  # any Unix time, in whatever unit, to 1e-9 of that


def is_unix(size: FloatArray) -> BoolArray:
    """Return which absolute values ``(T,)`` are Unix times of some unit from 1973 to 2261."""
    return (size >= LEAST) & (size * _scales(size) <= LAST_NS)


def _scales(size: FloatArray) -> IntArray:
    """Return how many nanoseconds one of a value's unit is, by the value itself."""
    scale = np.full(len(size), SECOND, dtype=np.int64)
    for least, _, factor in reversed(UNITS):
        scale[size >= least] = factor
    return scale


def count_unix(column: pa.ChunkedArray, size: FloatArray) -> tuple[IntArray, set[str]]:
    """Return Unix times in nanoseconds, and the words for their units.

    Args:
        column: integers, decimals or float64, without nulls.
        size: ``(T,)`` their absolute values, each of which says its own unit.
    """
    scale = _scales(size)
    names = {SECOND: "seconds", **{factor: name for _, name, factor in UNITS}}
    words = {names[factor] for factor in np.unique(scale).tolist()}
    whole, part = _whole_and_part(column)
    count = whole * scale + np.rint(part * scale).astype(np.int64)
    if pa.types.is_floating(column.type):  # float64 holds them to a quarter of a microsecond
        count = (count + MICROSECOND // 2) // MICROSECOND * MICROSECOND
    return count, words


def numbers_of(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return texts as numbers, as exact as they are written; None where one is none."""
    with contextlib.suppress(pa.ArrowInvalid):
        return column.cast(pa.int64())
    is_float = pc.any(pc.match_substring_regex(column, "[eE]")).as_py()  # as numpy writes them
    with contextlib.suppress(pa.ArrowInvalid):
        return column.cast(pa.float64() if is_float else EXACT)
    with contextlib.suppress(pa.ArrowInvalid):
        return column.cast(pa.float64())
    return None


def _whole_and_part(column: pa.ChunkedArray) -> tuple[IntArray, FloatArray]:
    """Return numbers as integers, and what is behind the point."""
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64()).to_numpy(), np.zeros(len(column))
    if pa.types.is_decimal(column.type):
        column = column.cast(EXACT, safe=False)
        whole = pc.floor(column)
        part = pc.subtract(column, whole).cast(pa.float64())
        return whole.cast(pa.int64()).to_numpy(), part.to_numpy()
    values = column.to_numpy()
    return np.floor(values).astype(np.int64), values % 1
