"""Pre-training: the loop of masked reconstruction, its checkpoints, the encoder that it leaves.

JadeCompact can start from that encoder: ``model.encoder``. The same bits for a seed on the CPU,
also when stopped and resumed, as in `moola_core.training`. Letters: B windows, T bars, F features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from moola_core.checkpoint import (
    Checkpoint,
    as_checkpoint_error,
    checkpoint_name,
    save_checkpoint,
)
from moola_core.config import PretrainConfig, Recipe
from moola_core.errors import DataError, NonFiniteLossError
from moola_core.events import write_json
from moola_core.features import COLUMNS, POSITION
from moola_core.metrics import Score, group_resamples
from moola_core.model import count_parameters
from moola_core.reading import Written, read_json
from moola_core.reconstruction import (
    NUM_TARGETS,
    Reconstructor,
    Series,
    draw_mask,
    interpolate,
    read_series,
    reconstruction_loss,
)
from moola_core.stepping import (
    descend,
    learning_rate,
    load_state_tensors,
    set_rate,
    state_tensors,
)
from moola_core.training import Report, Stopped

TASK = "reconstruction"
NUM_VALIDATION = 1024
WEIGHTS, ABOUT = "encoder.safetensors", "encoder.json"


@dataclass
class Pretraining:
    """Everything that pre-training works on; a checkpoint restores it from `epoch` on.

    Attributes:
        report, is_stopping, checkpoints, identity: as of `moola_core.training.Run`.
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
    epoch: int = 0
    batch: int = 0
    total: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        training = self.recipe.training
        self.optimizer = torch.optim.AdamW(
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


def fit(run: Pretraining) -> None:
    """Train to the last epoch of the recipe, from wherever `run` stands.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
        Stopped: ``run.is_stopping`` said so; a checkpoint of this moment is on disk.
    """
    training, saved_at = run.recipe.training, time.monotonic()
    while run.epoch < training.epochs:
        began = time.monotonic()
        _train_epoch(run)
        loss = validation_losses(run).mean()
        run.epoch, run.batch = run.epoch + 1, 0
        run.epoch_start = run.sampler.get_state()
        entry = {
            "epoch": run.epoch,
            "epochs": training.epochs,
            "seconds": time.monotonic() - began,
            "learning_rate": run.optimizer.param_groups[0]["lr"],
            "train": {"total": run.total, TASK: run.total},
            "validation": {"total": float(loss), TASK: float(loss)},
            "sigma": {},
            "share": {},
            "gradient_share": {},
            "scores": {},
        }
        run.history.append(entry)
        run.report("epoch", entry)
        is_due = run.epoch % training.checkpoint_epochs == 0
        is_late = time.monotonic() - saved_at > 60 * training.checkpoint_minutes
        if is_due or is_late or run.epoch == training.epochs:
            write_checkpoint(run)
            saved_at = time.monotonic()


def _train_epoch(run: Pretraining) -> None:
    training, starts = run.recipe.training, run.series.train
    run.model.train()
    run.sampler.set_state(run.epoch_start)
    # Drawn for the whole epoch, so that one that was stopped in its middle goes on as it was.
    places = torch.randint(len(starts), (run.config.windows,), generator=run.sampler)
    mirrored = torch.rand(run.config.windows, generator=run.sampler) < 0.5
    masks = draw_mask(run.config.windows, run.config, run.sampler)
    size = training.batch_size
    batches = list(zip(places.split(size), mirrored.split(size), masks.split(size), strict=True))
    if run.batch == 0:
        run.total = 0.0
    for place, chosen, mask in batches[run.batch :]:
        if run.is_stopping():
            write_checkpoint(run)
            raise Stopped
        first, flip = starts[place.numpy()], chosen.numpy() if training.reflection else None
        features = run.series.features(first, run.recipe, flip).to(run.device)
        hidden = mask.to(run.device)
        set_rate(run.optimizer, learning_rate(training, run.epoch, run.batch, len(batches)))
        target = run.model.targets(features)
        loss = reconstruction_loss(run.model(features, hidden), target, hidden, run.config.delta)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"epoch {run.epoch + 1}, batch {run.batch + 1}: the loss of {TASK} is {value},"
                " expected a finite number; lower training.learning_rate or set training.clip_norm"
            )
        descend(run.optimizer, run.model, loss, training.clip_norm)
        run.total += value * len(place) / run.config.windows
        run.batch += 1


