"""The same answer in any unit of price: ``a * price`` for a from 1e-10 to 1e10."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moola_core.config.recipe import load_recipe
from moola_core.config.sections import CandidateConfig, DecoderConfig, Recipe
from moola_core.decoding.decode import decode
from moola_core.features.bars import window_features
from moola_core.features.candidates import find_candidates
from moola_core.features.tensors import make_inputs
from moola_core.inference.forward import predict
from moola_core.model.jade import JadeCompact
from moola_core.model.make import make_model
from moola_core.spans.intervals import FloatArray
from tests.support.cases import at_most

CONFIGS = Path(__file__).parents[3] / "configs" / "train"
FACTORS = st.one_of(
    st.floats(-10, 10).map(lambda power: 10.0**power),
    st.integers(-10, 10).map(lambda power: 10.0**power),
)


def windows_of(seed: int, ticks: bool, level: float) -> FloatArray:
    """Three windows; prices in ticks of 0.25 have ties and flat bars, as markets do."""
    rng = np.random.default_rng(seed)
    close = level + rng.normal(0, 0.4, (3, 105)).cumsum(axis=1)
    opened = np.roll(close, 1, axis=1)
    opened[:, 0] = close[:, 0]
    high = np.maximum(opened, close) + rng.exponential(0.2, close.shape)
    low = np.minimum(opened, close) - rng.exponential(0.2, close.shape)
    bars = np.stack([opened, high, low, close], axis=2)
    bars[2, 40:70] = bars[2, 40, 3]  # nothing moves
    return np.round(bars * 4) / 4 if ticks else bars


@at_most(60)
@given(FACTORS, st.integers(0, 1000), st.booleans(), st.sampled_from([20_000.0, 100.0, 0.0, -37.5]))
def test_features_and_candidates_do_not_depend_on_the_unit(
    factor: float, seed: int, ticks: bool, level: float
) -> None:
    bars = windows_of(seed, ticks, level)
    # Prices far from 0 against what they move lose digits when scaled: 1e-16 of the price.
    tolerance = 2e-5
    ours, theirs = window_features(bars), window_features(bars * factor)
    np.testing.assert_allclose(theirs, ours, atol=tolerance)
    config = CandidateConfig()
    ours, theirs = find_candidates(bars, config), find_candidates(bars * factor, config)  # type: ignore[assignment]
    np.testing.assert_array_equal(theirs.spans, ours.spans)  # type: ignore[attr-defined]
    np.testing.assert_allclose(theirs.features, ours.features, atol=tolerance)  # type: ignore[attr-defined]


RECIPES = ("seed", "weighted", "crf", "jade", "span")


@cache
def recipe_of(name: str) -> Recipe:
    recipe = load_recipe(CONFIGS / f"{name}.yaml")
    if recipe.decoder.kind != "best_span":  # a threshold on random outputs finds nothing
        recipe = recipe.model_copy(update={"decoder": DecoderConfig(kind="best_span")})
    return recipe


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
@at_most(12)
@given(FACTORS, st.integers(0, 1000), st.sampled_from([20_000.0, 100.0, 0.0, -37.5]))
def test_spans_and_confidences_of_each_recipe_do_not_depend_on_the_unit(
    name: str, factor: float, seed: int, level: float
) -> None:
    """Untrained: weights at random distinguish features that a trained model may pass over."""
    recipe = recipe_of(name)
    bars, device = windows_of(seed, False, level), torch.device("cpu")
    mirrored = recipe.model.symmetric
    both = (bars, bars * factor)
    inputs = [make_inputs(one, recipe, device, reflection=mirrored) for one in both]
    torch.manual_seed(seed)
    model = make_model(inputs[0].features.shape[2], recipe.model).eval()
    ours, theirs = (decode(predict(model, one), recipe.decoder) for one in inputs)
    np.testing.assert_array_equal(theirs.spans, ours.spans)
    np.testing.assert_allclose(theirs.confidence, ours.confidence, atol=1e-4)


@pytest.mark.parametrize("kind", ["wilder", "sma"])
@pytest.mark.parametrize("factor", [1e-10, 1e-7, 3e-8, 1e10])
def test_the_answer_of_a_model_does_not_depend_on_the_unit(factor: float, kind: str) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "units",
            "model": {"tasks": ["choice", "context_type"], "num_types": 2, "symmetric": False},
            "candidates": {"unit": {"kind": kind}},
            "decoder": {"kind": "best_span"},
        }
    )
    torch.manual_seed(0)
    model = JadeCompact(12, recipe.model).eval()
    bars, device = windows_of(1, False, 100.0), torch.device("cpu")
    answers = [predict(model, make_inputs(one, recipe, device)) for one in (bars, bars * factor)]
    found = [decode(one, recipe.decoder) for one in answers]
    np.testing.assert_array_equal(found[0].spans, found[1].spans)
    np.testing.assert_allclose(found[0].confidence, found[1].confidence, atol=1e-5)


def test_bars_that_never_move_have_features() -> None:
    still = np.full((1, 105, 4), 1e-9)
    assert (window_features(still)[..., :8] == 0).all()
    assert np.isfinite(find_candidates(still, CandidateConfig()).features).all()
