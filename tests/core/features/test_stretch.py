from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from moola_core.config.sections import Recipe
from moola_core.data.windows import Windows
from moola_core.features.stretch import ends, stretch
from moola_core.features.tensors import WindowTensors, make_tensors
from tests.support.tensors import assert_close


@pytest.fixture
def batch(windows: Windows) -> WindowTensors:
    recipe = Recipe.model_validate(
        {
            "name": "small",
            "model": {"kind": "unet", "width": 4, "tasks": ["segment"]},
            "decoder": {"kind": "expected_iou"},
        }
    )
    return make_tensors(windows, recipe, torch.device("cpu"))


def test_no_stretch_changes_nothing(batch: WindowTensors) -> None:
    same = stretch(batch, 0.0, 0.0)
    assert_close(same.features, batch.features, atol=1e-4, rtol=1e-4)
    start, stop = ends(batch.tags)
    whole = stop - start >= 2
    assert torch.equal(same.tags[whole], batch.tags[whole])


def test_the_label_goes_with_its_bars(batch: WindowTensors) -> None:
    # the mask as a feature: after the stretch it is still where the label is
    shown = batch.tags.float()[..., None].expand(-1, -1, batch.features.shape[2])
    moved = stretch(type(batch)(**{**vars(batch), "features": shown}), 0.3, 0.0)
    agreement = ((moved.features[..., 0] > 0.5) == (moved.tags > 0)).float().mean(dim=1)
    assert float(agreement.min()) > 0.95
    start, stop = ends(moved.tags)
    before, after = ends(batch.tags)
    ratio = (stop - start)[after - before >= 6] / (after - before)[after - before >= 6]
    assert float(ratio.min()) > 0.6
    assert float(ratio.max()) < 1.6
    assert len(set(ratio.tolist())) > 3


def test_draws_follow_torch_generator(batch: WindowTensors) -> None:
    torch.manual_seed(3)
    first = stretch(batch, 0.2, 0.1)
    torch.manual_seed(3)
    second = stretch(batch, 0.2, 0.1)
    assert torch.equal(first.features, second.features)
    assert torch.equal(first.tags, second.tags)


def test_a_window_without_a_span_stays_without(batch: WindowTensors) -> None:
    empty = type(batch)(**{**vars(batch), "tags": torch.zeros_like(batch.tags)})
    assert not bool(stretch(empty, 0.3, 0.1).tags.any())
    assert not bool(stretch(empty, 0.3, 0.1).span.any())


def test_of_several_spans_each_goes_with_its_bars(batch: WindowTensors) -> None:
    num_windows, num_bars = batch.tags.shape
    spans = torch.tensor([[2, 12], [12, 30], [50, 58], [98, 105]]).expand(num_windows, -1, -1)
    types = torch.tensor([0, 1, 1, 0]).expand(num_windows, -1)
    bars = torch.arange(num_bars)
    number = sum(
        (i + 1) * ((bars >= a) & (bars < b)).float() for i, (a, b) in enumerate(spans[0].tolist())
    )
    shown = number[None, :, None].expand(num_windows, -1, batch.features.shape[2])
    several = replace(batch, features=shown, sets=spans, set_types=types)
    torch.manual_seed(0)
    moved = stretch(several, 0.3, 0.0)
    assert moved.sets is not None
    assert moved.set_types is not None
    lost = 0
    for row in range(num_windows):
        kept = [tuple(span) for span in moved.sets[row].tolist() if span[1] > span[0]]
        assert kept == sorted(kept)
        assert all(a[1] <= b[0] for a, b in pairwise(kept))
        assert len(kept) == int((moved.set_types[row] >= 0).sum())
        inside = torch.zeros(num_bars, dtype=torch.bool)
        for (start, stop), kind in zip(kept, moved.set_types[row].tolist(), strict=False):
            inside[start:stop] = True
            middle = moved.features[row, (start + stop) // 2, 0].item()
            assert types[0, round(middle) - 1].item() == kind
        assert torch.equal(moved.tags[row] > 0, inside)
        lost += 4 - len(kept)
    assert lost > 0  # what leaves the window is marked no more


def test_no_stretch_keeps_every_span(batch: WindowTensors) -> None:
    spans = torch.tensor([[2, 12], [12, 30], [0, 0]]).expand(len(batch), -1, -1)
    types = torch.tensor([0, 1, -1]).expand(len(batch), -1)
    same = stretch(replace(batch, sets=spans, set_types=types), 0.0, 0.0)
    assert same.sets is not None
    assert torch.equal(same.sets, spans)
    assert torch.equal(same.set_types if same.set_types is not None else types, types)
