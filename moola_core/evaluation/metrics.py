"""Scores of spans, each with a bootstrap interval over groups of windows. MODEL.md, section 8.

Conventions. Bars are pooled over windows (micro). A window without a found span counts as IoU 0
and as a miss; the errors of centre and length are over windows with one. `type_f1` is the mean over
the types that occur in truth or answer. A score that nothing defines is NaN.

Where windows without a span are judged, too, `f1`, `precision` and `ece` count their bars, and what
needs a true span (IoU, hits, errors, types) is over the windows with one. For the others there are
`false_alarms`, the share of them in which a span was found; `misses`, the share of the windows with
a span in which none was; and `span_f1`: hits (IoU >= 0.5) over the mean number of spans that were
found and that are true.

Where windows may hold several spans, true spans are counted in place of windows: `iou`, `iou50`,
`hit3` and `type_f1` are over true spans, paired one to one with found ones; `type_f1` of hits.
`span_recall` and `span_precision` are the hits over true and over found spans.

Every score but the area is a ratio of sums over windows, so a resample is a matrix product: windows
are resampled in groups (physical spans), since shifted copies of one are not independent.
Letters: B windows, T bars, K types, R resamples, S sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moola_core.decoding.decode import Decoded, Predictions
from moola_core.evaluation.matching import (
    HIT_BARS,
    confidence_of_sets,
    confusion_of_sets,
    sums_of_sets,
    typed_pairs,
)
from moola_core.evaluation.ranked import Ranked
from moola_core.evaluation.reliability import binned
from moola_core.spans.intervals import (
    BoolArray,
    FloatArray,
    IntArray,
    sets_mask,
    span_iou,
    span_mask,
)

NUM_RESAMPLES = 1000
SCORES = (
    "f1",
    "precision",
    "recall",
    "average_precision",
    "iou",
    "iou50",
    "hit3",
    "center_mae",
    "length_mae",
    "type_f1",
    "ece",
    "in_span",
    "out_span",
    "gap",
)
NONE_SCORES = ("span_f1", "false_alarms", "misses")  # where some windows have no span
SET_SCORES = ("span_precision", "span_recall")  # where windows may hold several


@dataclass(frozen=True)
class Score:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """As in result.json."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Truth:
    """What is true of windows: spans ``(B, 2)``, types ``(B,)``, groups ``(B,)`` int.

    Where they may hold several, also every span ``(B, M, 2)`` and type ``(B, M)``, ``[0, 0)`` and
    -1 after the last.
    """

    spans: IntArray
    types: IntArray
    group: IntArray
    several: tuple[IntArray, IntArray] | None = None

    @property
    def sets(self) -> tuple[IntArray, IntArray]:
        """Every span and its type, also where windows hold one."""
        return self.several or (self.spans[:, None], self.types[:, None])

    def inside(self, num_bars: int) -> BoolArray:
        """``(B, T)``: True inside a span."""
        return sets_mask(self.sets[0], num_bars)


def score(
    decoded: Decoded, predictions: Predictions | None, truth: Truth, *, seed: int = 0
) -> dict[str, Score]:
    """Every score of `SCORES`; those that need probabilities only where there are `predictions`."""
    weights = group_resamples(truth.group, NUM_RESAMPLES, seed)
    sums = window_sums(decoded, predictions, truth)
    values = ratios({name: part.sum(axis=0) for name, part in sums.items()})
    samples = ratios({name: np.tensordot(weights, part, axes=1) for name, part in sums.items()})
    if predictions is not None:
        ranked = Ranked(predictions.span_probs, truth.inside(decoded.mask.shape[1]))
        values["average_precision"] = ranked.area(np.ones((1, len(truth.spans))))[0]
        samples["average_precision"] = ranked.area(weights)
    return {
        name: Score(float(values[name]), *_interval(np.asarray(samples[name])))
        for name in (*SCORES, *SET_SCORES, *NONE_SCORES)
        if name in values
    }


