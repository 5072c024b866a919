"""Sums over all sets of disjoint spans, and the best of them, against a list of all sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_core.spans.grid import all_spans
from moola_core.spans.segmentations import best_segmentations, partition
from tests.support.cases import at_most
from tests.support.segmentations import every_set


@given(st.integers(2, 9), st.integers(2, 9), st.sampled_from([0.1, 3.0, 200.0]), st.integers(0, 99))
@at_most(40)
def test_sum_and_probabilities_are_those_of_enumeration(
    num_bars: int, longest: int, spread: float, seed: int
) -> None:
    longest = min(longest, num_bars)
    number, sets = len(all_spans(num_bars, longest)), every_set(num_bars, longest)
    scores = np.random.default_rng(seed).normal(0, spread, (2, number))
    total, probs = partition(scores, num_bars)
    best_of, best = best_segmentations(scores, num_bars)
    for row in range(2):
        by_hand = np.array([scores[row, list(one)].sum() for one in sets])
        mass = np.exp(by_hand - by_hand.max())
        assert total[row] == pytest.approx(np.log(mass.sum()) + by_hand.max())
        holds = np.zeros((len(sets), number))
        for i, one in enumerate(sets):
            holds[i, list(one)] = 1
        np.testing.assert_allclose(probs[row], mass @ holds / mass.sum(), atol=1e-12)
        winner = all_spans(num_bars, longest)[list(sets[int(by_hand.argmax())])]
        assert best[best_of == row].tolist() == winner.tolist()


def test_spans_may_touch_and_what_has_no_value_is_in_no_set() -> None:
    spans = all_spans(8, 4).tolist()
    values = np.full((2, len(spans)), -1.0)
    values[0, [spans.index([1, 4]), spans.index([4, 6]), spans.index([2, 6])]] = 1.0, 1.0, 1.5
    values[1, spans.index([0, 2])] = 0.0
    window, found = best_segmentations(values, 8)
    assert window.tolist() == [0, 0]
    assert found.tolist() == [[1, 4], [4, 6]]


def test_many_bars_and_large_scores_stay_finite() -> None:
    scores = np.random.default_rng(0).normal(0, 400, (2, len(all_spans(400, 30))))
    total, probs = partition(scores, 400)
    assert np.isfinite(total).all()
    assert np.isfinite(probs).all()
    assert (probs.sum(axis=1) < 200).all()
