"""Which spans of a window may be its run, and what is seen of each. Compiled: under 1 ms a window.

All 2,220 spans are scored by a rule, the best are kept and described by `SPAN_COLUMNS`. Prices are
in units of the local ATR (`moola_core.features.volatility`), so that ``a * price`` (a > 0) gives
the same columns; a falling run is seen in the mirrored market, so that a window and its mirror
image give the same candidates and columns.

Letters: B windows, T bars, K candidates a window, F columns.
A new column: its name at the end of its group below, its line at the end of the group's function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from moola_core.config.sections import CandidateConfig
from moola_core.features.candidate_columns import PLACE, SPAN_COLUMNS, describe
from moola_core.features.volatility import local_atr, true_range
from moola_core.spans.grid import MAX_LENGTH, all_spans, first_places
from moola_core.spans.intervals import FloatArray, IntArray


@dataclass(frozen=True)
class SpanCandidates:
    """Candidates of windows, the most likely by the rule first.

    Attributes:
        features: ``(B, K, F)`` float32, the columns `SPAN_COLUMNS`.
        spans: ``(B, K, 2)`` int, ``[start, stop)``.
    """

    features: NDArray[np.float32]
    spans: IntArray


def find_candidates(bars: FloatArray, config: CandidateConfig) -> SpanCandidates:
    """Return the candidates of windows of bars ``(B, T, 4)``; fewer in a short window."""
    num_windows, num_bars, _ = bars.shape
    grid = all_spans(num_bars)
    num_candidates = min(config.number, len(grid))
    features = np.empty((num_windows, num_candidates, len(SPAN_COLUMNS)), dtype=np.float32)
    kept = np.empty((num_windows, num_candidates), dtype=np.int64)
    unit = local_atr(bars, config.unit.bars, config.unit.kind)
    ranges = np.ascontiguousarray(true_range(bars))
    first = first_places(num_bars, MAX_LENGTH)
    arrays = np.ascontiguousarray(bars), ranges, np.ascontiguousarray(unit)
    describe(*arrays, config.unit.fee, first, grid, kept, features)
    if not config.place:
        features[..., -len(PLACE) :] = 0
    return SpanCandidates(features, grid[kept])


@dataclass(frozen=True)
class Candidates:
    """Candidate spans as tensors; row i of each belongs to window i.

    Attributes:
        features: ``(B, K, F)`` float32.
        spans: ``(B, K, 2)`` int64, ``[start, stop)``.
    """

    features: Tensor
    spans: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Candidates:
        return Candidates(self.features[rows], self.spans[rows])
