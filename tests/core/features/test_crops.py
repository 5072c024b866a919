"""Crops of windows around a span."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moola_core.config.sections import Recipe
from moola_core.data.windows import Windows
from moola_core.features.bars import reflect
from moola_core.features.crops import REACH, close_up, crop_bars, cropped_views, first_bars
from moola_core.features.stretch import ends
from moola_core.features.tensors import WindowTensors, make_tensors
from moola_core.features.views import price_views

SIZE = 40


@pytest.mark.parametrize(
    ("lengths", "bars"),
    [([19, 19], 40), ([4, 4], 8), ([5, 10, 40], 48), ([7, 7, 8], 16), ([20, 20], 40)],
)
def test_a_crop_is_twice_the_mean_label_and_holds_the_longest(
    lengths: list[int], bars: int
) -> None:
    assert crop_bars(np.array(lengths)) == bars


def test_a_crop_stays_in_its_window() -> None:
    first = first_bars(np.array([0, 19, 20, 60, 85, 86, 104]), SIZE, 105)
    assert first.tolist() == [0, 0, 0, 40, 65, 65, 65]


def test_its_views_are_those_of_its_bars_alone(windows: Windows) -> None:
    first = np.array([0, 3, 65])
    seen = cropped_views(windows.bars[:3], first, SIZE).numpy()
    for i, start in enumerate(first):
        alone = price_views(windows.bars[i : i + 1, start : start + SIZE])[0]
        np.testing.assert_allclose(seen[i], alone, atol=1e-6)


@pytest.fixture
def batch(windows: Windows, small_recipe: Recipe) -> WindowTensors:
    tensors = make_tensors(windows, small_recipe, torch.device("cpu"))
    return WindowTensors(**{**vars(tensors), "bars": torch.tensor(windows.bars)})


def test_training_crops_hold_their_label_not_always_in_the_middle(
    batch: WindowTensors, windows: Windows
) -> None:
    torch.manual_seed(3)
    chosen = torch.arange(len(batch)) % 2 == 0
    said = close_up(batch, chosen, SIZE)
    assert said.tags.shape == said.span.shape == (len(batch), SIZE)
    assert said.bars is None
    start, stop = (one.numpy() for one in ends(said.tags))
    length = windows.spans[:, 1] - windows.spans[:, 0]
    assert (stop - start == length).all()
    first = windows.spans[:, 0] - start
    assert ((first >= 0) & (first <= windows.num_bars - SIZE)).all()
    off = (start + stop) // 2 - SIZE // 2
    is_free = (first > 0) & (first < windows.num_bars - SIZE)
    assert np.abs(off[is_free]).max() <= round(REACH * SIZE)
    assert len(set(off[is_free].tolist())) > 3
    for i in range(6):
        bars = windows.bars[i : i + 1, first[i] : first[i] + SIZE]
        bars = reflect(bars) if chosen[i] else bars
        np.testing.assert_allclose(said.features[i].numpy(), price_views(bars)[0], atol=1e-5)


def test_windows_without_their_bars_are_refused(batch: WindowTensors) -> None:
    bare = WindowTensors(**{**vars(batch), "bars": None})
    with pytest.raises(ValueError, match="with their bars"):
        close_up(bare, torch.zeros(len(batch), dtype=torch.bool), SIZE)
