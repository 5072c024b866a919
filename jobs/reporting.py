"""What a training run prints and writes: the seed's form, result.json, artifacts."""

from __future__ import annotations

import math
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from jobs.loading import Loaded, judge, truth_of
from moola_core import baselines, diagnostics
from moola_core.artifacts import TrainedModel, save_model
from moola_core.comparison import Answers
from moola_core.config import DecoderConfig
from moola_core.decoding import Decoded, Predictions, decode
from moola_core.events import write_json
from moola_core.gallery import draw_gallery
from moola_core.metrics import Score, reliability, score, window_sums
from moola_core.model import count_parameters
from moola_core.spans import IntArray, span_mask
from moola_core.training import Run
from moola_core.tuning import THRESHOLDS, sweep, thresholds
from moola_core.windows import Windows


def run_event(loaded: Loaded) -> dict[str, Any]:
    """The keys of the event `run`."""
    recipe = loaded.recipe
    return {
        "recipe": recipe.name,
        "device": device_name(loaded.device),
        "seed": recipe.training.seed,
        "epochs": recipe.training.epochs * recipe.ensemble.size,
        "num_parameters": num_parameters(loaded),
        "num_features": loaded.train_tensors.features.shape[2],
        "windows": {
            "train": len(loaded.train),
            "validation": len(loaded.validation) if loaded.validation else 0,
            "test": len(loaded.test) if loaded.test else 0,
        },
        "tasks": list(recipe.model.tasks),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python, of its system, and of the packages that decide what a run gives."""
    packages = ("torch", "numpy", "numba", "pyarrow", "scikit-learn")
    known = {"python": platform.python_version(), "system": platform.platform()}
    known |= {name: metadata.version(name) for name in packages}
    return known | ({"cuda": torch.version.cuda} if torch.version.cuda else {})


def num_parameters(loaded: Loaded) -> int:
    """Of all models together, also of those that are not begun."""
    return count_parameters(loaded.runs[0].model) * loaded.recipe.ensemble.num_answers


def device_name(device: torch.device) -> str:
    """``cpu``, or ``cuda`` with the card's name."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return "cpu"


def print_header(loaded: Loaded) -> None:
    """What is about to be trained, and the head of the epoch table."""
    event = run_event(loaded)
    windows = event["windows"]
    print(
        f"recipe {event['recipe']} | {event['device']} | seed {event['seed']}"
        f" | {event['num_parameters']:,} parameters | {event['num_features']} features"
        f" | windows: {windows['train']} train, {windows['validation']} validation"
    )
    losses = " ".join(f"{task:>9}" for task in event["tasks"])
    scores = f"{'F1':>5} {'in':>6} {'out':>6} {'s':>5}"
    print(f"{'epoch':>7} {'train':>9} {'val':>9} | {losses} | {scores}", flush=True)


def epoch_line(entry: dict[str, Any]) -> str:
    """One line of the epoch table: both totals, each task's raw loss on validation, scores.

    Without validation the raw losses are those of training.
    """
    judged = entry["validation"] or entry["train"]
    losses = [value for name, value in judged.items() if name != "total"]
    scores = (("f1", 5), ("in_span", 6), ("out_span", 6))
    return (
        f"{entry['epoch']:>3}/{entry['epochs']:<3} {entry['train']['total']:9.4f}"
        f" {_cell(entry['validation'], 'total', '9.4f')}"
        f" | {' '.join(f'{value:9.4f}' for value in losses)}"
        f" | {' '.join(_cell(entry['scores'], name, f'{width}.3f') for name, width in scores)}"
        f" {entry['seconds']:5.2f}"
    )


def _cell(table: dict[str, float], name: str, form: str) -> str:
    """A number, or a dash as wide where there is none, as all windows train."""
    return f"{table[name]:{form}}" if name in table else f"{'-':>{form.partition('.')[0]}}"


def history(loaded: Loaded) -> list[dict[str, Any]]:
    """The epochs of all runs, one after the other."""
    return [
        whole_epoch(run, i, entry)
        for i, run in enumerate(loaded.runs)
        for entry in run.progress.history
    ]


def whole_epoch(run: Run, index: int, entry: dict[str, Any]) -> dict[str, Any]:
    """An epoch's entry with its number in the whole job; `run` is the model at `index`."""
    epochs, size = run.recipe.training.epochs, run.recipe.ensemble.size
    return {**entry, "epoch": index * epochs + entry["epoch"], "epochs": size * epochs}


def finish(loaded: Loaded, run_dir: Path, *, seconds: float) -> dict[str, Any]:
    """Judge the trained model, write the artifacts, print the end; returns result.json's keys."""
    recipe = loaded.recipe
    trained, predictions = judge(loaded)
    answered = []
    if loaded.validation is not None and predictions is not None:
        answered.append(("validation", loaded.validation, predictions))
    if loaded.test is not None:
        answered.append(("test", loaded.test, trained.predict(loaded.test.bars)))
    parts = [(*part, decode(part[2], trained.decoder)) for part in answered]
    scores = {
        side: score(decoded, said, truth_of(windows)) for side, windows, said, decoded in parts
    }
    last = [run.progress.history[-1] for run in loaded.runs]
    scored = loaded.test or loaded.validation
    rules = baseline_scores(scored, loaded.train) if scored else {}
    result = {
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "device": device_name(loaded.device),
        "epochs": sum(run.progress.epoch for run in loaded.runs),
        "seconds": seconds,
        "decoder": trained.decoder.model_dump(mode="json"),
        "scores": {
            "validation": as_json(scores.get("validation")) or {},
            "test": as_json(scores.get("test")),
        },
        "baselines": {name: as_json(part) for name, part in rules.items()},
        "sigma": _mean_by_task([entry["sigma"] for entry in last]),
        "share": _mean_by_task([entry["share"] for entry in last]),
        "gradient_share": _mean_by_task([entry["gradient_share"] for entry in last]),
        "num_parameters": num_parameters(loaded),
        "data": {"files": loaded.files},
    }
    folder = run_dir / "artifacts"
    save_model(folder, trained)
    write_json(folder / "metrics.json", {"scores": result["scores"], "history": history(loaded)})
    if parts:
        pq.write_table(predictions_table(parts), folder / "predictions.parquet")
    draw_pictures(loaded, folder, trained, predictions)
    print_sigmas(result)
    if not parts:
        print("\nno scores: every window was trained on; score it with jobs.evaluate")
        return result
    side = parts[-1][0]
    print(f"\nscores on {side}, decoder {decoder_text(trained.decoder)}")
    print_scores(scores[side], rules)
    return result


def _mean_by_task(parts: list[dict[str, float]]) -> dict[str, float]:
    return {task: sum(part[task] for part in parts) / len(parts) for task in parts[0]}


def as_json(scores: dict[str, Score] | None) -> dict[str, dict[str, float]] | None:
    """Scores as result.json has them."""
    return None if scores is None else {name: one.to_dict() for name, one in scores.items()}


def rule_answers(
    windows: Windows, train: Windows, *, with_trees: bool = False
) -> dict[str, Decoded]:
    """What each rule says of `windows`; what one of them has to choose, it chooses on `train`."""
    from moola_core.boosting import boosted_bars

    fee = baselines.choose_fee(train.bars, train.spans)
    spans = {
        "largest_bar": baselines.largest_bar(windows.bars),
        "largest_move": baselines.largest_move(windows.bars),
        "fastest_segment": baselines.fastest_segment(windows.bars, fee),
        "local_segment": baselines.local_segment(windows.bars),
    }
    num_bars = windows.bars.shape[1]
    said = {name: baselines.as_decoded(one, num_bars) for name, one in spans.items()}
    return said | ({"boosted_bars": boosted_bars(train, windows.bars)} if with_trees else {})


def baseline_scores(windows: Windows, train: Windows) -> dict[str, dict[str, Score]]:
    """The rules' scores on `windows`."""
    said = rule_answers(windows, train)
    return {name: score(one, None, truth_of(windows)) for name, one in said.items()}


def answers_of(
    windows: Windows,
    rows: IntArray,
    train: Windows,
    predictions: Predictions,
    decoder: DecoderConfig,
    *,
    with_trees: bool = False,
) -> Answers:
    """What the model, as ``recipe``, and each rule add to a score; `rows` name the windows."""
    truth = truth_of(windows)
    said = rule_answers(windows, train, with_trees=with_trees)
    return Answers(
        rows,
        {
            "recipe": window_sums(decode(predictions, decoder), predictions, truth),
            **{name: window_sums(one, None, truth) for name, one in said.items()},
        },
        probs={"recipe": predictions.span_probs},
        inside=span_mask(windows.spans, windows.bars.shape[1]),
    )


def draw_pictures(
    loaded: Loaded, folder: Path, trained: TrainedModel, predictions: Predictions | None
) -> None:
    """Each picture as PNG and SVG; `predictions` are those of validation."""
    histories = [run.progress.history for run in loaded.runs]
    diagnostics.draw_losses(folder / "loss_curves.png", histories)
    diagnostics.draw_sigmas(folder / "sigma_curves.png", histories)
    windows = loaded.validation
    if windows is None or predictions is None:
        return
    probs, decoder = predictions.span_probs, trained.decoder
    inside = span_mask(windows.spans, windows.bars.shape[1])
    diagnostics.draw_span_probs(folder / "span_probs_soft.png", probs, inside)
    swept = sweep(predictions, windows.spans, thresholds(THRESHOLDS))
    own = sweep(predictions, windows.spans, [decoder])[0]
    diagnostics.draw_sweeps(folder / "thresholds.png", {"threshold": swept}, own)
    decoded = decode(predictions, decoder)
    sums = window_sums(decoded, predictions, truth_of(windows))
    pooled = {name: part.sum(axis=0) for name, part in sums.items()}
    reliable = {what: reliability(pooled, what) for what in ("bar", "confidence")}
    diagnostics.draw_reliability(folder / "reliability.png", reliable)
    found = decoded.spans
    names = [str(name) for name in windows.window_id]
    draw_gallery(folder / "gallery.png", windows.bars, windows.spans, found, probs, names)


def predictions_table(parts: list[tuple[str, Windows, Predictions, Decoded]]) -> pa.Table:
    """A row a window: what is true, what was found, and the bars; columns: docs/protocol.md."""
    tables = []
    for side, windows, predictions, decoded in parts:
        inside = span_mask(windows.spans, windows.bars.shape[1])
        columns: dict[str, Any] = {
            "window_id": [str(name) for name in windows.window_id],
            "side": [side] * len(windows),
            "group": windows.group,
            "start_time": windows.start_time,
            "start": decoded.spans[:, 0],
            "stop": decoded.spans[:, 1],
            "confidence": decoded.confidence,
            "true_start": windows.spans[:, 0],
            "true_stop": windows.spans[:, 1],
            "true_type": windows.types,
            "said_bars": decoded.mask.sum(axis=1),
            "hit_bars": (decoded.mask & inside).sum(axis=1),
            "bars": list(windows.bars.reshape(len(windows), -1).astype(np.float32)),
            "span_probs": list(predictions.span_probs.astype(np.float32)),
        }
        if predictions.type_probs is not None:
            columns["type_probs"] = list(predictions.type_probs.astype(np.float32))
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def print_sigmas(result: dict[str, Any]) -> None:
    """The seed's table: sigma, precision and share of each task; and its share of the gradient."""
    print(f"\n{'task':>12} {'sigma':>7} {'1/sigma2':>9} {'share':>6} {'gradient':>8}")
    for task, sigma in result["sigma"].items():
        pull = result["gradient_share"].get(task)
        known = "-" if pull is None else f"{pull:.0%}"
        line = f"{task:>12} {sigma:7.3f} {sigma**-2:9.3f} {result['share'][task]:6.0%}"
        print(f"{line} {known:>8}")


def decoder_text(decoder: DecoderConfig) -> str:
    """The decoder with what was chosen for it."""
    chosen = {
        "threshold": f" {decoder.threshold:g}",
        "best_span": f", bias {decoder.bias:g}",
        "viterbi": "",
        "expected_iou": "",
    }
    return decoder.kind + chosen[decoder.kind]


def print_scores(scores: dict[str, Score], rules: dict[str, dict[str, Score]]) -> None:
    """In-span and out-of-span means, every score with its interval, and the rules to beat."""
    print(
        f"span probability: in-span mean {scores['in_span'].value:.3f},"
        f" out-of-span mean {scores['out_span'].value:.3f}"
    )
    print(f"{'score':>20} {'value':>7}  95% interval over spans")
    for name, one in scores.items():
        known = f"{one.value:7.3f}  [{one.low:.3f}, {one.high:.3f}]"
        print(f"{name:>20} {'      -' if math.isnan(one.value) else known}")
    for name, rule in rules.items():
        f1, iou50 = rule["f1"].value, rule["iou50"].value
        print(f"rule {name}: f1 {f1:.3f}, iou50 {iou50:.3f}")
