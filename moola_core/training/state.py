"""The state of a training run: what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moola_core.config.sections import Recipe
from moola_core.evaluation.metrics import Truth
from moola_core.features.tensors import WindowTensors
from moola_core.losses.criterion import Criterion
from moola_core.model.make import Model
from moola_core.model.span_net import SpanNet
from moola_core.training.average import RunningMean
from moola_core.training.checkpoint import (
    Checkpoint,
    as_checkpoint_error,
    checkpoint_name,
    save_checkpoint,
)
from moola_core.training.optim import below, load_state_tensors, make_optimizer, state_tensors

Report = Callable[[str, dict[str, Any]], None]


class Stopped(Exception):  # noqa: N818 - a request that was met, not an error
    """Training was asked to stop, and did so after a checkpoint."""


def _report_nothing(kind: str, keys: dict[str, Any]) -> None:
    del kind, keys


def _go_on() -> bool:
    return False


@dataclass
class Run:
    """Everything that training works on; `progress` is what a checkpoint restores.

    Attributes:
        report: called with ``("epoch", keys)`` and ``("checkpoint", keys)`` as in events.jsonl.
        is_stopping: asked before each batch; True means checkpoint now and leave.
        validation, truth: both None where all windows train.
        checkpoints: the folder, or None to keep none.
        identity: what a checkpoint must agree on to be this run's (recipe, data).
        epochs_before, epochs_in_all: of the whole job, where this model is one of several.
    """

    recipe: Recipe
    model: Model
    train: WindowTensors
    validation: WindowTensors | None
    truth: Truth | None
    device: torch.device
    report: Report = field(default=_report_nothing)
    is_stopping: Callable[[], bool] = field(default=_go_on)
    checkpoints: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    epochs_before: int = 0
    epochs_in_all: int = 0

    def __post_init__(self) -> None:
        training = self.recipe.training
        self.criterion = Criterion(self.model, self.recipe.model.tasks, self.recipe.loss)
        if self.model.standardise is not None and self.train.candidates is not None:
            self.model.standardise.fit(self.train.candidates.features)
        if isinstance(self.model, SpanNet):
            lengths = self.train.tags.sum(dim=1)
            if self.train.sets is not None:
                lengths = self.train.sets.diff(dim=2).flatten()
            self.model.fit_lengths(lengths[lengths > 0])
        self.optimizer = make_optimizer(self.model, training)
        self.sampler = torch.Generator().manual_seed(training.seed)
        self.progress = Progress(best={k: v.clone() for k, v in self.model.state_dict().items()})
        self.average = RunningMean(self.model, training.average) if training.average else None
        # float64, so that a sum over batches adds no error of its own; rows: total, then tasks.
        self.sums = torch.zeros(len(self.recipe.model.tasks) + 1, dtype=torch.float64)
        self.epoch_start = self.sampler.get_state()

    @property
    def answering(self) -> Model:
        """The model that is judged: with ``training.average`` that of the mean weights."""
        return self.model if self.average is None else self.average.model


@dataclass
class Progress:
    """How far training is; `epoch` whole epochs and `batch` batches of the next are done.

    `snapshots` are the weights of the last ``ensemble.checkpoints`` of the epochs that are a
    multiple of ``training.checkpoint_epochs``, or the last; none where one model answers.
    """

    best: dict[str, Tensor]
    epoch: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.inf
    gradient_share: dict[str, float] = field(default_factory=dict)
    snapshots: list[dict[str, Tensor]] = field(default_factory=list)


def write_checkpoint(run: Run) -> None:
    """Save everything that `restore` needs, and report it."""
    if run.checkpoints is None:
        return
    progress = run.progress
    path = save_checkpoint(run.checkpoints, checkpoint_of(run))
    is_best = progress.best_epoch == progress.epoch and progress.batch == 0
    relative = f"{run.checkpoints.name}/{path.name}"
    run.report("checkpoint", {"epoch": progress.epoch, "path": relative, "best": is_best})


def checkpoint_of(run: Run) -> Checkpoint:
    """Return what `restore` needs to put another run where this one stands."""
    progress = run.progress
    tensors = state_tensors(run.model, run.optimizer, run.epoch_start, run.device)
    tensors |= {f"best.{k}": v for k, v in progress.best.items()}
    for i, snapshot in enumerate(progress.snapshots):
        tensors |= {f"snapshot.{i}.{k}": v for k, v in snapshot.items()}
    if run.average is not None:
        tensors |= {f"average.{k}": v for k, v in run.average.model.state_dict().items()}
    tensors["sums"] = run.sums
    state = {
        "epoch": progress.epoch,
        "batch": progress.batch,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
        "best_value": progress.best_value,
        "gradient_share": progress.gradient_share,
        "identity": run.identity,
    }
    return Checkpoint(checkpoint_name(progress.epoch, progress.batch), tensors, state)


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put `run` where it stood when `checkpoint` was written.

    Raises:
        CheckpointError: it is not of such a run.
    """
    with as_checkpoint_error(checkpoint.name):
        _restore(run, checkpoint)


def _restore(run: Run, checkpoint: Checkpoint) -> None:
    tensors, state = checkpoint.tensors, checkpoint.state
    run.epoch_start = load_state_tensors(tensors, run.model, run.optimizer, run.device)
    run.sums = tensors["sums"]
    if run.average is not None:
        run.average.model.load_state_dict(below("average.", tensors))
    best = {k: v.to(run.device) for k, v in below("best.", tensors).items()}
    numbers = {int(key.split(".")[0]) for key in below("snapshot.", tensors)}
    snapshots = [below(f"snapshot.{i}.", tensors) for i in sorted(numbers)]
    # JSON has no infinity: before the first epoch the best value is null.
    best_value = math.inf if state["best_value"] is None else state["best_value"]
    run.progress = Progress(
        best=best,
        epoch=state["epoch"],
        batch=state["batch"],
        history=state["history"],
        best_epoch=state["best_epoch"],
        best_value=best_value,
        gradient_share=state["gradient_share"],
        snapshots=[{k: v.to(run.device) for k, v in one.items()} for one in snapshots],
    )
