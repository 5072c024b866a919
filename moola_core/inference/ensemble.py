"""Several models that answer as one: the mean of what they say, decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from moola_core.config.sections import LossConfig, ModelConfig, Recipe, UnitConfig
from moola_core.decoding.decode import Predictions, log_odds
from moola_core.inference.pool import PoolWeights
from moola_core.spans.intervals import FloatArray


def member_recipes(recipe: Recipe) -> list[Recipe]:
    """Return the recipe of each model: the units in turn, the seeds from ``training.seed`` on.

    Those of ``ensemble.columns`` follow, and the one of ``ensemble.refine`` is the last.
    """
    first, units = recipe.training.seed, recipe.ensemble.units or (recipe.candidates.unit,)
    networks = [
        with_unit(with_seed(recipe, first + i), units[i % len(units)])
        for i in range(recipe.ensemble.num_networks)
    ]
    columns = columns_recipe(recipe)
    choices = [
        with_unit(with_seed(columns, first + len(networks) + i), unit)
        for i, unit in enumerate(recipe.ensemble.columns)
    ]
    refiner = refiner_recipe(recipe)
    return [*networks, *choices, *([] if refiner is None else [refiner])]


def refiner_recipe(recipe: Recipe) -> Recipe | None:
    """Return the recipe of the network that sees a crop; None where there is none."""
    refine = recipe.ensemble.refine
    if refine is None or refine.crop is None:
        return None
    longest = min(recipe.model.max_length or refine.crop, refine.crop)
    model = recipe.model.model_copy(update={"max_length": longest})
    # after the members' seeds and the scout's
    seed = recipe.training.seed + recipe.ensemble.size + 1
    return with_seed(recipe.model_copy(update={"model": model}), seed)


def fitted_recipes(recipe: Recipe, pool: PoolWeights | None) -> list[Recipe]:
    """Return those of `member_recipes` that `pool` gives a say: they are fitted, and answer.

    Columns without one are not; nor is a second look taken where columns say more of spans.
    """
    members, ensemble = member_recipes(recipe), recipe.ensemble
    number = ensemble.num_networks
    asks_columns = pool is None or pool.asks_columns
    columns = members[number : ensemble.size] if asks_columns else []
    last = members[ensemble.size :] if refines(recipe, pool) else []
    return members[:number] + columns + last


def refines(recipe: Recipe, pool: PoolWeights | None) -> bool:
    """Return whether a second look is taken: not where columns say more of spans."""
    is_wanted = refiner_recipe(recipe) is not None
    return is_wanted and (pool is None or not pool.leads_columns)


def trained_recipes(recipe: Recipe) -> list[Recipe]:
    """Return the recipe of each model that is trained, in turn: a scout, if any, and the members.

    The scout is a network like the others, for a share of the epochs.
    """
    members = member_recipes(recipe)
    if not recipe.ensemble.has_scout:
        return members
    epochs = max(round(recipe.ensemble.scout * recipe.training.epochs), 1)
    scout = with_seed(recipe, recipe.training.seed + recipe.ensemble.size)
    training = scout.training.model_copy(update={"epochs": epochs})
    return [scout.model_copy(update={"training": training}), *members]


def columns_recipe(recipe: Recipe) -> Recipe:
    """`recipe` with a linear choice among candidates instead of its network."""
    model = ModelConfig(
        tasks=("choice", "context_type"),
        hidden_size=0,
        choice_hidden_size=0,
        num_types=recipe.model.num_types,
        end_noise=recipe.model.end_noise,
    )
    off: dict[str, Any] = {"stretch": 0.0, "jitter": 0.0, "reflection": False, "epochs": 5}
    off |= {"average": 0.0, "type_ridge": None}
    training = recipe.training.model_copy(update={**off, "optimizer": "lbfgs"})
    loss = LossConfig(ridge=recipe.ensemble.columns_ridge)
    return recipe.model_copy(update={"model": model, "training": training, "loss": loss})


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """`recipe` with another ``training.seed``."""
    training = recipe.training.model_copy(update={"seed": seed})
    return recipe.model_copy(update={"training": training})


def with_unit(recipe: Recipe, unit: UnitConfig) -> Recipe:
    """`recipe` with another ``candidates.unit``."""
    candidates = recipe.candidates.model_copy(update={"unit": unit})
    return recipe.model_copy(update={"candidates": candidates})


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """One answer of several about the same windows: the mean of every probability.

    Soft masks, starts, stops, types and posteriors of spans are averaged as probabilities
    (Lakshminarayanan, Pritzel & Blundell 2017, Deep Ensembles, eq. 2); of CRFs' best paths the
    majority counts. One model's answer stays as it is, bit for bit.

    Raises:
        ValueError: there is none, or some lack what others have.
    """
    if not predictions:
        raise ValueError("expected the predictions of at least one model, got none")
    if len(predictions) == 1:
        return predictions[0]
    viterbi = _mean([one.viterbi for one in predictions])
    return Predictions(
        span_logits=log_odds(_mean([one.span_probs for one in predictions])),
        start_logp=_log_mean([one.start_logp for one in predictions]),
        stop_logp=_log_mean([one.stop_logp for one in predictions]),
        type_probs=_mean([one.type_probs for one in predictions]),
        viterbi=None if viterbi is None else viterbi > 0.5,
        span_posterior=_mean([one.span_posterior for one in predictions]),
        none_probs=_mean([one.none_probs for one in predictions]),
        type_bars=_mean([one.type_bars for one in predictions]),
    )


def mean_of_spans(predictions: Sequence[Predictions]) -> Predictions:
    """Return the same of every span and of types alone, all that a pool needs of columns."""
    return replace(
        predictions[0],
        type_probs=_mean([one.type_probs for one in predictions]),
        span_posterior=_mean([one.span_posterior for one in predictions]),
    )


def _mean(parts: list[Any]) -> Any:
    if all(part is None for part in parts):
        return None
    if any(part is None for part in parts):
        raise ValueError("expected models of the same tasks, got some without a head of others")
    return sum(part.astype(np.float64) for part in parts) / len(parts)


def _log_mean(parts: list[FloatArray]) -> FloatArray:
    highest = np.maximum.reduce(parts)
    return highest + np.log(sum(np.exp(part - highest) for part in parts) / len(parts))
