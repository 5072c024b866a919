"""From scores a bar to spans. Letters: B windows, T bars, L lengths tried.

Every decoder but `disjoint` gives at most one span a window with a confidence, and abstains (an
empty span) below a floor. Work is on NumPy arrays on the host: small, exact, and the same on every
device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moola_core.config.sections import DecoderConfig
from moola_core.decoding.disjoint import FoundSets, best_sets, span_types
from moola_core.decoding.expected import best_spans
from moola_core.spans.intervals import (
    BoolArray,
    FloatArray,
    IntArray,
    close_gaps,
    drop_short,
    find_runs,
    sets_mask,
    span_mask,
)


@dataclass(frozen=True)
class Predictions:
    """What a model says of windows, before decoding; all float64 or as said.

    Attributes:
        span_logits: ``(B, T)``, log-odds of each bar to be inside.
        start_logp, stop_logp: ``(B, T)`` log-probability of each bar to be the first and the last
            one inside; zeros where the model has no such head.
        type_probs: ``(B, K)``, or None without a type head.
        viterbi: ``(B, T)`` bool, a CRF's best path, or None.
        span_posterior: ``(B, S)``, the probability of each span of `moola_core.spans.grid` to be
            the label, or None without a choice head; sums to 1 less that of no span.
        none_probs: ``(B,)``, the probability that there is no span; None: a model that always
            finds one.
        type_bars: ``(B, T, K)``, of a model that knows several spans: the mean over a span's bars
            are the scores of its types. Its `span_posterior` sums to the expected number of spans.
        network_probs, column_probs: ``(B, S)``, of a pool what each said of every span.
        powers: of each in the pool.
    """

    span_logits: FloatArray
    start_logp: FloatArray
    stop_logp: FloatArray
    type_probs: FloatArray | None = None
    viterbi: BoolArray | None = None
    span_posterior: FloatArray | None = None
    none_probs: FloatArray | None = None
    network_probs: FloatArray | None = None
    column_probs: FloatArray | None = None
    powers: tuple[float, float] | None = None
    type_bars: FloatArray | None = None

    @property
    def span_probs(self) -> FloatArray:
        """``(B, T)`` in 0..1."""
        return 0.5 * (1.0 + np.tanh(0.5 * self.span_logits))


@dataclass(frozen=True)
class Decoded:
    """Spans that were found.

    Attributes:
        spans: ``(B, 2)`` int, ``[start, stop)``; ``[0, 0)`` where the decoder abstains.
        confidence: ``(B,)`` in 0..1.
        mask: ``(B, T)`` bool, the bars called inside; more than `spans` where several runs are.
        sets: every span of the decoder `disjoint`, of which `spans` are the surest; None of others.
        set_types: ``(N, K)``, the probability of each type of `sets`, or None without a type head.
    """

    spans: IntArray
    confidence: FloatArray
    mask: BoolArray
    sets: FoundSets | None = None
    set_types: FloatArray | None = None


def log_odds(probs: FloatArray) -> FloatArray:
    """``log p / (1 - p)``, with p kept between 1e-6 and 1 - 1e-6."""
    kept = np.clip(probs, 1e-6, 1 - 1e-6)
    return np.log(kept) - np.log1p(-kept)


def decode(predictions: Predictions, config: DecoderConfig) -> Decoded:
    """Spans by the decoder that `config` names.

    Raises:
        ValueError: the model has no head that this decoder needs.
    """
    if config.kind == "best_span":
        scores = span_scores(predictions, config)
        return best_span(scores, config)
    if config.kind == "expected_iou":
        if predictions.span_posterior is None:
            raise ValueError("decoder expected_iou: expected a model with a choice head")
        num_bars = predictions.span_logits.shape[1]
        none = predictions.none_probs
        return expected_iou(predictions.span_posterior, num_bars, config, none)
    if config.kind == "disjoint":
        return disjoint(predictions, config)
    if config.kind == "viterbi":
        if predictions.viterbi is None:
            raise ValueError("decoder viterbi: expected a model with a CRF")
        mask = predictions.viterbi
    else:
        mask = predictions.span_probs > config.threshold
    mask = drop_short(close_gaps(mask, config.max_gap), config.min_bars)
    return strongest_run(mask, predictions.span_probs, config.floor)


def strongest_run(mask: BoolArray, probs: FloatArray, floor: float = 0.0) -> Decoded:
    """Return the run of `mask` ``(B, T)`` with the greatest sum of probability, in each window.

    Its confidence is the mean probability of its bars; a window below `floor` loses all its runs.
    """
    num_windows = len(mask)
    window, runs = find_runs(mask)
    before = np.pad(np.cumsum(probs, axis=1), ((0, 0), (1, 0)))
    sums = before[window, runs[:, 1]] - before[window, runs[:, 0]]
    spans = np.zeros((num_windows, 2), dtype=np.int64)
    confidence = np.zeros(num_windows)
    # Ascending, so that the last one written to a window is its strongest; equal ones: the first.
    order = np.lexsort((-runs[:, 0], sums))
    spans[window[order]] = runs[order]
    confidence[window[order]] = (sums / np.maximum(runs[:, 1] - runs[:, 0], 1))[order]
    keep = confidence >= floor
    spans[~keep] = 0
    return Decoded(spans, np.where(keep, confidence, 0.0), mask & keep[:, None])


def found_runs(mask: BoolArray, probs: FloatArray) -> Decoded:
    """Return every run of `mask` ``(B, T)``, each as sure as its bars' mean probability."""
    window, runs = find_runs(mask)
    before = np.pad(np.cumsum(probs, axis=1), ((0, 0), (1, 0)))
    sums = before[window, runs[:, 1]] - before[window, runs[:, 0]]
    found = FoundSets(window, runs, sums / (runs[:, 1] - runs[:, 0]))
    return Decoded(*found.surest(len(mask)), mask, found)


