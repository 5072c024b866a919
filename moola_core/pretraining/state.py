"""The state of a pre-training run: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moola_core.config.pretrain_section import PretrainConfig
from moola_core.config.sections import Recipe
from moola_core.pretraining.reconstruction import (
    NUM_TARGETS,
    Reconstructor,
    Series,
    draw_mask,
    read_series,
)
from moola_core.training.checkpoint import (
    Checkpoint,
    as_checkpoint_error,
    checkpoint_name,
    save_checkpoint,
)
from moola_core.training.optim import load_state_tensors, state_tensors
from moola_core.training.optimizers import AdamW
from moola_core.training.state import Report
from moola_core.training.team import ALONE, Team

NUM_VALIDATION = 1024
GENERATORS = ("generator.dropout", "generator.cuda")  # of each process its own


@dataclass
class Pretraining:
    """Everything that pre-training works on; a checkpoint restores it from `epoch` on.

    Attributes:
        report, is_stopping, checkpoints, identity: as of `moola_core.training.state.Run`.
        team: the processes that share it; the first of them reports and writes.
    """

    recipe: Recipe
    config: PretrainConfig
    series: Series
    model: Reconstructor
    device: torch.device
    report: Report = field(default=lambda _kind, _keys: None)
    is_stopping: Callable[[], bool] = field(default=lambda: False)
    checkpoints: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    team: Team = ALONE
    epoch: int = 0
    batch: int = 0
    total: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        training = self.recipe.training
        self.optimizer = AdamW(
            self.model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self.sampler = torch.Generator().manual_seed(training.seed)
        self.epoch_start = self.sampler.get_state()
        starts = self.series.validation
        every = np.linspace(0, len(starts) - 1, min(NUM_VALIDATION, len(starts))).astype(np.int64)
        self.validation = self.series.features(starts[every], self.recipe).to(self.device)
        fixed = torch.Generator().manual_seed(0)
        self.validation_mask = draw_mask(len(every), self.config, fixed).to(self.device)


def make_pretraining(recipe: Recipe, data_dir: Path, device: torch.device) -> Pretraining:
    """Read the series of ``recipe.pretrain`` and build the model; seed everything before.

    Args:
        recipe: with a section ``pretrain``.
        data_dir: what its paths are relative to.
        device: where the model lives.

    Raises:
        DataError: as of `read_series`.
    """
    config = recipe.pretrain
    assert config is not None
    series = read_series([data_dir / path for path in config.bars], config.validation_share)
    model = Reconstructor(NUM_TARGETS + recipe.data.position, recipe.model)
    some = np.random.default_rng(0).choice(series.train, 2000)
    model.fit_scale(series.features(some, recipe))
    return Pretraining(recipe, config, series, model.to(device), device)


def write_checkpoint(run: Pretraining) -> None:
    """Save everything that `restore` needs, and report it; in a team the first one does."""
    if run.checkpoints is None:
        return
    tensors = state_tensors(run.model, run.optimizer, run.epoch_start, run.device)
    state = {key: getattr(run, key) for key in ("epoch", "batch", "total", "history", "identity")}
    if run.team.size > 1:
        state["processes"] = run.team.size
        for key in [key for key in GENERATORS if key in tensors]:
            others = enumerate(run.team.gather(tensors[key]))
            tensors |= {f"{key}.{rank}": one for rank, one in others if rank > 0}
    if run.team.is_first:
        name = checkpoint_name(run.epoch, run.batch)
        path = save_checkpoint(run.checkpoints, Checkpoint(name, tensors, state))
        relative = f"{run.checkpoints.name}/{path.name}"
        run.report("checkpoint", {"epoch": run.epoch, "path": relative, "best": run.batch == 0})
    run.team.wait()


def restore(run: Pretraining, checkpoint: Checkpoint) -> None:
    """Put `run` where it stood when `checkpoint` was written.

    Raises:
        CheckpointError: it is not of such a run.
    """
    with as_checkpoint_error(checkpoint.name):
        _restore(run, checkpoint)


def _restore(run: Pretraining, checkpoint: Checkpoint) -> None:
    tensors, state = dict(checkpoint.tensors), checkpoint.state
    if not run.team.is_first:
        # One that is new, as the run had fewer processes, keeps the generators it has.
        now = state_tensors(run.model, run.optimizer, run.epoch_start, run.device)
        own = {key: tensors.get(f"{key}.{run.team.rank}", now.get(key)) for key in GENERATORS}
        tensors |= {key: value for key, value in own.items() if value is not None}
    run.epoch_start = load_state_tensors(tensors, run.model, run.optimizer, run.device)
    run.epoch, run.batch, run.total = state["epoch"], state["batch"], state["total"]
    run.history = state["history"]
