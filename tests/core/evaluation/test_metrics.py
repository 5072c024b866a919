"""Scores against scikit-learn, against loops, and planted ones."""

from __future__ import annotations

import numpy as np
import pytest

from moola_core.decoding.decode import Decoded, Predictions, strongest_run
from moola_core.evaluation.metrics import (
    SCORES,
    Truth,
    chance_type_f1,
    group_resamples,
    point_scores,
    score,
    window_sums,
)
from moola_core.evaluation.reliability import reliability
from moola_core.spans.intervals import span_iou, span_mask


def _case(num_windows: int = 40, seed: int = 0) -> tuple[Decoded, Predictions, Truth]:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 95, num_windows)
    spans = np.stack([start, start + rng.integers(3, 10, num_windows)], axis=1)
    # Rounded, so that equal probabilities occur.
    logits = rng.normal(-1.5, 1, (num_windows, 105)) + 1.5 * span_mask(spans, 105)
    logits = np.round(logits, 1).astype(np.float64)
    zeros = np.zeros_like(logits)
    types = rng.integers(0, 2, num_windows)
    type_probs = rng.dirichlet(np.ones(3), num_windows)
    predictions = Predictions(logits, zeros, zeros, type_probs=type_probs)
    decoded = strongest_run(predictions.span_probs > 0.4, predictions.span_probs)
    return decoded, predictions, Truth(spans, types, rng.integers(0, 15, num_windows))


def test_scores_equal_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

    decoded, predictions, truth = _case()
    inside = span_mask(truth.spans, 105).ravel()
    said = decoded.mask.ravel()
    probs = predictions.span_probs.ravel()
    assert predictions.type_probs is not None
    expected = {
        "f1": f1_score(inside, said),
        "precision": precision_score(inside, said),
        "recall": recall_score(inside, said),
        "average_precision": average_precision_score(inside, probs),
        "type_f1": f1_score(truth.types, predictions.type_probs.argmax(axis=1), average="macro"),
    }
    scores = score(decoded, predictions, truth)
    assert set(scores) == set(SCORES)
    for name, value in expected.items():
        assert scores[name].value == pytest.approx(value), name


def test_the_other_scores_equal_plain_loops() -> None:
    decoded, predictions, truth = _case(seed=1)
    values = point_scores(decoded, predictions, truth)
    iou, hits, centers, lengths = [], [], [], []
    for (a, b), (c, d) in zip(decoded.spans.tolist(), truth.spans.tolist(), strict=True):
        shared = max(0, min(b, d) - max(a, c))
        iou.append(shared / (b - a + d - c - shared))
        hits.append(b > a and abs(a - c) <= 3 and abs(b - d) <= 3)
        if b > a:
            centers.append(abs((a + b) / 2 - (c + d) / 2))
            lengths.append(abs((b - a) - (d - c)))
    probs, inside = predictions.span_probs, span_mask(truth.spans, 105)
    ece = 0.0
    for low in np.arange(10) / 10:
        of_bin = (probs >= low) & (probs < low + 0.1)
        ece += abs(probs[of_bin].sum() - inside[of_bin].sum()) / probs.size
    assert values["iou"] == pytest.approx(np.mean(iou))
    assert values["iou50"] == pytest.approx(np.mean(np.array(iou) >= 0.5))
    assert values["hit3"] == pytest.approx(np.mean(hits))
    assert values["center_mae"] == pytest.approx(np.mean(centers))
    assert values["length_mae"] == pytest.approx(np.mean(lengths))
    assert values["ece"] == pytest.approx(ece)
    assert values["gap"] == pytest.approx(probs[inside].mean() - probs[~inside].mean())


def test_a_perfect_answer_scores_one_and_an_empty_one_zero() -> None:
    _, predictions, truth = _case()
    n = len(truth.spans)
    perfect = Decoded(truth.spans, np.ones(n), span_mask(truth.spans, 105))
    empty = Decoded(np.zeros((n, 2), dtype=np.int64), np.zeros(n), np.zeros((n, 105), dtype=bool))
    best, worst = score(perfect, predictions, truth), score(empty, predictions, truth)
    for name in ("f1", "precision", "recall", "iou", "iou50", "hit3"):
        assert (best[name].value, best[name].low, worst[name].value) == (1.0, 1.0, 0.0), name
    assert best["center_mae"].value == best["length_mae"].value == 0
    assert np.isnan(worst["center_mae"].value)


