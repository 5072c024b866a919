"""Several spans a window where the truth is known: recipe `span` beside the plain U-Net.

    python benchmarks/several_spans.py --data ../shared/data/human --file ludb_twave_train.parquet

Each subject's windows, which hold one whole wave each, are put one after the other (each begins at
the price at which the one before ended), and cut again as `jobs.windows --several` cuts: any number
of waves a window. One subject in five is held out, and judged once. With --choose a fifth of the
others is held out instead, and every way of decoding is tried on it. Test files are not read.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from jobs.common.fitting import truth_of
from jobs.crossval import fit_model
from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.data.make_windows import Placement, make_windows
from moola_core.data.series import Bars
from moola_core.data.spans_file import MarkedSpan
from moola_core.data.splits import make_folds
from moola_core.data.windows import Windows, read_windows
from moola_core.decoding.decode import Decoded, decode
from moola_core.decoding.disjoint import FoundSets
from moola_core.evaluation.metrics import score
from moola_core.evaluation.plain_unet import plain_unet
from moola_core.features.tensors import make_inputs
from moola_core.inference.forward import forward_outputs
from moola_core.inference.trained_model import TrainedModel, load_model, save_model
from moola_core.spans.intervals import FloatArray, sets_mask
from moola_core.spans.segmentations import best_segmentations

ROOT = Path(__file__).parents[1]
SHOWN = ("f1", "span_f1", "span_precision", "span_recall", "iou", "hit3", "type_f1", "ece")
GAINS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def main() -> None:
    """Make, train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--length", type=int, default=240, help="bars a window (240)")
    parser.add_argument("--choose", action="store_true", help="try decoders on training subjects")
    parser.add_argument("--fold", type=int, default=0, help="of --choose, the fifth held out (0)")
    parser.add_argument("--model", type=Path, help="a folder: keep the model there, or use it")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    recipe = load_recipe(ROOT / "configs" / "train" / "span.yaml", arguments.overrides)
    torch.set_num_threads(1)
    windows = joined(arguments.data / arguments.file, arguments.length)
    count = np.bincount((windows.sets[..., 1] > 0).sum(axis=1)).tolist()
    print(f"{len(windows)} windows of {len(set(windows.group))} subjects, by spans: {count}")
    fold = make_folds(windows, 5, recipe.split, 0)[0]
    train, held_out = windows.take(fold.train), windows.take(fold.validation)
    if arguments.choose:
        fold = make_folds(train, 5, recipe.split, 1)[arguments.fold]
        train, held_out = train.take(fold.train), train.take(fold.validation)
    print(f"{len(train)} to learn from, {len(held_out)} held out", flush=True)
    trained = learnt(train, held_out, recipe, arguments.model)
    for name, decoded, predictions in answers(train, held_out, trained, choose=arguments.choose):
        scores = score(decoded, predictions, truth_of(held_out))
        cells = [
            f"{key} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
            for key, one in scores.items()
            if key in SHOWN
        ]
        print(f"{name}: {', '.join(cells)}", flush=True)


def learnt(train: Windows, held_out: Windows, recipe: Recipe, folder: Path | None) -> TrainedModel:
    """Return the recipe's model, decoded as the recipe says now; kept in `folder` if given."""
    cpu = torch.device("cpu")
    if folder is not None and (folder / "model.json").is_file():
        trained = load_model(folder, cpu)
        gain = {"least_gain": recipe.decoder.least_gain}
        return replace(trained, decoder=trained.decoder.model_copy(update=gain))
    began = time.process_time()
    trained, _ = fit_model(train, held_out, recipe, device=cpu, data_dir=ROOT)
    print(f"learnt in {time.process_time() - began:.0f} s of CPU", flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        save_model(folder, trained)
    return trained


def answers(train: Windows, held_out: Windows, trained: TrainedModel, *, choose: bool) -> Any:
    """Yield names and answers of the recipe, to choose of other decoders, and of the U-Net."""
    began = time.process_time()
    predictions = trained.predict(held_out.bars)
    decoded = decode(predictions, trained.decoder)
    rate = held_out.bars[..., 0].size / (time.process_time() - began)
    gain = trained.decoder.least_gain
    yield f"recipe, least gain {gain} ({rate:,.0f} bars a second)", decoded, predictions
    for gain in GAINS if choose else ():
        decoder = trained.decoder.model_copy(update={"least_gain": gain})
        yield f"least gain {gain}", decode(predictions, decoder), predictions
    if choose:
        yield "likeliest set (MAP)", likeliest(trained, held_out), predictions
    began = time.process_time()
    said = plain_unet(train, held_out.bars)
    yield f"plain U-Net ({time.process_time() - began:.0f} s of CPU)", said, None


def likeliest(trained: TrainedModel, windows: Windows) -> Decoded:
    """Return the set of the greatest score, the mean over networks."""
    scores = []
    for model in trained.models:
        inputs = make_inputs(windows.bars, trained.recipe, torch.device("cpu"))
        with torch.no_grad():
            scores.append(forward_outputs(model, inputs)["segment_logits"].numpy())
    window, spans = best_segmentations(np.mean(scores, axis=0), windows.num_bars)
    found = FoundSets(window, spans, np.ones(len(window)))
    mask = sets_mask(found.padded(len(windows)), windows.num_bars)
    return Decoded(*found.surest(len(windows)), mask, found)


def joined(path: Path, length: int) -> Windows:
    """Return windows of any number of spans, of one after the other of each subject."""
    pieces, _ = read_windows(path)
    tables = []
    for subject in np.unique(pieces.group):
        part = pieces.take(pieces.group == subject)
        prices: list[FloatArray] = []
        spans: list[MarkedSpan] = []
        for row in range(len(part)):
            level = prices[-1][-1, 3] - part.bars[row, 0, 0] if prices else 0.0
            prices.append(part.bars[row] + level)
            start, stop = (part.spans[row] + row * pieces.num_bars).tolist()
            spans.append(MarkedSpan(row, start, stop, part.labels[part.types[row]]))
        series = np.concatenate(prices)
        if len(series) < length:
            continue
        placement = Placement(length=length, several=True, seed=int(subject))
        table, _ = make_windows(Bars(series, None), spans, placement, path.name)
        base = pa.array([f"subject{subject}"] * table.num_rows)
        names = [f"subject{subject}_{name}" for name in table["window_id"].to_pylist()]
        place = table.column_names.index("base_window_id")
        table = table.set_column(place, "base_window_id", base)
        tables.append(table.set_column(0, "window_id", pa.array(names)))
    with TemporaryDirectory() as folder:
        made = Path(folder) / "several.parquet"
        pq.write_table(pa.concat_tables(tables), made)
        return read_windows(made, keep_none=True)[0]


if __name__ == "__main__":
    main()
