"""Training windows as they would be at another speed. Letters: B windows, T bars, F features."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moola_core.features.tensors import WindowTensors

CENTRE_REACH = 3.0  # bars


def stretch(batch: WindowTensors, amount: float, jitter: float) -> WindowTensors:
    """`batch` played faster or slower by up to exp(`amount`), about its span, with noise added.

    A window without a span is played about its middle.

    Draws from torch's own generator, which a checkpoint holds. Features, tags and the mask are made
    again; the targets of other tasks than `segment` and `type` are not.

    Args:
        batch: windows that hold a span each, or none.
        amount: of the logarithm of the speed, uniform in +-amount.
        jitter: deviation of the normal noise on features.
    """
    if batch.sets is not None:
        return _stretch_sets(batch, batch.sets, amount, jitter)
    num_windows, num_bars, _ = batch.features.shape
    device = batch.features.device
    start, stop = ends(batch.tags)
    draw = torch.rand(3, num_windows, 1).to(device)
    speed = torch.exp((2 * draw[0] - 1) * amount)
    # the shape is now (B, 1) each, in bars
    first, last = start[:, None].float(), stop[:, None].float()
    has_span = last > first
    middle = torch.where(has_span, (first + last) / 2, num_bars / 2)
    centre = middle + (2 * draw[1] - 1) * CENTRE_REACH
    bars = torch.arange(num_bars, device=device).float()
    features = _played(batch.features, centre, speed, jitter)
    # bar t shows [t, t + 1) of the window, its middle is t + 0.5
    new = [centre + 0.5 + (end - 0.5 - centre) / speed for end in (first, last)]
    begin = new[0].round().clamp(0, num_bars - 2)
    end = torch.maximum(new[1].round(), begin + 2).clamp_max(num_bars)
    tags = (bars >= begin) & (bars < end) & has_span
    return replace(batch, features=features, tags=tags.long(), span=tags.float())


def _stretch_sets(
    batch: WindowTensors, sets: Tensor, amount: float, jitter: float
) -> WindowTensors:
    """Play windows of several spans, each about a bar drawn from it; see `stretch`.

    A span of which less than a third remains in the window is marked no more, as in windows that
    were cut so.
    """
    num_windows, num_bars, _ = batch.features.shape
    device = batch.features.device
    draw = torch.rand(2, num_windows, 1).to(device)
    speed = torch.exp((2 * draw[0] - 1) * amount)
    centre = draw[1] * num_bars
    features = _played(batch.features, centre, speed, jitter)
    # the shape is now (B, M, 2), in bars; as in `stretch`
    new = centre[..., None] + 0.5 + (sets - 0.5 - centre[..., None]) / speed[..., None]
    new = new.round().long()
    cut = new.clamp(0, num_bars)
    length = cut[..., 1] - cut[..., 0]
    is_kept = (sets[..., 1] > sets[..., 0]) & (length >= 2)
    is_kept &= 3 * length >= new[..., 1] - new[..., 0]
    # those that are kept come first, in their order
    order = torch.argsort((~is_kept).long(), dim=1, stable=True)
    sets = (cut * is_kept[..., None]).gather(1, order[..., None].expand(-1, -1, 2))
    types = batch.set_types
    if types is not None:
        types = torch.where(is_kept, types, -1).gather(1, order)
    bars = torch.arange(num_bars, device=device)
    inside = (bars >= sets[..., :1]) & (bars < sets[..., 1:])
    tags = inside.any(dim=1).long()
    return replace(
        batch, features=features, tags=tags, span=tags.float(), sets=sets, set_types=types
    )


def _played(features: Tensor, centre: Tensor, speed: Tensor, jitter: float) -> Tensor:
    """Return features ``(B, T, F)`` at another speed about a bar ``(B, 1)``, with noise added."""
    num_bars = features.shape[1]
    bars = torch.arange(num_bars, device=features.device).float()
    source = (centre + (bars - centre) * speed).clamp(0, num_bars - 1)
    low = source.floor().long()
    high = (low + 1).clamp_max(num_bars - 1)
    part = (source - low)[..., None]
    played = _at(features, low) * (1 - part) + _at(features, high) * part
    if jitter > 0:
        played = played + jitter * torch.randn(features.shape).to(features.device)
    return played


def ends(tags: Tensor) -> tuple[Tensor, Tensor]:
    """First bar inside and first bar after, ``(B,)`` int64 each, of masks ``(B, T)`` of one run.

    Both are 0 where there is none.
    """
    start = tags.argmax(dim=1)
    return start, start + tags.sum(dim=1)


def _at(features: Tensor, bars: Tensor) -> Tensor:
    return features.gather(1, bars[..., None].expand(-1, -1, features.shape[2]))
