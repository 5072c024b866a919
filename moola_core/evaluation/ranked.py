"""The area under precision over recall of bars, for many resamples of windows.

Letters: B windows, T bars, R resamples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moola_core.spans.intervals import FloatArray


class Ranked:
    """Bars sorted once by probability, so that each resample's area is one pass of sums."""

    def __init__(self, probs: FloatArray, inside: np.ndarray[Any, Any]) -> None:
        order = np.argsort(-probs, axis=None, kind="stable")
        flat = probs.ravel()[order]
        self.window = order // probs.shape[1]
        self.inside = inside.ravel()[order].astype(np.float64)
        # Bars of one probability are one step of the curve.
        self.last = np.flatnonzero(np.append(np.diff(flat) != 0, True))

    def area(self, weights: FloatArray) -> FloatArray:
        """``(R,)``: area under precision over recall, a step a threshold; weights ``(R, B)``."""
        areas = np.empty(len(weights))
        for i, row in enumerate(weights):
            weight = row[self.window]
            said = np.cumsum(weight)[self.last]
            hits = np.cumsum(weight * self.inside)[self.last]
            gained = np.diff(hits, prepend=0.0)
            total = hits[-1]
            precision = hits / np.maximum(said, 1e-12)
            areas[i] = (gained * precision).sum() / total if total > 0 else np.nan
        return areas
