"""The whole labelled set as tensors on the device, so that an epoch does no Python work a sample.

Letters: B windows, T bars, F features, K candidate spans a window.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from moola_core.config.sections import Recipe
from moola_core.data.sample_weights import window_weights
from moola_core.data.windows import Windows
from moola_core.features import targets
from moola_core.features.bars import reflect, window_features
from moola_core.features.candidates import Candidates, find_candidates
from moola_core.features.views import price_views
from moola_core.spans.grid import label_noise, span_index
from moola_core.spans.intervals import FloatArray


@dataclass(frozen=True)
class Inputs:
    """What a model sees of windows; row i of each belongs to window i.

    Attributes:
        features: ``(B, T, F)`` float32.
        reflected: the same of the mirrored market, or None.
        candidates: the spans to choose from, or None; they are their own mirror image.
        bars: ``(B, T, 4)`` float64, of which crops are seen instead of `features`, or None.
    """

    features: Tensor
    reflected: Tensor | None = None
    candidates: Candidates | None = None
    bars: Tensor | None = None

    def __len__(self) -> int:
        return self.features.shape[0]

    def take(self, rows: Tensor) -> Self:
        """Return the windows at `rows` ``(R,)`` int64."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        parts = {name: part if part is None else part[rows] for name, part in parts.items()}
        return type(self)(**parts)

    def mirror(self, chosen: Tensor) -> Self:
        """Return the same with the reflected features where `chosen` ``(B,)`` bool."""
        if self.reflected is None:
            return self
        features = torch.where(chosen[:, None, None], self.reflected, self.features)
        return replace(self, features=features, reflected=None)


@dataclass(frozen=True, kw_only=True)
class WindowTensors(Inputs):
    """Inputs and targets of windows; every target is its own mirror image.

    Attributes:
        span: ``(B, T)`` float32, the soft mask. tags: ``(B, T)`` int64, the hard one.
        types: ``(B,)`` int64. pointer: ``(B, 2)`` float32. countdown: ``(B, T)`` float32.
        start_row, stop_row: ``(B, T)`` float32, each row sums to 1.
        likelihood: ``(B, K)`` float32, the probability of the label if the candidate is the run;
            None without candidates.
        weight: ``(B,)`` float32, mean 1.
        sets: ``(B, M, 2)`` int64, every span by its start, ``[0, 0)`` after the last; None where
            the model looks for one.
        set_types: ``(B, M)`` int64, -1 after the last; None as `sets`.
    """

    span: Tensor
    tags: Tensor
    types: Tensor
    pointer: Tensor
    countdown: Tensor
    start_row: Tensor
    stop_row: Tensor
    likelihood: Tensor | None
    weight: Tensor
    sets: Tensor | None = None
    set_types: Tensor | None = None

    def untyped(self, chosen: Tensor) -> Self:
        """Return the same without a type, which costs nothing, where `chosen` ``(B,)`` bool."""
        sets = self.set_types
        return replace(
            self,
            types=self.types.masked_fill(chosen, -1),
            set_types=None if sets is None else sets.masked_fill(chosen[:, None], -1),
        )


def make_tensors(
    windows: Windows, recipe: Recipe, device: torch.device, *, reflection: bool = False
) -> WindowTensors:
    """Everything that the model and the criterion need of `windows`, on `device`.

    Args:
        windows: B of them, of T bars.
        recipe: which features, candidates, targets and weights.
        device: where the tensors live.
        reflection: add the features of the mirrored market.
    """
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
    inputs = make_inputs(windows.bars, recipe, device, reflection=reflection)
    return WindowTensors(
        features=inputs.features,
        reflected=inputs.reflected,
        candidates=inputs.candidates,
        likelihood=_likelihood(inputs.candidates, windows, recipe),
        tags=torch.from_numpy(windows.inside.astype(np.int64)).to(device),
        types=torch.from_numpy(windows.types).to(device),
        sets=torch.from_numpy(windows.sets).to(device) if recipe.model.several else None,
        set_types=torch.from_numpy(windows.set_types).to(device) if recipe.model.several else None,
        **{name: _float32(array, device) for name, array in arrays.items()},
    )


def make_inputs(
    bars: FloatArray, recipe: Recipe, device: torch.device, *, reflection: bool = False
) -> Inputs:
    """Return what the recipe's model sees of bars ``(B, T, 4)``, on `device`."""
    return Inputs(
        make_features(bars, recipe, device),
        make_features(reflect(bars), recipe, device) if reflection else None,
        _candidates(bars, recipe, device) if recipe.model.has_candidates else None,
    )


def in_unit_of(tensors: WindowTensors, windows: Windows, recipe: Recipe) -> WindowTensors:
    """`tensors` of `windows`, with the candidates of the unit of `recipe`."""
    candidates = _candidates(windows.bars, recipe, tensors.features.device)
    likelihood = _likelihood(candidates, windows, recipe)
    return replace(tensors, candidates=candidates, likelihood=likelihood)


def _candidates(bars: FloatArray, recipe: Recipe, device: torch.device) -> Candidates:
    found = find_candidates(bars, recipe.candidates)
    return Candidates(
        torch.from_numpy(found.features).to(device), torch.from_numpy(found.spans).to(device)
    )


def make_features(bars: FloatArray, recipe: Recipe, device: torch.device) -> Tensor:
    """``(B, T, F)`` float32: the features that `recipe` asks for, of bars ``(B, T, 4)``."""
    if recipe.model.kind == "unet":
        return torch.from_numpy(price_views(bars)).to(device)
    return torch.from_numpy(window_features(bars, position=recipe.data.position)).to(device)


def _likelihood(candidates: Candidates | None, windows: Windows, recipe: Recipe) -> Tensor | None:
    if candidates is None:
        return None
    num_bars = windows.bars.shape[1]
    label = span_index(windows.spans, num_bars)
    chosen = span_index(candidates.spans.cpu().numpy(), num_bars)
    noise = label_noise(chosen, label[:, None], num_bars, recipe.model.end_noise)
    return _float32(noise, candidates.features.device)


def _float32(array: FloatArray, device: torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(device)