def point_scores(decoded: Decoded, predictions: Predictions, truth: Truth) -> dict[str, float]:
    """Return the scores that are ratios of sums, without intervals and quickly: for each epoch."""
    sums = window_sums(decoded, predictions, truth)
    values = ratios({name: part.sum(axis=0) for name, part in sums.items()})
    return {name: float(value) for name, value in values.items()}


def chance_type_f1(
    predictions: Predictions, truth: Truth, decoded: Decoded | None = None, *, seed: int = 0
) -> Score:
    """Return `type_f1` of the same answers shuffled over the windows: mean and 95% interval.

    What the answers' shares alone are worth (a permutation test: Good 2005, Permutation, Parametric
    and Bootstrap Tests of Hypotheses, ch. 3). NaN without a type head. Of several spans a window
    the hits of `decoded` are shuffled.
    """
    typed = None if decoded is None else typed_pairs(decoded, *truth.sets)
    if typed is not None and decoded is not None and decoded.set_types is not None:
        (_, said, true), num_types = typed, decoded.set_types.shape[1]
    elif predictions.type_probs is not None:
        num_types, has_type = predictions.type_probs.shape[1], truth.types >= 0
        said, true = predictions.type_probs.argmax(axis=1)[has_type], truth.types[has_type]
    else:
        return Score(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    cells = np.array([true * num_types + rng.permutation(said) for _ in range(NUM_RESAMPLES)])
    tables = [np.bincount(row, minlength=num_types**2) for row in cells]
    with np.errstate(invalid="ignore", divide="ignore"):
        values = _macro_f1(np.array(tables, dtype=np.float64).reshape(-1, num_types, num_types))
    return Score(float(values.mean()), *_interval(values))


def group_resamples(group: IntArray, num_resamples: int, seed: int) -> FloatArray:
    """``(R, B)``: how often each window is in each resample; groups are drawn with replacement."""
    rank = np.unique(group, return_inverse=True)[1]
    num_groups = int(rank.max()) + 1
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=num_resamples)
    return counts[:, rank].astype(np.float64)


def window_sums(
    decoded: Decoded, predictions: Predictions | None, truth: Truth
) -> dict[str, FloatArray]:
    """Return what each window adds to each score: ``(B,)`` each, or ``(B, ...)`` for tables."""
    if decoded.sets is not None or truth.several is not None:
        return _window_sums_of_sets(decoded, predictions, truth)
    inside = span_mask(truth.spans, decoded.mask.shape[1])
    is_true = truth.spans[:, 1] > truth.spans[:, 0]
    said = decoded.spans[:, 1] > decoded.spans[:, 0]
    found = (said & is_true).astype(np.float64)
    iou = span_iou(decoded.spans, truth.spans)
    error = np.abs(decoded.spans - truth.spans)
    center = np.abs(decoded.spans.mean(axis=1) - truth.spans.mean(axis=1))
    length = np.abs(np.diff(decoded.spans)[:, 0] - np.diff(truth.spans)[:, 0])
    sums = {
        "one": is_true,
        "marked": is_true,
        **_bar_sums(decoded, inside),
        "iou": iou,
        "iou50": iou >= 0.5,
        "hit3": (error <= HIT_BARS).all(axis=1) * found,
        "found": found,
        "none": ~is_true,
        "alarms": said & ~is_true,
        "missed": is_true & ~said,
        "said_spans": said,
        "center": center * found,
        "length": length * found,
    }
    if predictions is not None:
        sums |= _probability_sums(predictions, inside, truth)
        of_bins = binned("confidence", decoded.confidence[:, None], (iou >= 0.5)[:, None])
        # that there is no span, rightly, is no answer of a confidence
        is_answer = said | is_true
        sums |= {name: part * is_answer[:, None] for name, part in of_bins.items()}
    return {name: part.astype(np.float64) for name, part in sums.items()}