def span_scores(predictions: Predictions, config: DecoderConfig) -> FloatArray:
    """Score of every span, by prefix sums; another scorer's ``(B, T, L)`` may be added.

    ``sum(logit - bias) over [a, b) + log p_start(a) + log p_stop(b - 1)``.

    Returns:
        ``(B, T, L)``: entry ``[:, a, k]`` is the span ``[a, a + min_length + k)``; -inf where it
        would leave the window.
    """
    logits = predictions.span_logits - config.bias
    num_bars = logits.shape[1]
    before = np.pad(np.cumsum(logits, axis=1), ((0, 0), (1, 0)))
    start = np.arange(num_bars)[:, None]
    stop = start + np.arange(config.min_length, config.max_length + 1)
    inside = stop <= num_bars
    stop = np.minimum(stop, num_bars)
    scores = before[:, stop] - before[:, start]
    scores += predictions.start_logp[:, start] + predictions.stop_logp[:, stop - 1]
    return np.where(inside, scores, -np.inf)


def best_span(scores: FloatArray, config: DecoderConfig) -> Decoded:
    """Return the span of the highest score in each window; of equal ones the earliest, shortest.

    Its confidence: read the scores as unnormalised log-probabilities of all spans; the mass of
    those whose IoU with the winner is at least 0.5, that is how probably the answer is a hit.

    Args:
        scores: ``(B, T, L)``, of the spans that begin at a bar and have a length.
        config: its shortest length and its floor of confidence.
    """
    num_windows, num_bars, num_lengths = scores.shape
    best = scores.reshape(num_windows, -1).argmax(axis=1)
    start, k = np.divmod(best, num_lengths)
    spans = np.stack([start, start + config.min_length + k], axis=1).astype(np.int64)
    confidence = _mass_near(scores, spans, config.min_length)
    spans[confidence < config.floor] = 0
    confidence = np.where(confidence < config.floor, 0.0, confidence)
    return Decoded(spans, confidence, span_mask(spans, num_bars))


