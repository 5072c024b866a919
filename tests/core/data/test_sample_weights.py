from __future__ import annotations

import numpy as np
import pytest

from moola_core.data.sample_weights import average_uniqueness, window_weights
from moola_core.data.synthetic import Market
from moola_core.data.windows import Windows
from tests.core.data.test_overlaps import cut


def test_uniqueness_is_one_alone_and_a_half_for_twins(market: Market) -> None:
    windows = cut(market, [0, 400, 400])
    assert average_uniqueness(windows).tolist() == [1.0, 0.5, 0.5]


def test_uniqueness_equals_the_mean_over_bars(market: Market) -> None:
    first = np.array([0, 52, 90, 600])
    count = np.bincount((first[:, None] + np.arange(105)).ravel())
    expected = [np.mean(1 / count[i : i + 105]) for i in first]
    assert average_uniqueness(cut(market, first.tolist())) == pytest.approx(expected)


def test_weights_are_of_mean_one_and_fall_with_the_visible_share(market: Market) -> None:
    windows = cut(market, [0, 400, 800])
    clipped = Windows(**{**windows.__dict__, "overlap_fraction": np.array([1.0, 0.5, 1.0])})
    weights = window_weights(clipped)
    assert weights.mean() == pytest.approx(1)
    assert weights[1] == pytest.approx(weights[0] / 2)
