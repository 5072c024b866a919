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
    import torch

    from jobs.common.signals import StopRequest
    from moola_core.pretraining.state import Pretraining
    from moola_core.training.team import Team


def pretrain(recipe: Recipe, arguments: argparse.Namespace, stop: StopRequest) -> int:
    """Load, train, judge, write; `arguments` and `stop` are those of jobs.train."""
    began = time.monotonic()
    from jobs.common.data import data_folder, find_device
    from jobs.common.processes import check_shareable, joined

    data_dir = data_folder(arguments.data)
    files = _files(recipe, data_dir)
    with joined(find_device(arguments.device)) as (team, device):
        if team.size > 1:
            check_shareable(recipe, team.size)
        run = _begin(recipe, data_dir, device, team, files)
        return _train(run, files, arguments, stop, began)


def _train(
    run: Pretraining,
    files: list[dict[str, Any]],
    arguments: argparse.Namespace,
    stop: StopRequest,
    began: float,
) -> int:
    """Train to the end or to where it is stopped; the first of a team reports and judges."""
    from jobs.common.signals import STOPPED
    from moola_core.pretraining.loop import fit
    from moola_core.training.state import Stopped

    run_dir, team = Path(arguments.run_dir), run.team
    event = _run_event(run)
    run.is_stopping = lambda: team.any(stop.is_requested)
    run.checkpoints = run_dir / "checkpoints"
    events = _report_to(run, event, run_dir) if team.is_first else None
    if arguments.resume:
        _resume(run, run_dir if arguments.resume == "here" else Path(arguments.resume), events)
        if events is not None and not events.had_epochs:
            for entry in run.history:
                events.write("epoch", **entry)
    stop.is_training = True
    try:
        if not run.is_stopping():
            fit(run)
    except Stopped:
        print(f"stopped after epoch {run.epoch}, batch {run.batch}; checkpoint written")
        return STOPPED
    stop.is_training = False
    if run.is_stopping():
        return STOPPED
    if team.is_first:
        _finish(run, run_dir, event, files, time.monotonic() - began)
    return 0


def _begin(
    recipe: Recipe, data_dir: Path, device: torch.device, team: Team, files: list[dict[str, Any]]
) -> Pretraining:
    """Return a new run, the same in each process of a team but for its draws of dropout."""
    import torch

    from jobs.common.checkpoints import identity_of
    from moola_core.pretraining.state import make_pretraining
    from moola_core.training.seeding import seed_everything

    seed_everything(recipe.training)
    run = make_pretraining(recipe, data_dir, device)
    run.identity, run.team = identity_of(recipe, files), team
    if not team.is_first:
        torch.manual_seed(recipe.training.seed + team.rank)
    return run


def _report_to(run: Pretraining, event: dict[str, Any], run_dir: Path) -> EventLog:
    """Begin the run's folder, its events and its table."""
    from jobs.common.paths import make_folder

    make_folder("--run-dir", run_dir / "artifacts")
    (run_dir / "config.yaml").write_text(dump_recipe(run.recipe), encoding="utf-8")
    events = EventLog(run_dir / "events.jsonl")
    run.report = lambda kind, keys: _report(events, kind, keys)
    events.write("run", **event)
    shared = f" | {run.team.size} processes" if run.team.size > 1 else ""
    print(
        f"recipe {run.recipe.name} | {event['device']}{shared} | seed {event['seed']}"
        f" | {event['num_parameters']:,} parameters | {event['num_features']} features"
        f" | {len(run.series.prices):,} bars, {event['windows']['train']:,} windows an epoch"
    )
    print(f"{'epoch':>7} {'train':>9} {'val':>9} {'s':>6}", flush=True)
    return events


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


def _resume(run: Pretraining, source: Path, events: EventLog | None) -> None:
    from jobs.common.checkpoints import newest_checkpoint
    from moola_core.pretraining.state import restore

    checkpoint = newest_checkpoint(source, run.identity, events)
    restore(run, checkpoint)
    print(f"resuming after epoch {run.epoch}, batch {run.batch}")
    before = checkpoint.state.get("processes", 1)
    if before != run.team.size:
        text = (
            f"the checkpoint is of {before} processes, these are {run.team.size}: sums have another"
            " order, so that the last bits differ from those of a run that was not stopped"
        )
        print(f"note: {text}")
        if events is not None:
            events.write("note", text=text)


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
