"""Several views of a window's price, for a network that scores bars. Letters: B windows, T bars.

Every view is free of the unit of price (``a * price``, a > 0, gives the same): prices in the
window's own deviation, their steps, steps and ranges in local ATR, and two squashed views in which
one huge move leaves the rest visible.
"""

from __future__ import annotations

import numpy as np

from moola_core.features.volatility import edge_prices, local_atr, true_range
from moola_core.spans.intervals import FloatArray

VIEWS = (
    *("open_z", "high_z", "low_z", "close_z", "step_z", "range_z"),
    *("step_atr", "log_range_atr", "close_mad", "step_mad"),
)
GAIN = 3.0  # of steps in deviations, which are small
ATR_BARS = 30
STEP_LIMIT = 6.0  # local ATR


def price_views(bars: FloatArray) -> np.ndarray:
    """``(B, T, len(VIEWS))`` float32, of bars ``(B, T, 4)``."""
    close = bars[..., 3]
    scale = bars.std(axis=(1, 2), keepdims=True)
    # a flat window has no deviation: all its views are 0
    z = (bars - bars.mean(axis=(1, 2), keepdims=True)) / np.where(scale > 0, scale, 1.0)
    before = np.concatenate([z[:, :1, 0], z[:, :-1, 3]], axis=1)
    moves = np.diff(edge_prices(bars), axis=1)
    unit = local_atr(bars, ATR_BARS)
    level = close - np.median(close, axis=1, keepdims=True)
    views = [
        *(z[..., i] for i in range(4)),
        GAIN * (z[..., 3] - before),
        GAIN * (z[..., 1] - z[..., 2]),
        0.7 * np.clip(moves / unit, -STEP_LIMIT, STEP_LIMIT),
        np.log(true_range(bars) / unit + 0.01),
        np.arcsinh(level / _typical(level)),
        0.7 * np.arcsinh(moves / _typical(moves)),
    ]
    return np.stack(views, axis=2).astype(np.float32)


def _typical(values: FloatArray) -> FloatArray:
    """``(B, 1)``: the median size, 1 where it is 0 (then the mean size, where that is more)."""
    size = np.median(np.abs(values), axis=1, keepdims=True)
    size = np.where(size > 0, size, np.abs(values).mean(axis=1, keepdims=True))
    return np.where(size > 0, size, 1.0)
