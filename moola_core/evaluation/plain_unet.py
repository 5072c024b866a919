"""A plain U-Net bar by bar: what a person in a hurry would try instead. Letters: B windows, T bars.

Z-scored prices, cross-entropy of each bar, the best single span by prefix sums, or where training
windows have several the runs of bars likelier inside than not; of the kind that seismology picks
phases with (Zhu & Beroza 2019, PhaseNet). Nothing is tuned, and nothing of it follows the recipe:
it is there to be beaten.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moola_core.config.sections import DecoderConfig
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Decoded, Predictions, decode, found_runs
from moola_core.model.unet import UNet
from moola_core.spans.grid import MIN_LENGTH
from moola_core.spans.intervals import FloatArray, drop_short

EPOCHS, BATCH, RATE = 20, 32, 3e-3
WIDTH = 16
POS_WEIGHT = 3.0
GAIN = 3.0  # of steps and ranges, which are small
LONGEST = 30  # bars, or as many as the longest label has


def plain_unet(train: Windows, bars: FloatArray, *, epochs: int = EPOCHS) -> Decoded:
    """Spans of `bars` ``(B, T, 4)`` by a U-Net taught with the base windows of `train`.

    The same answer each time on one machine; torch's own generator stays as it is.
    """
    train = train.take(train.offset == 0)
    inside = torch.from_numpy(train.inside).float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shown = views(train.bars)
        net = nn.Sequential(UNet(shown.shape[1], WIDTH), nn.Conv1d(WIDTH, 1, 1))
        _teach(net, shown, inside, epochs)
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(part)[:, 0] for part in views(bars).split(512)])
    nothing = np.zeros(logits.shape)
    said = Predictions(logits.numpy().astype(np.float64), nothing, nothing)
    if train.several is not None:
        return found_runs(drop_short(said.span_probs > 0.5, MIN_LENGTH), said.span_probs)
    longest = max(LONGEST, int((train.spans[:, 1] - train.spans[:, 0]).max()))
    return decode(said, DecoderConfig(kind="best_span", min_length=2, max_length=longest))


def views(bars: FloatArray) -> Tensor:
    """``(B, 6, T)`` float32: prices in the window's deviation, their steps and ranges."""
    centre = bars.mean(axis=(1, 2), keepdims=True)
    z = (bars - centre) / (bars.std(axis=(1, 2), keepdims=True) + 1e-9)
    close = z[..., 3]
    step = GAIN * np.diff(close, axis=1, prepend=close[:, :1])
    both = np.stack([step, GAIN * (z[..., 1] - z[..., 2])], axis=2)
    shown = np.concatenate([z, both], axis=2).astype(np.float32)
    return torch.from_numpy(shown).transpose(1, 2).contiguous()


def _teach(net: nn.Module, shown: Tensor, inside: Tensor, epochs: int) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    steps = epochs * -(-len(shown) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    weight = torch.tensor(POS_WEIGHT)
    for _ in range(epochs):
        for rows in torch.randperm(len(shown)).split(BATCH):
            logits = net(shown[rows])[:, 0]
            loss = F.binary_cross_entropy_with_logits(logits, inside[rows], pos_weight=weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
