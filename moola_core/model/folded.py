"""A trained U-Net in fewer operations: the same answers to rounding, without a gradient.

Each batch norm is folded into the convolution before it. A convolution over bars that were doubled
sees each bar twice or not at all: it is two convolutions of half as many taps over the bars before
they were doubled, one for even bars and one for odd ones. And a convolution over two inputs side by
side is the sum of one over each.

Letters: B windows, T bars, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from moola_core.model.unet import DEPTH, KERNEL, ConvBlock, UNet

HALF = KERNEL // 2
TAPS = HALF // 2 + HALF - HALF // 2 + 1  # of a convolution over bars before they were doubled


@dataclass(frozen=True)
class Folded:
    """A convolution and what follows it, a rectifier."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """``(B, C', T)`` from ``(B, C, T)``."""
        return F.conv1d(x, self.weight, self.bias, padding=HALF).relu_()


class FoldedUNet:
    """What a `UNet` computes in evaluation; its weights are copies."""

    def __init__(self, net: UNet) -> None:
        self.down = [_fold(block) for block in net.down if isinstance(block, ConvBlock)]
        self.middle = _fold(net.middle)
        self.up = [_FoldedUp(block) for block in net.up if isinstance(block, ConvBlock)]

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` from ``(B, F, T)``."""
        num_bars = x.shape[2]
        x = F.pad(x, (0, -num_bars % 2**DEPTH), mode="replicate")
        seen = []
        for first, second in self.down:
            x = second(first(x))
            seen.append(x)
            x = F.max_pool1d(x, 2)
        for one in self.middle:
            x = one(x)
        for block in self.up:
            x = block(x, seen.pop())
        return x[..., :num_bars]


class _FoldedUp:
    """A block on the way up: over the deeper level's bars, doubled, and those of its own."""

    def __init__(self, block: ConvBlock) -> None:
        first, self.second = _fold(block)
        deeper = first.weight.shape[1] - first.weight.shape[0]
        self.weight, self.bias = first.weight[:, deeper:].contiguous(), first.bias
        self.doubled = torch.cat(_halves(first.weight[:, :deeper]))

    def __call__(self, x: Tensor, beside: Tensor) -> Tensor:
        both = F.conv1d(x, self.doubled, padding=TAPS // 2)
        num_bars, channels = x.shape[2], self.weight.shape[0]
        # the shape is now (B, C, T / 2, 2), even bars and odd ones
        parts = [both[:, :channels, :num_bars], both[:, channels:, 1 : num_bars + 1]]
        out = torch.stack(parts, dim=3).flatten(2)
        out += F.conv1d(beside, self.weight, self.bias, padding=HALF)
        return self.second(out.relu_())


def _fold(block: ConvBlock) -> tuple[Folded, Folded]:
    layers = list(block)
    folded = []
    for i in (0, 3):
        conv, norm = layers[i], layers[i + 1]
        assert isinstance(conv, nn.Conv1d)
        assert isinstance(norm, nn.BatchNorm1d)
        one = fuse_conv_bn_eval(conv, norm)
        assert one.bias is not None
        folded.append(Folded(one.weight.detach(), one.bias.detach()))
    return folded[0], folded[1]


def _halves(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``(C', C, 4)`` for even and odd bars, of ``(C', C, 7)`` over doubled bars.

    Tap k of an even bar 2i is at 2i + k - 3, which is bar (2i + k - 3) // 2 of before; the first
    is i - 2. Those of an odd bar begin at i - 1.
    """
    even, odd = (weight.new_zeros(*weight.shape[:2], TAPS) for _ in range(2))
    for k in range(KERNEL):
        even[..., (k - HALF) // 2 + TAPS // 2] += weight[..., k]
        odd[..., (1 + k - HALF) // 2 + TAPS // 2 - 1] += weight[..., k]
    return even, odd
