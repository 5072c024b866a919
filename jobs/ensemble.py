"""Let several models answer as one: the mean of their probabilities, decoded once.

    python -m jobs.ensemble --runs RUN RUN ... --run-dir DIR

Copies the models of finished runs of one recipe (other seeds, other splits) into one run's folder,
for jobs.evaluate and jobs.predict; no training, no score. To train several models in one run give a
recipe with ``ensemble.seeds`` or ``ensemble.units`` to jobs.train, like jade-ensemble.yaml.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.common.entry import exit_code_of
from jobs.common.paths import found, make_folder
from moola_core.config.recipe import dump_recipe
from moola_core.config.sections import Recipe
from moola_core.errors import ConfigError

if TYPE_CHECKING:
    from moola_core.inference.trained_model import TrainedModel


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.ensemble",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=found, nargs="+", required=True, help="folders of runs")
    parser.add_argument(
        "--run-dir", default=os.environ.get("MOOLA_RUN_DIR"), help="default: $MOOLA_RUN_DIR"
    )
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: join(arguments.runs, arguments.run_dir))


def join(runs: list[Path], run_dir: str | None) -> None:
    """Load every model, write them as one, with the first one's recipe and decoder.

    Raises:
        ConfigError: their models see other inputs, or are no members of a mean.
    """
    import torch

    from moola_core.inference.trained_model import load_model, save_model

    if not run_dir:
        raise ConfigError("run folder: not given, expected --run-dir or MOOLA_RUN_DIR")
    parts = [load_model(run / "artifacts", torch.device("cpu")) for run in runs]
    first = parts[0]
    for run, part in zip(runs, parts, strict=True):
        if _seen(part.recipe) != _seen(first.recipe) or _known(part) != _known(first):
            raise ConfigError(f"{run}: its model sees other inputs than that of {runs[0]}")
        _check_alone(run, part)
    models = tuple(model for part in parts for model in part.models)
    alone = first.recipe.ensemble.model_copy(update={"columns": ()})
    of_a_seed = alone.num_answers // alone.seeds
    seeds = alone.model_copy(update={"seeds": len(models) // of_a_seed})
    recipe = first.recipe.model_copy(update={"ensemble": seeds})
    folder = Path(run_dir) / "artifacts"
    make_folder("--run-dir", folder)
    save_model(folder, replace(first, models=models, recipe=recipe, pool=None))
    (folder.parent / "config.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    print(f"{folder}: {len(models)} models of {len(runs)} runs")


def _check_alone(run: Path, trained: TrainedModel) -> None:
    """Refuse a model whose parts have weights of their own: a mean of several knows none.

    Raises:
        ConfigError: columns answer beside its networks, or one of these looks closer.
    """
    from moola_core.inference.ensemble import refines

    ensemble, pool = trained.recipe.ensemble, trained.pool
    has_columns = ensemble.columns and (pool is None or pool.asks_columns)
    if has_columns or refines(trained.recipe, pool):
        beside = "columns answer beside its networks" if has_columns else "a network looks closer"
        raise ConfigError(
            f"{run}: {beside}, expected networks alone; "
            "train several in one run: jobs.train --set ensemble.seeds=2"
        )


def _known(trained: TrainedModel) -> tuple[Any, ...]:
    return trained.labels, trained.bar_ns, trained.window_bars


def _seen(recipe: Recipe) -> list[Any]:
    """Return what must agree for models to answer about the same inputs in the same form."""
    ensemble = recipe.ensemble.model_copy(update={"seeds": 1})
    return [recipe.data.position, recipe.candidates, ensemble, recipe.model]


if __name__ == "__main__":
    sys.exit(main())
