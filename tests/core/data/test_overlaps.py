from __future__ import annotations

import numpy as np

from moola_core.data.overlaps import concurrency, find_overlaps, shares_bars
from moola_core.data.synthetic import SESSION_BARS, Market
from moola_core.data.windows import Windows
from moola_core.spans.intervals import IntArray


def cut(market: Market, first_bars: list[int], num_bars: int = 105) -> Windows:
    """Windows of the market at the given bars, with spans and groups of no meaning."""
    first = np.array(first_bars)
    bars = np.stack([market.bars[i : i + num_bars] for i in first_bars])
    return Windows(
        window_id=np.array([str(i) for i in first_bars], dtype=object),
        group=np.arange(len(first)),
        bars=bars,
        spans=np.tile([50, 57], (len(first), 1)),
        types=np.zeros(len(first), dtype=np.int64),
        overlap_fraction=np.ones(len(first)),
        start_time=market.timestamp[first].astype(np.int64),
        offset=np.zeros(len(first), dtype=np.int64),
    )


def shared_bars(first: IntArray) -> set[tuple[int, int]]:
    return {
        (i, j)
        for i in range(len(first))
        for j in range(len(first))
        if i != j and (0 < first[j] - first[i] < 105 or (first[j] == first[i] and i < j))
    }


def test_overlaps_are_exactly_the_pairs_that_share_bars(
    market: Market, rng: np.random.Generator
) -> None:
    first = rng.integers(0, 3000, size=80)
    overlaps = find_overlaps(cut(market, first.tolist()))
    found = set(zip(overlaps.first.tolist(), overlaps.second.tolist(), strict=True))
    assert found == shared_bars(first)
    assert (first[overlaps.second] - first[overlaps.first] == overlaps.shift).all()


def test_a_pause_of_the_market_hides_no_shared_bar(market: Market) -> None:
    # The starts are 52 bars but 112 minutes apart: by the clock alone they would share nothing.
    windows = cut(market, [SESSION_BARS - 80, SESSION_BARS - 28])
    late = cut(market, [SESSION_BARS + 10])
    assert windows.start_time[1] - windows.start_time[0] == 52 * 60_000_000_000
    assert late.start_time[0] - windows.start_time[0] > 105 * 60_000_000_000
    overlaps = find_overlaps(cut(market, [SESSION_BARS - 80, SESSION_BARS + 10]))
    assert overlaps.shift.tolist() == [90]


def test_equal_prices_at_times_that_contradict_are_no_overlap(market: Market) -> None:
    windows = cut(market, [0, 50])
    start = windows.start_time[::-1].copy()
    swapped = Windows(**{**windows.__dict__, "start_time": start})
    assert find_overlaps(windows).shift.tolist() == [50]
    assert find_overlaps(swapped).shift.tolist() == []
    start[1] = -1  # not known of one: nothing contradicts
    unknown = Windows(**{**windows.__dict__, "start_time": start})
    assert find_overlaps(unknown).shift.tolist() == [50]


def test_concurrency_counts_the_windows_of_each_bar(
    market: Market, rng: np.random.Generator
) -> None:
    first = rng.integers(0, 1000, size=30)
    overlaps = find_overlaps(cut(market, first.tolist()))
    bars = first[:, None] + np.arange(105)
    expected = np.bincount(bars.ravel())[bars]
    assert (concurrency(overlaps, 30, 105) == expected).all()


def test_a_zero_is_a_zero_whatever_its_sign(market: Market) -> None:
    windows = cut(market, [0, 50])
    flat = windows.bars.copy()
    flat[0, 50:], flat[1, :55] = 0.0, -0.0
    assert find_overlaps(Windows(**{**windows.__dict__, "bars": flat})).shift.tolist()[0] == 50


def test_windows_that_share_a_bar_with_others_are_those_that_the_cuts_say(
    market: Market, rng: np.random.Generator
) -> None:
    own, others = rng.integers(0, 3000, size=30), rng.integers(0, 3000, size=12)
    seen = shares_bars(cut(market, own.tolist()), cut(market, others.tolist()))
    expected = (np.abs(own[:, None] - others) < 105).any(axis=1)
    assert 0 < expected.sum() < len(own)
    np.testing.assert_array_equal(seen, expected)
