"""Rules that any model has to beat. Letters: B windows, T bars; bars are open, high, low, close."""

from __future__ import annotations

import numpy as np

from moola_core.decoding.decode import Decoded
from moola_core.features.volatility import NO_RANGE, edge_prices, steps, true_range
from moola_core.spans.grid import all_spans
from moola_core.spans.intervals import FloatArray, IntArray, span_iou, span_mask

MOVE_BARS = 7
FEES = tuple(np.arange(2, 21) / 20)  # ATR a bar
LOCAL_FEE, LOCAL_ATR_BARS = 0.3, 30


def largest_bar(bars: FloatArray) -> IntArray:
    """``(B, 2)``: the bar with the largest body and 3 bars on either side; `bars` ``(B, T, 4)``."""
    middle = np.abs(bars[..., 3] - bars[..., 0]).argmax(axis=1)
    return np.stack([np.maximum(middle - 3, 0), np.minimum(middle + 4, bars.shape[1])], axis=1)


def largest_move(bars: FloatArray) -> IntArray:
    """``(B, 2)``: the 7 bars over which price moved furthest, from first open to last close."""
    move = np.abs(bars[:, MOVE_BARS - 1 :, 3] - bars[:, : 1 - MOVE_BARS, 0])
    start = move.argmax(axis=1)
    return np.stack([start, start + MOVE_BARS], axis=1)


def fastest_segment(bars: FloatArray, fee: float) -> IntArray:
    """``(B, 2)``: the segment of 2..25 bars with the greatest net move in ATR less `fee` a bar."""
    return _best_segment(window_path(bars), fee)


def local_segment(
    bars: FloatArray, fee: float = LOCAL_FEE, atr_bars: int = LOCAL_ATR_BARS
) -> IntArray:
    """``(B, 2)``: the same with each bar's move in the ATR of the bars before it.

    A run in a calm market beats a larger move in a wild one.
    """
    return _best_segment(local_path(bars, atr_bars), fee)


def window_path(bars: FloatArray) -> FloatArray:
    """``(B, T + 1)``: the price at each edge between bars, in the window's mean true range."""
    mean_range = np.maximum(true_range(bars).mean(axis=1, keepdims=True), NO_RANGE)
    return edge_prices(bars) / mean_range


def local_path(bars: FloatArray, atr_bars: int) -> FloatArray:
    """``(B, T + 1)``: the way to each edge from the first, in the ATR of the bars before."""
    return np.pad(np.cumsum(steps(bars, atr_bars), axis=1), ((0, 0), (1, 0)))


def choose_fee(bars: FloatArray, spans: IntArray) -> float:
    """Return the fee of `FEES` with the best mean IoU on training windows.

    Args:
        bars: ``(B, T, 4)``.
        spans: ``(B, 2)``, half-open, in bars.
    """
    return max(FEES, key=lambda fee: float(span_iou(fastest_segment(bars, fee), spans).mean()))


def as_decoded(spans: IntArray, num_bars: int) -> Decoded:
    """Return a rule's spans ``(B, 2)`` in a decoder's form, of confidence 1."""
    return Decoded(spans.astype(np.int64), np.ones(len(spans)), span_mask(spans, num_bars))


def _best_segment(path: FloatArray, fee: float) -> IntArray:
    """``(B, 2)``: the span of the greatest ``|path[stop] - path[start]|`` less `fee` a bar."""
    spans = all_spans(path.shape[1] - 1)
    start, stop = spans.T
    gain = np.abs(path[:, stop] - path[:, start]) - fee * (stop - start)
    return spans[gain.argmax(axis=1)]
