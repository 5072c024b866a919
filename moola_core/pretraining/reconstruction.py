"""Masked reconstruction: hide some bars' features, and give them back from what is left.

About 15% of the bars of a window, in patches of 10, lose their features; the encoder's states have
to predict them (after Devlin et al. 2019, BERT, and, with patches of a series, Nie et al. 2023,
PatchTST).

Windows are views into one long array of prices; the features of a batch are computed when it is
drawn, by the function and from the start that training uses, so that both see the same inputs.
Letters: B windows, T bars a window, F features, G = 12 of them that are given back (the position is
not), N bars of all series.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moola_core.config.pretrain_section import PretrainConfig
from moola_core.config.sections import ModelConfig, Recipe
from moola_core.data.series import read_bars
from moola_core.errors import DataError
from moola_core.features.bars import COLUMNS, reflect, window_features, window_views
from moola_core.model.dropout import Dropout
from moola_core.model.jade import make_encoder
from moola_core.spans.intervals import WINDOW_BARS, BoolArray, FloatArray, IntArray

NUM_TARGETS = len(COLUMNS)


@dataclass(frozen=True)
class Series:
    """Unlabelled series, one after the other, and where windows may begin in them.

    Attributes:
        prices: ``(N, 4)`` float64. train, validation: ``(...)`` int, first bars of windows; no
            window leaves its series, no bar is on both sides.
    """

    prices: FloatArray
    train: IntArray
    validation: IntArray

    def features(
        self, first: IntArray, recipe: Recipe, mirrored: BoolArray | None = None
    ) -> Tensor:
        """``(B, T, F)`` float32 of the windows that begin at `first` ``(B,)``."""
        bars = window_views(self.prices)[first]
        if mirrored is not None:
            bars = np.where(mirrored[:, None, None], reflect(bars), bars)
        return torch.from_numpy(window_features(bars, position=recipe.data.position))


def read_series(paths: list[Path], validation_share: float) -> Series:
    """Return all series; the last bars of each validate.

    Raises:
        DataError: a file is missing or bad, or too short for a window on both sides.
    """
    prices, train, validation, begin = [], [], [], 0
    for path in paths:
        bars = read_bars(path).prices
        cut = round(len(bars) * (1.0 - validation_share))
        if min(cut, len(bars) - cut) < WINDOW_BARS:
            raise DataError(
                f"{path}: {len(bars)} bars, expected {WINDOW_BARS} or more on both sides of the cut"
                f" at {cut}; give a longer series or change pretrain.validation_share"
            )
        prices.append(bars)
        train.append(begin + np.arange(cut - WINDOW_BARS + 1))
        validation.append(begin + np.arange(cut, len(bars) - WINDOW_BARS + 1))
        begin += len(bars)
    return Series(np.concatenate(prices), np.concatenate(train), np.concatenate(validation))


class Reconstructor(nn.Module):
    """JadeCompact's encoder, and a line from its states back to features.

    Masked bars show a learnt row instead of theirs. Targets are standardised, so that each feature
    counts alike; `mean` and `scale` are of training windows.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, num_features: int, config: ModelConfig) -> None:
        super().__init__()
        self.input_dropout = Dropout(config.input_dropout)
        self.encoder = make_encoder(num_features, config)
        self.linear = nn.Linear(2 * config.hidden_size, NUM_TARGETS)
        self.masked_row = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("mean", torch.zeros(NUM_TARGETS))
        self.register_buffer("scale", torch.ones(NUM_TARGETS))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, G)`` standardised, from ``(B, T, F)`` and ``(B, T)`` bool, True where hidden."""
        shown = torch.where(mask[..., None], self.masked_row, features)
        states, _ = self.encoder(self.input_dropout(shown))
        return self.linear(states)

    def fit_scale(self, features: Tensor) -> None:
        """Take the moments of features ``(B, T, F)``."""
        flat = features[..., :NUM_TARGETS].flatten(0, 1).double()
        self.mean.copy_(flat.mean(dim=0))
        self.scale.copy_(flat.std(dim=0).clamp_min(1e-3))

    def targets(self, features: Tensor) -> Tensor:
        """``(B, T, G)``: what is to be given back."""
        return (features[..., :NUM_TARGETS] - self.mean) / self.scale


def draw_mask(num_windows: int, config: PretrainConfig, generator: torch.Generator) -> Tensor:
    """``(B, 105)`` bool: patches of ``patch_bars``, each hidden with probability ``mask_share``.

    The grid of patches begins at a random phase in each window, so that every bar is as likely.
    """
    patch = config.patch_bars
    phase = torch.randint(patch, (num_windows, 1), generator=generator)
    cell = (torch.arange(WINDOW_BARS) + phase) // patch
    is_hidden = torch.rand(num_windows, WINDOW_BARS // patch + 2, generator=generator)
    return (is_hidden < config.mask_share).gather(1, cell)


def reconstruction_loss(output: Tensor, target: Tensor, mask: Tensor, delta: float) -> Tensor:
    """Huber loss a hidden value, ``()``; outputs and targets ``(B, T, G)``, mask ``(B, T)``."""
    loss = F.huber_loss(output, target, reduction="none", delta=delta).mean(dim=2)
    return (loss * mask).sum() / mask.sum().clamp_min(1)


def interpolate(target: Tensor, mask: Tensor) -> Tensor:
    """Hidden bars on a line between the nearest shown ones; the nearest one at a window's end.

    Args:
        target: ``(B, T, G)``.
        mask: ``(B, T)`` bool, true where a bar is hidden.

    Returns:
        ``(B, T, G)``.
    """
    bars = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    left = torch.where(mask, -1, bars).cummax(dim=1).values
    right = torch.where(mask, mask.shape[1], bars).flip(1).cummin(dim=1).values.flip(1)
    last = mask.shape[1] - 1
    left, right = torch.where(left < 0, right, left), torch.where(right > last, left, right)
    share = (bars - left) / (right - left).clamp_min(1)
    ends = [
        target.gather(1, end.clamp(0, last)[..., None].expand_as(target)) for end in (left, right)
    ]
    return torch.lerp(ends[0], ends[1], share[..., None].to(target.dtype))
