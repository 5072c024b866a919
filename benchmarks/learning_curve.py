"""Learning curve of a recipe beside the plain U-Net, within one file of windows.

    python benchmarks/learning_curve.py --data ../shared/data/human --file ludb_twave_train.parquet
    python benchmarks/learning_curve.py --data ../shared/data --file labelled/train_2000.parquet

Groups of windows (subjects, physical spans) are set aside once; each row learns from so many of the
others, drawn by its seed. One draw a row unless --draws asks for more: their spread is the noise.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score

from jobs.common.data import read_file
from jobs.common.fitting import begin_run, judge, prepare, truth_of, with_types_of
from jobs.common.resolving import resolved
from jobs.common.weighing import members
from jobs.common.window_sets import draw
from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.data.splits import make_split
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Decoded, Predictions, decode
from moola_core.evaluation.metrics import Score, score
from moola_core.evaluation.plain_unet import plain_unet
from moola_core.training.loop import fit

ROOT = Path(__file__).parents[1]
SIZES = (50, 100, 210, 500, 1000, 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "configs" / "train" / "span.yaml")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="0: all")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--held-out", type=float, default=0.3, help="share of the windows")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe, arguments.overrides)
    torch.set_num_threads(1)
    windows, _ = read_file(arguments.data, arguments.file, skip_bad=False)
    windows = windows.take(np.flatnonzero(windows.offset == 0))
    aside = recipe.split.model_copy(update={"validation_share": arguments.held_out})
    split = make_split(windows, aside, 0)
    own, held_out = windows.take(split.train), windows.take(split.validation)
    chance = _majority(own, held_out)
    print(f"{len(held_out)} windows held out; type macro-F1 of the commonest type {chance:.3f}")
    for size in arguments.sizes:
        for number in range(arguments.draws if 0 < size < len(own) else 1):
            if size <= len(own):
                _row(recipe, draw(own, size or len(own), number), held_out)


def _row(recipe: Recipe, train: Windows, held_out: Windows) -> None:
    """Teach both, print what they find."""
    began = time.process_time()
    decoded, said, pool = _answers(recipe, train, held_out)
    taken = time.process_time() - began
    scores = score(decoded, said, truth_of(held_out))
    began = time.process_time()
    unet = score(plain_unet(train, held_out.bars), None, truth_of(held_out))
    types, ece = scores["type_f1"].value, scores["ece"].value
    print(
        f"{len(train):5} windows: {recipe.name} {_found(scores)}, types {types:.3f},"
        f" ECE {ece:.3f}, {pool}, {taken:.0f} s;"
        f" U-Net {_found(unet)}, {time.process_time() - began:.0f} s",
        flush=True,
    )


def _answers(recipe: Recipe, train: Windows, held_out: Windows) -> tuple[Decoded, Predictions, str]:
    recipe = resolved(with_types_of(recipe, train), train)
    loaded = prepare(recipe, train, None, torch.device("cpu"), Path())
    for one in members(loaded):
        fit(begin_run(loaded, one))
    trained, _ = judge(loaded)
    said = trained.predict(held_out.bars)
    pool = "no pool"
    if loaded.pool is not None:
        pool = "powers {:.2f} {:.2f}".format(*loaded.pool.spans)
    return decode(said, trained.decoder), said, pool


def _found(scores: dict[str, Score]) -> str:
    return f"{scores['f1'].value:.3f} / {scores['iou50'].value:.3f}"


def _majority(train: Windows, held_out: Windows) -> float:
    commonest = np.bincount(train.types).argmax()
    said = np.full(len(held_out), commonest)
    return float(f1_score(held_out.types, said, average="macro", zero_division=0))


if __name__ == "__main__":
    main()
