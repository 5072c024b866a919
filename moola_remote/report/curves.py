"""What the probabilities of bars say, as curves: how sure, how right, and at which threshold.

All come from one table: the bars of each probability on a grid of 1/1000, inside and outside of the
true spans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from moola_remote.report.predictions import Window

GRID = 1000
NUM_HISTOGRAM_BINS = 25
NUM_RELIABILITY_BINS = 10
THRESHOLDS = range(10, GRID, 10)


def curves_of(windows: Sequence[Window]) -> dict[str, Any]:
    """Histogram, reliability, threshold sweep and precision over recall, for the page."""
    inside, outside = counts(windows)
    return {
        "bars": {"inside": sum(inside), "outside": sum(outside)},
        "histogram": {
            "inside": _shares(inside, NUM_HISTOGRAM_BINS),
            "outside": _shares(outside, NUM_HISTOGRAM_BINS),
        },
        "reliability": _reliability(inside, outside),
        "sweep": [[k / GRID, *_at(inside, outside, k)] for k in THRESHOLDS],
        "precision_recall": _precision_recall(inside, outside),
    }


def counts(windows: Sequence[Window]) -> tuple[list[int], list[int]]:
    """Bars inside and outside of the true span at each probability k / `GRID`, rounded down."""
    inside, outside = [0] * (GRID + 1), [0] * (GRID + 1)
    for window in windows:
        for bar, prob in enumerate(window.span_probs):
            side = inside if window.is_inside(bar) else outside
            side[int(prob * GRID)] += 1
    return inside, outside


def _binned(values: Sequence[float], num_bins: int) -> list[float]:
    """Return sums over equal bins; a probability of 1 belongs to the last."""
    size = GRID // num_bins
    bins = [float(sum(values[i * size : (i + 1) * size])) for i in range(num_bins)]
    bins[-1] += values[GRID]
    return bins


def _shares(values: Sequence[int], num_bins: int) -> list[float]:
    total = sum(values)
    return [count / total if total else 0.0 for count in _binned(values, num_bins)]


def _reliability(inside: Sequence[int], outside: Sequence[int]) -> list[list[float]]:
    """Mean probability, share of bars inside, number of bars; of each bin that has some."""
    both = [one + other for one, other in zip(inside, outside, strict=True)]
    bars = _binned(both, NUM_RELIABILITY_BINS)
    hits = _binned(inside, NUM_RELIABILITY_BINS)
    middles = [min(k + 0.5, GRID) / GRID * count for k, count in enumerate(both)]
    sums = _binned(middles, NUM_RELIABILITY_BINS)
    rows = zip(sums, hits, bars, strict=True)
    return [[total / count, hit / count, count] for total, hit, count in rows if count]


def _at(inside: Sequence[int], outside: Sequence[int], k: int) -> tuple[float, float, float]:
    """F1, precision and recall of the bars where the probability is k / `GRID` or more.

    Precision is NaN where there is none.
    """
    hits, said, true = sum(inside[k:]), sum(inside[k:]) + sum(outside[k:]), sum(inside)
    f1 = 2 * hits / (said + true) if said + true else 0.0
    return f1, hits / said if said else math.nan, hits / true if true else 0.0


def _precision_recall(inside: Sequence[int], outside: Sequence[int]) -> list[list[float]]:
    """Recall, precision and threshold, from the highest threshold down; repeated points once."""
    hits = list(accumulate(reversed(inside)))
    wrong = list(accumulate(reversed(outside)))
    points: list[list[float]] = []
    for step, (hit, miss) in enumerate(zip(hits, wrong, strict=True)):
        if hit + miss == 0 or (inside[GRID - step] + outside[GRID - step] == 0 and step < GRID):
            continue
        points.append([hit / max(hits[-1], 1), hit / (hit + miss), (GRID - step) / GRID])
    return points
