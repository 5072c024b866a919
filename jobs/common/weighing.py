"""How much networks and columns have to say, and which models that leaves to fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jobs.common.fitting import Loaded, begin_run, draw, pool_splits, prepare
from moola_core.config.sections import EnsembleConfig, Recipe
from moola_core.decoding.decode import Predictions
from moola_core.features.tensors import make_inputs
from moola_core.inference.ensemble import columns_recipe, member_recipes, with_unit
from moola_core.inference.forward import predict
from moola_core.inference.pool import PoolWeights, fit_pool, stacked
from moola_core.training.loop import fit


def members(loaded: Loaded) -> Iterator[Recipe]:
    """Yield the recipe of each model in turn; fit each before asking for the next.

    Columns follow the networks only if they get a say, which is known once those are fitted.
    """
    ensemble = loaded.recipe.ensemble
    for number, one in enumerate(member_recipes(loaded.recipe)):
        if ensemble.columns and number == ensemble.num_networks:
            loaded.pool = weigh(loaded)
            if not loaded.pool.asks_columns:
                return
        yield one


def weigh(loaded: Loaded) -> PoolWeights:
    """Return the weights of fitted networks and of columns, on windows that taught neither.

    Each network left a fold out (grouped and purged); columns learn from the same windows as it,
    in one unit of price, which says enough about several.
    """
    recipe, windows = loaded.recipe, loaded.train
    ensemble, seed = recipe.ensemble, recipe.training.seed
    alone = with_unit(columns_recipe(recipe), ensemble.columns[0])
    alone = alone.model_copy(update={"ensemble": EnsembleConfig()})
    splits = pool_splits(loaded)[: ensemble.num_networks]
    said: tuple[list[Predictions], list[Predictions]] = ([], [])
    judged = []
    for split, run in zip(splits, loaded.runs, strict=False):
        held_out = windows.take(split.validation)
        most = max(ensemble.pool_windows // len(splits), 1)
        held_out = draw(held_out, min(most, len(held_out)), seed)
        taught = windows.take(split.train)
        taught = draw(taught, min(ensemble.columns_windows, len(taught)), seed)
        columns = begin_run(prepare(alone, taught, None, loaded.device, loaded.data_dir), alone)
        fit(columns)
        for part, one in zip(said, (run, columns), strict=True):
            part.append(predict(one.model, make_inputs(held_out.bars, one.recipe, loaded.device)))
        judged.append((held_out.spans, held_out.types))
    spans, types = (np.concatenate([part[i] for part in judged]) for i in range(2))
    return fit_pool(stacked(said[0]), stacked(said[1]), spans, types)
