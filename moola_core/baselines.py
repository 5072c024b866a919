"""Rules that any model has to beat. Letters: B windows, T bars; bars are open, high, low, close."""

from __future__ import annotations

import numpy as np

from moola_core.decoding import Decoded
from moola_core.spans import FloatArray, IntArray, span_iou, span_mask

MOVE_BARS = 7
MIN_LENGTH, MAX_LENGTH = 2, 25
FEES = tuple(np.arange(2, 21) / 20)  # ATR a bar


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
    num_bars = bars.shape[1]
    start = np.arange(num_bars)[:, None]
    length = np.arange(MIN_LENGTH, MAX_LENGTH + 1)
    stop = np.minimum(start + length, num_bars)
    before, close = _previous_close(bars), bars[..., 3]
    # the shape is now (B, T, L)
    move = np.abs(close[:, stop - 1] - before[:, start]) / _mean_true_range(bars)[:, None, None]
    gain = np.where(start + length <= num_bars, move - fee * length, -np.inf)
    best = gain.reshape(len(bars), -1).argmax(axis=1)
    first, k = np.divmod(best, len(length))
    return np.stack([first, first + MIN_LENGTH + k], axis=1)


def choose_fee(bars: FloatArray, spans: IntArray) -> float:
    """The fee of `FEES` with the best mean IoU; give training windows."""
    return max(FEES, key=lambda fee: float(span_iou(fastest_segment(bars, fee), spans).mean()))


def as_decoded(spans: IntArray, num_bars: int) -> Decoded:
    """A rule's spans in a decoder's form, of confidence 1."""
    return Decoded(spans.astype(np.int64), np.ones(len(spans)), span_mask(spans, num_bars))


def _previous_close(bars: FloatArray) -> FloatArray:
    return np.concatenate([bars[:, :1, 0], bars[:, :-1, 3]], axis=1)


def _mean_true_range(bars: FloatArray) -> FloatArray:
    before = _previous_close(bars)
    high, low = np.maximum(bars[..., 1], before), np.minimum(bars[..., 2], before)
    return np.maximum((high - low).mean(axis=1), 1e-8)
