"""Answers of a trained run of recipe `span`: bars a second and core, and what the time goes to.

    python benchmarks/answers.py --run RUN --data ../shared/data --file labelled/train_2000.parquet

Windows of the file, side by side, on one thread, in CPU time; the best of some rounds. Aim: 150,000
bars a second. Stages: what networks see, networks, label noise, columns, the pool, decoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from moola_core.data.windows import read_windows
from moola_core.decoding.decode import decode
from moola_core.features.tensors import Inputs
from moola_core.features.views import price_views
from moola_core.inference.ensemble import refines
from moola_core.inference.forward import forward_outputs, predict
from moola_core.inference.sliding import answer
from moola_core.inference.trained_model import TrainedModel, load_model
from moola_core.spans.grid import blurred
from moola_core.spans.intervals import FloatArray

ROUNDS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--windows", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trained = load_model(arguments.run / "artifacts", torch.device("cpu"))
    windows, _ = read_windows(arguments.data / arguments.file)
    bars = np.resize(windows.bars, (arguments.windows, *windows.bars.shape[1:]))
    print(f"{len(trained.models)} models, {trained.pool}")
    for name, asked in (("all", trained), ("networks alone", networks_of(trained))):
        took_s = seconds(partial(answer, asked, bars))
        print(f"{name:>16} {bars.shape[0] * bars.shape[1] / took_s:9,.0f} bars/s")
    for name, took_s in stages(networks_of(trained), bars).items():
        print(f"{name:>16} {1000 * took_s / len(bars):9.3f} ms a window")


def networks_of(trained: TrainedModel) -> TrainedModel:
    """Return the same without columns."""
    if trained.pool is None:
        return trained
    pool = replace(trained.pool, spans=(1.0, 0.0), types=(1.0, 0.0))
    number = trained.recipe.ensemble.num_networks
    models = trained.models[:number]
    if refines(trained.recipe, trained.pool):
        return replace(trained, pool=pool, models=(*models, trained.models[-1]))
    ensemble = trained.recipe.ensemble.model_copy(update={"refine": None})
    recipe = trained.recipe.model_copy(update={"ensemble": ensemble})
    return replace(trained, pool=pool, models=models, recipe=recipe)


def stages(trained: TrainedModel, bars: FloatArray) -> dict[str, float]:
    """Return CPU seconds of each stage of the networks' answer."""
    model = trained.models[0]
    shown = torch.from_numpy(price_views(bars))
    inputs = Inputs(shown)
    with torch.no_grad():
        scores = forward_outputs(model, inputs)["segment_logits"]
    runs = torch.softmax(scores, dim=1).numpy().astype(np.float64)
    said = trained.predict(bars)
    num_bars = bars.shape[1]

    def forward() -> object:
        with torch.no_grad():
            return forward_outputs(model, inputs)

    return {
        "views": seconds(lambda: price_views(bars)),
        "a network": seconds(forward),
        "its answer": seconds(lambda: predict(model, inputs)),
        "label noise": seconds(lambda: blurred(runs, num_bars, model.end_noise)),
        "decoding": seconds(lambda: decode(said, trained.decoder)),
        "all": seconds(lambda: answer(trained, bars)),
    }


def seconds(work: Callable[[], object]) -> float:
    """Return the least CPU time of `ROUNDS` rounds; the first one of all is not counted."""
    work()
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


if __name__ == "__main__":
    main()
