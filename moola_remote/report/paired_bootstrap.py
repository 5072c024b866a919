"""Scores from judged windows, and one run's lead over another on the same windows.

The formulas are those of `moola_core.evaluation.metrics`, which this side may not import; a test
holds them together. Nearly every score is a ratio of sums over windows, so a resample adds up rows
of sums.
Resampled are groups of windows (physical spans), as shifted copies of one are not independent, and
both runs on the same resample, so that what makes a window hard for both cancels (Efron &
Tibshirani 1993, ch. 13).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from moola_remote.protocol.result import Score
from moola_remote.report.predictions import HIT_IOU, Window, pairs_of

NUM_RESAMPLES = 2000
NUM_BINS = 10
HIT_BARS = 3
MIN_GROUPS = 5  # fewer say nothing about how groups vary
MAX_DRAWS = 1_000_000  # groups times resamples: beyond it there are fewer of these
_BARS = ("hit_bars", "said_bars", "true_bars", "in_sum", "out_sum", "in_bars", "out_bars")
_SPAN = (
    *(*_BARS, "one", "iou", "iou50", "hit3", "found", "center", "length"),
    *("none", "alarms", "missed", "said_spans", "marked", "several"),
)


@dataclass(frozen=True)
class Lead:
    """What one run scores more than another on `num_windows` shared windows of `num_groups` spans.

    `leads` have the 95% interval of the paired bootstrap, of `MIN_GROUPS` spans or more; a score
    that one of them does not define is missing.
    """

    num_windows: int
    num_groups: int
    leads: Mapping[str, Score]


def scores_of(windows: Sequence[Window], num_types: int) -> dict[str, float]:
    """Return every score that is a ratio of sums."""
    return _ratios(_added([_sums(window, num_types) for window in windows]), num_types)


def pair(first: Sequence[Window], second: Sequence[Window]) -> list[tuple[Window, Window]]:
    """Return the windows that both runs were judged on, with the same truth."""
    others = {window.key: window for window in second}
    shared = ((window, others[window.key]) for window in first if window.key in others)
    return [(one, other) for one, other in shared if one.true == other.true]


def lead(pairs: Sequence[tuple[Window, Window]], num_types: int, *, seed: int = 0) -> Lead:
    """Return how much better the second of each pair is."""
    by_group: dict[object, list[tuple[Window, Window]]] = {}
    for one, other in pairs:
        by_group.setdefault(one.key if one.group is None else one.group, []).append((one, other))
    sides = [
        [
            _added([_sums(both[side], num_types) for both in members])
            for members in by_group.values()
        ]
        for side in (0, 1)
    ]
    value = _difference([_added(rows) for rows in sides], num_types)
    draws = _resampled(sides, num_types, seed)
    leads = {}
    for name, gain in value.items():
        if math.isfinite(gain):
            drawn = draws.get(name, [])
            low, high = (_quantile(drawn, share) for share in (0.025, 0.975))
            leads[name] = Score(value=gain, low=low, high=high)
    return Lead(len(pairs), len(by_group), leads)


def _resampled(
    sides: Sequence[Sequence[Sequence[float]]], num_types: int, seed: int
) -> dict[str, list[float]]:
    """Return the difference of each score on each resample; none where there are too few groups."""
    num_groups = len(sides[0])
    if num_groups < MIN_GROUPS:
        return {}
    columns = [list(zip(*rows, strict=True)) for rows in sides]
    # Half of them are the truth's, the same for both, or 0 everywhere.
    distinct = list(dict.fromkeys(column for side in columns for column in side))
    places = [[distinct.index(column) for column in side] for side in columns]
    draws: dict[str, list[float]] = {}
    generator = random.Random(seed)
    for _ in range(max(min(NUM_RESAMPLES, MAX_DRAWS // max(num_groups, 1)), 100)):
        picked = itemgetter(*generator.choices(range(num_groups), k=num_groups))
        each = [sum(picked(column)) for column in distinct]
        sums = [[each[place] for place in side] for side in places]
        for name, one in _difference(sums, num_types).items():
            draws.setdefault(name, []).append(one)
    return draws


def _difference(sums: Sequence[Sequence[float]], num_types: int) -> dict[str, float]:
    first, second = (_ratios(side, num_types) for side in sums)
    return {name: second[name] - first[name] for name in first if name in second}


def _quantile(values: Sequence[float], share: float) -> float:
    """Linear between neighbours, over those that are numbers."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return math.nan
    at = share * (len(finite) - 1)
    low = int(at)
    high = min(low + 1, len(finite) - 1)
    return finite[low] + (at - low) * (finite[high] - finite[low])


