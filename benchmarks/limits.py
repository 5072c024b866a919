"""What a recipe misses, and why: the numbers of "What limits it" in docs/results.md.

    python benchmarks/limits.py [--data ../shared/data] [--recipe configs/train/jade-ensemble.yaml]

Learns from 210 windows of train_2000 and asks about the stretches of time that a fold leaves out,
so that each of the 2,000 windows is judged by a model that never saw its bars. No test file is
read. `--trees` adds boosted trees that choose among the same candidates, learnt from all windows
that a fold leaves: whether another form of model would find more.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from jobs.crossval import fit_model
from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.data.splits import make_folds
from moola_core.data.windows import Windows, read_windows
from moola_core.decoding.decode import decode
from moola_core.features.candidates import find_candidates
from moola_core.features.volatility import edge_prices, local_atr
from moola_core.inference.ensemble import with_seed
from moola_core.spans.intervals import FloatArray, IntArray, span_iou

ROOT = Path(__file__).parents[1]
FILE = Path("labelled/train_2000.parquet")
FOLDS = 5
FEE, ATR_BARS = 0.3, 30  # of the segment rule


def main() -> None:
    """Judge, then print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--recipe", type=Path, default=ROOT / "configs" / "train" / "jade-ensemble.yaml"
    )
    parser.add_argument("--trees", action="store_true", help="takes minutes")
    arguments = parser.parse_args()
    changes = [f"data.labelled={FILE}", "split.kind=blocked", "data.windows=210"]
    recipe = load_recipe(arguments.recipe, changes)
    windows, _ = read_windows(arguments.data / FILE)
    grades = pq.read_table(arguments.data / FILE, columns=["quality"])["quality"]
    iou = tell_misses(windows, chosen(windows, recipe, arguments.data))
    for grade in ("A", "B", "C"):
        print(f"grade {grade}: found in {(iou >= 0.5)[grades.to_numpy() == grade].mean():.3f}")
    if arguments.trees:
        found = chosen_by_trees(windows, recipe)
        print(f"boosted trees on the candidates: IoU >= 0.5 in {(found >= 0.5).mean():.3f}")


def chosen(windows: Windows, recipe: Recipe, data: Path) -> IntArray:
    """``(B, 2)``: the span that a model of other stretches of time finds in each window."""
    fit = partial(fit_model, device=torch.device("cpu"), data_dir=data)
    spans = np.zeros((len(windows), 2), dtype=np.int64)
    for k, fold in enumerate(make_folds(windows, FOLDS, recipe.split, 0)):
        held_out = windows.take(fold.validation)
        trained, _ = fit(windows.take(fold.train), held_out, with_seed(recipe, k))
        spans[fold.validation] = decode(trained.predict(held_out.bars), trained.decoder).spans
    return spans


def tell_misses(windows: Windows, spans: IntArray) -> FloatArray:
    """Print them; returns the IoU of each window ``(B,)``."""
    iou = span_iou(spans, windows.spans)
    found, other = iou >= 0.5, iou <= 0
    print(f"found (IoU >= 0.5) {found.mean():.3f}, another run {other.mean():.3f}", end="")
    print(f", the right one with wrong ends {(~found & ~other).mean():.3f}")
    lead = rule_score(windows, spans) - rule_score(windows, windows.spans)
    print(f"another run: faster than the label in {(lead[other] > 0).mean():.2f}", end="")
    print(f", by {np.median(lead[other]):.2f} ATR in the median")
    speed = rule_score(windows, windows.spans)
    print(f"labels less fee, median ATR: found {np.median(speed[found]):.2f}", end="")
    print(f", another run instead {np.median(speed[other]):.2f}")
    shares = [found[windows.group == g].mean() for g in groups_of(windows, at_least=4)]
    always, never = np.equal(shares, 1).mean(), np.equal(shares, 0).mean()
    print(f"spans in 4 windows or more: found in all {always:.2f}, in none {never:.2f}", end="")
    print(f", in some {1 - always - never:.2f}")
    return iou


def rule_score(windows: Windows, spans: IntArray) -> FloatArray:
    """``(B,)``: net move in local ATR less a fee a bar."""
    rows = np.arange(len(windows))
    price, unit = edge_prices(windows.bars), local_atr(windows.bars, ATR_BARS)
    start, stop = spans.T
    net = np.abs(price[rows, stop] - price[rows, start]) / unit[rows, np.maximum(start - 1, 0)]
    score: FloatArray = net - FEE * (stop - start)
    return score


def groups_of(windows: Windows, at_least: int) -> IntArray:
    """Physical spans that so many windows show."""
    groups, counts = np.unique(windows.group, return_counts=True)
    return groups[counts >= at_least]


def chosen_by_trees(windows: Windows, recipe: Recipe) -> FloatArray:
    """``(B,)``: the IoU of the candidate of the greatest expected IoU, by trees on its columns."""
    found = find_candidates(windows.bars, recipe.candidates)
    iou = np.stack([span_iou(spans, windows.spans) for spans in found.spans.swapaxes(0, 1)], axis=1)
    best = np.zeros(len(windows))
    for fold in make_folds(windows, FOLDS, recipe.split, 0):
        columns = found.features[fold.train].reshape(-1, found.features.shape[-1])
        trees = HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.08, max_leaf_nodes=15, l2_regularization=5, random_state=0
        )
        trees.fit(columns, iou[fold.train].ravel() >= 0.6)
        for i in fold.validation:
            said = trees.predict_proba(found.features[i])[:, 1] ** 2
            spans = found.spans[i]
            expected = [said @ span_iou(spans, np.broadcast_to(s, spans.shape)) for s in spans]
            best[i] = iou[i, np.argmax(expected)]
    return best


if __name__ == "__main__":
    main()
