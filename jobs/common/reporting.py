"""What a training run prints and writes: the seed's form, result.json, artifacts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs.common.console import decoder_text, print_scores, print_sigmas
from jobs.common.fitting import Loaded, judge, truth_of
from jobs.common.pictures import draw_pictures
from jobs.common.predictions import predictions_table
from jobs.common.run_event import device_name, num_parameters
from moola_core.config.sections import DecoderConfig
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Decoded, Predictions, decode
from moola_core.evaluation import baselines
from moola_core.evaluation.comparison import Answers
from moola_core.evaluation.metrics import Score, score, window_sums
from moola_core.inference.trained_model import save_model
from moola_core.io.json_file import write_json
from moola_core.spans.intervals import IntArray
from moola_core.training.state import Run

TREES, UNET = PEERS = ("boosted_bars", "plain_unet")


def history(loaded: Loaded) -> list[dict[str, Any]]:
    """Return the epochs of all runs, one after the other."""
    return [whole_epoch(run, entry) for run in loaded.runs for entry in run.progress.history]


def whole_epoch(run: Run, entry: dict[str, Any]) -> dict[str, Any]:
    """Return an epoch's entry with its number in the whole job."""
    return {**entry, "epoch": run.epochs_before + entry["epoch"], "epochs": run.epochs_in_all}


def finish(loaded: Loaded, run_dir: Path, *, seconds: float) -> dict[str, Any]:
    """Judge the trained model, write the artifacts, print the end; returns result.json's keys."""
    recipe = loaded.recipe
    trained, predictions = judge(loaded)
    if predictions is None and loaded.left_out is not None:
        predictions = loaded.left_out[1]
    answered = []
    if loaded.judged is not None and predictions is not None:
        answered.append(("validation", loaded.judged, predictions))
    if loaded.test is not None:
        answered.append(("test", loaded.test, trained.predict(loaded.test.bars)))
    parts = [(*part, decode(part[2], trained.decoder)) for part in answered]
    scores = {
        side: score(decoded, said, truth_of(windows)) for side, windows, said, decoded in parts
    }
    last = [run.progress.history[-1] for run in loaded.runs]
    scored = loaded.test or loaded.judged
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
    seen = next(((said, found) for side, _, said, found in parts if side == "validation"), None)
    draw_pictures(loaded, folder, trained, seen)
    print_sigmas(result)
    if not parts:
        print(
            "\nno scores: every window was trained on; set some aside with"
            " --set split.validation_share=0.2, or score other windows with jobs.evaluate"
        )
        return result
    side = parts[-1][0]
    print(f"\nscores on {side}, decoder {decoder_text(trained.decoder)}")
    if loaded.validation is None and side == "validation":
        print("of the windows left out to weigh networks and columns, by models not taught by them")
        if recipe.ensemble.has_scout:
            print(
                "(a scout of shorter training stands for the networks, which do better as a rule)"
            )
    print_scores(scores[side], rules)
    return result


def _mean_by_task(parts: list[dict[str, float]]) -> dict[str, float]:
    tasks = dict.fromkeys(task for part in parts for task in part)
    known = {task: [part[task] for part in parts if task in part] for task in tasks}
    return {task: sum(values) / len(values) for task, values in known.items()}


def as_json(scores: dict[str, Score] | None) -> dict[str, dict[str, float]] | None:
    """Scores as result.json has them."""
    return None if scores is None else {name: one.to_dict() for name, one in scores.items()}


def rule_answers(
    windows: Windows, train: Windows, peers: Collection[str] = ()
) -> dict[str, Decoded]:
    """Return each rule's answer to `windows`; what a rule has to choose, it chooses on `train`.

    Args:
        windows: to be answered.
        train: what peers learn from.
        peers: of `PEERS`, those that answer as well; trees know of one span a window alone, and
            are left out where there are several.
    """
    from moola_core.evaluation.boosting import boosted_bars
    from moola_core.evaluation.plain_unet import plain_unet

    marked = train.take(train.has_span)
    fee = baselines.choose_fee(marked.bars, marked.spans)
    spans = {
        "largest_bar": baselines.largest_bar(windows.bars),
        "largest_move": baselines.largest_move(windows.bars),
        "fastest_segment": baselines.fastest_segment(windows.bars, fee),
        "local_segment": baselines.local_segment(windows.bars),
    }
    num_bars = windows.bars.shape[1]
    said = {name: baselines.as_decoded(one, num_bars) for name, one in spans.items()}
    if TREES in peers and train.several is None:
        said[TREES] = boosted_bars(train, windows.bars)
    if UNET in peers:
        said[UNET] = plain_unet(train, windows.bars)
    return said


def baseline_scores(windows: Windows, train: Windows) -> dict[str, dict[str, Score]]:
    """Return the rules' scores on `windows`."""
    said = rule_answers(windows, train)
    return {name: score(one, None, truth_of(windows)) for name, one in said.items()}


def answers_of(
    windows: Windows,
    rows: IntArray,
    train: Windows,
    predictions: Predictions,
    decoder: DecoderConfig,
    peers: Collection[str] = (),
) -> Answers:
    """Return what the model and each rule add to each score; `rows` name the windows."""
    truth = truth_of(windows)
    said = rule_answers(windows, train, peers)
    return Answers(
        rows,
        {
            "recipe": window_sums(decode(predictions, decoder), predictions, truth),
            **{name: window_sums(one, None, truth) for name, one in said.items()},
        },
        probs={"recipe": predictions.span_probs},
        inside=windows.inside,
    )
