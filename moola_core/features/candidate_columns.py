"""The columns that describe a candidate span.

Letters: B windows, T bars, K candidates, F columns, S spans.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.features.lowest import BUCKETS, fill_lowest
from moola_core.features.price_path import (
    GAIN,
    HIGH,
    LOW,
    PRICE,
    RANGE,
    RATIO,
    REACH_AFTER,
    REACH_BEFORE,
    ROWS,
    STEP,
    TIE,
    WALKED,
    fill_path,
    rank,
)
from moola_core.io.compiled import compiled
from moola_core.spans.intervals import IntArray

# A bank holds one condition at several limits; which of them count is left to the weights. Limits
# read off the labels looked .02 better in cross-validation than they were (.757 to .738 F1).
FAST = (1.5, 2.0, 2.5, 3.0)  # units
CALM = (2.5, 3.0, 3.5, 4.0)  # range of 12 bars, units
COUNTER = (1.5, 2.0, 2.5, 3.0)  # counter-move of 12 bars, units
EDGE = (3, 6, 9, 12)  # bars
STEEP = 2.5  # of the soft limits
LIMIT = 15.0  # of every column

# `fast` is the rule's score: net move less a fee a bar.
SIZE = (
    *("fast", "length", "log_length", "net", "net_of_window"),
    *(f"not_fast_{limit}" for limit in FAST),
)
# How the run goes within, and how far it could be longer; short: it would be better cut.
PATH = (
    *("false_start", "false_stop", "more_before", "more_after", "drawdown"),
    *("start_margin", "stop_margin", "before_margin", "after_margin", "efficiency", "log_range"),
)
BEFORE = (
    *("counter_5", "momentum_5", "range_8", "range_12", "counter_12", "momentum_12"),
    *("range_20", "counter_20", "momentum_20", "range_30", "net_5", "net_12"),
    *(f"consolidation_{limit}" for limit in CALM),
    *(f"retracement_{limit}" for limit in COUNTER),
    *(f"either_{calm}_{counter}" for calm in CALM[:3] for counter in COUNTER[:3]),
)
AFTER = ("over_5", "back_5", "over_10", "back_10", "over_20", "back_20")
BARS = ("first_step", "last_step", "step_before", "step_after", "largest_bar")
PLACE = (
    *(f"left_edge_{limit}" for limit in EDGE),
    *(f"right_edge_{limit}" for limit in EDGE),
    "middle",
)
SPAN_COLUMNS = (*SIZE, *PATH, *BEFORE, *AFTER, *BARS, *PLACE)
# Where each group begins in a row.
AT_PATH = len(SIZE)
AT_BEFORE = AT_PATH + len(PATH)
AT_AFTER = AT_BEFORE + len(BEFORE)
AT_BARS = AT_AFTER + len(AFTER)
AT_PLACE = AT_BARS + len(BARS)
# What went before the run, of which its type is read.
CONTEXT_COLUMNS = (
    *("range_8", "range_12", "range_20", "counter_5", "counter_12", "counter_20"),
    *("net_5", "net_12", "consolidation_3.0", "retracement_2.0"),
)


@compiled()
def describe(  # noqa: PLR0913 - the arrays of all windows
    bars: NDArray[Any],
    ranges: NDArray[Any],
    unit: NDArray[Any],
    fee: float,
    first: IntArray,
    grid: IntArray,
    kept: IntArray,
    out: NDArray[Any],
) -> None:
    """Choose the candidates of each window, and describe each by a row of columns.

    Args:
        bars: ``(B, T, 4)``.
        ranges: ``(B, T)``, their true ranges.
        unit: ``(B, T)``, of price.
        fee: a bar, in units.
        first: ``(T + 1,)``, `moola_core.spans.grid.first_places`.
        grid: ``(S, 2)``, all spans.
        kept: ``(B, K)``, to be filled with places in `grid`.
        out: ``(B, K, F)`` float32, to be filled.
    """
    num_bars = bars.shape[1]
    path, scratch = np.zeros((ROWS, num_bars + 1)), np.empty((7, num_bars))
    scores, sorter = np.empty(len(grid)), np.empty((3, max(len(grid), BUCKETS)), dtype=np.int64)
    # candidates that begin, or that stop, at one bar share columns: made for the first of them
    before = np.empty((2, num_bars, len(BEFORE)), dtype=np.float32)
    after = np.empty((2, num_bars + 1, len(AFTER)))
    has_before, has_after = np.empty((2, 2, num_bars + 1), dtype=np.bool_)
    for i in range(len(bars)):
        fill_path(path, bars[i], ranges[i], unit[i], fee)
        rank(path, first, scratch, scores)
        fill_lowest(scores, sorter, kept[i])
        has_before[:], has_after[:] = False, False
        mean_range = ranges[i].mean()
        if mean_range == 0.0:
            mean_range = 1.0  # nothing moves: every column that is divided by it is 0
        for k in range(kept.shape[1]):
            start, stop = grid[kept[i, k], 0], grid[kept[i, k], 1]
            side, local = side_of(path, start, stop), unit[i, max(start - 1, 0)]
            if not has_before[side, start]:
                fill_before(before[side, start], path, side, start, local)
                has_before[side, start] = True
            if not has_after[side, stop]:
                fill_after(after[side, stop], path, side, stop)
                has_after[side, stop] = True
            row = out[i, k]
            fill_size(row, path, side, start, stop, local)
            row[4] = (path[PRICE + side, stop] - path[PRICE + side, start]) / mean_range
            fill_within(row, path, side, start, stop, local)
            for j in range(len(BEFORE)):
                row[AT_BEFORE + j] = before[side, start, j]
            for j in range(len(AFTER)):
                row[AT_AFTER + j] = between(after[side, stop, j] / local, -1.0, 8.0)
            fill_bars(row, path, side, start, stop)
            fill_place(row, start, stop, num_bars)
        _limit(out[i])


@compiled(inline="always")
def side_of(path: NDArray[Any], start: int, stop: int) -> int:
    """Return the side from which a span rises."""
    rise = path[GAIN, stop] - path[GAIN, start]
    return 0 if rise >= path[GAIN + 1, stop] - path[GAIN + 1, start] - TIE else 1


@compiled()
def _limit(rows: NDArray[Any]) -> None:
    """Columns within -15..15, and 0 for what is no number."""
    low, high = np.float32(-LIMIT), np.float32(LIMIT)
    for k in range(len(rows)):
        row = rows[k]
        for j in range(len(row)):
            value = row[j] if row[j] == row[j] else np.float32(0.0)
            row[j] = min(max(value, low), high)


@compiled(inline="always")
def between(value: float, low: float, high: float) -> float:
    """`value` within limits."""
    return min(max(value, low), high)


@compiled()
def fill_size(
    row: NDArray[Any], path: NDArray[Any], side: int, start: int, stop: int, local: float
) -> None:
    """`SIZE`: how long, how far and how fast; the net move over the window's is left out."""
    fast = path[GAIN + side, stop] - path[GAIN + side, start]
    net = path[PRICE + side, stop] - path[PRICE + side, start]
    row[0] = fast
    row[1] = (stop - start) / 10.0
    row[2] = np.log(stop - start)
    row[3] = net / local
    for j in range(len(FAST)):
        row[5 + j] = max(FAST[j] - fast, 0.0)


