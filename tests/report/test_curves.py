"""Curves of probabilities against a slow definition."""

from __future__ import annotations

import math

from moola_remote.report.curves import curves_of
from moola_remote.report.predictions import Window

# In steps of the grid, so that rounding down loses nothing.
PROBS = [0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0, 0.25]
INSIDE = range(3, 7)


def window(probs: list[float]) -> Window:
    return Window("w", "validation", 3, 6, 3, 7, 0.5, probs, 3, 3)


def test_the_histogram_is_of_the_shares_inside_and_outside() -> None:
    found = curves_of([window(PROBS)])
    assert found["bars"] == {"inside": 4, "outside": 4}
    inside, outside = found["histogram"]["inside"], found["histogram"]["outside"]
    assert (sum(inside), sum(outside)) == (1.0, 1.0)
    assert (inside[12], inside[18], inside[21], inside[24]) == (0.25, 0.25, 0.25, 0.25)
    assert (outside[0], outside[3], outside[6]) == (0.25, 0.25, 0.5)


def test_the_sweep_counts_the_bars_at_a_threshold_or_above() -> None:
    for threshold, f1, precision, recall in curves_of([window(PROBS)])["sweep"]:
        said = {bar for bar, prob in enumerate(PROBS) if prob >= threshold}
        hits = len(said & set(INSIDE))
        assert precision == hits / len(said)
        assert recall == hits / 4
        assert f1 == 2 * hits / (len(said) + 4)


def test_where_no_bar_is_called_there_is_no_precision() -> None:
    precisions = [row[2] for row in curves_of([window([0.5] * 8)])["sweep"]]
    assert [math.isnan(value) for value in precisions] == [False] * 50 + [True] * 49


def test_precision_over_recall_has_a_point_a_probability() -> None:
    points = curves_of([window(PROBS)])["precision_recall"]
    assert [point[2] for point in points] == [1.0, 0.875, 0.75, 0.5, 0.25, 0.125, 0.0]
    assert points[0][:2] == [0.25, 1.0]
    assert points[-1][:2] == [1.0, 0.5]


def test_reliability_is_of_the_bins_that_have_bars() -> None:
    rows = curves_of([window(PROBS)])["reliability"]
    assert [row[2] for row in rows] == [1, 1, 2, 1, 1, 1, 1]
    assert [row[1] for row in rows] == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]


def test_no_windows_make_empty_curves() -> None:
    found = curves_of([])
    assert found["reliability"] == []
    assert found["precision_recall"] == []
