"""Any number of spans a window, of how probable each span is to be one of them.

Minimum Bayes risk (Berger 1985, Statistical Decision Theory, 4.4): of all sets of disjoint spans
the one of the greatest sum of gains less the price of a span. What a span gains is its expected
IoU + [IoU > 0.5] with those that are true, as `moola_core.decoding.expected` has it. Spans of one
side share no bar, so that each is so near to one of the other side at most, and gains add up.
Letters: B windows, T bars, N spans found, S spans of
`moola_core.spans.grid`, K types.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moola_core.decoding.expected import worthwhile
from moola_core.spans.grid import longest_of, span_index
from moola_core.spans.intervals import FloatArray, IntArray
from moola_core.spans.segmentations import best_segmentations


@dataclass(frozen=True)
class FoundSets:
    """Spans that were found, by window and start; those of a window share no bar.

    Attributes:
        window: ``(N,)`` int. spans: ``(N, 2)`` int, ``[start, stop)``.
        confidence: ``(N,)`` in 0..1, the probability that a true span is near it (IoU > 0.5).
    """

    window: IntArray
    spans: IntArray
    confidence: FloatArray

    def padded(self, num_windows: int) -> IntArray:
        """``(B, M, 2)``, ``[0, 0)`` after the last of each window."""
        count = np.bincount(self.window, minlength=num_windows)
        place = np.arange(len(self.window)) - np.repeat(np.cumsum(count) - count, count)
        sets = np.zeros((num_windows, max(int(count.max(initial=0)), 1), 2), dtype=np.int64)
        sets[self.window, place] = self.spans
        return sets

    def surest(self, num_windows: int) -> tuple[IntArray, FloatArray]:
        """``(B, 2)`` the most confident span of each window, empty where none; its confidence."""
        spans, confidence = np.zeros((num_windows, 2), dtype=np.int64), np.zeros(num_windows)
        order = np.lexsort((-self.spans[:, 0], self.confidence))  # the last one written stays
        spans[self.window[order]] = self.spans[order]
        confidence[self.window[order]] = self.confidence[order]
        return spans, confidence


def best_sets(
    posterior: FloatArray,
    num_bars: int,
    lengths: tuple[int, int],
    least_gain: float,
    floor: float = 0.0,
) -> FoundSets:
    """Return the disjoint spans of the greatest gain, in each window.

    Args:
        posterior: ``(B, S)``, the probability of each span to be true; a row sums to the expected
            number of spans.
        num_bars: T.
        lengths: bars of the shortest and of the longest span that may be chosen.
        least_gain: the price of a span: one that gains less is in no set.
        floor: spans of less confidence are dropped.
    """
    value, hits = worthwhile(posterior, num_bars, lengths, least_gain)
    window, spans = best_segmentations(value, num_bars)
    place = span_index(spans, num_bars, longest_of(posterior.shape[1], num_bars))
    confidence = hits[window, place]
    keep = confidence >= floor
    return FoundSets(window[keep], spans[keep], np.minimum(confidence[keep], 1.0))


def span_types(type_bars: FloatArray, found: FoundSets) -> FloatArray:
    """``(N, K)``: the probability of each type of each found span, from scores ``(B, T, K)``."""
    before = np.pad(np.cumsum(type_bars, axis=1), ((0, 0), (1, 0), (0, 0)))
    start, stop = found.spans.T
    scores = before[found.window, stop] - before[found.window, start]
    scores /= (stop - start)[:, None]
    mass = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(mass / mass.sum(axis=1, keepdims=True))
