"""The span of the greatest expected IoU + [IoU >= 0.5], without a table of each two spans.

A span p adds to q's gain by both of its ends. But of all p that begin at one bar before q and stop
inside it, the union with q depends on that bar alone; so it does of all that begin inside q and
stop at one bar beyond it. So a span costs three sums along lines of prefix sums, which are kept in
the order in which they are read. And few spans can be the best: the IoU is at most the shared bars
over the bars of q, or of p, whose means are prefix sums, too; it is below 0.5 where p is no hit. A
span that can't reach what another one gains is not looked at (branch and bound, Land & Doig 1960).

Letters: B windows, T bars, L bars of the longest span, S spans of `moola_core.spans.grid`; p begins
at bar c, q is [a, b).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from moola_core.io.compiled import compiled
from moola_core.spans.grid import MIN_LENGTH, first_places, longest_of
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray

SLACK = 1e-12  # of rounding, in a bound
Sums: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def best_spans(
    posterior: FloatArray, num_bars: int, min_length: int, max_length: int
) -> tuple[IntArray, FloatArray]:
    """Return the spans ``(B, 2)`` of the greatest gain, and the mass near them ``(B,)``.

    Of equal ones the earliest, then the shortest. Near is an IoU of at least 0.5; its mass is added
    up by numpy, so that recipes keep the confidences of the table of before, to the bit.

    Args:
        posterior: ``(B, S)``.
        num_bars: T.
        min_length: bars of the shortest span that may be chosen.
        max_length: of the longest.
    """
    longest = longest_of(posterior.shape[1], num_bars)
    first = first_places(num_bars, longest)
    lengths = max(min_length, MIN_LENGTH), min(max_length, longest)
    best = _best(np.ascontiguousarray(posterior), first, longest, lengths)
    return best, (posterior * _is_near(best, first)).sum(axis=1)


def gains(posterior: FloatArray, num_bars: int) -> FloatArray:
    """``(B, S)``: the expected IoU + [IoU >= 0.5] of each span with one drawn from `posterior`."""
    longest = longest_of(posterior.shape[1], num_bars)
    return _all_gains(np.ascontiguousarray(posterior), first_places(num_bars, longest), longest)


def worthwhile(
    posterior: FloatArray, num_bars: int, lengths: tuple[int, int], least: float
) -> tuple[FloatArray, FloatArray]:
    """Return how much more than `least` each span gains, and the mass near it; 0 where no more.

    Near is an IoU above 0.5 here: of disjoint spans one alone can be so near to another, where two
    halves of it have 0.5 each.

    Args:
        posterior: ``(B, S)``; a row may sum to more than 1, where several spans may be true.
        num_bars: T.
        lengths: bars of the shortest and of the longest span that are asked for.
        least: gains below are not needed; what can't reach it is not looked at.
    """
    longest = longest_of(posterior.shape[1], num_bars)
    first = first_places(num_bars, longest)
    lengths = max(lengths[0], MIN_LENGTH), min(lengths[1], longest)
    return _worthwhile(np.ascontiguousarray(posterior), first, longest, lengths, least)


@compiled()
def _worthwhile(
    posterior: FloatArray, first: IntArray, longest: int, lengths: tuple[int, int], least: float
) -> tuple[FloatArray, FloatArray]:
    num_bars = len(first) - 1
    more, near = np.zeros(posterior.shape), np.zeros(posterior.shape)
    sums = _no_sums(num_bars, longest)
    ends, shared = np.empty((2, num_bars + 1)), np.empty((2, num_bars + 1))
    for row in range(len(posterior)):
        _sum_rows(posterior[row], first, sums)
        _sum_ends(posterior[row], first, ends, shared)
        for a in range(num_bars):
            for b in range(a + lengths[0], min(a + lengths[1], num_bars) + 1):
                # as in `_best`; a hit has an IoU above 0.5, so that hits <= 2 iou
                iou = min((shared[0, b] - shared[0, a]) / (b - a), shared[1, b] - shared[1, a])
                if 3.0 * iou + SLACK < least:
                    continue
                hits = _hits(sums[0], a, b, 1)
                if iou + hits + SLACK < least:
                    continue
                gain = hits + _expected_iou(sums, a, b)
                if gain > least:
                    i = first[a] + b - a - MIN_LENGTH
                    more[row, i], near[row, i] = gain - least, hits
    return more, near


@compiled()
def _best(
    posterior: FloatArray, first: IntArray, longest: int, lengths: tuple[int, int]
) -> IntArray:
    num_bars = len(first) - 1
    spans = np.zeros((len(posterior), 2), dtype=np.int64)
    sums = _no_sums(num_bars, longest)
    ends, shared = np.empty((2, num_bars + 1)), np.empty((2, num_bars + 1))
    for row in range(len(posterior)):
        _sum_rows(posterior[row], first, sums)
        _sum_ends(posterior[row], first, ends, shared)
        best = _gain_of_likeliest(posterior[row], first, lengths, sums) - SLACK
        for a in range(num_bars):
            # neither IoU nor hits are more than the mass that shares a bar with the longest
            shares = ends[0, num_bars] - ends[0, a] - ends[1, min(a + lengths[1], num_bars)]
            if 2.0 * shares + SLACK < best:
                continue
            for b in range(a + lengths[0], min(a + lengths[1], num_bars) + 1):
                # what shares a bar with [a, b): neither stops before it nor begins after it
                shares = ends[0, num_bars] - ends[0, a] - ends[1, b]
                iou = min((shared[0, b] - shared[0, a]) / (b - a), shared[1, b] - shared[1, a])
                if iou + min(shares, 2.0 * iou) + SLACK < best:
                    continue
                hits = _hits(sums[0], a, b)
                if min(iou, hits + 0.5 * (shares - hits)) + hits + SLACK < best:
                    continue
                gain = hits + _expected_iou(sums, a, b)
                if gain > best:
                    best = gain
                    spans[row, 0], spans[row, 1] = a, b
    return spans


@compiled()
def _is_near(spans: IntArray, first: IntArray) -> BoolArray:
    """``(B, S)``: whether the IoU of a span with that of its window is at least 0.5."""
    num_bars = len(first) - 1
    out = np.zeros((len(spans), first[num_bars]), dtype=np.bool_)
    for row in range(len(spans)):
        a, b = spans[row]
        for c in range(num_bars):
            for i in range(first[c], first[c + 1]):
                stop = c + MIN_LENGTH + i - first[c]
                shared = min(b, stop) - max(a, c)
                out[row, i] = shared > 0 and 3 * shared >= (b - a) + (stop - c)
    return out


@compiled()
def _all_gains(posterior: FloatArray, first: IntArray, longest: int) -> FloatArray:
    num_bars = len(first) - 1
    out = np.empty(posterior.shape)
    sums = _no_sums(num_bars, longest)
    for row in range(len(posterior)):
        _sum_rows(posterior[row], first, sums)
        for a in range(num_bars):
            for i in range(first[a], first[a + 1]):
                b = a + MIN_LENGTH + i - first[a]
                iou = _expected_iou(sums, a, b)
                out[row, i] = iou + _hits(sums[0], a, b)
    return out


@compiled()
def _no_sums(num_bars: int, longest: int) -> Sums:
    """Return what `_sum_rows` fills in, and ``1 / n`` at n, 0 at 0."""
    width = min(2 * longest, num_bars) + 1
    inverse = np.zeros(2 * longest + 1)
    for n in range(1, len(inverse)):
        inverse[n] = 1.0 / n
    early, late = np.zeros((3, num_bars + 1, width)), np.zeros((2, num_bars + 1, width))
    return np.zeros((num_bars, longest + 1)), early, late, np.zeros(num_bars + 1), inverse


@compiled()
def _sum_rows(row: FloatArray, first: IntArray, sums: Sums) -> None:
    """Fill in sums of the mass of spans ``(S,)``.

    ``(T, L + 1)``: mass of what begins at a bar, up to each length. ``(3, T + 1, N)``: of what
    begins n bars before a bar and has stopped there, mass, mass x length, mass / length. ``(2, T +
    1, N)``: of what stops n bars after a bar and has begun there or later, mass, mass x length.
    ``(T + 1,)``: of what begins before a bar, mass / length.
    """
    mass, early, late, shares, inverse = sums
    num_bars, longest, width = len(mass), mass.shape[1] - 1, early.shape[2]
    for c in range(num_bars):
        total, weighed, share = 0.0, 0.0, 0.0
        for n in range(MIN_LENGTH, min(width, num_bars - c + 1)):
            i = first[c] + n - MIN_LENGTH
            if i < first[c + 1]:
                total += row[i]
                weighed += row[i] * n
                share += row[i] * inverse[n]
            early[0, c + n, n], early[1, c + n, n], early[2, c + n, n] = total, weighed, share
            if n <= longest:
                mass[c, n] = total
        shares[c + 1] = shares[c] + share
        mass[c, max(num_bars - c + 1, MIN_LENGTH) : longest + 1] = total
    for a in range(num_bars - 1, -1, -1):
        for n in range(1, min(width, num_bars - a + 1)):
            i = first[a] + n - MIN_LENGTH
            own = row[i] if n >= MIN_LENGTH and i < first[a + 1] else 0.0
            late[0, a, n] = late[0, a + 1, n - 1] + own
            late[1, a, n] = late[1, a + 1, n - 1] + own * n


@compiled()
def _sum_ends(row: FloatArray, first: IntArray, ends: FloatArray, shared: FloatArray) -> None:
    """Fill in what is known of every stretch of bars.

    Args:
        row: ``(S,)``, the mass of each span.
        first: ``(T + 1,)``.
        ends: ``(2, T + 1)``: the mass that stops at each bar or before; that begins there or later.
        shared: ``(2, T + 1)``: the bars before each bar that a span is expected to hold; the same
            as a share of its bars.
    """
    num_bars = len(first) - 1
    ends[:], shared[:] = 0.0, 0.0
    for c in range(num_bars):
        for i in range(first[c], first[c + 1]):
            n = MIN_LENGTH + i - first[c]
            ends[0, c + n] += row[i]
            ends[1, c] += row[i]
            shared[1, c] += row[i] / n
            shared[1, c + n] -= row[i] / n
    inside, share = 0.0, 0.0  # of the mass that holds a bar
    for c in range(num_bars):
        inside, share = inside + ends[1, c] - ends[0, c], share + shared[1, c]
        shared[0, c + 1], shared[1, c] = shared[0, c] + inside, share
    before = 0.0
    for c in range(num_bars):
        shared[1, c], before = before, before + shared[1, c]
        ends[0, c + 1] += ends[0, c]
    shared[1, num_bars] = before
    for c in range(num_bars - 1, -1, -1):
        ends[1, c] += ends[1, c + 1]


@compiled()
def _gain_of_likeliest(
    row: FloatArray,
    first: IntArray,
    lengths: tuple[int, int],
    sums: Sums,
) -> float:
    top, start, stop = -1.0, 0, 0
    for a in range(len(first) - 1):
        for length in range(lengths[0], lengths[1] + 1):
            i = first[a] + length - MIN_LENGTH
            if i < first[a + 1] and row[i] > top:
                top, start, stop = row[i], a, a + length
    if stop == 0:
        return 0.0
    return _hits(sums[0], start, stop) + _expected_iou(sums, start, stop)


@compiled()
def _hits(mass: FloatArray, a: int, b: int, above: int = 0) -> float:
    """Return the mass of the spans whose IoU with ``[a, b)`` is at least 0.5; `above` 1: above."""
    longest, n, total = mass.shape[1] - 1, b - a, 0.0
    # shared bars are at least a third of both lengths together; so it begins within half of q
    for c in range(max(a - n, a - longest, 0), a + n // 2 + 1):
        if c >= len(mass):
            break
        early = max(a - c, 0)  # bars before q
        late = max(c - a, 0)  # bars of q before it
        low = early + (n + early + 1 + above) // 2 if late == 0 else (n + 1 + above) // 2
        high = 2 * n - above if late == 0 else 2 * (n - late) - late - above
        low, high = max(low, MIN_LENGTH), min(high, longest)
        if low <= high:
            total += mass[c, high] - mass[c, low - 1]
    return total


@compiled(fastmath={"contract", "reassoc"})
def _expected_iou(sums: Sums, a: int, b: int) -> float:
    """Return the sum over spans of their mass and their IoU with ``[a, b)``."""
    mass, early, late, shares, inverse = sums
    num_bars, longest, n = len(mass), mass.shape[1] - 1, b - a
    most = min(longest - 1, a)  # bars before q, at most
    total = n * (shares[a] - shares[a - most])
    for before in range(1, most + 1):
        # begins so early; stops inside q: (l - before) / (n + before); beyond it: n / l
        k = n + before
        inside = early[1, b, k] - early[1, a, before]
        inside -= before * (early[0, b, k] - early[0, a, before])
        total += inside * inverse[k] - n * early[2, b, k]
    within = 0.0
    for k in range(1, n + 1):
        within += early[1, b, k]
    total += within * inverse[n]  # begins and stops inside q: l / n
    for over in range(1, min(longest - 1, num_bars - b) + 1):
        # begins inside q and stops so far beyond it: (l - over) / (n + over)
        inside = late[1, a, n + over] - late[1, b, over]
        inside -= over * (late[0, a, n + over] - late[0, b, over])
        total += inside * inverse[n + over]
    return total
