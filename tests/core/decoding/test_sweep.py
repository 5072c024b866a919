from __future__ import annotations

import numpy as np
import pytest

from moola_core.config.sections import DecoderConfig
from moola_core.decoding.decode import Predictions, choose_decoder, decode
from moola_core.decoding.sweep import THRESHOLDS, best_of, biases, families, sweep, thresholds
from moola_core.spans.intervals import IntArray, span_mask

OWN = DecoderConfig(kind="best_span", choose=True)


@pytest.fixture
def spans(rng: np.random.Generator) -> IntArray:
    start = rng.integers(5, 90, size=30)
    return np.stack([start, start + rng.integers(4, 10, size=30)], axis=1)


@pytest.fixture
def predictions(spans: IntArray, rng: np.random.Generator) -> Predictions:
    logits = rng.normal(size=(30, 105)) - 3 + 4 * span_mask(spans)
    return Predictions(logits, np.zeros((30, 105)), np.zeros((30, 105)))


def test_scores_equal_scikit_learn(predictions: Predictions, spans: IntArray) -> None:
    from sklearn.metrics import precision_recall_fscore_support

    truth = span_mask(spans).ravel()
    for one in sweep(predictions, spans, thresholds((0.1, 0.5, 0.99))):
        said = decode(predictions, one.decoder).mask.ravel()
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth, said, average="binary", zero_division=0
        )
        assert one.f1 == pytest.approx(f1)
        assert one.precision == pytest.approx(precision)
        assert one.recall == pytest.approx(recall)


def test_it_chooses_what_choose_decoder_chooses(predictions: Predictions, spans: IntArray) -> None:
    for own, tried in (
        (DecoderConfig(kind="threshold", choose=True), thresholds(THRESHOLDS)),
        (OWN, biases(OWN)),
    ):
        ours = best_of(sweep(predictions, spans, tried)).decoder
        theirs = choose_decoder(predictions, spans, own)
        assert (ours.threshold, ours.bias) == (theirs.threshold, theirs.bias)


def test_of_equal_scores_the_plainest_and_the_middle_wins(spans: IntArray) -> None:
    spans = spans[:10]
    sure = np.where(span_mask(spans), 9.0, -9.0)
    exact = Predictions(sure, np.zeros_like(sure), np.zeros_like(sure))
    tried = sweep(exact, spans, families(OWN)["threshold, gaps and runs"])
    best = best_of(tried)
    assert best.f1 == 1.0
    assert (best.decoder.max_gap, best.decoder.min_bars) == (0, 2)
    assert best.decoder.threshold == 0.5


def test_every_family_starts_from_the_runs_lengths() -> None:
    own = DecoderConfig(kind="best_span", min_length=4, max_length=9, floor=0.2)
    (first, *_, last) = families(own)["best_span"]
    assert (first.min_length, first.max_length, first.floor) == (4, 9, 0.2)
    assert (first.bias, last.bias) == (-8.0, 8.0)
    assert families(own)["the run's own"] == [own]
