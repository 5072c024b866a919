"""What a training run prints and writes: the seed's form, result.json, artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from jobs.loading import Loaded, truth_of
from moola_core import baselines, diagnostics
from moola_core.artifacts import TrainedModel, save_model
from moola_core.config import DecoderConfig
from moola_core.decoding import Decoded, Predictions, choose_decoder, decode
from moola_core.events import write_json
from moola_core.metrics import Score, score
from moola_core.model import count_parameters
from moola_core.spans import span_mask
from moola_core.training import predict
from moola_core.windows import Windows


def run_event(loaded: Loaded) -> dict[str, Any]:
    """The keys of the event `run`."""
    recipe, run = loaded.recipe, loaded.run
    return {
        "recipe": recipe.name,
        "device": device_name(run.device),
        "seed": recipe.training.seed,
        "epochs": recipe.training.epochs,
        "num_parameters": count_parameters(run.model),
        "num_features": run.train.features.shape[2],
        "windows": {
            "train": len(loaded.train),
            "validation": len(loaded.validation),
            "test": len(loaded.test) if loaded.test else 0,
        },
        "tasks": list(recipe.model.tasks),
    }


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
    """One line of the epoch table: both totals, each task's raw loss on validation, scores."""
    losses = [value for name, value in entry["validation"].items() if name != "total"]
    scores = entry["scores"]
    return (
        f"{entry['epoch']:>3}/{entry['epochs']:<3} {entry['train']['total']:9.4f}"
        f" {entry['validation']['total']:9.4f} | {' '.join(f'{value:9.4f}' for value in losses)}"
        f" | {scores['f1']:5.3f} {scores['in_span']:6.3f} {scores['out_span']:6.3f}"
        f" {entry['seconds']:5.2f}"
    )


def finish(loaded: Loaded, run_dir: Path, *, seconds: float) -> dict[str, Any]:
    """Judge the trained model, write the artifacts, print the end; returns result.json's keys."""
    recipe, run = loaded.recipe, loaded.run
    if recipe.training.keep == "best":
        run.model.load_state_dict(run.progress.best)
    predictions = predict(run.model, run.validation.features)
    decoder = choose_decoder(predictions, loaded.validation.spans, recipe.decoder)
    trained = TrainedModel(run.model, recipe, decoder)
    decoded = decode(predictions, decoder)
    scores = {"validation": score(decoded, predictions, truth_of(loaded.validation)), "test": None}
    parts = [("validation", loaded.validation, predictions, decoded)]
    if loaded.test is not None:
        test_predictions = trained.predict(loaded.test.bars)
        test_decoded = decode(test_predictions, decoder)
        scores["test"] = score(test_decoded, test_predictions, truth_of(loaded.test))
        parts.append(("test", loaded.test, test_predictions, test_decoded))
    rules = baseline_scores(loaded.test or loaded.validation, loaded.train)
    last = run.progress.history[-1]
    result = {
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "device": device_name(run.device),
        "epochs": run.progress.epoch,
        "seconds": seconds,
        "decoder": decoder.model_dump(mode="json"),
        "scores": {side: as_json(part) for side, part in scores.items()},
        "baselines": {name: as_json(part) for name, part in rules.items()},
        "sigma": last["sigma"],
        "share": last["share"],
        "num_parameters": count_parameters(run.model),
        "data": {"files": loaded.files},
    }
    folder = run_dir / "artifacts"
    save_model(folder, trained)
    write_json(
        folder / "metrics.json", {"scores": result["scores"], "history": run.progress.history}
    )
    pq.write_table(predictions_table(parts), folder / "predictions.parquet")
    draw_pictures(loaded, folder, predictions)
    side = "test" if loaded.test else "validation"
    print_sigmas(result)
    print(f"\nscores on {side}, decoder {decoder_text(decoder)}")
    print_scores(scores[side] or {}, rules)
    return result


def as_json(scores: dict[str, Score] | None) -> dict[str, dict[str, float]] | None:
    """Scores as result.json has them."""
    return None if scores is None else {name: one.to_dict() for name, one in scores.items()}


def baseline_scores(windows: Windows, train: Windows) -> dict[str, dict[str, Score]]:
    """The rules on `windows`; what one of them has to choose, it chooses on `train`."""
    fee = baselines.choose_fee(train.bars, train.spans)
    spans = {
        "largest_bar": baselines.largest_bar(windows.bars),
        "largest_move": baselines.largest_move(windows.bars),
        "fastest_segment": baselines.fastest_segment(windows.bars, fee),
    }
    num_bars = windows.bars.shape[1]
    return {
        name: score(baselines.as_decoded(one, num_bars), None, truth_of(windows))
        for name, one in spans.items()
    }


def draw_pictures(loaded: Loaded, folder: Path, predictions: Predictions) -> None:
    """The three PNGs; `predictions` are those of validation."""
    windows, history = loaded.validation, loaded.run.progress.history
    inside = span_mask(windows.spans, windows.bars.shape[1])
    diagnostics.draw_span_probs(folder / "span_probs_soft.png", predictions.span_probs, inside)
    diagnostics.draw_losses(folder / "loss_curves.png", history)
    diagnostics.draw_sigmas(folder / "sigma_curves.png", history)


def predictions_table(parts: list[tuple[str, Windows, Predictions, Decoded]]) -> pa.Table:
    """A row a window: the found span (half-open, empty where none), confidence, probabilities."""
    tables = []
    for side, windows, predictions, decoded in parts:
        columns: dict[str, Any] = {
            "window_id": [str(name) for name in windows.window_id],
            "side": [side] * len(windows),
            "start": decoded.spans[:, 0],
            "stop": decoded.spans[:, 1],
            "confidence": decoded.confidence,
            "true_start": windows.spans[:, 0],
            "true_stop": windows.spans[:, 1],
            "span_probs": list(predictions.span_probs.astype(np.float32)),
        }
        if predictions.type_probs is not None:
            columns["type_probs"] = list(predictions.type_probs.astype(np.float32))
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def print_sigmas(result: dict[str, Any]) -> None:
    """The seed's table: sigma, precision and share of each task."""
    print(f"\n{'task':>10} {'sigma':>7} {'1/sigma2':>9} {'share':>6}")
    for task, sigma in result["sigma"].items():
        print(f"{task:>10} {sigma:7.3f} {sigma**-2:9.3f} {result['share'][task]:6.0%}")


def decoder_text(decoder: DecoderConfig) -> str:
    """The decoder with what was chosen for it."""
    chosen = {
        "threshold": f" {decoder.threshold:g}",
        "best_span": f", bias {decoder.bias:g}",
        "viterbi": "",
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
        print(f"{name:>20} {one.value:7.3f}  [{one.low:.3f}, {one.high:.3f}]")
    for name, rule in rules.items():
        f1, iou50 = rule["f1"].value, rule["iou50"].value
        print(f"rule {name}: f1 {f1:.3f}, iou50 {iou50:.3f}")
