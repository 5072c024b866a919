"""Decoders against brute force over all spans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_core.config.sections import DecoderConfig
from moola_core.decoding.decode import (
    Predictions,
    best_span,
    choose_decoder,
    decode,
    expected_iou,
    log_odds,
    span_scores,
    strongest_run,
)
from moola_core.spans.grid import all_spans
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray, span_iou, span_mask
from tests.support.cases import at_most


def _predictions(num_windows: int, num_bars: int, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    logits, start, stop = rng.normal(0, 2, (3, num_windows, num_bars))
    return Predictions(logits, _log_softmax(start), _log_softmax(stop))


def _log_softmax(x: FloatArray) -> FloatArray:
    shifted: FloatArray = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return shifted


def _all_spans(
    predictions: Predictions, row: int, config: DecoderConfig
) -> dict[tuple[int, int], float]:
    num_bars = predictions.span_logits.shape[1]
    scores = {}
    for a in range(num_bars):
        for b in range(a + config.min_length, min(a + config.max_length, num_bars) + 1):
            inside = sum(predictions.span_logits[row, t] - config.bias for t in range(a, b))
            ends = predictions.start_logp[row, a] + predictions.stop_logp[row, b - 1]
            scores[a, b] = float(inside + ends)
    return scores


@given(st.integers(2, 40), st.integers(0, 999), st.floats(-2, 2))
@at_most(40)
def test_the_best_span_is_that_of_brute_force(num_bars: int, seed: int, bias: float) -> None:
    config = DecoderConfig(kind="best_span", bias=bias)
    predictions = _predictions(3, num_bars, seed)
    decoded = decode(predictions, config)
    for row in range(3):
        scores = _all_spans(predictions, row, config)
        a, b = decoded.spans[row]
        assert scores[a, b] == pytest.approx(max(scores.values()))
        mass = {span: np.exp(score - scores[a, b]) for span, score in scores.items()}
        ious = span_iou(np.array(list(mass)), decoded.spans[[row] * len(mass)])
        near = sum(mass[span] for span, iou in zip(mass, ious, strict=True) if iou >= 0.5)
        assert decoded.confidence[row] == pytest.approx(near / sum(mass.values()))


def test_log_odds_are_those_of_the_probability_and_never_infinite() -> None:
    probs = np.array([0.5, 0.9, 0.25, 0.0, 1.0])
    most = np.log(999_999.0)
    expected = [0.0, np.log(9.0), -np.log(3.0), -most, most]
    np.testing.assert_allclose(log_odds(probs), expected, rtol=1e-9, atol=1e-12)


def test_a_batch_is_decoded_as_each_window_alone() -> None:
    config = DecoderConfig(kind="best_span")
    predictions = _predictions(20, 105, seed=4)
    together = decode(predictions, config)
    for row in range(20):
        one = slice(row, row + 1)
        alone = Predictions(
            predictions.span_logits[one], predictions.start_logp[one], predictions.stop_logp[one]
        )
        assert decode(alone, config).spans.tolist() == together.spans[one].tolist()


def test_no_span_leaves_the_window_or_the_lengths() -> None:
    config = DecoderConfig(kind="best_span", min_length=3, max_length=6)
    scores = span_scores(_predictions(50, 12, seed=1), config)
    assert scores.shape == (50, 12, 4)
    spans = best_span(scores, config).spans
    length = spans[:, 1] - spans[:, 0]
    assert (length >= 3).all()
    assert (length <= 6).all()
    assert spans.max() <= 12


@pytest.mark.parametrize("kind", ["best_span", "threshold"])
def test_a_decoder_abstains_below_the_floor(kind: str) -> None:
    predictions = _predictions(30, 105, seed=2)
    free = decode(predictions, DecoderConfig.model_validate({"kind": kind}))
    floor = float(np.median(free.confidence))
    config = DecoderConfig.model_validate({"kind": kind, "floor": floor})
    decoded = decode(predictions, config)
    abstained = free.confidence < floor
    assert 0 < abstained.sum() < 30
    assert (decoded.spans[abstained] == 0).all()
    assert (decoded.confidence[abstained] == 0).all()
    assert not decoded.mask[abstained].any()
    assert (decoded.spans[~abstained] == free.spans[~abstained]).all()


def test_the_threshold_decoder_closes_gaps_then_drops_short_runs() -> None:
    probs = np.array([[0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1]])
    predictions = Predictions(np.log(probs / (1 - probs)), np.zeros((1, 10)), np.zeros((1, 10)))
    config = DecoderConfig(threshold=0.5, max_gap=1, min_bars=2)
    decoded = decode(predictions, config)
    assert decoded.spans.tolist() == [[0, 4]]
    assert decoded.confidence[0] == pytest.approx(0.7)
    assert decoded.mask[0].nonzero()[0].tolist() == [0, 1, 2, 3]


@given(st.integers(0, 999))
@at_most(30)
def test_the_strongest_run_has_the_greatest_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask: BoolArray = rng.random((4, 15)) < 0.4
    probs: FloatArray = rng.random((4, 15))
    decoded = strongest_run(mask, probs)
    for row in range(4):
        sums = _run_sums(mask[row], probs[row])
        a, b = decoded.spans[row]
        assert probs[row, a:b].sum() == pytest.approx(max(sums, default=0.0))


def test_of_runs_as_strong_the_first_is_as_sure_as_its_bars() -> None:
    probs = np.array([[0.0, 0.5, 0.75, 0.25, 0.0, 0.75, 0.75], [0.5, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]])
    for floor in (0.0, 0.5):  # a floor that is just reached
        decoded = strongest_run(probs > 0, probs, floor)
        assert decoded.spans.tolist() == [[1, 4], [0, 1]]
        assert decoded.confidence.tolist() == [0.5, 0.5]


def _run_sums(mask: BoolArray, probs: FloatArray) -> list[float]:
    sums, inside = [], False
    for t, is_in in enumerate(mask):
        if is_in and not inside:
            sums.append(0.0)
        if is_in:
            sums[-1] += float(probs[t])
        inside = bool(is_in)
    return sums


def test_viterbi_takes_the_path_that_it_is_given_and_needs_one() -> None:
    plain = _predictions(2, 10, seed=0)
    spans: IntArray = np.array([[2, 5], [0, 0]])
    path = span_mask(spans, 10)
    given_path = Predictions(plain.span_logits, plain.start_logp, plain.stop_logp, viterbi=path)
    assert decode(given_path, DecoderConfig(kind="viterbi")).spans.tolist() == spans.tolist()
    with pytest.raises(ValueError, match="expected a model with a CRF"):
        decode(plain, DecoderConfig(kind="viterbi"))


def test_the_threshold_is_chosen_where_bar_f1_is_best() -> None:
    spans = np.array([[20, 27], [60, 66]])
    truth = span_mask(spans, 105)
    probs = np.where(truth, 0.31, 0.12)
    logits = np.log(probs / (1 - probs))
    zeros = np.zeros_like(logits)
    config = DecoderConfig(kind="threshold", choose=True)
    chosen = choose_decoder(Predictions(logits, zeros, zeros), spans, config)
    assert 0.12 <= chosen.threshold < 0.31
    assert (decode(Predictions(logits, zeros, zeros), chosen).spans == spans).all()


def test_the_bias_is_chosen_so_that_lengths_come_out_right() -> None:
    spans = np.array([[20, 27], [60, 66]])
    logits = np.where(span_mask(spans, 105), -1.0, -3.0)
    zeros = np.zeros_like(logits)
    config = DecoderConfig(kind="best_span", choose=True)
    chosen = choose_decoder(Predictions(logits, zeros, zeros), spans, config)
    assert -3 < chosen.bias < -1
    assert (decode(Predictions(logits, zeros, zeros), chosen).spans == spans).all()
    kept = config.model_copy(update={"choose": False})
    assert choose_decoder(Predictions(logits, zeros, zeros), spans, kept) is kept


@given(st.integers(5, 30), st.integers(0, 999))
@at_most(25)
def test_the_span_of_greatest_expected_iou_is_that_of_brute_force(num_bars: int, seed: int) -> None:
    config = DecoderConfig(kind="expected_iou", min_length=3, max_length=12)
    spans = all_spans(num_bars)
    posterior = np.random.default_rng(seed).dirichlet(np.full(len(spans), 0.05), size=3)
    decoded = expected_iou(posterior, num_bars, config)
    for row in range(3):
        gains = {}
        for a in range(num_bars):
            for b in range(a + 3, min(a + 12, num_bars) + 1):
                iou = _iou((a, b), spans)
                gains[a, b] = float((posterior[row] * (iou + (iou >= 0.5))).sum())
        a, b = decoded.spans[row].tolist()
        assert gains[a, b] == pytest.approx(max(gains.values()))
        near = _iou((a, b), spans) >= 0.5
        assert decoded.confidence[row] == pytest.approx(posterior[row][near].sum())


def _iou(span: tuple[int, int], others: IntArray) -> FloatArray:
    (a, b), (start, stop) = span, others.T
    shared = np.maximum(np.minimum(b, stop) - np.maximum(a, start), 0)
    iou: FloatArray = shared / (b - a + stop - start - shared)
    return iou


def test_a_certain_posterior_is_decoded_as_it_is_and_a_vague_one_not_at_all() -> None:
    certain = np.eye(2220)[[700]]
    vague = np.full((1, 2220), 1 / 2220)
    config = DecoderConfig(kind="expected_iou", floor=0.5)
    decoded = expected_iou(np.concatenate([certain, vague]), 105, config)
    assert decoded.spans.tolist() == [all_spans(105)[700].tolist(), [0, 0]]
    assert decoded.confidence.tolist() == pytest.approx([1.0, 0.0])
    assert decoded.mask.sum(axis=1).tolist() == [np.diff(all_spans(105)[700])[0], 0]


def test_expected_iou_needs_a_model_that_chooses() -> None:
    with pytest.raises(ValueError, match="expected a model with a choice head"):
        decode(_predictions(2, 10, seed=0), DecoderConfig(kind="expected_iou"))


@given(st.integers(5, 20), st.integers(0, 999))
@at_most(25)
def test_no_span_is_found_where_none_is_likelier_than_all(num_bars: int, seed: int) -> None:
    config = DecoderConfig(kind="expected_iou", max_length=25)
    spans = all_spans(num_bars)
    rng = np.random.default_rng(seed)
    some = rng.dirichlet(np.full(len(spans), 0.1), size=8)
    none = rng.random(8)
    decoded = expected_iou(some * (1 - none[:, None]), num_bars, config, none)
    for row in range(8):
        outcomes = {"none": none[row], "some": float((some[row] * (1 - none[row])).sum())}
        is_none = max(outcomes, key=outcomes.__getitem__) == "none"
        assert (decoded.spans[row, 1] == 0) == is_none
        assert decoded.mask[row].any() != is_none
    answered = decoded.spans[:, 1] > 0
    certain = expected_iou(some, num_bars, config)
    assert (decoded.spans[answered] == certain.spans[answered]).all()
    confidence = certain.confidence * (1 - none)
    np.testing.assert_allclose(decoded.confidence[answered], confidence[answered])