@compiled()
def fill_within(
    row: NDArray[Any], path: NDArray[Any], side: int, start: int, stop: int, local: float
) -> None:
    """`PATH`: how it goes within, and how far it could be longer."""
    gain = path[GAIN + side]
    drawdown, lowest, peak = 0.0, gain[start + 1], gain[start + 1]
    for t in range(start + 1, stop):
        drawdown = max(drawdown, peak - gain[t])
        lowest, peak = min(lowest, gain[t]), max(peak, gain[t])
    walked, in_all = 0.0, 0.0
    for t in range(start, stop):
        walked += path[WALKED, t]
        in_all += path[RANGE, t]
    start_margin, stop_margin = lowest - gain[start], gain[stop] - peak
    before, after = path[REACH_BEFORE + side, start], path[REACH_AFTER + side, stop]
    row[AT_PATH + 0] = between(-start_margin, 0.0, 2.0)
    row[AT_PATH + 1] = between(-stop_margin, 0.0, 2.0)
    row[AT_PATH + 2] = between(before, 0.0, 3.0)
    row[AT_PATH + 3] = between(after, 0.0, 3.0)
    row[AT_PATH + 4] = min(drawdown, 4.0)
    row[AT_PATH + 5] = between(start_margin, 0.0, 2.0)
    row[AT_PATH + 6] = between(stop_margin, 0.0, 2.0)
    row[AT_PATH + 7] = between(-before, 0.0, 2.0)
    row[AT_PATH + 8] = between(-after, 0.0, 2.0)
    net = abs(path[PRICE + side, stop] - path[PRICE + side, start])
    row[AT_PATH + 9] = net / walked if walked > 0.0 else 0.0
    row[AT_PATH + 10] = np.log(in_all / (stop - start) / local + 1e-3)


