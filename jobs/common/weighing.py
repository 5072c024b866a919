"""How much networks and columns have to say, and which models that leaves to fit."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.common.fitting import Loaded, begin_run, pool_split, prepare, weighed_on
from jobs.common.window_sets import draw
from moola_core.config.sections import EnsembleConfig, Recipe
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Predictions
from moola_core.features.tensors import make_inputs
from moola_core.inference.ensemble import (
    columns_recipe,
    fitted_recipes,
    trained_recipes,
    with_unit,
)
from moola_core.inference.forward import predict
from moola_core.inference.pool import PoolWeights, fit_pool, pool_predictions
from moola_core.training.loop import fit


def members(loaded: Loaded) -> Iterator[Recipe]:
    """Yield the recipe of each model in turn; fit each before asking for the next.

    After the scout, or else after the networks, the weights say which of the others are fitted.
    """
    ensemble = loaded.recipe.ensemble
    scouts = int(ensemble.has_scout)
    for number, one in enumerate(trained_recipes(loaded.recipe)):
        if ensemble.columns and number == (scouts or ensemble.num_networks):
            loaded.pool = weigh(loaded)
        if number < scouts or one in fitted_recipes(loaded.recipe, loaded.pool):
            yield one


def weigh(loaded: Loaded) -> PoolWeights:
    """Return the weights of networks and of columns, fit on the fold that taught neither.

    The network that was trained first speaks for all, since the others know the fold. Columns learn
    from what it did, in one unit of price, which says enough about several.
    """
    recipe, split = loaded.recipe, pool_split(loaded)
    ensemble, seed = recipe.ensemble, recipe.training.seed
    alone = with_unit(columns_recipe(recipe), ensemble.columns[0])
    alone = alone.model_copy(update={"ensemble": EnsembleConfig()})
    taught, held_out = loaded.train.take(split.train), weighed_on(loaded)
    taught = taught.take(taught.has_span)
    taught = draw(taught, min(ensemble.columns_windows, len(taught)), seed)
    columns = begin_run(prepare(alone, taught, None, loaded.device, loaded.data_dir), alone)
    fit(columns)
    seen = make_inputs(held_out.bars, recipe, loaded.device, reflection=recipe.model.symmetric)
    networks = predict(loaded.runs[0].model, seen)
    others = predict(columns.model, make_inputs(held_out.bars, alone, loaded.device))
    weights = fit_pool(networks, others, held_out.spans, held_out.types)
    asked = others if weights.asks_columns else None  # as the trained model asks them
    loaded.left_out = held_out, pool_predictions(networks, asked, weights)
    return weights


def said_of_left_out(loaded: Loaded) -> tuple[Windows, Predictions]:
    """Train what leaves a fold out, and return its windows with what it and columns say of them.

    Raises:
        ValueError: the recipe asks no columns, so that nothing is left out.
    """
    for one in members(loaded):
        if loaded.left_out is not None:
            break
        fit(begin_run(loaded, one))
    if loaded.left_out is None:
        raise ValueError("expected a recipe with ensemble.columns")
    return loaded.left_out
