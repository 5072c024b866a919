"""The job of a recipe with the section `pretrain`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_core.config.recipe import dump_recipe
from moola_core.config.sections import Recipe
from moola_core.io.event_log import EventLog
from moola_core.io.json_file import write_json

if TYPE_CHECKING:
    from jobs.common.signals import StopRequest
    from moola_core.pretraining.state import Pretraining


def pretrain(recipe: Recipe, arguments: argparse.Namespace, stop: StopRequest) -> int:
    """Load, train, judge, write; `arguments` and `stop` are those of jobs.train."""
    began = time.monotonic()
    from jobs.common.checkpoints import identity_of
    from jobs.common.data import data_folder, find_device
    from jobs.common.signals import STOPPED
    from moola_core.pretraining.loop import fit
    from moola_core.pretraining.state import make_pretraining
    from moola_core.training.seeding import seed_everything
    from moola_core.training.state import Stopped

    run_dir, data_dir = Path(arguments.run_dir), data_folder(arguments.data)
    seed_everything(recipe.training)
    files = _files(recipe, data_dir)
    run = make_pretraining(recipe, data_dir, find_device(arguments.device))
    run.identity = identity_of(recipe, files)
    (run_dir / "artifacts").mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    events = EventLog(run_dir / "events.jsonl")
    run.checkpoints = run_dir / "checkpoints"
    run.is_stopping = lambda: stop.is_requested
    run.report = lambda kind, keys: _report(events, kind, keys)
    event = _run_event(run)
    events.write("run", **event)
    print(
        f"recipe {recipe.name} | {event['device']} | seed {event['seed']}"
        f" | {event['num_parameters']:,} parameters | {event['num_features']} features"
        f" | {len(run.series.prices):,} bars, {event['windows']['train']:,} windows an epoch"
    )
    print(f"{'epoch':>7} {'train':>9} {'val':>9} {'s':>6}", flush=True)
    if arguments.resume:
        _resume(run, run_dir if arguments.resume == "here" else Path(arguments.resume), events)
        for entry in [] if events.had_epochs else run.history:
            events.write("epoch", **entry)
    stop.is_training = True
    try:
        if not stop.is_requested:
            fit(run)
    except Stopped:
        print(f"stopped after epoch {run.epoch}, batch {run.batch}; checkpoint written")
        return STOPPED
    stop.is_training = False
    if stop.is_requested:
        return STOPPED
    _finish(run, run_dir, event, files, time.monotonic() - began)
    return 0


def _files(recipe: Recipe, data_dir: Path) -> list[dict[str, Any]]:
    """Return each series as result.json has files; it holds no labelled windows."""
    from moola_core.errors import DataError
    from moola_core.io.digest import file_sha256

    assert recipe.pretrain is not None
    entries = []
    for name in recipe.pretrain.bars:
        if not (data_dir / name).is_file():
            raise DataError(
                f"{data_dir / name}: no such file, expected bars as Parquet or CSV;"
                " set --data or pretrain.bars"
            )
        sha256 = file_sha256(data_dir / name)
        entries.append({"path": name.as_posix(), "sha256": sha256, "windows": 0})
    return entries


def _resume(run: Pretraining, source: Path, events: EventLog) -> None:
    from jobs.common.checkpoints import newest_checkpoint
    from moola_core.pretraining.state import restore

    restore(run, newest_checkpoint(source, run.identity, events))
    print(f"resuming after epoch {run.epoch}, batch {run.batch}")


def _run_event(run: Pretraining) -> dict[str, Any]:
    from jobs.common.run_event import device_name, versions
    from moola_core.model.jade import count_parameters
    from moola_core.pretraining.loop import TASK

    windows = {"train": run.config.windows, "validation": len(run.validation), "test": 0}
    return {
        "recipe": run.recipe.name,
        "device": device_name(run.device),
        "seed": run.recipe.training.seed,
        "epochs": run.recipe.training.epochs,
        "num_parameters": count_parameters(run.model),
        "num_features": run.validation.shape[2],
        "windows": windows,
        "tasks": [TASK],
        "versions": versions(),
    }


def _report(events: EventLog, kind: str, keys: dict[str, Any]) -> None:
    events.write(kind, **keys)
    if kind == "epoch":
        totals = f"{keys['train']['total']:9.4f} {keys['validation']['total']:9.4f}"
        print(f"{keys['epoch']:>3}/{keys['epochs']:<3} {totals} {keys['seconds']:6.2f}", flush=True)


def _finish(
    run: Pretraining,
    run_dir: Path,
    event: dict[str, Any],
    files: list[dict[str, Any]],
    seconds: float,
) -> None:
    """Judge, write the artifacts and, last, result.json."""
    from moola_core.plots.diagnostics import draw_losses
    from moola_core.pretraining.encoder_file import save_encoder
    from moola_core.pretraining.loop import TASK, scores

    folder = run_dir / "artifacts"
    save_encoder(folder, run)
    named = {name: {TASK: one.to_dict()} for name, one in scores(run).items()}
    own = named.pop("model")
    judged = {"validation": own, "test": None}
    write_json(folder / "metrics.json", {"scores": judged, "history": run.history})
    draw_losses(folder / "loss_curves.png", [run.history])
    same = ("recipe", "seed", "device", "num_parameters")
    result = {
        **{key: event[key] for key in same},
        "epochs": run.epoch,
        "seconds": seconds,
        "scores": judged,
        "baselines": named,
        "sigma": {},
        "share": {},
        "gradient_share": {},
        "data": {"files": files},
    }
    write_json(run_dir / "result.json", result)
    print("\nHuber loss of a hidden value, on validation")
    for name, one in {run.recipe.name: own, **named}.items():
        value = one[TASK]
        print(f"{name:>14} {value['value']:.4f}  [{value['low']:.4f}, {value['high']:.4f}]")
