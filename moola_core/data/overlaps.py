"""Which windows share bars: found in the bars themselves, so that gaps in time don't hide it.

One-minute series have gaps (nights, weekends), so two starts 3 hours apart may still share a bar.
Letters: B windows, T bars a window, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from moola_core.data.windows import Windows
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Overlaps:
    """Pairs of windows that share bars: bar ``shift + k`` of `first` is bar ``k`` of `second`.

    Attributes:
        first, second: ``(P,)`` int, rows of windows; each pair once, `first` begins no later.
        shift: ``(P,)`` int in 0..T-1, bars from the start of `first` to that of `second`.
    """

    first: IntArray
    second: IntArray
    shift: IntArray


def find_overlaps(windows: Windows) -> Overlaps:
    """Return every pair of windows whose bars agree on all of their common stretch.

    Equal prices by chance may make a pair of two short edges that share nothing; with timestamps
    such pairs are refused where time contradicts them. A false pair costs a window, a missed one
    the truth of the score.
    """
    return _pairs(windows.bars, windows.start_time, windows.bar_ns)


def shares_bars(windows: Windows, others: Windows) -> BoolArray:
    """``(B,)``: which of the windows share a bar with one of the others, as long as they are."""
    pairs = _pairs(
        np.concatenate([windows.bars, others.bars]),
        np.concatenate([windows.start_time, others.start_time]),
        windows.bar_ns,
    )
    number = len(windows)
    is_own = np.stack([pairs.first, pairs.second]) < number
    crossing = is_own[0] != is_own[1]
    rows = np.where(is_own[0], pairs.first, pairs.second)[crossing]
    return np.isin(np.arange(number), rows)


def _pairs(prices: FloatArray, start_time: IntArray, bar_ns: int) -> Overlaps:
    num_windows, num_bars, _ = prices.shape
    bars = _bar_ids(prices)
    # Where else does the first bar of each window occur? Sorted once, looked up for all at once.
    order = np.argsort(bars, axis=None, kind="stable")
    found = bars.ravel()[order]
    low = np.searchsorted(found, bars[:, 0], side="left")
    high = np.searchsorted(found, bars[:, 0], side="right")
    second = np.repeat(np.arange(num_windows), high - low)
    places = np.concatenate([order[a:b] for a, b in zip(low, high, strict=True)])
    first, shift = np.divmod(places, num_bars)
    keep = (first != second) & ((shift > 0) | (first < second))
    first, second, shift = first[keep], second[keep], shift[keep]
    agree = _agree(bars, first, second, shift)
    agree &= _time_allows(start_time[first], start_time[second], shift * bar_ns)
    return Overlaps(first[agree], second[agree], shift[agree])


def concurrency(overlaps: Overlaps, num_windows: int, num_bars: int) -> IntArray:
    """``(B, T)``: how many windows hold each bar of each window, itself among them."""
    # Each pair adds 1 over a stretch of both rows: marked at its ends, summed along the bars.
    change = np.zeros((num_windows, num_bars + 1), dtype=np.int64)
    change[:, 0] = 1
    np.add.at(change, (overlaps.first, overlaps.shift), 1)
    np.add.at(change, (overlaps.second, np.zeros_like(overlaps.shift)), 1)
    np.add.at(change, (overlaps.second, num_bars - overlaps.shift), -1)
    return np.cumsum(change, axis=1)[:, :num_bars]


def _bar_ids(prices: FloatArray) -> IntArray:
    """``(B, T)``: equal numbers for equal bars ``(B, T, 4)``."""
    num_windows, num_bars, _ = prices.shape
    # By hash: to sort two million bars takes nine times as long. A sum with 0 has no -0.
    content = pa.py_buffer(np.ascontiguousarray(prices) + 0.0)
    flat = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4 * 8), num_windows * num_bars, [None, content]
    )
    ids = flat.dictionary_encode().indices.to_numpy()
    return ids.reshape(num_windows, num_bars).astype(np.int64)


def _agree(bars: IntArray, first: IntArray, second: IntArray, shift: IntArray) -> np.ndarray:
    num_bars = bars.shape[1]
    k = np.arange(num_bars)
    place = shift[:, None] + k
    beyond = place >= num_bars
    here = bars[first[:, None], np.minimum(place, num_bars - 1)]
    return ((here == bars[second]) | beyond).all(axis=1)


def _time_allows(first: IntArray, second: IntArray, shift_ns: IntArray) -> np.ndarray:
    # Gaps only lengthen the time between two bars.
    return (first < 0) | (second < 0) | (second - first >= shift_ns)
