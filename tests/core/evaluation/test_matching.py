"""Several spans a window: pairs one to one, and the scores of them."""

from __future__ import annotations

import numpy as np
import pytest

from moola_core.decoding.decode import Decoded, Predictions, log_odds
from moola_core.decoding.disjoint import FoundSets
from moola_core.evaluation.matching import pair_spans
from moola_core.evaluation.metrics import Truth, chance_type_f1, ratios, score, window_sums
from moola_core.spans.intervals import sets_mask

TRUE = np.array([[[2, 10], [20, 30]], [[5, 9], [0, 0]], [[0, 0], [0, 0]], [[1, 5], [8, 12]]])
TYPES = np.array([[0, 1], [1, -1], [-1, -1], [1, 1]])
NUM_BARS = 40


def found() -> Decoded:
    # window 0: a hit, a near miss and a false one; 1: nothing; 2: a false alarm; 3: one for two
    window = np.array([0, 0, 0, 2, 3])
    spans = np.array([[2, 9], [26, 34], [36, 39], [4, 8], [1, 12]])
    sets = FoundSets(window, spans, np.array([0.9, 0.6, 0.3, 0.2, 0.5]))
    types = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5], [0.4, 0.6]])
    mask = sets_mask(sets.padded(4), NUM_BARS)
    return Decoded(*sets.surest(4), mask, sets, types)


def truth() -> Truth:
    return Truth(TRUE[:, 0], TYPES[:, 0], np.arange(4), (TRUE, TYPES))


def test_pairs_are_one_to_one_from_the_greatest_overlap_down() -> None:
    said = np.array([[[0, 10], [10, 20]], [[0, 0], [0, 0]]])
    true = np.array([[[0, 4], [4, 11], [12, 20]], [[3, 5], [0, 0], [0, 0]]])
    pairs = pair_spans(said, true)
    assert pairs.window.tolist() == [0, 0]
    assert sorted(zip(pairs.said.tolist(), pairs.true.tolist(), strict=True)) == [(0, 1), (1, 2)]
    assert sorted(pairs.iou.tolist()) == pytest.approx([6 / 11, 8 / 10])


def test_scores_are_those_counted_by_hand() -> None:
    decoded = found()
    sums = {name: part.sum(axis=0) for name, part in window_sums(decoded, None, truth()).items()}
    values = ratios(sums)
    # 5 true, 5 said; hits: [2, 9) alone, as [1, 12) with [1, 5) and [8, 12) has 4 / 11
    assert (sums["one"], sums["said_spans"], sums["iou50"]) == (5, 5, 1)
    assert values["span_precision"] == pytest.approx(1 / 5)
    assert values["span_recall"] == pytest.approx(1 / 5)
    assert values["span_f1"] == pytest.approx(2 / 10)
    assert values["false_alarms"] == pytest.approx(1.0)
    assert values["misses"] == pytest.approx(1 / 3)
    assert values["iou"] == pytest.approx((7 / 8 + 4 / 14 + 4 / 11) / 5)
    said, inside = decoded.mask, truth().inside(NUM_BARS)
    hit = (said & inside).sum()
    assert values["f1"] == pytest.approx(2 * hit / (said.sum() + inside.sum()))


def test_types_are_counted_over_hits() -> None:
    decoded = found()
    nothing = np.zeros((4, NUM_BARS))
    said = Predictions(log_odds(np.where(decoded.mask, 0.8, 0.0)), nothing, nothing)
    sums = window_sums(decoded, said, truth())
    assert sums["confusion"].sum(axis=0).tolist() == [[1, 0], [0, 0]]
    assert sums["confidence_bin_said"].sum() == 5
    assert sums["confidence_bin_true"].sum(axis=0).tolist() == [0] * 9 + [1]
    assert sums["confidence_bin_said"][0].tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 0, 1]
    scores = score(decoded, said, truth())
    assert scores["type_f1"].value == 1.0
    assert scores["average_precision"].value > 0.4
    assert chance_type_f1(said, truth(), decoded).value == 1.0


def test_one_span_a_window_scores_the_same_either_way(rng: np.random.Generator) -> None:
    start = rng.integers(0, 20, 30)
    true = np.stack([start, start + rng.integers(8, 16, 30)], axis=1)
    spans = np.clip(true + rng.integers(-3, 4, true.shape), 0, NUM_BARS)
    types = rng.integers(0, 2, 30)
    sure = rng.random(30)
    mask = sets_mask(spans[:, None], NUM_BARS)
    nothing = np.zeros((30, NUM_BARS))
    said = Predictions(log_odds(np.where(mask, 0.7, 0.0)), nothing, nothing)
    one = score(Decoded(spans, sure, mask), said, Truth(true, types, np.arange(30)))
    sets = FoundSets(np.arange(30), spans, sure)
    several = score(Decoded(spans, sure, mask, sets), said, Truth(true, types, np.arange(30)))
    for name, value in one.items():
        assert several[name] == value, name
    assert several["span_recall"] == one["iou50"]
