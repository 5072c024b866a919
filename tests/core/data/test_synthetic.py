from __future__ import annotations

import numpy as np

from moola_core.data.overlaps import find_overlaps
from moola_core.data.synthetic import Market, bars_table, make_market, windows_table
from moola_core.data.windows import Windows
from moola_core.spans.intervals import span_mask


def test_a_seed_makes_one_market(market: Market) -> None:
    again, other = make_market(20_000, seed=3), make_market(20_000, seed=4)
    assert (again.bars == market.bars).all()
    assert (again.spans == market.spans).all()
    assert not (other.bars == market.bars).all()


def test_bars_are_possible_and_in_ticks(market: Market) -> None:
    opened, high, low, close = market.bars.T
    assert (high >= np.maximum(opened, close)).all()
    assert (low <= np.minimum(opened, close)).all()
    assert (market.bars % 0.25 == 0).all()
    assert (np.diff(market.timestamp) > np.timedelta64(0, "s")).all()
    assert bars_table(market).column_names == [
        *("timestamp", "open", "high", "low", "close", "volume")
    ]


def test_returns_look_like_a_markets(market: Market) -> None:
    returns = np.diff(market.bars[:, 3])
    kurtosis = ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2
    size = np.abs(returns)
    clustering = np.corrcoef(size[:-30], size[30:])[0, 1]
    assert kurtosis > 4.5  # fat tails
    assert clustering > 0.1  # volatility stays
    assert abs(np.corrcoef(returns[:-1], returns[1:])[0, 1]) < 0.25


def test_planted_expansions_move_further_than_other_bars(market: Market) -> None:
    close = market.bars[:, 3]
    start, stop = market.spans.T
    moved = np.abs(close[stop - 1] - close[start - 1]) / (stop - start)
    elsewhere = np.abs(close[7:] - close[:-7]) / 7
    assert np.median(moved) > 2 * np.median(elsewhere)


def test_windows_hold_the_base_rate_of_the_real_ones(windows: Windows) -> None:
    assert 0.05 < span_mask(windows.spans).mean() < 0.09
    assert set(windows.types.tolist()) == {0, 1}
    assert len(find_overlaps(windows).first) > 10  # shifted copies


def test_span_ids_name_the_planted_expansion(market: Market) -> None:
    table, span_ids = windows_table(market, 50, per_span=4, shifts=False, seed=0)
    assert len(table) == len(span_ids) == 50
    assert np.bincount(span_ids).max() == 4
    assert set(table["source"].to_pylist()) == {"base"}