def _added(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _sums(window: Window, num_types: int) -> list[float]:
    """Return what a window adds: `_SPAN`, the gap of each calibration bin, the table of types."""
    true_bars = sum(stop - start for start, stop in window.true)
    in_sum = sum(sum(window.span_probs[start:stop]) for start, stop in window.true)
    total, num_bars = sum(window.span_probs), len(window.span_probs)
    spans = _sums_of_several(window) if window.is_several else _sums_of_one(window)
    has_span, said = bool(window.true), bool(window.found)
    return [
        *map(float, (window.hit_bars, window.said_bars, true_bars)),
        *(in_sum, total - in_sum, float(true_bars), float(num_bars - true_bars)),
        *(float(len(window.true)), *spans),
        *map(float, (not has_span, said and not has_span, has_span and not said)),
        *map(float, (len(window.found), has_span, window.is_several)),
        *_bin_gaps(window),
        *_type_table(window, num_types),
    ]


def _sums_of_one(window: Window) -> list[float]:
    """Return IoU, hit, both ends within 3 bars, found, and the errors of centre and length."""
    found = float(bool(window.true and window.found))
    edges = (abs(window.start - window.true_start), abs(window.stop - window.true_stop))
    middle = abs(window.start + window.stop - window.true_start - window.true_stop) / 2
    length = abs((window.stop - window.start) - (window.true_stop - window.true_start))
    near = found * (max(edges) <= HIT_BARS)
    return [window.iou, float(window.is_hit), near, found, middle * found, length * found]


def _sums_of_several(window: Window) -> list[float]:
    """Return the same, summed over pairs of a found and a true span."""
    sums = [0.0] * 6
    for iou, i, j in pairs_of(window):
        (start, stop), (true_start, true_stop) = window.found[i], window.true[j]
        edges = abs(start - true_start), abs(stop - true_stop)
        middle = abs(start + stop - true_start - true_stop) / 2
        length = abs((stop - start) - (true_stop - true_start))
        hits = float(iou >= HIT_IOU), float(max(edges) <= HIT_BARS)
        sums = [x + y for x, y in zip(sums, (iou, *hits, 1.0, middle, length), strict=True)]
    return sums


def _bin_gaps(window: Window) -> list[float]:
    gaps = [0.0] * NUM_BINS
    for bar, prob in enumerate(window.span_probs):
        gaps[min(int(prob * NUM_BINS), NUM_BINS - 1)] += prob - window.is_inside(bar)
    return gaps


def _type_table(window: Window, num_types: int) -> list[float]:
    """``num_types ** 2`` cells, true by predicted."""
    cells = [0.0] * num_types**2
    for true, said in window.typed:
        if max(true, said) < num_types:
            cells[true * num_types + said] += 1.0
    return cells


def _ratios(sums: Sequence[float], num_types: int) -> dict[str, float]:
    of = dict(zip(_SPAN, sums, strict=False))
    gaps, cells = sums[len(_SPAN) : len(_SPAN) + NUM_BINS], sums[len(_SPAN) + NUM_BINS :]
    bars = of["in_bars"] + of["out_bars"]
    in_span, out_span = _over(of["in_sum"], of["in_bars"]), _over(of["out_sum"], of["out_bars"])
    scores = {
        "f1": _over(2 * of["hit_bars"], of["said_bars"] + of["true_bars"], none=0.0),
        "precision": _over(of["hit_bars"], of["said_bars"], none=0.0),
        "recall": _over(of["hit_bars"], of["true_bars"], none=0.0),
        **{name: _over(of[name], of["one"]) for name in ("iou", "iou50", "hit3")},
        "center_mae": _over(of["center"], of["found"]),
        "length_mae": _over(of["length"], of["found"]),
        "ece": _over(sum(map(abs, gaps)), bars),
        "in_span": in_span,
        "out_span": out_span,
        "gap": in_span - out_span,
    }
    if of["several"]:
        scores["span_precision"] = _over(of["iou50"], of["said_spans"], none=0.0)
        scores["span_recall"] = _over(of["iou50"], of["one"], none=0.0)
    if of["several"] or of["none"]:
        scores["span_f1"] = _over(2 * of["iou50"], of["said_spans"] + of["one"], none=0.0)
    if of["none"]:
        scores["false_alarms"] = of["alarms"] / of["none"]
        scores["misses"] = _over(of["missed"], of["marked"])
    return scores | ({"type_f1": _macro_f1(cells, num_types)} if sum(cells) else {})


def _over(part: float, whole: float, none: float = math.nan) -> float:
    return part / whole if whole else none


def _macro_f1(cells: Sequence[float], num_types: int) -> float:
    """Return the mean over the types that occur, in truth or answer."""
    each = []
    for kind in range(num_types):
        true = sum(cells[kind * num_types : (kind + 1) * num_types])
        said = sum(cells[kind::num_types])
        if true + said:
            each.append(2 * cells[kind * num_types + kind] / (true + said))
    return sum(each) / len(each) if each else math.nan
