"""Features of bars: 12 causal, price-relative columns in one compiled pass. MODEL.md, section 2.

Letters: B windows, T bars, F = 12 columns (13 with the position in its window).
Nothing at bar t looks past t, and ``a * price`` (a > 0) gives the same columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.io.compiled import compiled
from moola_core.spans.intervals import WINDOW_BARS, FloatArray

COLUMNS = (
    "open_norm",
    "close_norm",
    "body_pct",
    "upper_wick_pct",
    "lower_wick_pct",
    "range_z",
    "dist_to_prev_SH",
    "dist_to_prev_SL",
    "bars_since_SH_norm",
    "bars_since_SL_norm",
    "expansion_proxy",
    "consol_proxy",
)
POSITION = "position_encoding"
EMA_ALPHA = 2.0 / 21.0
ATR_BARS = 10
REVERSAL_ATR = 1.2
RETRACE_ATR = 0.5
LOOKBACK = 5
# What is equal in exact numbers stays equal where price is counted in another unit.
TIE = 1.0 - 1e-9


def window_features(bars: FloatArray, *, position: bool = False) -> NDArray[np.float32]:
    """Features of windows, each starting at its own first bar.

    Args:
        bars: ``(B, T, 4)`` float64: open, high, low, close.
        position: add ``t / (T - 1)`` as a last column.

    Returns:
        ``(B, T, 12)`` or ``(B, T, 13)`` float32.
    """
    num_windows, num_bars, _ = bars.shape
    out = np.empty((num_windows, num_bars, len(COLUMNS) + position), dtype=np.float32)
    _fill(np.ascontiguousarray(bars, dtype=np.float64), out)
    if position:
        out[..., -1] = np.arange(num_bars) / max(num_bars - 1, 1)
    return out


def series_features(bars: FloatArray) -> NDArray[np.float32]:
    """Features ``(T, 12)`` of one long series ``(T, 4)``; look at it through `window_views`."""
    return window_features(bars[None])[0]


def window_views(rows: NDArray[Any], num_bars: int = WINDOW_BARS, step: int = 1) -> NDArray[Any]:
    """Return every `step`-th window of a series, as read-only views that cost no memory.

    Args:
        rows: ``(T, F)``, for example `series_features`.
        num_bars: bars a window.
        step: bars from one window's start to the next.

    Returns:
        ``((T - num_bars) // step + 1, num_bars, F)``, a view of `rows`.
    """
    views = np.lib.stride_tricks.sliding_window_view(rows, num_bars, axis=0)
    return np.swapaxes(views, 1, 2)[::step]


def reflect(bars: FloatArray) -> FloatArray:
    """Bars ``(..., 4)`` of the mirrored market: (o, h, l, c) becomes (-o, -l, -h, -c)."""
    return -bars[..., [0, 2, 1, 3]]


@compiled(inline="always")
def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@compiled(inline="always")
def _distance(price: float, atr: float) -> float:
    """Return a distance in units of `atr`, -3..3; where nothing moved any distance is far."""
    if atr > 0.0:
        return _clip(price / atr, -3.0, 3.0)
    return 3.0 * ((price > 0.0) - (price < 0.0))


@compiled()
def _fill(bars: NDArray[Any], out: NDArray[Any]) -> None:  # noqa: C901, PLR0915
    """One pass over each window; a single function, because the columns share one state."""
    ranges = np.empty(ATR_BARS)
    for b in range(bars.shape[0]):
        leg, extreme, extreme_bar, candidate, candidate_bar = 0, 0.0, -1, 0.0, -1
        swing_high, swing_low, high_bar, low_bar = 0.0, 0.0, -1, -1
        ema, true_sum, previous = 0.0, 0.0, 0.0
        for t in range(bars.shape[1]):
            opened, high, low, close = bars[b, t, 0], bars[b, t, 1], bars[b, t, 2], bars[b, t, 3]
            size = high - low
            ema = size if t == 0 else EMA_ALPHA * size + (1.0 - EMA_ALPHA) * ema
            atr = 0.0
            if t > 0:
                ranges[(t - 1) % ATR_BARS] = max(size, abs(high - previous), abs(low - previous))
                # Summed again: a running sum would carry rounding from bar to bar.
                count = min(t, ATR_BARS)
                true_sum = 0.0
                for i in range(count):
                    true_sum += ranges[i]
                atr = true_sum / count
            previous = close

            if leg == 0:
                if atr > 0.0:
                    leg, extreme, extreme_bar = 1, close, t
            else:
                up = leg == 1
                edge = high if up else low
                if (up and edge > extreme) or (not up and edge < extreme):
                    extreme, extreme_bar = edge, t
                if candidate_bar < 0 or (up and edge > candidate) or (not up and edge < candidate):
                    candidate, candidate_bar = edge, t
                against = extreme - close if up else close - extreme
                retraced = candidate - low if up else high - candidate
                near = t - candidate_bar <= LOOKBACK
                back = near and retraced >= RETRACE_ATR * atr * TIE
                if against >= REVERSAL_ATR * atr * TIE or back:
                    if up:
                        swing_high, high_bar, leg, extreme = extreme, extreme_bar, -1, low
                    else:
                        swing_low, low_bar, leg, extreme = extreme, extreme_bar, 1, high
                    extreme_bar, candidate, candidate_bar = t, extreme, t

            width = size if size > 0.0 else 1.0  # all of its shares are 0
            body = _clip((close - opened) / width, -1.0, 1.0)
            range_z = _clip(size / ema, 0.0, 3.0) if ema > 0.0 else 0.0
            since_high = _clip((t - high_bar) / 105.0, 0.0, 3.0) if high_bar >= 0 else 0.0
            since_low = _clip((t - low_bar) / 105.0, 0.0, 3.0) if low_bar >= 0 else 0.0
            row = out[b, t]
            row[0] = _clip((opened - low) / width, 0.0, 1.0)
            row[1] = _clip((close - low) / width, 0.0, 1.0)
            row[2] = body
            row[3] = _clip((high - max(opened, close)) / width, 0.0, 1.0)
            row[4] = _clip((min(opened, close) - low) / width, 0.0, 1.0)
            row[5] = range_z
            row[6] = _distance(swing_high - close, atr) if high_bar >= 0 else 0.0
            row[7] = _distance(close - swing_low, atr) if low_bar >= 0 else 0.0
            row[8] = since_high
            row[9] = since_low
            row[10] = _clip(range_z * leg * body, -2.0, 2.0)
            calm = (1.0 - range_z / 3.0) * (1.0 - abs(body)) * (since_high + since_low) / 2.0
            row[11] = _clip(calm, 0.0, 3.0)
