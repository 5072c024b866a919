"""A second look at a crop around the first answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Predictions
from moola_core.errors import ConfigError
from moola_core.features.tensors import Inputs
from moola_core.features.views import VIEWS, price_views
from moola_core.inference.ensemble import fitted_recipes, member_recipes, trained_recipes
from moola_core.inference.forward import predict
from moola_core.inference.pool import PoolWeights, pool_predictions
from moola_core.inference.refine import refined
from moola_core.inference.trained_model import TrainedModel, load_model, save_model
from moola_core.model.make import make_model
from moola_core.spans.grid import all_spans

RECIPES = Path(__file__).parents[3] / "configs" / "train"
SPAN, SIZE = RECIPES / "span.yaml", 24
SMALL = ["model.width=4", "model.max_length=25", "ensemble.columns=[{bars: 20}]"]
CPU = torch.device("cpu")


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe(SPAN, [*SMALL, f"ensemble.refine={{crop: {SIZE}}}"])


def _first(bars: np.ndarray, recipe: Recipe) -> Predictions:
    torch.manual_seed(1)
    model = make_model(len(VIEWS), recipe.model).eval()
    return predict(model, Inputs(torch.from_numpy(price_views(bars))))


def test_spans_of_the_crop_are_averaged_where_they_stand_in_the_window(
    recipe: Recipe, windows: Windows
) -> None:
    bars = windows.bars[:8]
    first = _first(bars, recipe)
    torch.manual_seed(2)
    model = make_model(len(VIEWS), member_recipes(recipe)[-1].model).train()
    both = refined(_first(bars, recipe), bars, model, SIZE)
    assert first.span_posterior is not None
    assert both.span_posterior is not None
    assert both.type_probs is not None
    assert first.type_probs is not None
    spans = [tuple(span) for span in all_spans(105, 25).tolist()]
    for i in range(len(bars)):
        start, stop = spans[int(first.span_posterior[i].argmax())]
        begin = min(max((start + stop) // 2 - SIZE // 2, 0), 105 - SIZE)
        crop = bars[i : i + 1, begin : begin + SIZE]
        second = predict(model, Inputs(torch.from_numpy(price_views(crop))))
        assert second.span_posterior is not None
        assert second.type_probs is not None
        expected = dict(zip(spans, first.span_posterior[i] / 2, strict=True))
        for (a, b), mass in zip(
            all_spans(SIZE, SIZE).tolist(), second.span_posterior[0], strict=True
        ):
            expected[begin + a, begin + b] += mass / 2
        np.testing.assert_allclose(both.span_posterior[i], list(expected.values()), atol=1e-6)
        types = (first.type_probs[i] + second.type_probs[0]) / 2
        np.testing.assert_allclose(both.type_probs[i], types, atol=1e-5)
        inside = np.zeros(105)
        for (a, b), mass in expected.items():
            inside[a:b] += mass
        np.testing.assert_allclose(both.span_probs[i], inside, atol=1e-5)
    np.testing.assert_allclose(both.span_posterior.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("powers", "fitted"), [((0.9, 0.0), [0, 2]), ((0.9, 0.3), [0, 1, 2]), ((0.1, 1.1), [0, 1])]
)
def test_it_is_taken_where_networks_say_more_than_columns(
    tmp_path: Path,
    recipe: Recipe,
    windows: Windows,
    powers: tuple[float, float],
    fitted: list[int],
) -> None:
    pool = PoolWeights(powers, (1.0, 0.0))
    members = member_recipes(recipe)
    recipes = fitted_recipes(recipe, pool)
    assert recipes == [members[i] for i in fitted]
    torch.manual_seed(0)
    models = [make_model(len(VIEWS), one.model).eval() for one in recipes]
    save_model(tmp_path, TrainedModel(tuple(models), recipe, recipe.decoder, pool=pool))
    bars = windows.bars[:5]
    said = load_model(tmp_path, CPU).predict(bars)
    first = predict(models[0], Inputs(torch.from_numpy(price_views(bars))))
    if fitted[-1] == 2:
        first = refined(first, bars, models[-1], SIZE)
    if fitted == [0, 2]:
        expected = pool_predictions(first, None, pool).span_posterior
        np.testing.assert_array_equal(said.span_posterior, expected)
    else:
        assert said.network_probs is not None
        np.testing.assert_array_equal(said.network_probs, first.span_posterior)


def test_a_seed_of_its_own_leaves_those_of_the_others(recipe: Recipe) -> None:
    without = load_recipe(SPAN, [*SMALL, "ensemble.refine=null"])
    seeds = [one.training.seed for one in trained_recipes(recipe)]
    assert seeds[:-1] == [one.training.seed for one in trained_recipes(without)]
    assert len(set(seeds)) == len(seeds)


def test_a_model_of_another_kind_takes_none() -> None:
    with pytest.raises(ConfigError, match=r"refine are for a model of kind unet"):
        load_recipe(RECIPES / "jade.yaml", ["ensemble.refine={crop: 40}"])


def test_it_has_no_part_in_a_mean_of_checkpoints() -> None:
    more = ["training.average=0", "ensemble.columns=[]", "ensemble.checkpoints=2"]
    load_recipe(SPAN, [*more, "ensemble.refine=null"])
    with pytest.raises(ConfigError, match=r"checkpoints: expected 1 with .* \.refine"):
        load_recipe(SPAN, more)
