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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_core.config import Recipe, load_recipe
from moola_core.errors import JobError
from moola_core.events import write_json

if TYPE_CHECKING:
    import torch

    from moola_core.artifacts import TrainedModel
    from moola_core.spans import FloatArray, IntArray
    from moola_core.windows import Windows

SHOWN = ("f1", "iou50", "iou", "hit3", "type_f1", "ece")
RULES = ("fastest_segment", "local_segment")
NUM_RESAMPLES = 2000


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(prog="jobs.crossval", description="cross-validate a recipe")
    parser.add_argument("--config", type=Path, required=True, help="recipe, a YAML file")
    parser.add_argument("--data", default=os.environ.get("MOOLA_DATA_DIR"), help="$MOOLA_DATA_DIR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="fold seeds 0, 1, ...")
    parser.add_argument("--out", type=Path, help="write the scores as JSON too")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--skip-bad", action="store_true", help="leave faulty windows out")
    arguments = parser.parse_args(argv)
    try:
        crossval(arguments)
    except JobError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    return 0


def crossval(arguments: argparse.Namespace) -> None:
    """Train each fold of each repeat, score, print."""
    recipe = load_recipe(arguments.config, arguments.overrides)
    from jobs.loading import data_folder, find_device, read_file

    name = recipe.data.labelled.as_posix()
    windows, entry = read_file(data_folder(arguments.data), name, skip_bad=arguments.skip_bad)
    device = find_device(arguments.device)
    began = time.monotonic()
    repeats = [
        _one_repeat(windows, recipe, arguments.folds, seed, device)
        for seed in range(arguments.repeats)
    ]
    table = compare(repeats, windows)
    print(f"{time.monotonic() - began:.0f} s, {arguments.repeats} x {arguments.folds} models")
    print_table(recipe.name, table)
    if arguments.out is not None:
        keys = {"recipe": recipe.model_dump(mode="json"), "file": entry}
        write_json(arguments.out, {**keys, "overrides": arguments.overrides, "scores": table})


def compare(repeats: list[list[FoldAnswers]], windows: Windows) -> dict[str, Any]:
    """Scores of each answerer, and of the recipe's lead over each rule, with 95% intervals.

    Returns:
        ``{name: {score: {value, low, high}}}``; a lead is named ``recipe - RULE``.
    """
    import numpy as np

    from moola_core.metrics import group_resamples

    rows = np.concatenate([fold.rows for fold in repeats[0]])
    order = np.sort(rows)
    weights = group_resamples(windows.group[order], NUM_RESAMPLES, seed=0)
    weights = np.concatenate([np.ones((1, len(order))), weights])
    values: dict[str, dict[str, FloatArray]] = {}
    for name in ("recipe", *RULES):
        each = [_scores(repeat, name, weights) for repeat in repeats]
        values[name] = {score: np.mean([one[score] for one in each], axis=0) for score in each[0]}
    for rule in RULES:
        shared = values[rule].keys() & values["recipe"].keys()
        values[f"recipe - {rule}"] = {
            score: values["recipe"][score] - values[rule][score]
            for score in SHOWN
            if score in shared
        }
    return {
        name: {score: _with_interval(one) for score, one in scores.items()}
        for name, scores in values.items()
    }


def print_table(recipe: str, table: dict[str, Any]) -> None:
    """A line a score and answerer."""
    for name, scores in table.items():
        print(name.replace("recipe", recipe))
        for score, one in scores.items():
            print(f"{score:>12} {one['value']:7.3f}  [{one['low']:.3f}, {one['high']:.3f}]")


@dataclass(frozen=True)
class FoldAnswers:
    """What one fold's answerers add to each score, by name, for the windows at `rows`."""

    rows: IntArray
    sums: dict[str, dict[str, FloatArray]]


def _scores(repeat: list[FoldAnswers], name: str, weights: FloatArray) -> dict[str, FloatArray]:
    """``(R,)`` a score, for each row of weights ``(R, B)``; windows in order of their row."""
    import numpy as np

    from moola_core.metrics import ratios

    order = np.argsort(np.concatenate([fold.rows for fold in repeat]))
    parts = [fold.sums[name] for fold in repeat]
    sums = {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}
    values = ratios({key: np.tensordot(weights, part, axes=1) for key, part in sums.items()})
    return {score: values[score] for score in SHOWN if score in values}


def _with_interval(values: FloatArray) -> dict[str, float]:
    """The first value is the score, the others are of resamples."""
    import numpy as np

    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def _one_repeat(
    windows: Windows, recipe: Recipe, num_folds: int, seed: int, device: torch.device
) -> list[FoldAnswers]:
    from moola_core.ensemble import with_seed
    from moola_core.metrics import ratios
    from moola_core.splits import make_folds

    answers = []
    for k, fold in enumerate(make_folds(windows, num_folds, recipe.split, seed)):
        # Shifted copies of a window are no more windows to be right about.
        rows = fold.validation[windows.offset[fold.validation] == 0]
        train, held_out = windows.take(fold.train), windows.take(rows)
        one = with_seed(recipe, 10 * seed + k)
        answers.append(FoldAnswers(rows, _answer(train, held_out, one, device)))
        sums = answers[-1].sums["recipe"]
        f1 = float(ratios({name: part.sum(axis=0) for name, part in sums.items()})["f1"])
        print(f"repeat {seed} fold {k}: {len(rows)} windows, f1 {f1:.3f}", flush=True)
    return answers


def _answer(
    train: Windows, held_out: Windows, recipe: Recipe, device: torch.device
) -> dict[str, dict[str, FloatArray]]:
    from jobs.loading import truth_of
    from moola_core import baselines
    from moola_core.decoding import decode
    from moola_core.metrics import window_sums

    num_bars, truth = held_out.bars.shape[1], truth_of(held_out)
    trained = _fit(train, recipe, device)
    predictions = trained.predict(held_out.bars)
    fee = baselines.choose_fee(train.bars, train.spans)
    rules = {
        "fastest_segment": baselines.fastest_segment(held_out.bars, fee),
        "local_segment": baselines.local_segment(held_out.bars),
    }
    sums = {
        name: window_sums(baselines.as_decoded(spans, num_bars), None, truth)
        for name, spans in rules.items()
    }
    return {"recipe": window_sums(decode(predictions, trained.decoder), predictions, truth), **sums}


def _fit(train: Windows, recipe: Recipe, device: torch.device) -> TrainedModel:
    """What jobs.train would make of a file of these windows.

    Windows are only set aside for validation if the recipe chooses something on them.
    """
    from jobs.loading import begin_run, judge, prepare, split_windows
    from moola_core.ensemble import member_recipes
    from moola_core.training import fit

    if not recipe.decoder.choose and recipe.training.keep == "last":
        split = recipe.split.model_copy(update={"validation_share": 0.0})
        recipe = recipe.model_copy(update={"split": split})
    loaded = prepare(recipe, *split_windows(train, recipe), device)
    for one in member_recipes(recipe):
        fit(begin_run(loaded, one))
    return judge(loaded)[0]


if __name__ == "__main__":
    sys.exit(main())
