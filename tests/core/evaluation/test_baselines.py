from __future__ import annotations

import numpy as np

from moola_core.evaluation.baselines import (
    choose_fee,
    fastest_segment,
    largest_bar,
    largest_move,
    local_segment,
)
from moola_core.features.volatility import local_atr
from moola_core.spans.intervals import FloatArray, span_iou


def _planted(rng: np.random.Generator, start: int, stop: int) -> FloatArray:
    """``(20, 105, 4)``: noise of 1 and a run of 3 a bar over ``[start, stop)``."""
    steps = rng.normal(0, 1, (20, 105))
    steps[:, start:stop] = rng.choice([-1, 1], (20, 1)) * rng.normal(3, 0.3, (20, stop - start))
    close = 100 + np.cumsum(steps, axis=1)
    opened = np.concatenate([np.full((20, 1), 100.0), close[:, :-1]], axis=1)
    high, low = np.maximum(opened, close) + 0.2, np.minimum(opened, close) - 0.2
    return np.stack([opened, high, low, close], axis=2)


def test_the_rules_find_a_planted_run(rng: np.random.Generator) -> None:
    bars = _planted(rng, 50, 57)
    spans = np.tile([50, 57], (20, 1))
    assert (largest_move(bars) == spans).mean() > 0.9
    assert (span_iou(fastest_segment(bars, 1.0), spans) >= 0.5).mean() > 0.9
    middle = largest_bar(bars).mean(axis=1)
    assert ((middle >= 50) & (middle <= 57)).mean() > 0.7


def test_rules_equal_brute_force(rng: np.random.Generator) -> None:
    bars = _planted(rng, 98, 105)[:3]
    for row, one in enumerate(bars):
        opened, high, low, close = one.T
        before = np.concatenate([opened[:1], close[:-1]])
        atr = (np.maximum(high, before) - np.minimum(low, before)).mean()
        moves = {a: abs(close[a + 6] - opened[a]) for a in range(99)}
        gains = {
            (a, b): abs(close[b - 1] - before[a]) / atr - 0.5 * (b - a)
            for a in range(105)
            for b in range(a + 2, min(a + 25, 105) + 1)
        }
        best_move = max(moves, key=lambda a: moves[a])
        assert largest_move(bars)[row].tolist() == [best_move, best_move + 7]
        assert tuple(fastest_segment(bars, 0.5)[row]) == max(gains, key=lambda s: gains[s])


def test_the_largest_bar_keeps_to_the_window(rng: np.random.Generator) -> None:
    bars = _planted(rng, 50, 57)
    bars[:, 104, 3] += 50
    bars[:, 104, 1] += 50
    assert largest_bar(bars).tolist() == [[101, 105]] * 20


def test_the_fee_is_the_one_that_fits_the_lengths(rng: np.random.Generator) -> None:
    bars, spans = _planted(rng, 50, 57), np.tile([50, 57], (20, 1))
    fee = choose_fee(bars, spans)
    best = span_iou(fastest_segment(bars, fee), spans).mean()
    assert best >= span_iou(fastest_segment(bars, 0.1), spans).mean()
    assert best > 0.8


def test_the_local_rule_equals_brute_force(rng: np.random.Generator) -> None:
    for bars in _planted(rng, 60, 68)[:3]:
        unit = local_atr(bars, 30).tolist()
        before = [bars[0, 0], *bars[:-1, 3].tolist()]
        moves = [(c - p) / u for c, p, u in zip(bars[:, 3].tolist(), before, unit, strict=True)]
        gains = {
            (a, b): abs(sum(moves[a:b])) - 0.3 * (b - a)
            for a in range(105)
            for b in range(a + 2, min(a + 25, 105) + 1)
        }
        assert tuple(local_segment(bars[None])[0]) == max(gains, key=lambda span: gains[span])


def test_the_local_rule_finds_a_calm_markets_run_beside_a_wild_stretch(
    rng: np.random.Generator,
) -> None:
    bars = _planted(rng, 90, 97)
    middle = bars[:, :60].mean(axis=(1, 2), keepdims=True)
    bars[:, :60] = middle + 6 * (bars[:, :60] - middle)
    spans = np.tile([90, 97], (20, 1))
    local = (span_iou(local_segment(bars), spans) >= 0.5).mean()
    assert local > (span_iou(fastest_segment(bars, 0.3), spans) >= 0.5).mean()
