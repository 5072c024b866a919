"""What the heads are taught. Letters: B windows, T bars. Spans are ``[start, stop)`` in bars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moola_core.spans.intervals import FloatArray, IntArray, span_mask


def soft_mask(spans: IntArray, num_bars: int, edge_width: float) -> FloatArray:
    """``(B, T)`` in [0, 1]: 1 well inside the span, falling to 0 over its edges.

    The product of two logistic edges through 1/2 at the span's ends, of scale `edge_width` bars
    (0: the hard mask). After the soft picks of Zhu & Beroza (2019), Geophys. J. Int. 216, 261-273;
    theirs are Gaussian about one pick, a span has two ends and an inside.
    """
    if edge_width == 0:
        return span_mask(spans, num_bars).astype(np.float64)
    middle = np.arange(num_bars, dtype=np.float64) + 0.5  # a bar is judged at its middle
    rise, fall = middle - spans[:, :1], spans[:, 1:] - middle
    return _logistic(rise / edge_width) * _logistic(fall / edge_width)


def pointer(spans: IntArray, num_bars: int) -> FloatArray:
    """``(B, 2)`` in [0, 1]: centre and length of the span over `num_bars`."""
    centre = spans.mean(axis=1)
    return np.stack([centre, spans[:, 1] - spans[:, 0]], axis=1) / num_bars


def edge_rows(spans: IntArray, num_bars: int, edge_width: float) -> tuple[FloatArray, FloatArray]:
    """Two ``(B, T)``: distributions over the bars, of the first and of the last bar inside.

    Gaussian with a standard deviation of `edge_width` bars (0: one-hot); each row sums to 1.
    """
    return (
        _row_about(spans[:, 0], num_bars, edge_width),
        _row_about(spans[:, 1] - 1, num_bars, edge_width),
    )


def countdown(spans: IntArray, num_bars: int, clip: float, scale: float) -> FloatArray:
    """``(B, T)``: bars from each bar to the span's start, clipped to ±`clip`, over `scale`."""
    return np.clip(spans[:, :1] - np.arange(num_bars), -clip, clip) / scale


def _row_about(bar: IntArray, num_bars: int, width: float) -> FloatArray:
    distance = np.arange(num_bars) - bar[:, None]
    if width == 0:
        return (distance == 0).astype(np.float64)
    row = np.exp(-0.5 * (distance / width) ** 2)
    return row / row.sum(axis=1, keepdims=True)


def _logistic(x: NDArray[np.floating[Any]]) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # no overflow, unlike 1 / (1 + exp(-x))
