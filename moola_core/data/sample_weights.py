"""How much a window counts: by how much of it is in no other window. Letters: B windows, T bars."""

from __future__ import annotations

from moola_core.data.overlaps import concurrency, find_overlaps
from moola_core.data.windows import Windows
from moola_core.spans.intervals import FloatArray


def average_uniqueness(windows: Windows) -> FloatArray:
    """``(B,)`` in (0, 1]: the mean over a window's bars of 1 / (windows that hold the bar).

    López de Prado (2018), Advances in Financial Machine Learning, ch. 4.4; there over the bars of
    a label's outcome, here over the bars of its window.
    """
    num_windows, num_bars, _ = windows.bars.shape
    return (1.0 / concurrency(find_overlaps(windows), num_windows, num_bars)).mean(axis=1)


def window_weights(windows: Windows) -> FloatArray:
    """``(B,)``: average uniqueness x overlap_fraction, scaled to a mean of 1 over `windows`."""
    weight = average_uniqueness(windows) * windows.overlap_fraction
    return weight / weight.mean()
