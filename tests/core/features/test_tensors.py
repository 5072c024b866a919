from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from moola_core.config.sections import Recipe
from moola_core.data.windows import Windows
from moola_core.features.bars import reflect, window_features
from moola_core.features.tensors import make_tensors
from moola_core.features.views import VIEWS, price_views
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


def test_what_is_mirrored_twice_is_the_same(windows: Windows) -> None:
    bars = windows.bars
    views = price_views(bars)
    assert (price_views(reflect(reflect(bars))) == views).all()
    mirrored = price_views(reflect(bars))
    # up and down change places; steps and levels change sign, ranges stay
    signed = ["open_z", "high_z", "low_z", "close_z", "step_z", "step_atr", "close_mad", "step_mad"]
    swapped = {"high_z": "low_z", "low_z": "high_z"}
    for place, name in enumerate(VIEWS):
        other = views[..., VIEWS.index(swapped.get(name, name))]
        expected = -other if name in signed else other
        np.testing.assert_allclose(mirrored[..., place], expected, atol=1e-5, err_msg=name)


def test_chosen_windows_lose_their_type_alone(windows: Windows, small_recipe: Recipe) -> None:
    tensors = make_tensors(windows, small_recipe, CPU)
    tensors = replace(tensors, set_types=torch.tensor([[1, -1]]).repeat(len(windows), 1))
    chosen = torch.arange(len(windows)) % 2 == 0
    untyped = tensors.untyped(chosen)
    assert untyped.set_types is not None
    assert (untyped.types[chosen] == -1).all()
    assert (untyped.set_types[chosen] == -1).all()
    kept = untyped.take(torch.nonzero(~chosen)[:, 0]), tensors.take(torch.nonzero(~chosen)[:, 0])
    assert torch.equal(kept[0].types, kept[1].types)
    assert untyped.tags is tensors.tags
    assert untyped.features is tensors.features


def test_without_reflection_nothing_is_mirrored(windows: Windows, small_recipe: Recipe) -> None:
    tensors = make_tensors(windows, small_recipe, CPU)
    assert tensors.mirror(torch.ones(len(windows), dtype=torch.bool)) is tensors


def test_rows_are_taken_in_their_order(windows: Windows, small_recipe: Recipe) -> None:
    tensors = make_tensors(windows, small_recipe, CPU, reflection=True)
    part = tensors.take(torch.tensor([5, 2]))
    assert len(part) == 2
    assert torch.equal(part.span[0], tensors.span[5])
    assert part.reflected is not None
