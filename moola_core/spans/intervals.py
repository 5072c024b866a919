"""Spans: half-open ``[start, stop)`` in bars, 0-based. Letters: B windows, T bars a window.

Annotators' tools write inclusive ends; `from_inclusive` is the one place where that is undone.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
WINDOW_BARS = 105  # by default
MIN_WINDOW_BARS, MAX_WINDOW_BARS = 16, 2000


def from_inclusive(first: IntArray, last: IntArray) -> IntArray:
    """Spans ``(B, 2)`` of inclusive bar indices ``(B,)`` and ``(B,)``."""
    return np.stack([first, last + 1], axis=1).astype(np.int64)


def span_mask(spans: IntArray, num_bars: int = WINDOW_BARS) -> BoolArray:
    """``(B, num_bars)``: True inside each window's span; an empty span marks nothing."""
    bars = np.arange(num_bars)
    return (bars >= spans[:, :1]) & (bars < spans[:, 1:])


def sets_mask(sets: IntArray, num_bars: int) -> BoolArray:
    """``(B, num_bars)``: True inside any of each window's spans ``(B, M, 2)``."""
    mask = np.zeros((len(sets), num_bars), dtype=bool)
    for k in range(sets.shape[1]):
        mask |= span_mask(sets[:, k], num_bars)
    return mask


def span_iou(first: IntArray, second: IntArray) -> FloatArray:
    """Intersection over union of spans ``(B, 2)``: ``(B,)`` in 0..1, 0 where both are empty."""
    shared = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0])
    shared = np.maximum(shared, 0)
    union = (first[:, 1] - first[:, 0]) + (second[:, 1] - second[:, 0]) - shared
    return shared / np.maximum(union, 1)


def find_runs(mask: BoolArray) -> tuple[IntArray, IntArray]:
    """Every run of True in ``(B, T)``: its window ``(R,)`` and its span ``(R, 2)``, in order."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=bool)
    padded[:, 1:-1] = mask
    # In each row the edges alternate: a start, its stop, the next start.
    window, edge = np.nonzero(padded[:, 1:] != padded[:, :-1])
    return window[::2], edge.reshape(-1, 2)


def close_gaps(mask: BoolArray, max_gap: int) -> BoolArray:
    """`mask` ``(B, T)`` with each gap of at most `max_gap` bars between two runs filled."""
    if max_gap < 1:
        return mask
    window, gaps = find_runs(~mask)
    inner = (gaps[:, 0] > 0) & (gaps[:, 1] < mask.shape[1])
    return _with_runs(mask, window, gaps, inner & (gaps[:, 1] - gaps[:, 0] <= max_gap), fill=True)


def drop_short(mask: BoolArray, min_bars: int) -> BoolArray:
    """`mask` ``(B, T)`` without the runs shorter than `min_bars`."""
    if min_bars < 2:
        return mask
    window, runs = find_runs(mask)
    return _with_runs(mask, window, runs, runs[:, 1] - runs[:, 0] < min_bars, fill=False)


def _with_runs(
    mask: BoolArray, window: IntArray, runs: IntArray, chosen: BoolArray, *, fill: bool
) -> BoolArray:
    changed = np.zeros(mask.shape, dtype=bool)
    # Two chosen runs of one window may share a row, so each row collects with `or`.
    np.logical_or.at(changed, window[chosen], span_mask(runs[chosen], mask.shape[1]))
    return (mask | changed) if fill else (mask & ~changed)
