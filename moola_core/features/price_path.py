"""The path of prices that candidates are cut from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from moola_core.features.volatility import edge_prices
from moola_core.io.compiled import compiled
from moola_core.spans.grid import MIN_LENGTH
from moola_core.spans.intervals import FloatArray

REACH = 25  # bars
TIE = 1e-9  # local ATR; runs that net no more are neither rising nor falling: taken as rising


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


def price_paths(bars: FloatArray, unit: FloatArray, fee: float) -> list[Path]:
    """Return windows of bars ``(B, T, 4)`` as a rising run sees each, with arrays made for all.

    Args:
        bars: of the windows.
        unit: ``(B, T)``, of price.
        fee: a bar, in units.
    """
    price = edge_prices(bars)
    step = np.diff(price, axis=1) / unit
    gain = np.concatenate([np.zeros((len(bars), 1)), np.cumsum(step - fee, axis=1)], axis=1)
    before, after = np.zeros_like(gain, order="C"), np.zeros_like(gain, order="C")
    columns = (bars[..., 1], bars[..., 2], price, step, gain, before, after)
    paths = [Path(*rows) for rows in zip(*map(np.ascontiguousarray, columns), strict=True)]
    for path in paths:
        _reach(path.gain, path.before, path.after)
    return paths


@compiled()
def _reach(gain: NDArray[Any], before: NDArray[Any], after: NDArray[Any]) -> None:
    for t in range(len(gain)):
        if t > 0:
            before[t] = gain[t] - gain[max(t - REACH, 0) : t].min()
        if t < len(gain) - 1:
            after[t] = gain[t + 1 : t + 1 + REACH].max() - gain[t]


@compiled()
def rank(up: Path, down: Path, grid: NDArray[Any]) -> NDArray[Any]:
    """``(S,)``: the rule's score of every span, less what its ends do wrong."""
    priority = np.empty(len(grid))
    lowest, highest = np.empty(2), np.empty(2)
    paths = (up, down)
    for i in range(len(grid)):
        start, stop = grid[i]
        for side in range(2):  # spans of one start come by length: the extremes grow with them
            inner = paths[side].gain[stop - 1]
            begins = stop - start == MIN_LENGTH
            lowest[side] = inner if begins else min(lowest[side], inner)
            highest[side] = inner if begins else max(highest[side], inner)
        rise = up.gain[stop] - up.gain[start]
        side = 0 if rise >= down.gain[stop] - down.gain[start] - TIE else 1
        path = paths[side]
        fast = path.gain[stop] - path.gain[start]
        false_start = min(max(path.gain[start] - lowest[side], 0.0), 2.0)
        false_stop = min(max(highest[side] - path.gain[stop], 0.0), 2.0)
        longer = min(max(path.before[start], 0.0), 3.0) + min(max(path.after[stop], 0.0), 3.0)
        priority[i] = fast - 2.0 * (false_start + false_stop) - longer
    return priority
