from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from moola_core.config.pretrain_section import PretrainConfig
from moola_core.config.sections import ModelConfig, Recipe
from moola_core.data.synthetic import Market, bars_table
from moola_core.errors import DataError
from moola_core.features.bars import reflect, window_features
from moola_core.pretraining.reconstruction import (
    Reconstructor,
    draw_mask,
    interpolate,
    read_series,
    reconstruction_loss,
)
from tests.support.tensors import assert_close

RECIPE = Recipe.model_validate({"name": "x", "data": {"position": True}})


@pytest.fixture
def paths(market: Market, tmp_path: Path) -> list[Path]:
    table = bars_table(market)
    pq.write_table(table.slice(0, 2000), tmp_path / "a.parquet")
    pq.write_table(table.slice(5000, 1500), tmp_path / "b.parquet")
    return [tmp_path / "a.parquet", tmp_path / "b.parquet"]


def test_no_window_leaves_its_series_and_no_bar_is_on_both_sides(paths: list[Path]) -> None:
    series = read_series(paths, 0.1)
    sides = np.zeros((2, 3500), dtype=bool)
    for side, starts in zip(sides, (series.train, series.validation), strict=True):
        assert all(start // 2000 == (start + 104) // 2000 for start in starts)
        side[np.add.outer(starts, np.arange(105)).ravel()] = True
    assert not (sides[0] & sides[1]).any()
    assert sides.any(axis=0).all()
    assert sides[1].nonzero()[0][0] == 1800


def test_features_are_those_of_training(paths: list[Path], market: Market) -> None:
    series = read_series(paths, 0.1)
    bars = np.stack([market.bars[7:112], market.bars[5100:5205]])
    first = np.array([7, 2100])
    ours = series.features(first, RECIPE)
    np.testing.assert_array_equal(ours.numpy(), window_features(bars, position=True))
    mirrored = series.features(first, RECIPE, np.array([False, True]))
    np.testing.assert_array_equal(mirrored[0].numpy(), ours[0].numpy())
    np.testing.assert_array_equal(
        mirrored[1].numpy(), window_features(reflect(bars), position=True)[1]
    )


def test_a_series_that_is_too_short_is_refused(paths: list[Path]) -> None:
    with pytest.raises(DataError, match="1500 bars, expected 105 or more on both sides"):
        read_series(paths, 0.06)


def test_masks_are_patches_of_the_asked_share() -> None:
    config = PretrainConfig()
    mask = draw_mask(4000, config, torch.Generator().manual_seed(0))
    assert mask.shape == (4000, 105)
    assert float(mask.float().mean()) == pytest.approx(0.15, abs=0.005)
    # Each bar is as likely, also at the ends.
    assert float(mask.float().mean(dim=0).std()) < 0.01
    inner = mask[:, 1:-1].int()
    edges = (mask.int().diff(dim=1) == 1).sum()
    assert 9 < float(inner.sum() / edges) < 13


def test_what_is_hidden_does_not_reach_the_output() -> None:
    torch.manual_seed(0)
    model = Reconstructor(13, ModelConfig(hidden_size=4)).eval()
    features, mask = torch.rand(3, 105, 13), torch.zeros(3, 105, dtype=torch.bool)
    mask[:, 40:50] = True
    changed = torch.where(mask[..., None], 9.0, features)
    assert torch.equal(model(features, mask), model(changed, mask))
    assert model(features, mask).shape == (3, 105, 12)


@pytest.mark.train
def test_only_hidden_bars_have_a_gradient() -> None:
    output = torch.rand(2, 105, 12, requires_grad=True)
    mask = torch.zeros(2, 105, dtype=torch.bool)
    mask[0, 3:13] = True
    target = torch.rand(2, 105, 12)
    loss = reconstruction_loss(output, target, mask, 1.0)
    assert_close(loss, 0.5 * ((output - target)[0, 3:13] ** 2).mean())
    loss.backward()
    assert output.grad is not None
    assert bool((output.grad.abs().sum(dim=2) > 0).eq(mask).all())


def test_nothing_hidden_costs_nothing() -> None:
    values = torch.rand(1, 105, 12)
    assert float(reconstruction_loss(values, values + 1, torch.zeros(1, 105).bool(), 1.0)) == 0


def test_interpolation_equals_numpy() -> None:
    target = torch.rand(4, 105, 12, dtype=torch.float64)
    mask = draw_mask(4, PretrainConfig(mask_share=0.5), torch.Generator().manual_seed(1))
    ours = interpolate(target, mask)
    for b in range(4):
        shown = np.flatnonzero(~mask[b].numpy())
        for g in range(12):
            theirs = np.interp(np.arange(105), shown, target[b, shown, g].numpy())
            np.testing.assert_allclose(ours[b, :, g].numpy(), theirs, atol=1e-6)
