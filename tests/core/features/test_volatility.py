from __future__ import annotations

import numpy as np
import pytest

from moola_core.data.windows import Windows
from moola_core.features.bars import reflect
from moola_core.features.volatility import edge_prices, local_atr, steps, true_range


def test_true_ranges_reach_to_the_close_before(windows: Windows) -> None:
    for bars in windows.bars[:5]:
        expected = []
        before = bars[0, 0]
        for _, high, low, close in bars.tolist():
            expected.append(max(high - low, abs(high - before), abs(low - before)))
            before = close
        np.testing.assert_allclose(true_range(bars), expected)


@pytest.mark.parametrize("num_bars", [1, 7, 30, 200])
def test_the_local_atr_is_the_mean_of_the_last_true_ranges(windows: Windows, num_bars: int) -> None:
    ranges = true_range(windows.bars)
    atr = local_atr(windows.bars, num_bars)
    length = min(num_bars, 105)
    for t in range(105):
        first = max(t - length + 1, 0)
        expected = ranges[:, first : first + length].mean(axis=1)
        np.testing.assert_allclose(atr[:, t], expected)


def test_wilder_s_atr_forgets_a_share_of_the_past_each_bar(windows: Windows) -> None:
    ranges = true_range(windows.bars[:3])
    atr = local_atr(windows.bars[:3], 10, "wilder")
    for i in range(3):
        weight = [0.1 * 0.9**k for k in range(105)]
        for t in range(105):
            past = [weight[t - s] * ranges[i, s] for s in range(t + 1)]
            begun = 0.9 ** (t + 1) * ranges[i, :10].mean()
            assert atr[i, t] == pytest.approx(begun + sum(past))


def test_steps_sum_to_the_move_where_volatility_is_one(windows: Windows) -> None:
    bars = windows.bars[:3]
    moves = steps(bars, 30) * local_atr(bars, 30)
    np.testing.assert_allclose(np.cumsum(moves, axis=1), bars[..., 3] - bars[:, :1, 0], atol=1e-9)
    assert edge_prices(bars).shape == (3, 106)


def test_steps_know_no_unit_of_price_and_turn_with_the_market(windows: Windows) -> None:
    np.testing.assert_allclose(steps(3.7 * windows.bars, 30), steps(windows.bars, 30), rtol=1e-9)
    assert (steps(reflect(windows.bars), 30) == -steps(windows.bars, 30)).all()


def test_a_market_that_stands_still_has_a_unit_above_zero() -> None:
    assert (steps(np.ones((2, 105, 4)), 30) == 0).all()
