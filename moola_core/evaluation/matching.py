"""Several spans a window against several: paired one to one, and what each window adds to scores.

Pairs are made from the greatest IoU down, each span in one pair at most; what shares no bar is in
none. A pair is a hit where its IoU is at least 0.5: spans of one side share no bar, so that no way
of pairing has more hits, but where two IoUs are 0.5 exactly.
Letters: B windows, M spans of the fullest window, P pairs, K types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moola_core.decoding.decode import Decoded
from moola_core.evaluation.reliability import NUM_BINS, binned
from moola_core.spans.intervals import FloatArray, IntArray, span_iou

HIT_BARS = 3
HIT_IOU = 0.5


@dataclass(frozen=True)
class Pairs:
    """Found and true spans that belong together: of window, place of each among its own, IoU.

    Attributes:
        window, said, true: ``(P,)`` int; the k-th said and the k-th true span of that window.
        iou: ``(P,)`` above 0.
    """

    window: IntArray
    said: IntArray
    true: IntArray
    iou: FloatArray


def pair_spans(said: IntArray, true: IntArray) -> Pairs:
    """Pair spans ``(B, M, 2)`` with others ``(B, M', 2)``, ``[0, 0)`` after the last of each."""
    num_windows, num_said, num_true = len(said), said.shape[1], true.shape[1]
    shape = (num_windows, num_said, num_true, 2)
    first = np.broadcast_to(said[:, :, None], shape).reshape(-1, 2)
    second = np.broadcast_to(true[:, None], shape).reshape(-1, 2)
    iou = span_iou(first, second).reshape(num_windows, num_said, num_true)
    parts = []
    for _ in range(min(num_said, num_true)):
        best = iou.reshape(num_windows, -1).argmax(axis=1)
        i, j = np.divmod(best, num_true)
        rows = np.arange(num_windows)
        value = iou[rows, i, j].copy()
        some = value > 0
        parts.append(np.stack([rows[some], i[some], j[some]]))
        iou[rows, i], iou[rows, :, j] = 0.0, 0.0
        parts[-1] = np.vstack([parts[-1], value[some]])
    window, i, j, value = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0))
    return Pairs(window.astype(np.int64), i.astype(np.int64), j.astype(np.int64), value)


def said_sets(decoded: Decoded) -> IntArray:
    """``(B, M, 2)``: every span that was found; of a decoder of one span that one."""
    if decoded.sets is None:
        return decoded.spans[:, None]
    return decoded.sets.padded(len(decoded.spans))


def sums_of_sets(decoded: Decoded, true: IntArray) -> dict[str, Any]:
    """Return what each window adds to the scores of spans: ``(B,)`` each; see `metrics`."""
    said, num_windows = said_sets(decoded), len(true)
    pairs = pair_spans(said, true)
    there, found = (_count(one) for one in (true, said))
    of_pair, of_truth = said[pairs.window, pairs.said], true[pairs.window, pairs.true]
    error = np.abs(of_pair - of_truth)

    def add(values: Any) -> FloatArray:
        sums = np.bincount(pairs.window, np.asarray(values, np.float64), num_windows)
        return sums.astype(np.float64)

    return {
        "one": there,
        "marked": there > 0,
        "iou": add(pairs.iou),
        "iou50": add(pairs.iou >= HIT_IOU),
        "hit3": add((error <= HIT_BARS).all(axis=1)),
        "found": add(np.ones(len(pairs.iou))),
        "none": there == 0,
        "alarms": (there == 0) & (found > 0),
        "missed": (there > 0) & (found == 0),
        "said_spans": found,
        "center": add(np.abs(of_pair.mean(axis=1) - of_truth.mean(axis=1))),
        "length": add(np.abs(np.diff(of_pair)[:, 0] - np.diff(of_truth)[:, 0])),
        "several": np.ones(num_windows),
    }


def confidence_of_sets(decoded: Decoded, true: IntArray) -> dict[str, FloatArray]:
    """Return for bins of confidence how many spans were predicted, and how many of them are hits.

    `true` is ``(B, K, 2)``, padded; each sum is ``(B, NUM_BINS)``.
    """
    said, pairs = said_sets(decoded), pair_spans(said_sets(decoded), true)
    hit = np.zeros(said.shape[:2])
    hit[pairs.window, pairs.said] = pairs.iou >= HIT_IOU
    if decoded.sets is None:
        window = np.flatnonzero(_count(said))
        place, confidence = np.zeros_like(window), decoded.confidence[window]
    else:
        window, confidence = decoded.sets.window, decoded.sets.confidence
        place = np.arange(len(window)) - np.searchsorted(window, window)
    parts = binned("confidence", confidence[:, None], hit[window, place][:, None])
    sums = {}
    for name, part in parts.items():
        sums[name] = np.zeros((len(said), NUM_BINS))
        np.add.at(sums[name], window, part)
    return sums


def typed_pairs(decoded: Decoded, true: IntArray, types: IntArray) -> tuple[IntArray, ...] | None:
    """Return of each hit the window, the type that was said and the true one; None without types.

    Args:
        decoded: with the probability of each type of each found span.
        true: ``(B, M, 2)``.
        types: ``(B, M)``.
    """
    if decoded.sets is None or decoded.set_types is None:
        return None
    pairs = pair_spans(said_sets(decoded), true)
    hits = pairs.iou >= HIT_IOU
    window = pairs.window[hits]
    begin = np.searchsorted(decoded.sets.window, window)
    said = decoded.set_types[begin + pairs.said[hits]].argmax(axis=1)
    return window, said, types[window, pairs.true[hits]]


def confusion_of_sets(decoded: Decoded, true: IntArray, types: IntArray) -> FloatArray | None:
    """``(B, K, K)``: the types of each window's hits, true by said; None without types."""
    typed = typed_pairs(decoded, true, types)
    if typed is None or decoded.set_types is None:
        return None
    num_types = decoded.set_types.shape[1]
    table = np.zeros((len(true), num_types, num_types))
    window, said, kind = typed
    np.add.at(table, (window, kind, said), 1.0)
    return table


def _count(sets: IntArray) -> IntArray:
    """``(B,)``: how many of ``(B, M, 2)`` are spans."""
    return np.asarray((sets[..., 1] > sets[..., 0]).sum(axis=1), dtype=np.int64)
