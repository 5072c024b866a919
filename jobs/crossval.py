"""Judge recipes by grouped, purged cross-validation on training windows.

    python -m jobs.crossval --config configs/train/jade.yaml --data DIR

Each window validates once a repeat, by a model that saw no bar of it; scores are pooled over folds
and averaged over repeats. Beside it stand the segment rules on the same windows, and the paired
difference with its interval. Any setting may be changed with `--set`; choose by this and nothing
else, and remember that the best of many tries looks better than it is.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.entry import exit_code_of
from jobs.common.paths import output, require_place
from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.io.json_file import write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from moola_core.data.windows import Windows
    from moola_core.evaluation.comparison import Answers
    from moola_core.inference.trained_model import TrainedModel
if TYPE_CHECKING:
    Fit = Callable[[Windows, Windows, Recipe], tuple[TrainedModel, Windows]]


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.crossval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="recipe, a YAML file")
    parser.add_argument(
        "--data", default=os.environ.get("MOOLA_DATA_DIR"), help="default: $MOOLA_DATA_DIR"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="fold seeds 0, 1, ...")
    parser.add_argument("--trees", action="store_true", help="boosted trees beside it; slow")
    parser.add_argument("--peers", action="store_true", help="a plain U-Net beside it, too")
    parser.add_argument("--out", type=output, help="write the scores as JSON too")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--skip-bad", action="store_true", help="leave faulty windows out")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: crossval(arguments))


def crossval(arguments: argparse.Namespace) -> None:
    """Train each fold of each repeat, score, print."""
    require_place("--out", arguments.out)
    recipe = load_recipe(arguments.config, arguments.overrides)
    print(f"recipe {recipe.name}: reading code and data", file=sys.stderr, flush=True)
    from jobs.common.data import data_folder, find_device, read_file
    from jobs.common.fitting import with_types_of
    from jobs.common.window_sets import note_offsets

    name = recipe.data.labelled.as_posix()
    windows, entry = read_file(
        data_folder(arguments.data),
        name,
        skip_bad=arguments.skip_bad,
        keep_none=recipe.model.may_have_none,
    )
    recipe = with_types_of(recipe, windows)
    note_offsets(name, windows, recipe)
    began = time.monotonic()
    data_dir, device = data_folder(arguments.data), find_device(arguments.device)
    fit = partial(fit_model, device=device, data_dir=data_dir)
    repeats = [
        _one_repeat(windows, recipe, arguments, seed, fit) for seed in range(arguments.repeats)
    ]
    from moola_core.evaluation.comparison import (
        compare,
        reliability_lines,
        reliability_of,
        table_lines,
    )

    table = compare(repeats, windows.group, "recipe")
    reliable = reliability_of(repeats, "recipe")
    print(f"{time.monotonic() - began:.0f} s, {arguments.repeats} x {arguments.folds} models")
    print("\n".join([*table_lines(table), *reliability_lines(reliable)]))
    if arguments.out is not None:
        keys = {"recipe": recipe.model_dump(mode="json"), "file": entry}
        keys |= {"overrides": arguments.overrides, "scores": table, "reliability": reliable}
        write_json(arguments.out, keys)


def _one_repeat(
    windows: Windows, recipe: Recipe, arguments: argparse.Namespace, seed: int, fit: Fit
) -> list[Answers]:
    from jobs.common.reporting import TREES, UNET, answers_of
    from moola_core.data.splits import make_folds, require_sides
    from moola_core.evaluation.metrics import ratios
    from moola_core.inference.ensemble import with_seed

    answers = []
    for k, fold in enumerate(make_folds(windows, arguments.folds, recipe.split, seed)):
        require_sides(fold, recipe.split)
        # Shifted copies of a window are no more windows to be right about.
        rows = fold.validation[windows.offset[fold.validation] == 0]
        train, held_out = windows.take(fold.train), windows.take(rows)
        trained, seen = fit(train, held_out, with_seed(recipe, 10 * seed + k))
        peers = [*([TREES] if arguments.trees else []), *([UNET] if arguments.peers else [])]
        said = (trained.predict(held_out.bars), trained.decoder)
        answers.append(answers_of(held_out, rows, train, *said, peers))
        sums = answers[-1].sums["recipe"]
        f1 = float(ratios({name: part.sum(axis=0) for name, part in sums.items()})["f1"])
        line = f"repeat {seed} fold {k}: {len(rows)} windows, f1 {f1:.3f}"
        line += f", learnt from {len(seen)} windows of {len(set(seen.group))} spans"
        print(line, flush=True)
    return answers


def fit_model(
    train: Windows, held_out: Windows, recipe: Recipe, *, device: torch.device, data_dir: Path
) -> tuple[TrainedModel, Windows]:
    """Return what jobs.train would make of a file of these windows, and those that it trained on.

    Windows are only set aside for validation if the recipe chooses something on them.
    """
    from jobs.common.fitting import begin_run, judge, prepare
    from jobs.common.resolving import resolved
    from jobs.common.weighing import members
    from jobs.common.window_sets import split_windows
    from moola_core.training.loop import fit

    if not recipe.decoder.choose and recipe.training.keep == "last":
        share = recipe.split.model_copy(update={"validation_share": 0.0})
        recipe = recipe.model_copy(update={"split": share})
    own, validation = split_windows(train, recipe)
    recipe = resolved(recipe, own)
    loaded = prepare(recipe, own, validation, device, data_dir, [held_out])
    for one in members(loaded):
        fit(begin_run(loaded, one))
    return judge(loaded)[0], loaded.train


if __name__ == "__main__":
    sys.exit(main())
