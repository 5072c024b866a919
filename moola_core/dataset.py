"""The whole labelled set as tensors on the device, so that an epoch does no Python work a sample.

Letters: B windows, T bars, F features; M = 2 with reflected copies of the features, else 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moola_core import targets
from moola_core.config import Recipe
from moola_core.features import reflect, window_features
from moola_core.spans import FloatArray, span_mask
from moola_core.weights import window_weights
from moola_core.windows import Windows


@dataclass(frozen=True)
class WindowTensors:
    """Features and targets of windows; row i of each belongs to window i.

    Attributes:
        features: ``(B, T, F)`` float32.
        reflected: the same of the mirrored market, or None; every target is its own mirror image.
        span: ``(B, T)`` float32, the soft mask. tags: ``(B, T)`` int64, the hard one.
        types: ``(B,)`` int64. pointer: ``(B, 2)`` float32. countdown: ``(B, T)`` float32.
        start_row, stop_row: ``(B, T)`` float32, each row sums to 1.
        weight: ``(B,)`` float32, mean 1.
    """

    features: Tensor
    reflected: Tensor | None
    span: Tensor
    tags: Tensor
    types: Tensor
    pointer: Tensor
    countdown: Tensor
    start_row: Tensor
    stop_row: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return self.features.shape[0]

    def take(self, rows: Tensor) -> WindowTensors:
        """The windows at `rows` ``(R,)`` int64."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        parts = {name: part if part is None else part[rows] for name, part in parts.items()}
        return WindowTensors(**parts)

    def mirror(self, chosen: Tensor) -> WindowTensors:
        """The same with the reflected features where `chosen` ``(B,)`` bool."""
        if self.reflected is None:
            return self
        features = torch.where(chosen[:, None, None], self.reflected, self.features)
        return replace(self, features=features, reflected=None)


def make_tensors(
    windows: Windows, recipe: Recipe, device: torch.device, *, reflection: bool = False
) -> WindowTensors:
    """Everything that the model and the criterion need of `windows`, on `device`."""
    num_bars = windows.bars.shape[1]
    spans, target = windows.spans, recipe.targets
    start_row, stop_row = targets.edge_rows(spans, num_bars, target.pointer_edge_width)
    weighted = recipe.split.uniqueness_weights
    arrays: dict[str, FloatArray] = {
        "span": targets.soft_mask(spans, num_bars, target.span_edge_width),
        "pointer": targets.pointer(spans, num_bars),
        "countdown": targets.countdown(
            spans, num_bars, target.countdown_clip, target.countdown_scale
        ),
        "start_row": start_row,
        "stop_row": stop_row,
        "weight": window_weights(windows) if weighted else np.ones(len(windows)),
    }
    mirrored = make_features(reflect(windows.bars), recipe, device) if reflection else None
    return WindowTensors(
        features=make_features(windows.bars, recipe, device),
        reflected=mirrored,
        tags=torch.from_numpy(span_mask(spans, num_bars).astype(np.int64)).to(device),
        types=torch.from_numpy(windows.types).to(device),
        **{name: _float32(array, device) for name, array in arrays.items()},
    )


def make_features(bars: FloatArray, recipe: Recipe, device: torch.device) -> Tensor:
    """``(B, T, F)`` float32: the features that `recipe` asks for, of bars ``(B, T, 4)``."""
    return torch.from_numpy(window_features(bars, position=recipe.data.position)).to(device)


def _float32(array: FloatArray, device: torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(device)
