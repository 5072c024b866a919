"""Crops of windows around a span, as a network sees them that looks closer.

A crop has views of its own: what is far from the span, and perhaps far larger, no longer sets the
scale. Letters: B windows, T bars.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from moola_core.features.bars import reflect
from moola_core.features.stretch import ends
from moola_core.features.tensors import WindowTensors
from moola_core.features.views import price_views
from moola_core.spans.intervals import FloatArray, IntArray

MEAN, LONGEST = 2.0, 1.15  # times the labels' lengths: bars of a crop, of which the more
STEP = 8  # bars that a crop is a multiple of, as the network halves them
REACH = 0.15  # of a crop: how far from its middle a span is in training


def crop_bars(lengths: IntArray) -> int:
    """Return the bars of a crop, from the lengths of labels ``(B,)``."""
    wanted = max(MEAN * lengths.mean(), LONGEST * lengths.max())
    return int(-(-wanted // STEP) * STEP)


def first_bars(middle: IntArray, size: int, num_bars: int) -> IntArray:
    """``(B,)``: where crops of `size` bars around bars `middle` begin, within the window."""
    return np.clip(middle - size // 2, 0, num_bars - size)


def cropped_views(bars: FloatArray, first: IntArray, size: int) -> Tensor:
    """``(B, size, F)`` float32: the views of bars ``(B, T, 4)`` from `first` ``(B,)`` on."""
    rows = first[:, None] + np.arange(size)
    return torch.from_numpy(price_views(bars[np.arange(len(bars))[:, None], rows]))


def centred(windows: WindowTensors, size: int) -> WindowTensors:
    """Crops of training windows, each around the middle of its span."""
    return _cropped(windows, torch.zeros(len(windows), dtype=torch.bool), size)


def close_up(batch: WindowTensors, mirrored: Tensor, size: int) -> WindowTensors:
    """Crops of training windows, each around its span but for up to `REACH` of `size`.

    Draws from torch's own generator, which a checkpoint holds.

    Args:
        batch: windows of one span each, with their bars.
        mirrored: ``(B,)`` bool, of which the mirrored market is shown.
        size: bars of a crop.
    """
    reach = round(REACH * size)
    return _cropped(batch, mirrored, size, torch.randint(-reach, reach + 1, (len(batch),)).numpy())


def _cropped(
    batch: WindowTensors, mirrored: Tensor, size: int, off: IntArray | int = 0
) -> WindowTensors:
    """Return crops whose middle is `off` bars from that of their span."""
    if batch.bars is None:
        raise ValueError("expected windows with their bars")
    start, stop = (one.cpu().numpy() for one in ends(batch.tags))
    bars = batch.bars.cpu().numpy()
    first = first_bars((start + stop) // 2 + off, size, bars.shape[1])
    is_mirrored = mirrored.cpu().numpy()[:, None, None]
    features = cropped_views(np.where(is_mirrored, reflect(bars), bars), first, size)
    rows = torch.from_numpy(first[:, None] + np.arange(size)).to(batch.tags.device)
    tags = batch.tags.gather(1, rows)
    features = features.to(batch.features.device)
    return replace(
        batch, features=features, reflected=None, bars=None, tags=tags, span=tags.float()
    )
