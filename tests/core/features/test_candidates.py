"""Candidates and their columns against plain Python definitions, one span at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moola_core.config.sections import CandidateConfig, UnitConfig
from moola_core.data.windows import Windows
from moola_core.features.bars import reflect
from moola_core.features.candidate_columns import CONTEXT_COLUMNS, PLACE, SPAN_COLUMNS
from moola_core.features.candidates import find_candidates
from moola_core.features.lowest import BUCKETS, fill_lowest
from moola_core.features.volatility import edge_prices, local_atr, true_range
from moola_core.spans.grid import all_spans, iou_table, span_index
from moola_core.spans.intervals import FloatArray

CONFIG = CandidateConfig()


class Slow:
    """One window, as lists, from the side of a run `sign` (+1 rising, -1 falling)."""

    def __init__(self, bars: FloatArray, sign: int, unit: UnitConfig) -> None:
        self.unit = local_atr(bars, unit.bars, unit.kind).tolist()
        self.ranges = true_range(bars).tolist()
        self.price = [sign * p for p in edge_prices(bars).tolist()]
        self.high = (bars[:, 1] if sign > 0 else -bars[:, 2]).tolist()
        self.low = (bars[:, 2] if sign > 0 else -bars[:, 1]).tolist()
        moves = zip(self.price, self.price[1:], self.unit, strict=False)
        self.step = [(after - before) / unit for before, after, unit in moves]
        self.gain = [math.fsum(self.step[:t]) - unit.fee * t for t in range(len(self.price))]

    def fast(self, a: int, b: int) -> float:
        return self.gain[b] - self.gain[a]

    def priority(self, a: int, b: int) -> float:
        row = self.path(a, b)
        wrong = row["false_start"] + row["false_stop"]
        return self.fast(a, b) - 2 * wrong - row["more_before"] - row["more_after"]

    def path(self, a: int, b: int) -> dict[str, float]:
        gain, inner = self.gain, self.gain[a + 1 : b]
        start, stop = min(inner) - gain[a], gain[b] - max(inner)
        before = gain[a] - min(gain[max(a - 25, 0) : a], default=gain[a])
        after = max(gain[b + 1 : b + 26], default=gain[b]) - gain[b]
        falls = [max(inner[: i + 1]) - inner[i] for i in range(len(inner))]
        walked = sum(abs(self.price[t + 1] - self.price[t]) for t in range(a, b))
        mean_range = sum(self.ranges[a:b]) / (b - a)
        return {
            "false_start": clip(-start, 0, 2),
            "false_stop": clip(-stop, 0, 2),
            "more_before": clip(before, 0, 3),
            "more_after": clip(after, 0, 3),
            "drawdown": min(max(falls), 4),
            "start_margin": clip(start, 0, 2),
            "stop_margin": clip(stop, 0, 2),
            "before_margin": clip(-before, 0, 2),
            "after_margin": clip(-after, 0, 2),
            "efficiency": abs(self.price[b] - self.price[a]) / (walked + 1e-9),
            "log_range": math.log(mean_range / self.unit[max(a - 1, 0)] + 1e-3),
        }

    def columns(self, a: int, b: int) -> dict[str, float]:
        local, fast = self.unit[max(a - 1, 0)], self.fast(a, b)
        net = self.price[b] - self.price[a]
        ratios = [r / u for r, u in zip(self.ranges[a:b], self.unit[a:b], strict=True)]
        row = {
            "fast": fast,
            "length": (b - a) / 10,
            "log_length": math.log(b - a),
            "net": net / local,
            "net_of_window": net / (sum(self.ranges) / len(self.ranges)),
            **{f"not_fast_{limit}": max(limit - fast, 0) for limit in (1.5, 2.0, 2.5, 3.0)},
            "first_step": self.step[a],
            "last_step": self.step[b - 1],
            "step_before": self.step[a - 1] if a else 0,
            "step_after": self.step[b] if b < len(self.step) else 0,
            "largest_bar": max(ratios),
            **{f"left_edge_{limit}": max(limit - a, 0) / 3 for limit in (3, 6, 9, 12)},
            **{f"right_edge_{limit}": max(limit - (105 - b), 0) / 3 for limit in (3, 6, 9, 12)},
            "middle": (a + b) / 2 / 105 - 0.5,
        }
        return row | self.path(a, b) | self.before(a, local) | self.after(b, local)

    def before(self, a: int, local: float) -> dict[str, float]:
        price, row = self.price[a], {}
        for n in (5, 8, 12, 20, 30):
            bars = slice(max(a - n, 0), max(a, 1))
            above = (max(self.high[bars]) - price) / local
            below = (price - min(self.low[bars])) / local
            row[f"range_{n}"] = min(above + below, 10)
            row[f"counter_{n}"], row[f"momentum_{n}"] = min(above, 8), min(below, 8)
        for n in (5, 12):
            row[f"net_{n}"] = (price - self.price[max(a - n, 0)]) / local
        for calm in (2.5, 3.0, 3.5, 4.0):
            row[f"consolidation_{calm}"] = sigmoid(2.5 * (calm - row["range_12"]))
        for counter in (1.5, 2.0, 2.5, 3.0):
            row[f"retracement_{counter}"] = sigmoid(2.5 * (row["counter_12"] - counter))
        for calm in (2.5, 3.0, 3.5):
            for counter in (1.5, 2.0, 2.5):
                either = max(row[f"consolidation_{calm}"], row[f"retracement_{counter}"])
                row[f"either_{calm}_{counter}"] = either
        return row

    def after(self, b: int, local: float) -> dict[str, float]:
        row = {}
        for n in (5, 10, 20):
            bars = slice(min(b, 104), max(b + n, 105) if b >= 105 else b + n)
            row[f"over_{n}"] = clip((max(self.high[bars]) - self.price[b]) / local, -1, 8)
            row[f"back_{n}"] = clip((self.price[b] - min(self.low[bars])) / local, -1, 8)
        return row


def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _sides(bars: FloatArray, unit: UnitConfig) -> dict[tuple[int, int], Slow]:
    """Each span with the side from which it rises."""
    up, down = Slow(bars, 1, unit), Slow(bars, -1, unit)
    return {
        (a, b): up if up.fast(a, b) >= down.fast(a, b) else down for a, b in all_spans(105).tolist()
    }


@pytest.mark.parametrize(
    ("row", "unit"),
    [
        (0, UnitConfig()),
        (7, UnitConfig(kind="wilder", fee=0.35)),
        (31, UnitConfig(bars=60, fee=0.25)),
    ],
)
def test_candidates_and_columns_are_those_of_the_definition(
    windows: Windows, row: int, unit: UnitConfig
) -> None:
    bars = windows.bars[row]
    sides = _sides(bars, unit)
    found = find_candidates(bars[None], CandidateConfig(unit=unit))
    spans = [(a, b) for a, b in found.spans[0].tolist()]
    assert len(set(spans)) == 160
    priority = {span: side.priority(*span) for span, side in sides.items()}
    left_out = max(value for span, value in priority.items() if span not in set(spans))
    assert min(priority[span] for span in spans) >= left_out - 1e-9
    falling = np.diff([priority[span] for span in spans])
    assert (falling <= 1e-9).all()
    for k, span in enumerate(spans):
        expected = sides[span].columns(*span)
        wanted = [clip(expected[name], -15, 15) for name in SPAN_COLUMNS]
        is_near = np.abs(found.features[0, k] - wanted) <= 1e-4 * np.maximum(1, np.abs(wanted))
        assert is_near.all(), [SPAN_COLUMNS[i] for i in np.flatnonzero(~is_near)]


def test_the_definition_names_every_column_and_no_other(windows: Windows) -> None:
    slow = Slow(windows.bars[0], 1, UnitConfig()).columns(3, 9)
    not_used = {"counter_8", "momentum_8", "range_5", "counter_30", "momentum_30"}
    assert set(slow) - not_used == set(SPAN_COLUMNS)
    assert len(SPAN_COLUMNS) == 69
    assert set(CONTEXT_COLUMNS) <= set(SPAN_COLUMNS)


def test_a_window_and_its_mirror_image_give_the_same(windows: Windows) -> None:
    found = find_candidates(windows.bars, CONFIG)
    mirrored = find_candidates(reflect(windows.bars), CONFIG)
    assert (found.spans == mirrored.spans).all()
    assert (found.features == mirrored.features).all()


@pytest.mark.parametrize("factor", [1 / 64, 4.0, 1024.0])
def test_the_unit_of_price_does_not_matter(windows: Windows, factor: float) -> None:
    found = find_candidates(windows.bars, CONFIG)
    scaled = find_candidates(factor * windows.bars, CONFIG)
    assert (found.spans == scaled.spans).all()
    np.testing.assert_allclose(found.features, scaled.features, rtol=1e-5, atol=1e-5)


def test_windows_do_not_see_each_other(windows: Windows) -> None:
    together = find_candidates(windows.bars[:4], CONFIG)
    for row in range(4):
        alone = find_candidates(windows.bars[row : row + 1], CONFIG)
        assert (alone.features[0] == together.features[row]).all()


def test_what_went_before_is_not_changed_by_what_comes_after(windows: Windows) -> None:
    """The type's columns end where the span begins."""
    bars = windows.bars[:1].copy()
    everything = CandidateConfig(number=2220)
    columns = [SPAN_COLUMNS.index(name) for name in CONTEXT_COLUMNS]

    def context(bars: FloatArray, start: int) -> FloatArray:
        found = find_candidates(bars, everything)
        place = np.argsort(span_index(found.spans[0], 105))
        rows = found.features[0, place[all_spans(105)[:, 0] == start]][:, columns]
        return np.sort(np.abs(rows), axis=0).astype(np.float64)

    later = bars.copy()
    later[:, 60:] += 0.5 * (bars[:, 59:60, 3:] - bars[:, 60:61, :1])
    # From the same side only: a span may rise in one market and fall in the other.
    same = [SPAN_COLUMNS.index(name) for name in ("range_8", "range_12", "range_20")]
    picks = [columns.index(one) for one in same]
    np.testing.assert_allclose(context(bars, 60)[:, picks], context(later, 60)[:, picks], rtol=1e-5)


