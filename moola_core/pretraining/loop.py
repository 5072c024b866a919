"""Pre-training: the loop of masked reconstruction, its checkpoints, the encoder that it leaves.

JadeCompact can start from that encoder: ``model.encoder``. The same bits for a seed on the CPU,
also when stopped and resumed, as in `moola_core.training`. Letters: B windows, T bars, F features.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from moola_core.errors import NonFiniteLossError
from moola_core.evaluation.metrics import Score, group_resamples
from moola_core.pretraining.reconstruction import draw_mask, interpolate, reconstruction_loss
from moola_core.pretraining.state import Pretraining, write_checkpoint
from moola_core.training.optim import descend, learning_rate, set_rate
from moola_core.training.state import Stopped
from moola_core.training.team import ALONE, Team

TASK = "reconstruction"


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
        loss = validation_losses(run, team=run.team).mean()
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
        is_late = run.team.any(time.monotonic() - saved_at > 60 * training.checkpoint_minutes)
        if is_due or is_late or run.epoch == training.epochs:
            write_checkpoint(run)
            saved_at = time.monotonic()


def _train_epoch(run: Pretraining) -> None:
    training, starts, team = run.recipe.training, run.series.train, run.team
    run.model.train()
    run.sampler.set_state(run.epoch_start)
    # Drawn for the whole epoch, so that one that was stopped in its middle resumes unchanged.
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
        mine = team.rows(len(place))
        first = starts[place[mine].numpy()]
        flip = chosen[mine].numpy() if training.reflection else None
        features = run.series.features(first, run.recipe, flip).to(run.device)
        hidden = mask[mine].to(run.device)
        set_rate(run.optimizer, learning_rate(training, run.epoch, run.batch, len(batches)))
        target = run.model.targets(features)
        loss = reconstruction_loss(run.model(features, hidden), target, hidden, run.config.delta)
        if team.size > 1:  # the mean over the hidden bars of the batch, as its parts have some each
            loss = loss * (hidden.sum() / mask.sum().clamp_min(1))
        value = float(team.sum(loss.detach()))
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"epoch {run.epoch + 1}, batch {run.batch + 1}: the loss of {TASK} is {value},"
                " expected a finite number; lower training.learning_rate or set training.clip_norm"
            )
        descend(run.optimizer, run.model, loss, training.clip_norm, team)
        run.total += value * len(place) / run.config.windows
        run.batch += 1


@torch.no_grad()
def validation_losses(run: Pretraining, rule: str | None = None, team: Team = ALONE) -> Tensor:
    """``(B,)``: the loss of each validation window with a hidden bar, by the model or a rule.

    Rules that the model has to beat: ``column_mean``, and ``interpolation`` on a line between the
    bars on both sides of a patch. Processes of a `team` take turns at chunks of windows, so that
    each value has the bits that one process would give it.
    """
    run.model.eval()
    losses = []
    pairs = zip(run.validation.split(256), run.validation_mask.split(256), strict=True)
    for index, (features, mask) in enumerate(pairs):
        shown = mask.any(dim=1)
        if index % team.size != team.rank:
            losses.append(torch.zeros(int(shown.sum()), device=run.device))
            continue
        target = run.model.targets(features)
        if rule is None:
            output = run.model(features, mask)
        elif rule == "column_mean":
            output = torch.zeros_like(target)
        else:
            output = interpolate(target, mask)
        loss = F.huber_loss(output, target, reduction="none", delta=run.config.delta).mean(dim=2)
        losses.append(((loss * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1))[shown])
    return team.sum(torch.cat(losses))


def scores(run: Pretraining) -> dict[str, Score]:
    """Return the validation loss of the model and of both rules, each with a bootstrap interval."""
    named = {"model": None, "column_mean": "column_mean", "interpolation": "interpolation"}
    result = {}
    for name, rule in named.items():
        losses = validation_losses(run, rule).double().cpu().numpy()
        weights = group_resamples(np.arange(len(losses)), 1000, 0)
        low, high = np.quantile(weights @ losses / weights.sum(axis=1), [0.025, 0.975])
        result[name] = Score(float(losses.mean()), float(low), float(high))
    return result
