"""The path of prices that candidates are cut from, and the rule that ranks them, compiled.

A path is one array ``(ROWS, T + 1)``, which compiled functions take quicker than many. Its rows are
named below; of those with a side, side 0 is the window as a rising run sees it and side 1, the next
row, its mirror image, for a falling one. Letters: T bars, S spans of `moola_core.spans.grid`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.io.compiled import compiled
from moola_core.spans.grid import MAX_LENGTH, MIN_LENGTH
from moola_core.spans.intervals import IntArray

REACH = 25  # bars
TIE = 1e-9  # local ATR; runs that net no more are neither rising nor falling: taken as rising
DIGITS = 1e9  # scores are compared to 9 decimals, so that ties are ties in any unit of price

# With a side; at bars but for PRICE and what follows it, which are at edges between bars.
HIGH, LOW = 0, 2  # price units
STEP = 4  # local ATR
PRICE = 6
GAIN = 8  # the sum of step - fee
REACH_BEFORE, REACH_AFTER = 10, 12  # what GAIN rises at most over the REACH bars on a side
# Without one, at bars.
WALKED = 14  # the move without its sign, price units
RANGE = 15  # the true range
RATIO = 16  # the same in local ATR
ROWS = 17


@compiled()
def fill_path(
    path: NDArray[Any], bars: NDArray[Any], ranges: NDArray[Any], unit: NDArray[Any], fee: float
) -> None:
    """Fill in `path` of bars ``(T, 4)`` with their true ranges and units ``(T,)``."""
    path[PRICE, 0], path[PRICE + 1, 0] = bars[0, 0], -bars[0, 0]
    path[GAIN, 0], path[GAIN + 1, 0] = 0.0, 0.0
    for t in range(len(bars)):
        close = bars[t, 3]
        path[HIGH, t], path[HIGH + 1, t] = bars[t, 1], -bars[t, 2]
        path[LOW, t], path[LOW + 1, t] = bars[t, 2], -bars[t, 1]
        move = close - path[PRICE, t]
        path[PRICE, t + 1], path[PRICE + 1, t + 1] = close, -close
        step = move / unit[t]
        path[STEP, t], path[STEP + 1, t] = step, -step
        path[GAIN, t + 1] = path[GAIN, t] + (step - fee)
        path[GAIN + 1, t + 1] = path[GAIN + 1, t] + (-step - fee)
        path[WALKED, t], path[RANGE, t], path[RATIO, t] = abs(move), ranges[t], ranges[t] / unit[t]
    for side in range(2):
        _reach(path[GAIN + side], path[REACH_BEFORE + side], path[REACH_AFTER + side])


@compiled()
def _reach(gain: NDArray[Any], before: NDArray[Any], after: NDArray[Any]) -> None:
    last = len(gain) - 1
    before[1:], after[:last] = gain[:last], gain[1:]
    for reach in range(2, REACH + 1):
        _lower(before[reach:], gain[: max(last + 1 - reach, 0)])
        _raise(after[: max(last + 1 - reach, 0)], gain[reach:])
    for t in range(last):
        before[t + 1] = gain[t + 1] - before[t + 1]
        after[t] -= gain[t]
    before[0], after[last] = 0.0, 0.0


@compiled()
def _lower(to: NDArray[Any], by: NDArray[Any]) -> None:
    for i in range(len(by)):
        to[i] = min(to[i], by[i])


@compiled()
def _raise(to: NDArray[Any], by: NDArray[Any]) -> None:
    for i in range(len(by)):
        to[i] = max(to[i], by[i])


@compiled()
def rank(path: NDArray[Any], first: IntArray, scratch: NDArray[Any], out: NDArray[Any]) -> None:
    """Fill in ``(S,)``: the rule's score of every span, less what its ends do wrong, negated.

    Spans of one length side by side, so that the processor takes several at a time.

    Args:
        path: of a window.
        first: ``(T + 1,)``, `moola_core.spans.grid.first_places`.
        scratch: ``(7, T)`` to write to: what GAIN is at least and at most within a span, for each
            side; each side's score; the better side's.
        out: by start, then by length. The lowest is the best.
    """
    num_bars = path.shape[1] - 1
    for side in range(2):
        scratch[side], scratch[2 + side] = path[GAIN + side, 1:], path[GAIN + side, 1:]
    for n in range(MIN_LENGTH, min(MAX_LENGTH, num_bars) + 1):
        many = num_bars - n + 1
        for side in range(2):
            gain, inner = path[GAIN + side], path[GAIN + side, n - 1 : n - 1 + many]
            _lower(scratch[side], inner)
            _raise(scratch[2 + side], inner)
            ends = (
                gain[:many],
                gain[n:],
                path[REACH_BEFORE + side, :many],
                path[REACH_AFTER + side, n:],
            )
            _score(ends, scratch[side], scratch[2 + side], scratch[4 + side, :many])
        rising, falling = path[GAIN], path[GAIN + 1]
        _choose(rising[:many], rising[n:], falling[:many], falling[n:], scratch[4:])
        for start in range(many):
            out[first[start] + n - MIN_LENGTH] = scratch[6, start]


@compiled()
def _score(
    ends: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    lowest: NDArray[Any],
    highest: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Fill in the scores of spans of one length, as one side sees them."""
    begins, stops, before, after = ends
    for i in range(len(out)):
        false_start = min(max(begins[i] - lowest[i], 0.0), 2.0)
        false_stop = min(max(highest[i] - stops[i], 0.0), 2.0)
        longer = min(max(before[i], 0.0), 3.0) + min(max(after[i], 0.0), 3.0)
        out[i] = stops[i] - begins[i] - 2.0 * (false_start + false_stop) - longer


@compiled()
def _choose(
    begins: NDArray[Any],
    stops: NDArray[Any],
    mirrored_begins: NDArray[Any],
    mirrored_stops: NDArray[Any],
    scores: NDArray[Any],
) -> None:
    """Fill in the rounded score of the side from which each span rises."""
    rising, falling, out = scores
    for i in range(len(begins)):
        rises = stops[i] - begins[i] >= mirrored_stops[i] - mirrored_begins[i] - TIE
        score = rising[i] if rises else falling[i]
        scaled = score * DIGITS
        rounded = np.rint(scaled) / DIGITS
        out[i] = -(rounded if abs(scaled) < np.inf else score)
