"""All spans of a window as one list, and what is known of every pair of them.

Letters: T bars, S spans of `MIN_LENGTH`..`MAX_LENGTH` bars, by start, then by length (2,220 for
T = 105). The arrays are made once for each T and must not be written to.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from moola_core.spans.intervals import WINDOW_BARS, BoolArray, FloatArray, IntArray
from moola_core.spans.kernels import blur, covered

MIN_LENGTH, MAX_LENGTH = 2, 25
TINY = 1e-300


@lru_cache(maxsize=8)
def all_spans(num_bars: int, max_length: int = MAX_LENGTH) -> IntArray:
    """``(S, 2)``: every span of a window, ``[start, stop)``."""
    num_lengths = max_length - MIN_LENGTH + 1
    start, k = np.divmod(np.arange(num_bars * num_lengths), num_lengths)
    spans = np.stack([start, start + MIN_LENGTH + k], axis=1)
    return _frozen(spans[spans[:, 1] <= num_bars])


def span_index(spans: IntArray, num_bars: int, max_length: int = MAX_LENGTH) -> IntArray:
    """``(...)``: where spans ``(..., 2)`` stand in `all_spans`; the nearest one for any other.

    A span that is too long loses its end; a too short one grows, to the right if it can.
    """
    length = np.clip(spans[..., 1] - spans[..., 0], MIN_LENGTH, min(max_length, num_bars))
    start = np.minimum(spans[..., 0], num_bars - length)
    return places(num_bars, max_length)[start, start + length]


@lru_cache(maxsize=2)
def iou_table(num_bars: int, max_length: int = MAX_LENGTH) -> FloatArray:
    """``(S, S)`` in 0..1: intersection over union of each two spans."""
    start, stop = all_spans(num_bars, max_length).T
    shared = np.minimum(stop[:, None], stop) - np.maximum(start[:, None], start)
    shared = np.maximum(shared, 0)
    length = stop - start
    return _frozen(shared / (length[:, None] + length - shared))


@lru_cache(maxsize=4)
def near_table(num_bars: int, max_length: int = MAX_LENGTH) -> BoolArray:
    """``(S, S)``: True where the IoU is at least 0.5, that is a hit."""
    return _frozen(iou_table(num_bars, max_length) >= 0.5)


@lru_cache(maxsize=4)
def noise_table(num_bars: int, end_noise: tuple[float, ...]) -> FloatArray:
    """``(S, S)``: the probability that a label reads column when the span is row.

    Both ends err by themselves, by d bars with probability ``end_noise[|d|]``; an end that would
    leave the window stays at its edge, and what is no span is shared by the others.
    """
    spans = all_spans(num_bars)
    table_of = places(num_bars)
    table = np.zeros((len(spans), len(spans)))
    reach = range(1 - len(end_noise), len(end_noise))
    for first in reach:
        start = np.clip(spans[:, 0] + first, 0, num_bars)
        for last in reach:
            stop = np.clip(spans[:, 1] + last, 0, num_bars)
            place = table_of[start, np.maximum(stop, start)]
            rows = np.flatnonzero(place >= 0)
            table[rows, place[rows]] += end_noise[abs(first)] * end_noise[abs(last)]
    return _frozen(table / table.sum(axis=1, keepdims=True))


def label_noise(
    runs: IntArray, labels: IntArray, num_bars: int, end_noise: tuple[float, ...]
) -> FloatArray:
    """Entries of `noise_table` ``(B, K)``, at rows `runs` ``(B, K)`` and columns `labels`."""
    labels = np.broadcast_to(labels, runs.shape)
    table = _noise(num_bars, end_noise)
    if isinstance(table, np.ndarray):
        return np.asarray(table[runs, labels])
    # of two flat lists the entries come as one; of two tables they would come as sparse
    return np.asarray(table[runs.ravel(), labels.ravel()]).reshape(runs.shape)


def _noise(num_bars: int, end_noise: tuple[float, ...]) -> Any:
    """`noise_table`; of windows longer than usual as a sparse array."""
    if num_bars <= WINDOW_BARS:
        return noise_table(num_bars, end_noise)
    return sparse_noise(num_bars, end_noise)


@lru_cache(maxsize=2)
def sparse_noise(num_bars: int, end_noise: tuple[float, ...]) -> csr_array:
    """Return the same as `noise_table`, without what is 0."""
    spans = all_spans(num_bars)
    table_of = places(num_bars)
    reach = range(1 - len(end_noise), len(end_noise))
    pairs = [(first, last) for first in reach for last in reach]
    stops = [np.clip(spans[:, 1] + last, 0, num_bars) for _, last in pairs]
    starts = [np.clip(spans[:, 0] + first, 0, num_bars) for first, _ in pairs]
    # the shape is now (pairs, S)
    place = table_of[np.stack(starts), np.maximum(np.stack(stops), np.stack(starts))]
    share = np.array([end_noise[abs(first)] * end_noise[abs(last)] for first, last in pairs])
    pair, run = np.nonzero(place >= 0)
    total = np.bincount(run, share[pair], minlength=len(spans))
    shape = (len(spans), len(spans))
    return csr_array((share[pair] / total[run], (run, place[pair, run])), shape=shape)


def label_posterior(
    probs: FloatArray, spans: IntArray, num_bars: int, end_noise: tuple[float, ...]
) -> FloatArray:
    """``(B, S)``: the probability of each span to be the label.

    Args:
        probs: ``(B, K)``, of each candidate to be the run; rows sum to 1.
        spans: ``(B, K, 2)``, the candidates, each once a window.
        num_bars: T.
        end_noise: as in `noise_table`.
    """
    hidden = np.zeros((len(probs), len(all_spans(num_bars))))
    np.put_along_axis(hidden, span_index(spans, num_bars), probs, axis=1)
    return np.asarray(hidden @ _noise(num_bars, end_noise))


def coverage(posterior: FloatArray, num_bars: int) -> FloatArray:
    """``(B, T)``: the probability of each bar to be inside, from that of each span ``(B, S)``."""
    longest = longest_of(posterior.shape[1], num_bars)
    return covered(posterior, first_places(num_bars, longest), MIN_LENGTH)


@lru_cache(maxsize=8)
def first_places(num_bars: int, max_length: int) -> IntArray:
    """``(T + 1,)``: where the spans that begin at each bar stand in `all_spans`, and its end."""
    starts = all_spans(num_bars, max_length)[:, 0]
    return _frozen(np.searchsorted(starts, np.arange(num_bars + 1)).astype(np.int64))


@lru_cache(maxsize=8)
def longest_of(num_spans: int, num_bars: int) -> int:
    """Bars of the longest span where there are so many spans.

    Raises:
        ValueError: no longest length gives so many.
    """
    seen = 0
    for max_length in range(MIN_LENGTH, num_bars + 1):
        seen += num_bars - max_length + 1
        if seen == num_spans:
            return max_length
    raise ValueError(f"expected the spans of {num_bars} bars, got {num_spans} of them")


def blurred(posterior: FloatArray, num_bars: int, end_noise: tuple[float, ...]) -> FloatArray:
    """``(B, S)``: how probable each label is, of how probable each run is.

    As `label_posterior` but for the edges: what leaves the window or is no span goes to the others.
    A row may sum to less than 1, where there may be no run; the label's sums to the same.
    """
    longest = longest_of(posterior.shape[1], num_bars)
    first = first_places(num_bars, longest)
    return blur(posterior, first, MIN_LENGTH, longest, np.array(end_noise, dtype=np.float64))


def widened(posterior: FloatArray, num_bars: int, max_length: int) -> FloatArray:
    """``(B, S')``: the same on the spans of up to `max_length` bars; the new ones have 0."""
    spans = all_spans(num_bars, longest_of(posterior.shape[1], num_bars))
    wide = np.zeros((len(posterior), len(all_spans(num_bars, max_length))))
    wide[:, span_index(spans, num_bars, max_length)] = posterior
    return wide


@lru_cache(maxsize=8)
def places(num_bars: int, max_length: int = MAX_LENGTH) -> IntArray:
    """``(T + 1, T + 1)``: the place of ``[start, stop)`` in `all_spans`, -1 for what is none."""
    spans = all_spans(num_bars, max_length)
    places = np.full((num_bars + 1, num_bars + 1), -1, dtype=np.int64)
    places[spans[:, 0], spans[:, 1]] = np.arange(len(spans))
    return _frozen(places)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