def _mass_near(scores: FloatArray, spans: IntArray, min_length: int) -> FloatArray:
    _, num_bars, num_lengths = scores.shape
    start = np.arange(num_bars)[:, None]
    stop = start + min_length + np.arange(num_lengths)
    low, high = spans[:, 0, None, None], spans[:, 1, None, None]
    shared = np.maximum(np.minimum(stop, high) - np.maximum(start, low), 0)
    near = 2 * shared >= (stop - start) + (high - low) - shared
    mass = np.exp(scores - scores.max(axis=(1, 2), keepdims=True))
    return (mass * near).sum(axis=(1, 2)) / mass.sum(axis=(1, 2))


def expected_iou(
    posterior: FloatArray, num_bars: int, config: DecoderConfig, none: FloatArray | None = None
) -> Decoded:
    """Return the span of the least expected loss under a posterior over all spans, in each window.

    No span where none is more probable than all spans together.

    Minimum Bayes risk (Berger 1985, Statistical Decision Theory, 4.4): of all spans the one of the
    greatest expected IoU + [IoU >= 0.5] with the label; of equal ones the earliest, then shortest.
    Its confidence: the posterior mass of the spans whose IoU with it is at least 0.5.

    Args:
        posterior: ``(B, S)``, sums to 1 with `none`; S as in `moola_core.spans.grid`.
        num_bars: T.
        config: lengths and floor.
        none: ``(B,)``, the probability of no span; None: 0.
    """
    best, confidence = best_spans(posterior, num_bars, config.min_length, config.max_length)
    keep = confidence >= config.floor
    if none is not None:
        keep &= none <= 0.5
    found = np.where(keep[:, None], best, 0)
    return Decoded(found, np.where(keep, confidence, 0.0), span_mask(found, num_bars))


def disjoint(predictions: Predictions, config: DecoderConfig) -> Decoded:
    """Return any number of spans per window; see `moola_core.decoding.disjoint`.

    Raises:
        ValueError: the model gives no probability for every span.
    """
    if predictions.span_posterior is None:
        raise ValueError("decoder disjoint: expected a model of the probability of every span")
    num_windows, num_bars = predictions.span_logits.shape
    lengths = config.min_length, config.max_length
    found = best_sets(
        predictions.span_posterior, num_bars, lengths, config.least_gain, config.floor
    )
    spans, confidence = found.surest(num_windows)
    mask = sets_mask(found.padded(num_windows), num_bars)
    types = None if predictions.type_bars is None else span_types(predictions.type_bars, found)
    return Decoded(spans, confidence, mask, found, types)


def choose_decoder(
    predictions: Predictions, spans: IntArray, config: DecoderConfig
) -> DecoderConfig:
    """`config` with the threshold or bias that gives the best bar F1 on these windows.

    Thresholds 0.01..0.99 in steps of 0.01, biases -8..8 in steps of 0.25; of equally good ones the
    middle. Give validation windows with their spans ``(B, 2)``, and judge the result on others.
    """
    if not config.choose or config.kind in ("viterbi", "expected_iou", "disjoint"):
        return config
    key, grid = "threshold", np.arange(1, 100) / 100
    if config.kind == "best_span":
        key, grid = "bias", np.arange(-32, 33) / 4
    truth = span_mask(spans, predictions.span_logits.shape[1])
    tried = [config.model_copy(update={key: float(value)}) for value in grid]
    scores = np.array([_bar_f1(decode(predictions, one).mask, truth) for one in tried])
    best = np.flatnonzero(scores == scores.max())
    return tried[int(best[len(best) // 2])]


def _bar_f1(mask: BoolArray, truth: BoolArray) -> float:
    return 2.0 * float((mask & truth).sum()) / max(int(mask.sum()) + int(truth.sum()), 1)