def _window_sums_of_sets(
    decoded: Decoded, predictions: Predictions | None, truth: Truth
) -> dict[str, FloatArray]:
    """Return the same where windows may hold several spans."""
    true, types = truth.sets
    inside = truth.inside(decoded.mask.shape[1])
    sums = {**sums_of_sets(decoded, true), **_bar_sums(decoded, inside)}
    if predictions is not None:
        sums |= _probability_sums(replace(predictions, type_probs=None), inside, truth)
        sums |= confidence_of_sets(decoded, true)
        confusion = confusion_of_sets(decoded, true, types)
        if confusion is not None:
            sums["confusion"] = confusion
    return {name: part.astype(np.float64) for name, part in sums.items()}


def _bar_sums(decoded: Decoded, inside: BoolArray) -> dict[str, IntArray]:
    return {
        "hit_bars": (decoded.mask & inside).sum(axis=1),
        "said_bars": decoded.mask.sum(axis=1),
        "true_bars": inside.sum(axis=1),
    }


def _probability_sums(
    predictions: Predictions, inside: np.ndarray[Any, Any], truth: Truth
) -> dict[str, Any]:
    probs = predictions.span_probs
    sums = {
        "in_sum": (probs * inside).sum(axis=1),
        "out_sum": (probs * ~inside).sum(axis=1),
        "in_bars": inside.sum(axis=1),
        "out_bars": (~inside).sum(axis=1),
        **binned("bar", probs, inside),
    }
    if predictions.type_probs is not None:
        num_types = predictions.type_probs.shape[1]
        said = np.eye(num_types)[predictions.type_probs.argmax(axis=1)]
        # the shape is now (B, K, K), true by said
        true = np.eye(num_types)[truth.types] * (truth.types >= 0)[:, None]
        sums["confusion"] = true[:, :, None] * said[:, None, :]
    return sums


def ratios(sums: dict[str, Any]) -> dict[str, Any]:
    """Scores from sums over windows; each may have a leading axis of resamples."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "f1": _zero_if_none(2 * sums["hit_bars"], sums["said_bars"] + sums["true_bars"]),
            "precision": _zero_if_none(sums["hit_bars"], sums["said_bars"]),
            "recall": _zero_if_none(sums["hit_bars"], sums["true_bars"]),
            "iou": sums["iou"] / sums["one"],
            "iou50": sums["iou50"] / sums["one"],
            "hit3": sums["hit3"] / sums["one"],
            "center_mae": sums["center"] / sums["found"],
            "length_mae": sums["length"] / sums["found"],
        }
        if "several" in sums:
            values["span_precision"] = _zero_if_none(sums["iou50"], sums["said_spans"])
            values["span_recall"] = _zero_if_none(sums["iou50"], sums["one"])
        if "several" in sums or np.any(sums["none"]):
            values["span_f1"] = _zero_if_none(2 * sums["iou50"], sums["said_spans"] + sums["one"])
        if np.any(sums["none"]):
            values["false_alarms"] = sums["alarms"] / sums["none"]
            values["misses"] = sums["missed"] / sums["marked"]
        if "in_sum" in sums:
            in_span, out_span = sums["in_sum"] / sums["in_bars"], sums["out_sum"] / sums["out_bars"]
            bars = sums["in_bars"] + sums["out_bars"]
            values |= {"in_span": in_span, "out_span": out_span, "gap": in_span - out_span}
            gaps = sums["bar_bin_probs"] - sums["bar_bin_true"]
            values["ece"] = np.abs(gaps).sum(axis=-1) / bars
        if "confusion" in sums:
            values["type_f1"] = _macro_f1(sums["confusion"])
    return values


def _zero_if_none(part: Any, whole: Any) -> Any:
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)


def _macro_f1(confusion: FloatArray) -> Any:
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    each = np.where(both > 0, 2 * hits / both, np.nan)
    return np.nansum(each, axis=-1) / (both > 0).sum(axis=-1)


def _interval(samples: FloatArray) -> tuple[float, float]:
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return float("nan"), float("nan")
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)
