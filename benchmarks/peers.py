"""CPU time to learn one file: a recipe beside the plain U-Net, in the same process.

    python benchmarks/peers.py --data ../shared/data/human --file ludb_twave_train.parquet

Each is taught once, one after the other, on one thread; then each answers the same windows, side by
side. Aim: the recipe learns in no more CPU time than the U-Net.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from jobs.common.fitting import begin_run, judge, load
from jobs.common.weighing import members
from moola_core.config.recipe import load_recipe
from moola_core.evaluation.plain_unet import plain_unet
from moola_core.inference.sliding import answer
from moola_core.training.loop import fit

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "configs" / "train" / "span.yaml")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--windows", type=int)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    more = [f"data.labelled={arguments.file}"]
    more += [f"data.windows={arguments.windows}"] if arguments.windows else []
    recipe = load_recipe(arguments.recipe, [*more, *arguments.overrides])
    torch.set_num_threads(1)
    loaded = load(recipe, arguments.data, "cpu", skip_bad=False)
    began = time.process_time()
    plain_unet(loaded.train, loaded.train.bars[:1])
    print(f"plain U-Net: {time.process_time() - began:.1f} s of CPU, {len(loaded.train)} windows")
    began = time.process_time()
    for one in members(loaded):
        fit(begin_run(loaded, one))
    trained, _ = judge(loaded)
    asked = f"{len(trained.models)} models, {loaded.pool}"
    print(f"{recipe.name}: {time.process_time() - began:.1f} s of CPU, {asked}")
    bars = loaded.train.bars[:512]
    answer(trained, bars[:8])  # compiled, tables made
    began = time.process_time()
    answer(trained, bars)
    rate = bars.shape[0] * bars.shape[1] / (time.process_time() - began)
    print(f"{recipe.name} answers {rate:,.0f} bars a second, side by side")


if __name__ == "__main__":
    main()