def test_intervals_come_from_resampling_groups() -> None:
    from sklearn.metrics import average_precision_score

    decoded, predictions, truth = _case()
    scores = score(decoded, predictions, truth)
    weights = group_resamples(truth.group, 1000, seed=0)
    iou = span_iou(decoded.spans, truth.spans)
    resampled = [np.average(iou, weights=row) for row in weights]
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert scores["iou"].low == pytest.approx(low)
    assert scores["iou"].high == pytest.approx(high)
    inside = span_mask(truth.spans, 105).ravel()
    areas = [
        average_precision_score(
            inside, predictions.span_probs.ravel(), sample_weight=np.repeat(row, 105)
        )
        for row in weights[:100]
    ]
    area = scores["average_precision"]
    assert area.low < np.median(areas) < area.high


def test_an_interval_is_over_the_resamples_that_define_its_score() -> None:
    """In a third of them no window has a found span, and no error is known."""
    spans = np.array([[2, 8], [4, 9], [3, 7]])
    found = np.array([[3, 9], [0, 0], [0, 0]])
    mask = span_mask(found, 20)
    decoded = Decoded(found, np.ones(3), mask)
    truth = Truth(spans, np.zeros(3, dtype=np.int64), np.arange(3))
    one = score(decoded, None, truth)["center_mae"]
    assert (one.value, one.low, one.high) == (1.0, 1.0, 1.0)
    none = score(Decoded(0 * found, np.ones(3), ~mask & mask), None, truth)["center_mae"]
    assert np.isnan([none.value, none.low, none.high]).all()


def test_windows_of_one_group_are_drawn_together() -> None:
    group = np.array([5, 5, 9, 9, 9, 2])
    weights = group_resamples(group, 50, seed=1)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 5]].sum(axis=1) == 3).all()


def test_a_rule_without_probabilities_has_only_the_scores_of_spans() -> None:
    decoded, _, truth = _case()
    scores = score(decoded, None, truth)
    assert "average_precision" not in scores
    assert "f1" in scores


def test_reliability_equals_plain_loops() -> None:
    decoded, predictions, truth = _case(seed=2)
    sums = {k: v.sum(axis=0) for k, v in window_sums(decoded, predictions, truth).items()}
    iou = span_iou(decoded.spans, truth.spans)
    cases = {
        "bar": (predictions.span_probs.ravel(), span_mask(truth.spans, 105).ravel()),
        "confidence": (decoded.confidence, iou >= 0.5),
    }
    for what, (probs, came_true) in cases.items():
        rows = reliability(sums, what)
        assert sum(row["said"] for row in rows) == len(probs)
        for row in rows:
            of_bin = (probs >= row["low"]) & (probs < row["low"] + 0.1)
            assert row["said"] == of_bin.sum()
            assert row["mean"] == pytest.approx(probs[of_bin].mean())
            assert row["true"] == pytest.approx(came_true[of_bin].mean())


def test_alarms_and_misses_are_counted_as_by_hand() -> None:
    from sklearn.metrics import f1_score

    true = np.array([[10, 20], [10, 20], [0, 0], [0, 0], [0, 0]])
    said = np.array([[12, 20], [0, 0], [40, 50], [0, 0], [0, 0]])
    decoded = Decoded(said, np.array([0.9, 0.0, 0.7, 0.0, 0.0]), span_mask(said, 60))
    probs = np.full((5, 60), 0.1)
    logits = np.log(probs / (1 - probs))
    types = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    predictions = Predictions(logits, probs, probs, type_probs=types)
    truth = Truth(true, np.array([0, 0, -1, -1, -1]), np.arange(5))
    scores = {name: one.value for name, one in score(decoded, predictions, truth).items()}
    assert scores["false_alarms"] == pytest.approx(1 / 3)
    assert scores["misses"] == pytest.approx(1 / 2)
    assert scores["span_f1"] == pytest.approx(2 * 1 / (2 + 2))  # a hit; two said, two true
    assert scores["iou"] == pytest.approx((0.8 + 0) / 2)  # over the windows with a span
    assert scores["f1"] == pytest.approx(2 * 8 / (18 + 20))  # the alarm's bars count
    assert scores["center_mae"] == pytest.approx(1.0)
    assert scores["type_f1"] == pytest.approx(f1_score([0, 0], [0, 1], average="macro"))
    rows = reliability(
        {k: v.sum(axis=0) for k, v in window_sums(decoded, predictions, truth).items()},
        "confidence",
    )
    # two answers and a miss; that nothing was found in two empty windows is no answer
    assert sum(row["said"] for row in rows) == 3


def test_types_by_chance_are_those_of_answers_drawn_again() -> None:
    rng = np.random.default_rng(0)
    types = rng.integers(0, 2, 400)
    probs = np.eye(2)[rng.integers(0, 2, 400)]
    zeros = np.zeros((400, 5))
    truth = Truth(np.tile([1, 3], (400, 1)), types, np.arange(400))
    chance = chance_type_f1(Predictions(zeros, zeros, zeros, type_probs=probs), truth)
    assert chance.value == pytest.approx(0.5, abs=0.01)
    assert chance.low < chance.value < chance.high
