"""The area under precision over recall of bars, for many resamples of windows.

Letters: B windows, T bars, R resamples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moola_core.spans.intervals import FloatArray


class Ranked:
    """Bars sorted once by probability, so that each resample's area is one pass of sums.

    The area grows only at steps of the curve that hold a bar inside a span, a tenth of all.
    """

    def __init__(self, probs: FloatArray, inside: np.ndarray[Any, Any]) -> None:
        order = np.argsort(-probs, axis=None, kind="stable")
        flat = probs.ravel()[order]
        self.window = order // probs.shape[1]
        found = np.flatnonzero(inside.ravel()[order])
        self.found_window = self.window[found]
        # Bars of one probability are one step of the curve.
        last = np.flatnonzero(np.append(np.diff(flat) != 0, True))
        steps, self.first = np.unique(np.searchsorted(last, found), return_index=True)
        self.last = last[steps]

    def area(self, weights: FloatArray) -> FloatArray:
        """``(R,)``: area under precision over recall, a step a threshold; weights ``(R, B)``."""
        areas = np.full(len(weights), np.nan)
        if not len(self.last):
            return areas
        for i, row in enumerate(weights):
            said = np.cumsum(row[self.window])[self.last]
            gained = np.add.reduceat(row[self.found_window], self.first)
            hits = np.cumsum(gained)
            if hits[-1] > 0:
                areas[i] = (gained * hits / np.maximum(said, 1e-12)).sum() / hits[-1]
        return areas
