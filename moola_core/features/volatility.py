"""The market's own unit of price: what it moves in a bar, hereabouts. Letters: T bars.

A run is fast against the bars around it, not against the window's mean: with the local unit the
segment rule of `moola_core.evaluation.baselines` gains .13 of bar F1 (train_210, 102 base windows).
Every function takes bars ``(..., T, 4)``: open, high, low, close.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from moola_core.spans.intervals import FloatArray

NO_RANGE = 1e-12  # of the mean true range; the least unit, where nothing moves


def edge_prices(bars: FloatArray) -> FloatArray:
    """``(..., T + 1)``: the price at each edge between bars: the first open, then the closes.

    A span ``[start, stop)`` moves from ``edge_prices[start]`` to ``edge_prices[stop]``.
    """
    return np.concatenate([bars[..., :1, 0], bars[..., 3]], axis=-1)


def true_range(bars: FloatArray) -> FloatArray:
    """``(..., T)``: high to low with the close before it (Wilder 1978, ch. 3), price units."""
    before = edge_prices(bars)[..., :-1]
    return np.maximum(bars[..., 1], before) - np.minimum(bars[..., 2], before)


def local_atr(
    bars: FloatArray, num_bars: int, kind: Literal["sma", "wilder"] = "sma"
) -> FloatArray:
    """``(..., T)``: mean true range of about the last `num_bars` bars, price units, above 0.

    ``sma``: their plain mean; the first `num_bars` bars of a window share the mean of all of them.
    ``wilder``: begun with that mean, each bar moves it by 1 / `num_bars` of the way to its own
    range (Wilder 1978, ch. 3).
    """
    ranges = true_range(bars)
    length = min(num_bars, ranges.shape[-1])
    if kind == "wilder":
        mean = ranges[..., :length].mean(axis=-1)
        means = np.empty_like(ranges)
        for t in range(ranges.shape[-1]):
            mean = mean + (ranges[..., t] - mean) / num_bars
            means[..., t] = mean
        return np.maximum(means, _least(ranges))
    means = np.lib.stride_tricks.sliding_window_view(ranges, length, axis=-1).mean(axis=-1)
    last = np.maximum(np.arange(ranges.shape[-1]) + 1 - length, 0)
    return np.maximum(means[..., last], _least(ranges))


def _least(ranges: FloatArray) -> FloatArray:
    """``(..., 1)``: the least unit of price, above 0, in proportion to it."""
    mean = ranges.mean(axis=-1, keepdims=True)
    return np.where(mean > 0, NO_RANGE * mean, 1.0)


def steps(bars: FloatArray, num_bars: int) -> FloatArray:
    """``(..., T)``: each bar's change of close in units of its `local_atr`."""
    return np.diff(edge_prices(bars), axis=-1) / local_atr(bars, num_bars)