@compiled()
def fill_before(row: NDArray[Any], path: NDArray[Any], side: int, start: int, local: float) -> None:
    """How high and low price was in the last 5..30 bars before the run, from where it starts."""
    price, end = path[PRICE + side, start], max(start, 1)
    high, low = path[HIGH + side, end - 1], path[LOW + side, end - 1]
    t, i, range_12, counter_12 = end - 1, 0, 0.0, 0.0
    for num_bars in (5, 8, 12, 20, 30):
        while t > max(start - num_bars, 0):
            t -= 1
            high, low = max(high, path[HIGH + side, t]), min(low, path[LOW + side, t])
        above, below = (high - price) / local, (price - low) / local
        if num_bars == 12:
            range_12, counter_12 = min(above + below, 10.0), min(above, 8.0)
        if num_bars > 5:
            row[i] = min(above + below, 10.0)
            i += 1
        if num_bars in (5, 12, 20):
            row[i], row[i + 1] = min(above, 8.0), min(below, 8.0)
            i += 2
    row[i] = (price - path[PRICE + side, max(start - 5, 0)]) / local
    row[i + 1] = (price - path[PRICE + side, max(start - 12, 0)]) / local
    calm, counter = i + 2, i + 2 + len(CALM)
    for j in range(len(CALM)):
        row[calm + j] = 1.0 / (1.0 + np.exp(STEEP * (range_12 - CALM[j])))
    for j in range(len(COUNTER)):
        row[counter + j] = 1.0 / (1.0 + np.exp(STEEP * (COUNTER[j] - counter_12)))
    i = counter + len(COUNTER)
    for j in range(3):
        for k in range(3):
            row[i + 3 * j + k] = max(row[calm + j], row[counter + k])


@compiled()
def fill_after(row: NDArray[Any], path: NDArray[Any], side: int, stop: int) -> None:
    """How much further the 5..20 bars after the run go, and how far back, in price units."""
    num_bars = path.shape[1] - 1
    price, t, i = path[PRICE + side, stop], min(stop, num_bars - 1), 0
    high, low = path[HIGH + side, t], path[LOW + side, t]
    for reach in (5, 10, 20):
        while t + 1 < min(stop + reach, num_bars):
            t += 1
            high, low = max(high, path[HIGH + side, t]), min(low, path[LOW + side, t])
        row[i], row[i + 1] = high - price, price - low
        i += 2


@compiled()
def fill_bars(row: NDArray[Any], path: NDArray[Any], side: int, start: int, stop: int) -> None:
    """`BARS`: the steps at its ends, and its largest bar."""
    step = path[STEP + side]
    largest = path[RATIO, start]
    for t in range(start + 1, stop):
        largest = max(largest, path[RATIO, t])
    row[AT_BARS + 0] = step[start]
    row[AT_BARS + 1] = step[stop - 1]
    row[AT_BARS + 2] = step[start - 1] if start > 0 else 0.0
    row[AT_BARS + 3] = step[stop] if stop < path.shape[1] - 1 else 0.0
    row[AT_BARS + 4] = largest


@compiled()
def fill_place(row: NDArray[Any], start: int, stop: int, num_bars: int) -> None:
    """Where in the window: labels keep away from its edges, as windows were cut around them."""
    for j in range(len(EDGE)):
        row[AT_PLACE + j] = max(EDGE[j] - start, 0) / 3.0
        row[AT_PLACE + len(EDGE) + j] = max(stop - (num_bars - EDGE[j]), 0) / 3.0
    row[AT_PLACE + 2 * len(EDGE)] = (start + stop) / 2 / num_bars - 0.5
