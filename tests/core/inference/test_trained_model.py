from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from moola_core.config.recipe import load_recipe
from moola_core.config.sections import DecoderConfig, Recipe
from moola_core.data.windows import Windows
from moola_core.errors import DataError
from moola_core.features.tensors import make_inputs
from moola_core.features.views import VIEWS
from moola_core.inference.ensemble import fitted_recipes, mean_predictions, member_recipes
from moola_core.inference.forward import predict
from moola_core.inference.pool import PoolWeights, pool_predictions
from moola_core.inference.trained_model import TrainedModel, joined, load_model, save_model
from moola_core.model.jade import JadeCompact
from moola_core.model.make import make_model

SPAN = Path(__file__).parents[3] / "configs" / "train" / "span.yaml"
CPU = torch.device("cpu")


@pytest.fixture
def trained(small_recipe: Recipe) -> TrainedModel:
    torch.manual_seed(0)
    decoder = DecoderConfig(kind="best_span", bias=-1.25)
    return TrainedModel((JadeCompact(12, small_recipe.model),), small_recipe, decoder)


def test_a_model_comes_back_with_recipe_and_decoder(
    tmp_path: Path, trained: TrainedModel, windows: Windows
) -> None:
    save_model(tmp_path, trained)
    loaded = load_model(tmp_path, CPU)
    assert (loaded.recipe, loaded.decoder) == (trained.recipe, trained.decoder)
    before, after = trained.predict(windows.bars), loaded.predict(windows.bars)
    assert (before.span_logits == after.span_logits).all()


@pytest.mark.parametrize(
    ("powers", "settings", "networks"),
    [
        ((0.1, 1.1), [], 1),
        ((0.9, 0.3), [], 2),
        ((0.1, 1.1), ["ensemble.beside_columns=null"], 2),
        ((0.1, 1.1), ["ensemble.beside_columns=5"], 2),
        ((0.1, 1.1), ["ensemble.scout=0"], 2),
    ],
)
def test_beside_columns_that_say_more_so_many_networks_are_fitted_and_answer(
    tmp_path: Path,
    windows: Windows,
    powers: tuple[float, float],
    settings: list[str],
    networks: int,
) -> None:
    small = ["model.width=4", "model.max_length=25", "ensemble.seeds=2"]
    recipe = load_recipe(SPAN, [*small, "ensemble.columns=[{bars: 20}]", *settings])
    pool = PoolWeights(powers, (0.0, 1.0))
    recipes = fitted_recipes(recipe, pool)
    members = member_recipes(recipe)
    assert recipes == [*members[:networks], members[2]]
    torch.manual_seed(0)
    models = [make_model(len(VIEWS), one.model).eval() for one in recipes]
    save_model(tmp_path, TrainedModel(tuple(models), recipe, recipe.decoder, pool=pool))
    bars = windows.bars[:5]
    answer = load_model(tmp_path, CPU).predict(bars)
    said = [
        predict(model, make_inputs(bars, one, CPU))
        for model, one in zip(models, recipes, strict=True)
    ]
    expected = pool_predictions(mean_predictions(said[:networks]), said[-1], pool)
    assert answer.network_probs is not None
    np.testing.assert_array_equal(answer.network_probs, expected.network_probs)
    again = joined(said, recipe, pool).network_probs
    np.testing.assert_array_equal(again, expected.network_probs)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_or_broken_model_is_refused_in_one_line(
    tmp_path: Path, trained: TrainedModel, name: str
) -> None:
    save_model(tmp_path, trained)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(DataError, match="not a model that this version can use") as caught:
        load_model(tmp_path, CPU)
    assert "\n" not in str(caught.value)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match="no such file, expected a trained model"):
        load_model(tmp_path, CPU)
