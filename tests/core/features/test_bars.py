"""Features against the golden file, and against a plain reference that is written bar by bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from moola_core.data.synthetic import Market
from moola_core.features.bars import (
    COLUMNS,
    reflect,
    series_features,
    window_features,
    window_views,
)
from moola_core.spans.intervals import FloatArray

GOLDEN = Path(__file__).parents[4] / "shared" / "data" / "golden_features.parquet"
EPS = 1e-6


class _Zigzag:
    """MODEL.md, section 2, sentence by sentence; slow and plain."""

    def __init__(self) -> None:
        self.leg = 0
        self.extreme: tuple[float, int] = (0.0, -1)
        self.candidate: tuple[float, int] | None = None
        self.swings: dict[int, tuple[float, int]] = {}

    def step(self, t: int, high: float, low: float, close: float, atr: float) -> None:
        if self.leg == 0:
            if atr > 0:
                self.leg, self.extreme = 1, (close, t)
            return
        edge, back = (high, low) if self.leg > 0 else (low, high)
        if self.leg * (edge - self.extreme[0]) > 0:
            self.extreme = (edge, t)
        if self.candidate is None or self.leg * (edge - self.candidate[0]) > 0:
            self.candidate = (edge, t)
        far = self.leg * (self.extreme[0] - close) >= 1.2 * atr
        recent = t - self.candidate[1] <= 5
        if far or (recent and self.leg * (self.candidate[0] - back) >= 0.5 * atr):
            self.swings[self.leg] = self.extreme
            self.leg = -self.leg
            self.extreme = self.candidate = (low if self.leg < 0 else high, t)


def _reference(bars: FloatArray) -> FloatArray:
    zigzag, ema, rows = _Zigzag(), 0.0, []
    true_ranges: list[float] = []
    for t, (o, h, low, c) in enumerate(bars.tolist()):
        ema = h - low if t == 0 else 2 / 21 * (h - low) + 19 / 21 * ema
        if t:
            previous = bars[t - 1, 3]
            true_ranges.append(max(h - low, abs(h - previous), abs(low - previous)))
        last = true_ranges[-10:]
        atr = sum(last) / len(last) if last else 0.0
        zigzag.step(t, h, low, c, atr)
        width, unit = max(h - low, EPS), atr if atr > 0 else 1e-8
        body = np.clip((c - o) / width, -1, 1)
        range_z = np.clip((h - low) / max(ema, EPS), 0, 3)
        top, bottom = zigzag.swings.get(1), zigzag.swings.get(-1)
        since = [np.clip((t - s[1]) / 105, 0, 3) if s else 0.0 for s in (top, bottom)]
        rows.append(
            [
                np.clip((o - low) / width, 0, 1),
                np.clip((c - low) / width, 0, 1),
                body,
                np.clip((h - max(o, c)) / width, 0, 1),
                np.clip((min(o, c) - low) / width, 0, 1),
                range_z,
                np.clip((top[0] - c) / unit, -3, 3) if top else 0.0,
                np.clip((c - bottom[0]) / unit, -3, 3) if bottom else 0.0,
                *since,
                np.clip(range_z * zigzag.leg * body, -2, 2),
                np.clip((1 - range_z / 3) * (1 - abs(body)) * sum(since) / 2, 0, 3),
            ]
        )
    return np.array(rows)


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden features are not on this machine")
def test_features_equal_those_of_the_original_implementation() -> None:
    table: dict[str, list[Any]] = pq.read_table(GOLDEN).to_pydict()
    for bars, expected in zip(table["bars"], table["features"], strict=True):
        actual = window_features(np.array(bars)[None])[0]
        np.testing.assert_allclose(actual, np.array(expected), rtol=0, atol=1e-6)


def test_features_equal_the_plain_reference(market: Market) -> None:
    bars = market.bars[1000:2500]
    np.testing.assert_allclose(series_features(bars), _reference(bars), rtol=0, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 11])
def test_short_series_equal_the_plain_reference(market: Market, length: int) -> None:
    bars = market.bars[:length]
    np.testing.assert_allclose(series_features(bars), _reference(bars), rtol=0, atol=1e-6)


def test_bars_without_any_range_give_finite_features() -> None:
    flat = np.full((1, 30, 4), 5.0)
    assert np.isfinite(window_features(flat)).all()


def test_features_do_not_know_the_price_scale(market: Market) -> None:
    bars = market.bars[None, :500]
    # A power of two scales exactly, so that not even rounding may differ.
    assert (window_features(bars) == window_features(bars * 8.0)).all()
    np.testing.assert_allclose(window_features(bars * 3.7), window_features(bars), atol=2e-5)


def test_no_feature_looks_ahead(market: Market, rng: np.random.Generator) -> None:
    bars = market.bars[:300]
    before = series_features(bars)
    for t in (0, 1, 17, 105, 298):
        changed = bars.copy()
        changed[t + 1 :] = np.sort(rng.normal(9000, 50, (len(bars) - t - 1, 4)))[:, [1, 3, 0, 2]]
        assert (series_features(changed)[: t + 1] == before[: t + 1]).all()


def test_many_windows_equal_each_alone(market: Market) -> None:
    windows: NDArray[Any] = np.stack([market.bars[i : i + 105] for i in range(0, 2000, 173)])
    alone = np.concatenate([window_features(one[None]) for one in windows])
    assert (window_features(windows) == alone).all()


def test_position_is_a_last_column_from_0_to_1(market: Market) -> None:
    features = window_features(market.bars[None, :105], position=True)
    assert features.shape == (1, 105, len(COLUMNS) + 1)
    np.testing.assert_allclose(features[0, :, -1], np.arange(105) / 104, atol=1e-7)


def test_windows_are_views_of_the_series(market: Market) -> None:
    features = series_features(market.bars[:1000])
    views = window_views(features, step=10)
    assert views.shape == (90, 105, 12)
    assert np.shares_memory(views, features)
    assert (views[7] == features[70:175]).all()
    assert not views.flags.writeable


def test_reflecting_twice_changes_nothing_and_once_turns_the_body(market: Market) -> None:
    bars = market.bars[None, :105]
    assert (reflect(reflect(bars)) == bars).all()
    np.testing.assert_allclose(
        window_features(reflect(bars))[..., 2], -window_features(bars)[..., 2], atol=1e-6
    )
