"""A small U-Net over bars.

Ronneberger, Fischer & Brox (2015), U-Net; on one axis as Zhu & Beroza (2019), PhaseNet. Letters: B
windows, T bars, F features a bar, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEPTH = 3
KERNEL = 7
SCALES = (1, 2, 4, 8)  # channels of each level, times the width


class ConvBlock(nn.Sequential):
    """Two convolutions over bars, each normalised by batch and rectified."""

    def __init__(self, num_in: int, num_out: int) -> None:
        layers: list[nn.Module] = []
        for size in (num_in, num_out):
            layers += [
                nn.Conv1d(size, num_out, KERNEL, padding=KERNEL // 2, bias=False),
                nn.BatchNorm1d(num_out),
                nn.ReLU(),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """``(B, C, T)`` from ``(B, F, T)``: down by halves `DEPTH` times, and up again."""

    def __init__(self, num_features: int, width: int) -> None:
        super().__init__()
        sizes = [width * scale for scale in SCALES]
        self.down = nn.ModuleList(
            ConvBlock(num_features if i == 0 else sizes[i - 1], sizes[i]) for i in range(DEPTH)
        )
        self.middle = ConvBlock(sizes[DEPTH - 1], sizes[DEPTH])
        self.up = nn.ModuleList(
            ConvBlock(sizes[i + 1] + sizes[i], sizes[i]) for i in reversed(range(DEPTH))
        )

    def forward(self, x: Tensor) -> Tensor:
        """States of bars ``(B, C, T)`` from features ``(B, F, T)``.

        The last bar is repeated up to a multiple of 8 bars.
        """
        num_bars = x.shape[2]
        x = F.pad(x, (0, -num_bars % 2**DEPTH), mode="replicate")
        seen = []
        for block in self.down:
            x = block(x)
            seen.append(x)
            x = F.max_pool1d(x, 2)
        x = self.middle(x)
        for block in self.up:
            beside = seen.pop()
            x = block(torch.cat([F.interpolate(x, size=beside.shape[2]), beside], dim=1))
        return x[..., :num_bars]
