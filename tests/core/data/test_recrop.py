from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moola_core.config.data_sections import CropConfig
from moola_core.data.recrop import locate, recrop
from moola_core.data.series import Bars
from moola_core.data.synthetic import Market
from moola_core.data.windows import Windows
from moola_core.errors import DataError
from tests.core.data.test_overlaps import cut

CONFIG = CropConfig(number=6, reach=30)


def _series(market: Market) -> Bars:
    return Bars(market.bars, market.timestamp.astype(np.int64))


def test_a_crop_shows_the_bars_of_the_series_and_the_whole_span(market: Market) -> None:
    windows, series = cut(market, [200, 900, 4000]), _series(market)
    both = recrop(windows, series, [], CONFIG, seed=0)
    assert len(both) == 3 + 3 * 6
    assert (both.bars[:3] == windows.bars).all()
    place = locate(both, series)
    assert len(set(place.tolist())) == len(both)
    row = np.concatenate([np.arange(3), np.repeat(np.arange(3), 6)])
    # Each window labels the same bars of the series.
    assert (
        both.spans + place[:, None] == (windows.spans + locate(windows, series)[:, None])[row]
    ).all()
    assert (both.bars == series.prices[place[:, None] + np.arange(105)]).all()
    assert (both.spans >= 0).all()
    assert (both.spans <= 105).all()
    shift = place - locate(windows, series)[row]
    assert (both.offset == shift).all()
    assert (np.abs(shift) <= 30).all()
    assert (both.group == windows.group[row]).all()


def test_no_crop_shows_a_bar_of_a_window_that_judges(market: Market) -> None:
    # Hard by on both sides: crops may move by 4 bars to the left, by 9 to the right.
    windows, series = cut(market, [1000, 3000]), _series(market)
    unseen = [cut(market, [1000 - 105 - 4]), cut(market, [1000 + 105 + 9])]
    both = recrop(windows, series, unseen, CropConfig(number=60, reach=30), seed=1)
    shifts = {int(shift) for shift in both.offset[both.group == 0]}
    assert shifts == set(range(-4, 10))
    assert len(both.offset[both.group == 1]) == 61


def test_a_pause_of_the_market_hides_no_shared_bar(market: Market) -> None:
    # 1,380 bars a session: the judge ends with one, the window begins with the next.
    windows, series = cut(market, [1380]), _series(market)
    both = recrop(windows, series, [cut(market, [1380 - 105])], CONFIG, seed=0)
    assert both.offset.min() == 0
    assert both.offset.max() > 0


def test_spans_that_a_window_cuts_are_not_cropped(market: Market) -> None:
    windows = cut(market, [200, 900])
    clipped = Windows(**{**windows.__dict__, "overlap_fraction": np.array([0.5, 1.0])})
    both = recrop(clipped, _series(market), [], CONFIG, seed=0)
    assert (both.group == 0).sum() == 1
    assert (both.group == 1).sum() == 7


def test_crops_keep_every_span_of_a_window_whole(market: Market) -> None:
    windows, series = cut(market, [200, 900]), _series(market)
    first = np.array([[10, 14], [60, 66]])
    several = np.stack([np.stack([first[0], windows.spans[0]]), np.array([[0, 0], [0, 0]])])
    several[1, 0] = windows.spans[1]
    both = recrop(replace(windows, several=several), series, [], CONFIG, seed=0)
    is_first = both.group == windows.group[0]
    moved = several[0] - (both.offset[is_first] - windows.offset[0])[:, None, None]
    assert both.several is not None
    assert (both.several[is_first] == moved).all()
    assert (both.several[is_first] >= 0).all()
    assert both.offset[is_first].max() <= 10
    assert (both.several[~is_first, 1] == 0).all()


def test_a_draw_depends_on_its_seed_alone(market: Market) -> None:
    windows, series = cut(market, [200, 900]), _series(market)
    one, same, other = (
        recrop(windows, series, [], CONFIG, seed).offset.tolist() for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_windows_of_another_series_or_without_times_are_refused(market: Market) -> None:
    windows, series = cut(market, [200, 900]), _series(market)
    moved = Windows(**{**windows.__dict__, "bars": windows.bars * [[[1.0]], [[2.0]]]})
    with pytest.raises(DataError, match=r"data\.crops: window 900 is not in the series"):
        recrop(moved, series, [], CONFIG, seed=0)
    with pytest.raises(DataError, match="expected windows with start_timestamp"):
        recrop(windows, Bars(series.prices, None), [], CONFIG, seed=0)
