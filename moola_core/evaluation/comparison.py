"""Answerers side by side on the same windows: scores, and one's lead over each other, paired.

Letters: B windows, R resamples. The intervals are of a bootstrap over groups (Efron & Tibshirani
1993, ch. 13): every answerer is scored on the same resampled windows, so that what makes a window
hard for all of them cancels in the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from moola_core.evaluation.metrics import group_resamples, ratios
from moola_core.evaluation.ranked import Ranked
from moola_core.evaluation.reliability import reliability
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray

SHOWN = (
    *("f1", "iou50", "iou", "hit3", "average_precision", "type_f1", "ece"),
    *("span_precision", "span_recall", "span_f1", "false_alarms", "misses"),
)
NUM_RESAMPLES = 2000
# By the answerer and the score: value, low and high.
Table = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Answers:
    """What each answerer adds to each score, for the windows at `rows`.

    Attributes:
        rows: ``(B,)``, which windows.
        sums: by the answerer's name, as `moola_core.evaluation.metrics.window_sums` gives them.
        probs: ``(B, T)`` of each answerer that has probabilities.
        inside: ``(B, T)``, what is true of them; None without probabilities.
    """

    rows: IntArray
    sums: dict[str, dict[str, FloatArray]]
    probs: dict[str, FloatArray] = field(default_factory=dict)
    inside: BoolArray | None = None


def compare(repeats: list[list[Answers]], group: IntArray, leader: str) -> Table:
    """Scores of each answerer and the lead of one of them, with 95% intervals.

    Args:
        repeats: each a partition of the same windows; scores are averaged over repeats.
        group: the group of every window that a row may name.
        leader: an answerer's name; its lead over RULE is named ``leader - RULE``.
    """
    order = np.sort(np.concatenate([part.rows for part in repeats[0]]))
    weights = group_resamples(group[order], NUM_RESAMPLES, seed=0)
    weights = np.concatenate([np.ones((1, len(order))), weights])
    values: dict[str, dict[str, FloatArray]] = {}
    for name in repeats[0][0].sums:
        each = [_scores(repeat, name, weights) for repeat in repeats]
        values[name] = {score: np.mean([one[score] for one in each], axis=0) for score in each[0]}
    for rule in [name for name in values if name != leader]:
        shared = [score for score in values[rule] if score in values[leader]]
        lead = {score: values[leader][score] - values[rule][score] for score in shared}
        values[f"{leader} - {rule}"] = lead
    return {
        name: {score: _with_interval(one) for score, one in scores.items()}
        for name, scores in values.items()
    }


def reliability_of(repeats: list[list[Answers]], name: str) -> dict[str, list[dict[str, float]]]:
    """Return how often what one answerer says comes true, over all repeats; see `reliability`."""
    parts = [part.sums[name] for repeat in repeats for part in repeat]
    sums = {key: sum(part[key].sum(axis=0) for part in parts) for key in parts[0]}
    return {what: reliability(sums, what) for what in ("bar", "confidence")}


def reliability_lines(table: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return a line a bin of probability."""
    lines = []
    for what, rows in table.items():
        lines.append(f"{what:>12} {'said':>7} {'mean':>6} {'true':>6}")
        lines += [
            f"{row['low']:10.1f}.. {row['said']:7.0f} {row['mean']:6.3f} {row['true']:6.3f}"
            for row in rows
        ]
    return lines


def table_lines(table: Table) -> list[str]:
    """Return a line an answerer, then one a score."""
    lines = []
    for name, scores in table.items():
        lines.append(name)
        for score, one in scores.items():
            interval = f"[{one['low']:.3f}, {one['high']:.3f}]"
            lines.append(f"{score:>12} {one['value']:7.3f}  {interval}")
    return lines


def _scores(repeat: list[Answers], name: str, weights: FloatArray) -> dict[str, FloatArray]:
    """``(R,)`` a score, for each row of weights ``(R, B)``; windows in order of their row."""
    order = np.argsort(np.concatenate([part.rows for part in repeat]))
    parts = [part.sums[name] for part in repeat]
    sums = {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}
    values = ratios({key: np.tensordot(weights, part, axes=1) for key, part in sums.items()})
    if name in repeat[0].probs:
        probs = np.concatenate([part.probs[name] for part in repeat])[order]
        inside = np.concatenate([part.inside for part in repeat if part.inside is not None])
        values["average_precision"] = Ranked(probs, inside[order]).area(weights)
    return {score: values[score] for score in SHOWN if score in values}


def _with_interval(values: FloatArray) -> dict[str, float]:
    """Return the score, the first of `values`, with an interval from the resamples, the rest."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}
