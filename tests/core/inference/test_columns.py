"""Columns' answer in one pass, against their candidates described, standardised and weighed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.decoding.decode import Predictions
from moola_core.features.column_scores import answer_columns
from moola_core.features.tensors import make_inputs
from moola_core.inference.ensemble import mean_of_spans, member_recipes
from moola_core.inference.forward import predict
from moola_core.inference.trained_model import weights_of
from moola_core.model.jade import JadeCompact
from moola_core.model.make import Model, make_model
from moola_core.spans.intervals import FloatArray

pytestmark = pytest.mark.timeout(900)  # the first one compiles, 30 CPU s
SPAN = Path(__file__).parents[3] / "configs" / "train" / "span.yaml"
CPU = torch.device("cpu")


def _columns(*overrides: str) -> tuple[list[Model], list[Recipe]]:
    """Return the four models of columns of recipe `span`, with weights drawn."""
    recipe = load_recipe(SPAN, list(overrides))
    recipes = member_recipes(recipe)[recipe.ensemble.num_networks :]
    models: list[Model] = []
    torch.manual_seed(0)
    for one in recipes:
        model = make_model(12, one.model)
        assert isinstance(model, JadeCompact)
        for parameter in model.span_heads.parameters():
            torch.nn.init.normal_(parameter, 0, 0.3)
        models.append(model)
    return models, recipes


def _bars(rng: np.random.Generator, num_windows: int, num_bars: int) -> FloatArray:
    close = 100 + rng.standard_t(3, (num_windows, num_bars)).cumsum(axis=1)
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high = np.maximum(opened, close) + rng.exponential(0.5, close.shape)
    low = np.minimum(opened, close) - rng.exponential(0.5, close.shape)
    return np.stack([opened, high, low, close], axis=2)


@pytest.mark.parametrize(
    ("num_bars", "overrides"),
    [(105, []), (150, []), (18, []), (105, ["candidates.place=false", "candidates.number=20"])],
)
def test_one_pass_says_what_the_models_say(
    num_bars: int, overrides: list[str], rng: np.random.Generator
) -> None:
    models, recipes = _columns(*overrides)
    bars = _bars(rng, 7, num_bars)
    bars[3] = 100.0  # nothing moves
    bars[4, num_bars // 2 :] = bars[4, num_bars // 2, 3]
    seen = [make_inputs(bars, one, CPU) for one in recipes]
    for model, inputs in zip(models, seen, strict=True):
        assert model.standardise is not None
        assert inputs.candidates is not None
        model.standardise.fit(inputs.candidates.features)
    expected = mean_of_spans([predict(*both) for both in zip(models, seen, strict=True)])
    posterior, types = answer_columns(bars, weights_of(models, recipes))
    assert isinstance(expected, Predictions)
    assert expected.span_posterior is not None
    assert expected.type_probs is not None
    np.testing.assert_allclose(posterior, expected.span_posterior, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(types, expected.type_probs, atol=1e-5)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0)
