"""Sets of spans that share no bar: their sum over all sets, and the best of them. Compiled.

A segmentation of a window is any number of disjoint spans, none too; its score is the sum of theirs
(a semi-Markov model: Sarawagi & Cohen 2004, NIPS). One pass over the bars sums over all of them,
in float64. Spans may touch, as ``[2, 5)`` and ``[5, 9)`` do.

Letters: B windows, T bars, L bars of the longest span, S spans of `moola_core.spans.grid`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.io.compiled import compiled
from moola_core.spans.grid import MIN_LENGTH, first_places, longest_of
from moola_core.spans.intervals import FloatArray, IntArray


def partition(scores: NDArray[Any], num_bars: int) -> tuple[FloatArray, FloatArray]:
    """Return the logarithm of the sum over all segmentations, and how probable each span is.

    Args:
        scores: ``(B, S)``, of each span; a segmentation without a span has the score 0.
        num_bars: T.

    Returns:
        ``(B,)`` nats; ``(B, S)`` the probability of each span to be in the segmentation, which is
        the gradient of the former. A row of it sums to the expected number of spans.
    """
    first = first_places(num_bars, longest_of(scores.shape[1], num_bars))
    return _partition(np.ascontiguousarray(scores, dtype=np.float64), first)


def best_segmentations(values: NDArray[Any], num_bars: int) -> tuple[IntArray, IntArray]:
    """Return the disjoint spans of the greatest sum of values, of each window.

    A span of value 0 or less is in none.

    Args:
        values: ``(B, S)``.
        num_bars: T.

    Returns:
        ``(N,)`` the window of each, ``(N, 2)`` the spans, by window and start.
    """
    first = first_places(num_bars, longest_of(values.shape[1], num_bars))
    found = _best(np.ascontiguousarray(values, dtype=np.float64), first)
    return found[:, 0].copy(), found[:, 1:].copy()


@compiled()
def _partition(scores: FloatArray, first: IntArray) -> tuple[FloatArray, FloatArray]:
    num_bars = len(first) - 1
    total, probs = np.empty(len(scores)), np.empty(scores.shape)
    # logarithms of the sums over segmentations of the bars before t, and of those from t on
    before, after = np.empty(num_bars + 1), np.empty(num_bars + 1)
    terms = np.empty(num_bars + 1)
    for row in range(len(scores)):
        here = scores[row]
        before[0] = after[num_bars] = 0.0
        for t in range(1, num_bars + 1):
            terms[0], count, top = before[t - 1], 1, before[t - 1]
            for a in range(t - MIN_LENGTH, -1, -1):
                i = first[a] + t - a - MIN_LENGTH
                if i >= first[a + 1]:
                    break
                terms[count] = before[a] + here[i]
                top = max(top, terms[count])
                count += 1
            before[t] = _log_sum(terms, count, top)
        for t in range(num_bars - 1, -1, -1):
            terms[0], count, top = after[t + 1], 1, after[t + 1]
            for i in range(first[t], first[t + 1]):
                terms[count] = here[i] + after[t + MIN_LENGTH + i - first[t]]
                top = max(top, terms[count])
                count += 1
            after[t] = _log_sum(terms, count, top)
        total[row] = before[num_bars]
        for a in range(num_bars):
            for i in range(first[a], first[a + 1]):
                rest = before[a] + after[a + MIN_LENGTH + i - first[a]]
                probs[row, i] = np.exp(rest + here[i] - total[row])
    return total, probs


@compiled()
def _log_sum(terms: FloatArray, count: int, top: float) -> float:
    mass = 0.0
    for k in range(count):
        mass += np.exp(terms[k] - top)
    return top + np.log(mass)


@compiled()
def _best(values: FloatArray, first: IntArray) -> IntArray:
    num_bars, count = len(first) - 1, 0
    found = np.empty((len(values) * (num_bars // MIN_LENGTH), 3), dtype=np.int64)
    # the greatest sum within the bars from t on, and where the span stops that begins it
    best, stop = np.zeros(num_bars + 1), np.zeros(num_bars + 1, dtype=np.int64)
    for row in range(len(values)):
        for t in range(num_bars - 1, -1, -1):
            best[t], stop[t] = best[t + 1], 0
            for i in range(first[t], first[t + 1]):
                b = t + MIN_LENGTH + i - first[t]
                if values[row, i] > 0.0 and values[row, i] + best[b] > best[t]:
                    best[t], stop[t] = values[row, i] + best[b], b
        t = 0
        while t < num_bars:
            if stop[t] > 0:
                found[count, 0], found[count, 1], found[count, 2] = row, t, stop[t]
                count, t = count + 1, stop[t]
            else:
                t += 1
    return found[:count].copy()