@torch.no_grad()
def validation_losses(run: Pretraining, rule: str | None = None) -> Tensor:
    """``(B,)``: the loss of each validation window with a hidden bar, by the model or a rule.

    Rules that the model has to beat: ``column_mean``, and ``interpolation`` on a line between the
    bars on both sides of a patch.
    """
    run.model.eval()
    losses = []
    pairs = zip(run.validation.split(256), run.validation_mask.split(256), strict=True)
    for features, mask in pairs:
        target = run.model.targets(features)
        if rule is None:
            output = run.model(features, mask)
        elif rule == "column_mean":
            output = torch.zeros_like(target)
        else:
            output = interpolate(target, mask)
        loss = F.huber_loss(output, target, reduction="none", delta=run.config.delta).mean(dim=2)
        shown = mask.any(dim=1)
        losses.append(((loss * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1))[shown])
    return torch.cat(losses)


def scores(run: Pretraining) -> dict[str, Score]:
    """The validation loss of the model and of both rules, each with its bootstrap interval."""
    named = {"model": None, "column_mean": "column_mean", "interpolation": "interpolation"}
    result = {}
    for name, rule in named.items():
        losses = validation_losses(run, rule).double().cpu().numpy()
        weights = group_resamples(np.arange(len(losses)), 1000, 0)
        low, high = np.quantile(weights @ losses / weights.sum(axis=1), [0.025, 0.975])
        result[name] = Score(float(losses.mean()), float(low), float(high))
    return result


def write_checkpoint(run: Pretraining) -> None:
    """Save everything that `restore` needs, and report it."""
    if run.checkpoints is None:
        return
    tensors = state_tensors(run.model, run.optimizer, run.epoch_start, run.device)
    state = {key: getattr(run, key) for key in ("epoch", "batch", "total", "history", "identity")}
    name = checkpoint_name(run.epoch, run.batch)
    path = save_checkpoint(run.checkpoints, Checkpoint(name, tensors, state))
    relative = f"{run.checkpoints.name}/{path.name}"
    run.report("checkpoint", {"epoch": run.epoch, "path": relative, "best": run.batch == 0})


def restore(run: Pretraining, checkpoint: Checkpoint) -> None:
    """Put `run` where it stood when `checkpoint` was written.

    Raises:
        CheckpointError: it is not of such a run.
    """
    with as_checkpoint_error(checkpoint.name):
        _restore(run, checkpoint)


def _restore(run: Pretraining, checkpoint: Checkpoint) -> None:
    tensors, state = checkpoint.tensors, checkpoint.state
    run.epoch_start = load_state_tensors(tensors, run.model, run.optimizer, run.device)
    run.epoch, run.batch, run.total = state["epoch"], state["batch"], state["total"]
    run.history = state["history"]


class About(Written):
    """``encoder.json``: what the encoder's weights were made for."""

    features: list[str] = Field(max_length=1000)


def save_encoder(folder: Path, run: Pretraining) -> None:
    """Write ``encoder.safetensors`` and ``encoder.json`` below `folder`."""
    state = run.model.encoder.state_dict()
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes it 0600
    about = {
        "recipe": run.recipe.model_dump(mode="json"),
        "features": [*COLUMNS, *([POSITION] if run.recipe.data.position else [])],
        "num_parameters": count_parameters(run.model.encoder),
    }
    write_json(folder / ABOUT, about)


def find_encoder(folder: Path) -> Path:
    """The weights that pre-training left in `folder`, a run's or its artifacts.

    Raises:
        DataError: there are none.
    """
    for path in (folder / "artifacts" / WEIGHTS, folder / WEIGHTS):
        if path.is_file():
            return path
    raise DataError(
        f"model.encoder {folder}: no {WEIGHTS} there, expected a run of the recipe pretrain"
    )


def load_encoder(encoder: nn.LSTM, folder: Path) -> None:
    """Give `encoder` the weights that pre-training left in `folder`.

    Raises:
        DataError: there are none, or they are of other features or sizes.
    """
    path = find_encoder(folder)
    try:
        features = read_json(path.with_name(ABOUT), About).features
        weights = load_file(path)
    except (OSError, ValueError, SafetensorError) as err:
        raise DataError(f"{path}: not readable, {' '.join(str(err).split())[:200]}") from err
    if len(features) != encoder.input_size:
        raise DataError(
            f"{path}: made for {len(features)} features, expected {encoder.input_size};"
            " set data.position alike in both recipes"
        )
    ours = encoder.state_dict()
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in ours.items()}:
        raise DataError(
            f"{path}: an encoder of other sizes; set model.hidden_size and model.num_layers as in"
            " its recipe"
        )
    encoder.load_state_dict(weights)
