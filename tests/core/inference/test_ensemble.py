from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from moola_core.config.sections import DecoderConfig, EnsembleConfig, Recipe
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Predictions, decode
from moola_core.inference.ensemble import (
    mean_predictions,
    member_recipes,
    trained_recipes,
    with_unit,
)
from moola_core.inference.trained_model import TrainedModel
from moola_core.model.jade import JadeCompact


@pytest.fixture
def recipe(small_recipe: Recipe) -> Recipe:
    table = small_recipe.model_dump()
    table["model"] |= {"tasks": ["choice", "context_type", "edges"], "symmetric": True}
    table["decoder"]["kind"] = "expected_iou"
    table["ensemble"] = {"seeds": 3}
    return Recipe.model_validate(table)


def _model(recipe: Recipe, seed: int) -> JadeCompact:
    torch.manual_seed(seed)
    return JadeCompact(12, recipe.model)


def _sized(recipe: Recipe, number: int) -> Recipe:
    return recipe.model_copy(update={"ensemble": EnsembleConfig(seeds=number)})


def _answers(recipe: Recipe, windows: Windows, seeds: list[int]) -> Predictions:
    models = tuple(_model(recipe, seed) for seed in seeds)
    recipe = _sized(recipe, len(seeds))
    return TrainedModel(models, recipe, recipe.decoder).predict(windows.bars[:10])


def test_the_same_model_three_times_answers_as_the_model(recipe: Recipe, windows: Windows) -> None:
    one, three = _answers(recipe, windows, [5]), _answers(recipe, windows, [5, 5, 5])
    for field in fields(Predictions):
        first, second = getattr(one, field.name), getattr(three, field.name)
        if first is None:
            assert second is None
        else:
            np.testing.assert_allclose(first, second, atol=1e-9)
    assert (decode(one, recipe.decoder).spans == decode(three, recipe.decoder).spans).all()


def test_probabilities_are_averaged(recipe: Recipe, windows: Windows) -> None:
    one, two = _answers(recipe, windows, [1]), _answers(recipe, windows, [2])
    both = _answers(recipe, windows, [1, 2])
    np.testing.assert_allclose(both.span_probs, (one.span_probs + two.span_probs) / 2)
    start = (np.exp(one.start_logp) + np.exp(two.start_logp)) / 2
    np.testing.assert_allclose(np.exp(both.start_logp), start)
    assert one.type_probs is not None
    assert two.type_probs is not None
    assert both.type_probs is not None
    np.testing.assert_allclose(both.type_probs, (one.type_probs + two.type_probs) / 2)
    assert both.span_posterior is not None
    assert both.span_posterior.sum(axis=1) == pytest.approx(1)


def test_a_single_answer_stays_bit_for_bit(recipe: Recipe, windows: Windows) -> None:
    one = _answers(recipe, windows, [1])
    assert mean_predictions([one]) is one


def test_models_of_other_tasks_do_not_mix(recipe: Recipe, windows: Windows) -> None:
    one = _answers(recipe, windows, [1])
    other = Predictions(one.span_logits, one.start_logp, one.stop_logp)
    with pytest.raises(ValueError, match="expected models of the same tasks"):
        mean_predictions([one, other])
    with pytest.raises(ValueError, match="at least one model"):
        mean_predictions([])


def test_of_best_paths_the_majority_counts() -> None:
    zeros = np.zeros((1, 4))
    paths = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=bool)
    parts = [Predictions(zeros, zeros, zeros, viterbi=path[None]) for path in paths]
    mean = mean_predictions(parts)
    assert decode(mean, DecoderConfig(kind="viterbi")).spans.tolist() == [[0, 2]]


def test_members_differ_in_their_seed_alone(recipe: Recipe) -> None:
    members = member_recipes(recipe)
    assert [one.training.seed for one in members] == [0, 1, 2]
    assert members[0] == recipe


UNITS = ({"bars": 20}, {"kind": "wilder", "fee": 0.35})


def test_members_take_the_units_in_turn(recipe: Recipe) -> None:
    units = Recipe.model_validate(recipe.model_dump() | {"ensemble": {"seeds": 2, "units": UNITS}})
    members = member_recipes(units)
    assert [one.candidates.unit for one in members] == 2 * list(units.ensemble.units)
    assert [one.training.seed for one in members] == [0, 1, 2, 3]


SPANS = {"kind": "unet", "width": 4, "tasks": ("segment", "type"), "max_length": 30}


def test_a_scout_is_trained_first_for_its_share_of_the_epochs(recipe: Recipe) -> None:
    table = recipe.model_dump() | {"model": SPANS}
    table["ensemble"] = {"seeds": 2, "columns": UNITS, "scout": 0.5}
    table["training"] |= {"epochs": 7, "average": 0.9}
    spans = Recipe.model_validate(table)
    scout, *members = trained_recipes(spans)
    assert members == member_recipes(spans)
    assert scout.training.epochs == 4
    assert scout.model == spans.model
    assert scout.training.seed not in [one.training.seed for one in members]
    # columns are no network: nothing of theirs is averaged
    assert [one.training.average for one in members] == [0.9, 0.9, 0, 0]
    table["ensemble"]["scout"] = 0
    alone = Recipe.model_validate(table)
    assert trained_recipes(alone) == member_recipes(alone)


def test_each_member_sees_candidates_of_its_own_unit(recipe: Recipe, windows: Windows) -> None:
    both = Recipe.model_validate(recipe.model_dump() | {"ensemble": {"units": UNITS}})
    models = (_model(recipe, 1), _model(recipe, 2))
    bars = windows.bars[:10]
    parts = [
        TrainedModel((model,), with_unit(_sized(recipe, 1), unit), recipe.decoder).predict(bars)
        for model, unit in zip(models, both.ensemble.units, strict=True)
    ]
    alone = [part.span_posterior for part in parts if part.span_posterior is not None]
    together = TrainedModel(models, both, both.decoder).predict(bars).span_posterior
    assert together is not None
    np.testing.assert_allclose(together, (alone[0] + alone[1]) / 2)


def test_an_answer_and_that_to_the_mirror_image_are_the_same(
    recipe: Recipe, windows: Windows
) -> None:
    from moola_core.features.bars import reflect

    trained = TrainedModel((_model(recipe, 0),), _sized(recipe, 1), recipe.decoder)
    straight = trained.predict(windows.bars[:10])
    mirrored = trained.predict(reflect(windows.bars[:10]))
    np.testing.assert_allclose(straight.span_logits, mirrored.span_logits, atol=1e-5)
    assert straight.span_posterior is not None
    assert mirrored.span_posterior is not None
    np.testing.assert_allclose(straight.span_posterior, mirrored.span_posterior, atol=1e-6)
