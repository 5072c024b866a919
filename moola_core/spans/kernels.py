"""What is summed over all spans of a window, compiled. Linear in the bars of a window.

Letters: B windows, T bars, L bars of the longest span, S spans by start, then by length, as in
`moola_core.spans.grid`; ``first[a]`` is the place of the shortest span that begins at bar a.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.io.compiled import compiled
from moola_core.spans.intervals import FloatArray, IntArray


@compiled()
def covered(posterior: NDArray[Any], first: IntArray, shortest: int) -> FloatArray:
    """``(B, T)``: the sum over the spans that hold each bar, of ``(B, S)``; first ``(T + 1,)``."""
    num_bars = len(first) - 1
    out = np.empty((len(posterior), num_bars))
    change = np.empty(num_bars + 1)
    for row in range(len(posterior)):
        change[:] = 0.0
        for a in range(num_bars):
            for i in range(first[a], first[a + 1]):
                change[a] += posterior[row, i]
        for a in range(num_bars):
            for i in range(first[a], first[a + 1]):
                change[a + shortest + i - first[a]] -= posterior[row, i]
        total = 0.0
        for t in range(num_bars):
            total += change[t]
            out[row, t] = min(max(total, 0.0), 1.0)
    return out


@compiled()
def spread(
    hidden: NDArray[Any],
    noise: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    out: NDArray[Any],
) -> None:
    """Add to `out` the labels that runs may have, and empty `hidden`.

    Args:
        hidden: ``(S,)``, the probability of each run; of most 0.
        noise: by run how probable each label is, as ``indptr``, ``indices`` and ``data`` of a
            ``csr_array``.
        out: ``(S,)``.
    """
    begins, labels, shares = noise
    for run in range(len(hidden)):  # by place, as a product of matrices adds them up
        if hidden[run] != 0.0:
            for i in range(begins[run], begins[run + 1]):
                out[labels[i]] += shares[i] * hidden[run]
            hidden[run] = 0.0


@compiled()
def blur(
    posterior: NDArray[Any], first: IntArray, shortest: int, longest: int, noise: FloatArray
) -> FloatArray:
    """``(B, S)``: each span spread over those whose ends are off by up to ``len(noise) - 1`` bars.

    Ends err one after the other: what the first step moves out of the grid, the second may move
    back. A row sums to what it did.
    """
    num_bars, reach = len(first) - 1, len(noise) - 1
    out = np.zeros((len(posterior), posterior.shape[1]))
    # row a + reach holds what begins at a, by its length + reach; its stop has erred already
    moved = np.zeros((num_bars + 2 * reach, longest + 1 + 2 * reach))
    for row in range(len(posterior)):
        moved[:] = 0.0
        for a in range(num_bars):
            runs = posterior[row, first[a] : first[a + 1]]
            for k in range(-reach, reach + 1):
                at = shortest + reach + k
                _add(moved[a + reach, at : at + len(runs)], runs, noise[abs(k)])
        for a in range(num_bars):
            labels = out[row, first[a] : first[a + 1]]
            for k in range(-reach, reach + 1):
                # begins k bars earlier and stops at the same bar, so it is k bars longer
                at = shortest + reach + k
                _add(labels, moved[a - k + reach, at : at + len(labels)], noise[abs(k)])
        total = out[row].sum()
        if total > 0.0:
            out[row] *= posterior[row].sum() / total
    return out


@compiled()
def _add(to: NDArray[Any], what: NDArray[Any], share: float) -> None:
    for i in range(len(to)):
        to[i] += share * what[i]


@compiled()
def average_crops(
    posterior: FloatArray, crops: FloatArray, begin: IntArray, first: tuple[IntArray, IntArray]
) -> None:
    """Halve `posterior` and add half of what is said of spans in a crop of each window.

    Args:
        posterior: ``(B, S)``; is changed.
        crops: ``(B, S')``, of spans that are no longer than the window's.
        begin: ``(B,)``, the bar of the window at which each crop begins.
        first: of the window ``(T + 1,)``, of the crop ``(T' + 1,)``.
    """
    for row in range(len(posterior)):
        posterior[row] *= 0.5
        for a in range(len(first[1]) - 1):
            said = crops[row, first[1][a] : first[1][a + 1]]
            at = first[0][begin[row] + a]
            _add(posterior[row, at : at + len(said)], said, 0.5)
