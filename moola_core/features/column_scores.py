"""What models that are linear in candidates' columns say of windows, in one compiled pass.

The same to rounding as describing candidates (`moola_core.features.candidates`), standardising
their columns and weighing them, in a quarter of the time: no column is written to memory, what
went before a candidate is weighed once for all that begin there, and label noise is added once for
all units of price.

Letters: B windows, T bars, U units of price, K candidates, F columns, S spans, C types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.config.sections import CandidateConfig
from moola_core.features.candidate_columns import (
    AFTER,
    AT_AFTER,
    AT_BEFORE,
    AT_PLACE,
    LIMIT,
    between,
    fill_after,
    fill_bars,
    fill_before,
    fill_place,
    fill_size,
    fill_within,
    side_of,
)
from moola_core.features.lowest import BUCKETS, fill_lowest
from moola_core.features.price_path import PRICE, RANGE, ROWS, fill_path, rank
from moola_core.features.volatility import local_atr, true_range
from moola_core.io.compiled import compiled
from moola_core.spans.grid import MAX_LENGTH, all_spans, first_places, sparse_noise
from moola_core.spans.intervals import FloatArray, IntArray
from moola_core.spans.kernels import spread

PADDED = 32  # columns that a processor weighs at once


@dataclass(frozen=True)
class ColumnWeights:
    """Models that are linear in the columns of candidates, one for each unit of price.

    Attributes:
        candidates: of each, its unit, and how many.
        columns: ``(U, 3, F)`` float32: mean, scale and weight of each column.
        limit: of standardised columns, either side of 0.
        contexts: ``(N,)``, which columns types are read of; all are of what went before.
        types: ``(U, C, N + 1)`` float32: weights of these columns, and last the bias.
        end_noise: of labels, as in `moola_core.spans.grid.noise_table`.
    """

    candidates: Sequence[CandidateConfig]
    columns: NDArray[np.float32]
    limit: float
    contexts: IntArray
    types: NDArray[np.float32]
    end_noise: tuple[float, ...]

    @cached_property
    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean, 1 / scale and weight of all but what went before, and of that alone.

        Other columns weigh nothing.
        """
        rest = self.columns.copy()
        rest[:, 1] = 1 / rest[:, 1]
        before = rest[:, :, AT_BEFORE:AT_AFTER].copy()
        rest[:, :, AT_BEFORE:AT_AFTER] = NOTHING
        return _padded(rest), _padded(before)


NOTHING = np.array(
    [[0.0], [1.0], [0.0]], dtype=np.float32
)  # mean, 1 / scale and weight of no column


