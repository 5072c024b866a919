"""The area of each resample, a threshold at a time."""

from __future__ import annotations

import numpy as np
import pytest

from moola_core.evaluation.ranked import Ranked


def test_the_area_of_each_resample_is_that_of_plain_loops(rng: np.random.Generator) -> None:
    probs = np.round(rng.random((12, 20)), 1)  # equal ones occur
    inside = rng.random((12, 20)) < 0.2
    weights = rng.integers(0, 3, (5, 12)).astype(np.float64)
    for found, row in zip(Ranked(probs, inside).area(weights), weights, strict=True):
        weight = np.repeat(row, 20).reshape(12, 20)
        area = before = 0.0
        for limit in sorted(set(probs.ravel()), reverse=True):
            said, hits = weight[probs >= limit].sum(), weight[(probs >= limit) & inside].sum()
            area += (hits - before) / weight[inside].sum() * (hits / said if said else 0)
            before = hits
        assert found == pytest.approx(area)


def test_a_resample_without_a_bar_inside_a_span_has_no_area(rng: np.random.Generator) -> None:
    probs, inside = rng.random((2, 9)), np.zeros((2, 9), bool)
    assert np.isnan(Ranked(probs, inside).area(np.ones((1, 2)))).all()
    inside[0, 3] = True
    assert np.isnan(Ranked(probs, inside).area(np.array([[0.0, 2.0]]))).all()
