"""Which spans of a window may be its run, and what is seen of each. Compiled: under 1 ms a window.

All 2,220 spans are scored by a rule, the best are kept and described by `SPAN_COLUMNS`. Prices are
in units of the local ATR (`moola_core.volatility`), so that ``a * price`` (a > 0) gives the same
columns; a falling run is seen in the mirrored market, so that a window and its mirror image give
the same candidates and columns.

Letters: B windows, T bars, K candidates a window, F columns.
A new column: its name at the end of its group below, its line at the end of the group's function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from moola_core.config import CandidateConfig
from moola_core.features import reflect
from moola_core.span_grid import all_spans
from moola_core.spans import FloatArray, IntArray
from moola_core.volatility import edge_prices, local_atr, true_range

# `fast` is the rule's score: net move less a fee a bar; `faster` compares it with the best one.
SIZE = ("fast", "length", "log_length", "net", "net_of_window", "faster", "not_fast")
# How the run goes within, and how far it could be longer; short: it would be better cut.
PATH = (
    *("false_start", "false_stop", "more_before", "more_after", "drawdown"),
    *("start_margin", "stop_margin", "before_margin", "after_margin", "efficiency", "log_range"),
)
BEFORE = (
    *("counter_5", "momentum_5", "range_8", "range_12", "counter_12", "momentum_12"),
    *("range_20", "counter_20", "momentum_20", "range_30", "net_5", "net_12"),
    *("consolidation", "retracement", "either"),
)
AFTER = ("over_5", "back_5", "over_10", "back_10", "over_20", "back_20")
BARS = ("first_step", "last_step", "step_before", "step_after", "largest_bar")
PLACE = ("left_edge", "right_edge", "middle")
SPAN_COLUMNS = (*SIZE, *PATH, *BEFORE, *AFTER, *BARS, *PLACE)
# What went before the run, of which its type is read.
CONTEXT_COLUMNS = (
    *("range_8", "range_12", "range_20", "counter_5", "counter_12", "counter_20"),
    *("net_5", "net_12", "consolidation", "retracement"),
)
REACH = 25  # bars
LIMIT = 15.0


@dataclass(frozen=True)
class SpanCandidates:
    """Candidates of windows, the most likely by the rule first.

    Attributes:
        features: ``(B, K, F)`` float32, the columns `SPAN_COLUMNS`.
        spans: ``(B, K, 2)`` int, ``[start, stop)``.
    """

    features: NDArray[np.float32]
    spans: IntArray


class Path(NamedTuple):
    """A window as a rising run sees it; the mirrored window for a falling one.

    high, low ``(T,)`` and price ``(T + 1,)`` are in price units, step ``(T,)`` in local ATR; gain
    ``(T + 1,)`` sums step - fee; before, after ``(T + 1,)`` are what `gain` rises at most over the
    `REACH` bars before and after an edge.
    """

    high: NDArray[Any]
    low: NDArray[Any]
    price: NDArray[Any]
    step: NDArray[Any]
    gain: NDArray[Any]
    before: NDArray[Any]
    after: NDArray[Any]


def find_candidates(bars: FloatArray, config: CandidateConfig) -> SpanCandidates:
    """The candidates of windows of bars ``(B, T, 4)``; fewer than asked for in a short window."""
    num_windows, num_bars, _ = bars.shape
    grid = all_spans(num_bars)
    num_candidates = min(config.number, len(grid))
    features = np.empty((num_windows, num_candidates, len(SPAN_COLUMNS)), dtype=np.float32)
    kept = np.empty((num_windows, num_candidates), dtype=np.int64)
    mirrored = reflect(bars)
    unit = local_atr(bars, config.atr_bars)
    for i in range(num_windows):
        up = _path(bars[i], unit[i], config.fee)
        down = _path(mirrored[i], unit[i], config.fee)
        _describe(up, down, true_range(bars[i]), unit[i], grid, kept[i], features[i])
    np.clip(np.nan_to_num(features, copy=False), -LIMIT, LIMIT, out=features)
    return SpanCandidates(features, grid[kept])


def _path(bars: FloatArray, unit: FloatArray, fee: float) -> Path:
    price = edge_prices(bars)
    step = np.diff(price) / unit
    gain = np.concatenate([[0.0], np.cumsum(step - fee)])
    before, after = np.zeros_like(gain), np.zeros_like(gain)
    _reach(gain, before, after)
    high, low = np.ascontiguousarray(bars[:, 1]), np.ascontiguousarray(bars[:, 2])
    return Path(high, low, price, step, gain, before, after)


@numba.njit(cache=True)
def _reach(gain: NDArray[Any], before: NDArray[Any], after: NDArray[Any]) -> None:
    for t in range(len(gain)):
        if t > 0:
            before[t] = gain[t] - gain[max(t - REACH, 0) : t].min()
        if t < len(gain) - 1:
            after[t] = gain[t + 1 : t + 1 + REACH].max() - gain[t]


@numba.njit(cache=True)
def _describe(  # noqa: PLR0913 - the arrays of one window
    up: Path,
    down: Path,
    ranges: NDArray[Any],
    unit: NDArray[Any],
    grid: NDArray[Any],
    kept: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Choose the candidates of one window into `kept`, and write a row of `out` for each."""
    fast, priority = _rank(up, down, grid)
    order = np.argsort(-priority, kind="mergesort")[: len(kept)]
    fastest, mean_range = fast.max(), ranges.mean() + 1e-9
    for k in range(len(kept)):
        kept[k] = order[k]
        start, stop = grid[order[k]]
        # What moves nowhere is as good up as down.
        path = up if up.price[stop] >= up.price[start] else down
        if (up.gain[stop] - up.gain[start]) != (down.gain[stop] - down.gain[start]):
            path = up if up.gain[stop] - up.gain[start] > down.gain[stop] - down.gain[start] else down
        local = unit[max(start - 1, 0)]
        i = _size(out[k], 0, path, start, stop, local, mean_range, fastest)
        i = _within(out[k], i, path, start, stop, ranges, local)
        i = _before(out[k], i, path, start, local)
        i = _after(out[k], i, path, stop, local)
        i = _bars(out[k], i, path, start, stop, ranges, unit)
        _place(out[k], i, start, stop, len(ranges))
