from __future__ import annotations

import numpy as np
import torch

from moola_core.config.sections import Recipe
from moola_core.data.windows import Windows
from moola_core.features.bars import reflect, window_features
from moola_core.features.tensors import make_tensors
from moola_core.spans.intervals import span_mask

CPU = torch.device("cpu")


def test_tensors_hold_the_features_and_targets_of_each_window(
    windows: Windows, small_recipe: Recipe
) -> None:
    tensors = make_tensors(windows, small_recipe, CPU, reflection=True)
    assert (tensors.features.numpy() == window_features(windows.bars)).all()
    assert (tensors.tags.numpy() == span_mask(windows.spans, 105)).all()
    assert (tensors.types.numpy() == windows.types).all()
    assert tensors.reflected is not None
    assert (tensors.reflected.numpy() == window_features(reflect(windows.bars))).all()
    np.testing.assert_allclose(tensors.weight.mean().item(), 1, rtol=1e-5)


def test_chosen_windows_are_mirrored_and_no_others(windows: Windows, small_recipe: Recipe) -> None:
    tensors = make_tensors(windows, small_recipe, CPU, reflection=True)
    chosen = torch.arange(len(windows)) % 2 == 0
    mirrored = tensors.mirror(chosen)
    assert tensors.reflected is not None
    assert torch.equal(mirrored.features[0], tensors.reflected[0])
    assert torch.equal(mirrored.features[1], tensors.features[1])
    assert torch.equal(mirrored.span, tensors.span)


def test_without_reflection_nothing_is_mirrored(windows: Windows, small_recipe: Recipe) -> None:
    tensors = make_tensors(windows, small_recipe, CPU)
    assert tensors.mirror(torch.ones(len(windows), dtype=torch.bool)) is tensors


def test_rows_are_taken_in_their_order(windows: Windows, small_recipe: Recipe) -> None:
    tensors = make_tensors(windows, small_recipe, CPU, reflection=True)
    part = tensors.take(torch.tensor([5, 2]))
    assert len(part) == 2
    assert torch.equal(part.span[0], tensors.span[5])
    assert part.reflected is not None
