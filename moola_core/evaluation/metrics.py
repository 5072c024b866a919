"""Scores of spans, each with a bootstrap interval over groups of windows. MODEL.md, section 8.

Conventions. Bars are pooled over windows (micro). A window without a found span counts as IoU 0
and as a miss; the errors of centre and length are over windows with one. `type_f1` is the mean over
the types that occur in truth or answer. A score that nothing defines is NaN.

Where windows without a span are judged, too, `f1`, `precision` and `ece` count their bars, and what
needs a true span (IoU, hits, errors, types) is over the windows with one. For the others there are
`false_alarms`, the share of them in which a span was found; `misses`, the share of the windows with
a span in which none was; and `span_f1`: hits (IoU >= 0.5) over the mean number of spans that were
found and that are true.

Every score but the area is a ratio of sums over windows, so a resample is a matrix product: windows
are resampled in groups (physical spans), since shifted copies of one are not independent.
Letters: B windows, T bars, K types, R resamples, S sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moola_core.decoding.decode import Decoded, Predictions
from moola_core.spans.intervals import FloatArray, IntArray, span_iou, span_mask

NUM_RESAMPLES = 1000
NUM_BINS = 10
HIT_BARS = 3
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
    """What is true of windows: spans ``(B, 2)``, types ``(B,)``, groups ``(B,)`` int."""

    spans: IntArray
    types: IntArray
    group: IntArray


def score(
    decoded: Decoded, predictions: Predictions | None, truth: Truth, *, seed: int = 0
) -> dict[str, Score]:
    """Every score of `SCORES`; those that need probabilities only where there are `predictions`."""
    weights = group_resamples(truth.group, NUM_RESAMPLES, seed)
    sums = window_sums(decoded, predictions, truth)
    values = ratios({name: part.sum(axis=0) for name, part in sums.items()})
    samples = ratios({name: np.tensordot(weights, part, axes=1) for name, part in sums.items()})
    if predictions is not None:
        ranked = Ranked(predictions.span_probs, span_mask(truth.spans, decoded.mask.shape[1]))
        values["average_precision"] = ranked.area(np.ones((1, len(truth.spans))))[0]
        samples["average_precision"] = ranked.area(weights)
    return {
        name: Score(float(values[name]), *_interval(np.asarray(samples[name])))
        for name in (*SCORES, *NONE_SCORES)
        if name in values
    }


def point_scores(decoded: Decoded, predictions: Predictions, truth: Truth) -> dict[str, float]:
    """Return the scores that are ratios of sums, without intervals and quickly: for each epoch."""
    sums = window_sums(decoded, predictions, truth)
    values = ratios({name: part.sum(axis=0) for name, part in sums.items()})
    return {name: float(value) for name, value in values.items()}


def chance_type_f1(predictions: Predictions, truth: Truth, *, seed: int = 0) -> Score:
    """Return `type_f1` of the same answers shuffled over the windows: mean and 95% interval.

    What the answers' shares alone are worth (a permutation test: Good 2005, Permutation, Parametric
    and Bootstrap Tests of Hypotheses, ch. 3). NaN without a type head.
    """
    if predictions.type_probs is None:
        return Score(float("nan"), float("nan"), float("nan"))
    num_types = predictions.type_probs.shape[1]
    has_type = truth.types >= 0
    said, true = predictions.type_probs.argmax(axis=1)[has_type], truth.types[has_type]
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
        "hit_bars": (decoded.mask & inside).sum(axis=1),
        "said_bars": decoded.mask.sum(axis=1),
        "true_bars": inside.sum(axis=1),
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
        binned = _binned("confidence", decoded.confidence[:, None], (iou >= 0.5)[:, None])
        # that there is no span, rightly, is no answer of a confidence
        is_answer = said | is_true
        sums |= {name: part * is_answer[:, None] for name, part in binned.items()}
    return {name: part.astype(np.float64) for name, part in sums.items()}


def _probability_sums(
    predictions: Predictions, inside: np.ndarray[Any, Any], truth: Truth
) -> dict[str, Any]:
    probs = predictions.span_probs
    sums = {
        "in_sum": (probs * inside).sum(axis=1),
        "out_sum": (probs * ~inside).sum(axis=1),
        "in_bars": inside.sum(axis=1),
        "out_bars": (~inside).sum(axis=1),
        **_binned("bar", probs, inside),
    }
    if predictions.type_probs is not None:
        num_types = predictions.type_probs.shape[1]
        said = np.eye(num_types)[predictions.type_probs.argmax(axis=1)]
        # the shape is now (B, K, K), true by said
        true = np.eye(num_types)[truth.types] * (truth.types >= 0)[:, None]
        sums["confusion"] = true[:, :, None] * said[:, None, :]
    return sums


def _binned(what: str, probs: FloatArray, came_true: np.ndarray[Any, Any]) -> dict[str, FloatArray]:
    """``(B, bins)`` each: of what ``(B, N)`` was said with a probability in the bin.

    How much was said, the sum of its probabilities, and how much of it came true.
    """
    bins = np.minimum((probs * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    of_bin = bins[..., None] == np.arange(NUM_BINS)
    return {
        f"{what}_bin_said": of_bin.sum(axis=1),
        f"{what}_bin_probs": (probs[..., None] * of_bin).sum(axis=1),
        f"{what}_bin_true": (came_true[..., None] * of_bin).sum(axis=1),
    }


def reliability(sums: dict[str, Any], what: str) -> list[dict[str, float]]:
    """Of each bin of probability that occurs: how much was said, its mean, and what came true.

    Args:
        sums: over windows, of what `window_sums` gave for each.
        what: ``bar``, the probability of each bar to be inside; or ``confidence``, that of each
            answer to hit (IoU >= 0.5).

    Returns:
        A row a bin: ``low`` (its lower end), ``said`` (bars, or windows), ``mean`` and ``true``.
    """
    said, probs, true = (sums[f"{what}_bin_{name}"] for name in ("said", "probs", "true"))
    return [
        {
            "low": k / NUM_BINS,
            "said": float(said[k]),
            "mean": float(probs[k] / said[k]),
            "true": float(true[k] / said[k]),
        }
        for k in range(NUM_BINS)
        if said[k] > 0
    ]


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
        if np.any(sums["none"]):
            values["span_f1"] = _zero_if_none(2 * sums["iou50"], sums["said_spans"] + sums["one"])
            values["false_alarms"] = sums["alarms"] / sums["none"]
            values["misses"] = sums["missed"] / sums["one"]
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


class Ranked:
    """Bars sorted once by probability, so that each resample's area is one pass of sums."""

    def __init__(self, probs: FloatArray, inside: np.ndarray[Any, Any]) -> None:
        order = np.argsort(-probs, axis=None, kind="stable")
        flat = probs.ravel()[order]
        self.window = order // probs.shape[1]
        self.inside = inside.ravel()[order].astype(np.float64)
        # Bars of one probability are one step of the curve.
        self.last = np.flatnonzero(np.append(np.diff(flat) != 0, True))

    def area(self, weights: FloatArray) -> FloatArray:
        """``(R,)``: area under precision over recall, a step a threshold; weights ``(R, B)``."""
        areas = np.empty(len(weights))
        for i, row in enumerate(weights):
            weight = row[self.window]
            said = np.cumsum(weight)[self.last]
            hits = np.cumsum(weight * self.inside)[self.last]
            gained = np.diff(hits, prepend=0.0)
            total = hits[-1]
            precision = hits / np.maximum(said, 1e-12)
            areas[i] = (gained * precision).sum() / total if total > 0 else np.nan
        return areas