def test_most_labels_are_among_the_candidates(windows: Windows) -> None:
    found = find_candidates(windows.bars, CONFIG)
    label = span_index(windows.spans, 105)
    best = iou_table(105)[span_index(found.spans, 105), label[:, None]].max(axis=1)
    assert (best >= 0.5).mean() > 0.8


@pytest.mark.parametrize("flat", [False, True])
def test_odd_windows_have_finite_columns(flat: bool) -> None:
    bars = np.full((1, 105, 4), 100.0)
    if not flat:
        bars[0, 50:] = 1e6  # one jump
    assert np.isfinite(find_candidates(bars, CONFIG).features).all()


def test_a_short_window_has_fewer_candidates(windows: Windows) -> None:
    found = find_candidates(windows.bars[:2, :10], CONFIG)
    assert found.spans.shape == (2, len(all_spans(10)), 2)
    assert find_candidates(windows.bars[:0], CONFIG).features.shape == (0, 160, 69)


def test_blind_candidates_say_nothing_of_their_place_and_all_else(windows: Windows) -> None:
    seen = find_candidates(windows.bars[:5], CONFIG)
    blind = find_candidates(windows.bars[:5], CandidateConfig(place=False))
    is_place = np.isin(SPAN_COLUMNS, PLACE)
    assert (blind.features[..., is_place] == 0).all()
    assert seen.features[..., is_place].any(axis=(0, 1)).all()
    assert (blind.features[..., ~is_place] == seen.features[..., ~is_place]).all()
    assert (blind.spans == seen.spans).all()


@pytest.mark.parametrize("number", [1, 7, 60, 100])
def test_the_lowest_of_many_are_the_first_of_a_whole_sort(
    number: int, rng: np.random.Generator
) -> None:
    ties = np.round(rng.normal(size=100), 1)
    far = np.where(np.arange(100) == 50, 1e12, rng.normal(size=100))  # all else in one bucket
    wide = np.where(np.arange(100) == 50, 1e308, -1e308)  # a range beyond all numbers
    many = np.where(np.arange(2000) == 50, 1e12, rng.normal(size=2000))
    infinite = np.where(rng.random(100) < 0.1, np.inf, ties)
    no_number = np.where(rng.random(100) < 0.1, np.nan, 1.0)
    for values in (ties, far, wide, many, infinite, no_number, np.ones(100), np.arange(100.0)):
        out = np.empty(number, dtype=np.int64)
        fill_lowest(values, np.empty((3, max(len(values), BUCKETS)), dtype=np.int64), out)
        assert out.tolist() == np.argsort(values, kind="stable")[:number].tolist()