def _padded(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(U, 3, F')`` with columns that weigh nothing at its end, up to a multiple of `PADDED`."""
    missing = -table.shape[2] % PADDED
    more = np.broadcast_to(NOTHING, (*table.shape[:2], missing))
    return np.concatenate([table, more], axis=2)


def answer_columns(bars: FloatArray, weights: ColumnWeights) -> tuple[FloatArray, FloatArray]:
    """Return the probability of each span to be the label ``(B, S)``, and of types ``(B, C)``.

    Both are the mean over units.

    Args:
        bars: ``(B, T, 4)``.
        weights: of the models.
    """
    num_windows, num_bars, _ = bars.shape
    bars, grid = np.ascontiguousarray(bars), all_spans(num_bars)
    noise = sparse_noise(num_bars, weights.end_noise)
    posterior = np.zeros((num_windows, len(grid)))
    types = np.zeros((num_windows, weights.types.shape[1]))
    units = [local_atr(bars, one.unit.bars, one.unit.kind) for one in weights.candidates]
    _answer(
        (bars, np.ascontiguousarray(true_range(bars)), np.stack(units)),
        np.array([(one.unit.fee, float(one.place)) for one in weights.candidates]),
        (first_places(num_bars, MAX_LENGTH), grid, min(weights.candidates[0].number, len(grid))),
        (*weights.tables, np.float32(weights.limit), weights.contexts - AT_BEFORE, weights.types),
        (noise.indptr, noise.indices, noise.data),
        (posterior, types),
    )
    return posterior, types


@compiled()
def _answer(
    market: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    options: NDArray[Any],
    spans: tuple[IntArray, IntArray, int],
    weights: tuple[NDArray[Any], NDArray[Any], Any, IntArray, NDArray[Any]],
    noise: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    out: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    """Fill in the answers.

    Args:
        market: bars ``(B, T, 4)``, true ranges ``(B, T)``, units of price ``(U, B, T)``.
        options: ``(U, 2)``, the fee of each unit, and whether columns of the place count.
        spans: `first_places`, `all_spans`, and K.
        weights: both `ColumnWeights.tables`, the limit, contexts and types.
        noise: of labels, as `moola_core.spans.kernels.spread` takes it.
        out: zeros, ``(B, S)`` and ``(B, C)``.
    """
    bars, ranges, units = market
    first, grid, number = spans
    rest, before, limit, contexts, heads = weights
    num_bars = bars.shape[1]
    path, scratch = np.zeros((ROWS, num_bars + 1)), np.empty((7, num_bars))
    scores, sorter = np.empty(len(grid)), np.empty((3, max(len(grid), BUCKETS)), dtype=np.int64)
    kept, probs, hidden = np.empty(number, dtype=np.int64), np.empty(number), np.zeros(len(grid))
    of_types = np.empty((number, out[1].shape[1]))
    for i in range(len(bars)):
        for u in range(len(units)):
            fill_path(path, bars[i], ranges[i], units[u, i], options[u, 0])
            rank(path, first, scratch, scores)
            fill_lowest(scores, sorter, kept)
            own = rest[u], before[u], limit, contexts, heads[u]
            _score(path, units[u, i], options[u], (grid, kept), own, (probs, of_types))
            _share(probs, 1.0 / len(units))
            for k in range(number):
                hidden[kept[k]] += probs[k]
                for c in range(of_types.shape[1]):
                    out[1][i, c] += probs[k] * of_types[k, c]
        spread(hidden, noise, out[0][i])


@compiled()
def _score(
    path: NDArray[Any],
    unit: NDArray[Any],
    option: NDArray[Any],
    spans: tuple[IntArray, IntArray],
    weights: tuple[NDArray[Any], NDArray[Any], Any, IntArray, NDArray[Any]],
    out: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    """Fill in the scores of the candidates of a window ``(K,)`` and their types ``(K, C)``.

    Args:
        path: of the window in one unit of price.
        unit: ``(T,)``.
        option: as in `_answer`, of this unit, like `weights`.
        spans: `all_spans`, and the candidates' places in it.
        weights: of this unit.
        out: to be filled.
    """
    grid, kept = spans
    rest, before, limit, contexts, heads = weights
    probs, of_types = out
    num_bars = path.shape[1] - 1
    mean_range = path[RANGE, :num_bars].mean()
    inverse_range = 1.0 / mean_range if mean_range != 0.0 else 1.0
    # what begins, or stops, at one bar shares columns: made for the first of them
    row, seen = np.zeros(rest.shape[1], np.float32), np.zeros(before.shape[1], np.float32)
    known, types = np.empty((2, num_bars)), np.empty((2, num_bars, len(heads)))
    after = np.empty((2, num_bars + 1, len(AFTER)))
    has_before, has_after = np.zeros((2, 2, num_bars + 1), np.bool_)
    for k in range(len(kept)):
        start, stop = grid[kept[k], 0], grid[kept[k], 1]
        side, local = side_of(path, start, stop), unit[max(start - 1, 0)]
        if not has_before[side, start]:
            has_before[side, start] = True
            fill_before(seen, path, side, start, local)
            known[side, start] = _weighed(seen, before, limit)
            _fill_types(types[side, start], seen, contexts, heads)
        if not has_after[side, stop]:
            has_after[side, stop] = True
            fill_after(after[side, stop], path, side, stop)
        row[AT_BEFORE:AT_AFTER] = 0
        fill_size(row, path, side, start, stop, local)
        row[4] = (path[PRICE + side, stop] - path[PRICE + side, start]) * inverse_range
        fill_within(row, path, side, start, stop, local)
        inverse = 1.0 / local
        for j in range(len(AFTER)):
            row[AT_AFTER + j] = between(after[side, stop, j] * inverse, -1.0, 8.0)
        fill_bars(row, path, side, start, stop)
        if option[1] != 0.0:
            fill_place(row, start, stop, num_bars)
        else:
            row[AT_PLACE:] = 0
        probs[k] = _weighed(row, rest, limit) + known[side, start]
        for c in range(len(heads)):
            of_types[k, c] = types[side, start, c]


@compiled(fastmath={"contract", "reassoc"})
def _weighed(row: NDArray[Any], table: NDArray[Any], most: Any) -> Any:
    """Standardise the columns of `row`, and return their sum by weight."""
    total, limit = np.float32(0.0), np.float32(LIMIT)
    mean, inverse, weight = table[0], table[1], table[2]
    for j in range(len(row)):
        value = row[j] if row[j] == row[j] else np.float32(0.0)
        value = (min(max(value, -limit), limit) - mean[j]) * inverse[j]
        row[j] = min(max(value, -most), most)
        total += weight[j] * row[j]
    return total


@compiled()
def _fill_types(
    out: NDArray[Any], row: NDArray[Any], contexts: IntArray, heads: NDArray[Any]
) -> None:
    """Fill in the probability of each type ``(C,)`` from standardised columns."""
    for c in range(len(out)):
        score = heads[c, len(contexts)]
        for j in range(len(contexts)):
            score += heads[c, j] * row[contexts[j]]
        out[c] = score
    _share(out, 1.0)


@compiled()
def _share(values: NDArray[Any], total: float) -> None:
    """Scores to probabilities that sum to `total`."""
    values -= values.max()
    for k in range(len(values)):
        values[k] = np.exp(values[k])
    values *= total / values.sum()
