"""A `UNet` in training, as a processor likes it: the same states and slopes to rounding.

Channels lie side by side in memory, so that a convolution need not sort them first and a norm reads
them in one pass. A convolution over bars that were doubled is one of five taps over the bars before
they were doubled, with twice the channels: half of them are even bars, half odd ones, and side by
side in memory they are the doubled bars already (Shi et al. 2016, sub-pixel convolution). So
nothing is doubled or joined, and up to a third of a block's products are saved.

Letters: B windows, T bars, F features, C channels.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moola_core.model.unet import DEPTH, KERNEL, UNet

HALF = KERNEL // 2
TAPS = 5  # of a convolution over bars before they were doubled


def quick_states(net: UNet, x: Tensor) -> Tensor:
    """``(B, C, T)`` from ``(B, F, T)``, as ``net(x)``, which also sees what its norms have seen."""
    num_bars = x.shape[2]
    x = F.pad(x, (0, -num_bars % 2**DEPTH), mode="replicate")
    # the shape is from now on (B, C, 1, T), in memory (B, T, C)
    x = x[:, :, None].contiguous(memory_format=torch.channels_last)
    seen = []
    for block in net.down:
        x = _second(block, _first(block, x))
        seen.append(x)
        x = F.max_pool2d(x, (1, 2))
    x = _second(net.middle, _first(net.middle, x))
    for block in net.up:
        x = _second(block, _first_of_both(block, x, seen.pop()))
    return x[:, :, 0, :num_bars]


def _first(block: nn.Module, x: Tensor) -> Tensor:
    conv, norm = _layers(block, 0)
    return _normed(norm, _convolved(x, conv.weight))


def _first_of_both(block: nn.Module, deeper: Tensor, beside: Tensor) -> Tensor:
    """As `_first`, of the deeper level's bars, doubled, side by side with `beside`."""
    conv, norm = _layers(block, 0)
    size = deeper.shape[1]
    both = _convolved(deeper, halves(conv.weight[:, :size]))
    # the shape is now (B, 2 C, 1, T / 2), in memory (B, T / 2, 2, C)
    doubled = both.permute(0, 2, 3, 1).reshape(*beside.shape[::3], -1)
    x = _convolved(beside, conv.weight[:, size:])
    return _normed(norm, x + doubled.permute(0, 2, 1)[:, :, None])


def _second(block: nn.Module, x: Tensor) -> Tensor:
    conv, norm = _layers(block, 3)
    return _normed(norm, _convolved(x, conv.weight))


def _layers(block: nn.Module, place: int) -> tuple[nn.Conv1d, nn.BatchNorm1d]:
    """Return the convolution of a `ConvBlock` at `place`, and the norm after it."""
    conv, norm = list(block.children())[place : place + 2]
    assert isinstance(conv, nn.Conv1d)
    assert isinstance(norm, nn.BatchNorm1d)
    return conv, norm


def _convolved(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight[:, :, None], padding=(0, weight.shape[2] // 2))


def _normed(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    known = norm.running_mean, norm.running_var, norm.weight, norm.bias
    momentum = 0.0 if norm.momentum is None else norm.momentum
    return F.relu_(F.batch_norm(x, *known, norm.training, momentum, norm.eps))


def halves(weight: Tensor) -> Tensor:
    """``(2 C', C, 5)``: even bars' weights, then odd ones', of ``(C', C, 7)`` over doubled bars.

    Tap k of an even bar 2i is at 2i + k - 3, which is bar (2i + k - 3) // 2 of before; of an odd
    bar 2i + 1 it is bar (2i + 1 + k - 3) // 2. Both reach from i - 2 to i + 2.
    """
    both = (weight @ _taps(weight.dtype, weight.device)).unflatten(2, (2, TAPS))
    return both.permute(2, 0, 1, 3).flatten(0, 1)


@lru_cache(maxsize=8)
def _taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(7, 10)``: 1 where a tap over doubled bars is one over the bars before."""
    table = torch.zeros(KERNEL, 2, TAPS, dtype=dtype, device=device)
    for k in range(KERNEL):
        for odd in range(2):
            table[k, odd, (odd + k - HALF) // 2 + TAPS // 2] = 1
    return table.flatten(1)
