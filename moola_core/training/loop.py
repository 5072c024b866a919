"""The loop, in the order in which it happens.

Bit-identical on the CPU for a seed: also when it is killed at any moment and resumed, since a
checkpoint holds weights, optimizer, generators, the sums of the epoch so far and the history.
"""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

from moola_core.decoding.decode import Predictions, decode
from moola_core.errors import NonFiniteLossError
from moola_core.evaluation.metrics import point_scores
from moola_core.features.crops import close_up
from moola_core.features.stretch import stretch
from moola_core.features.tensors import WindowTensors
from moola_core.inference.forward import EVALUATION_BATCH, forward_outputs, gather, merge_answers
from moola_core.losses.criterion import Judged
from moola_core.training.optim import descend, learning_rate, set_rate
from moola_core.training.optimizers import LBFGS
from moola_core.training.state import Run, Stopped, write_checkpoint
from moola_core.training.type_head import fit_type_head

EPOCH_SCORES = ("f1", "precision", "recall", "iou", "in_span", "out_span")
STEPS, MEMORY = 20, 20  # of L-BFGS an epoch


def fit(run: Run) -> None:
    """Train to the last epoch of the recipe, from wherever ``run.progress`` stands.

    Raises:
        NonFiniteLossError: a loss became NaN or infinite; its task, epoch and batch are named.
        Stopped: ``run.is_stopping`` said so; a checkpoint of this moment is on disk.
    """
    training, progress = run.recipe.training, run.progress
    saved_at = time.monotonic()
    while progress.epoch < training.epochs:
        began = time.monotonic()
        train_epoch(run)
        losses, scores = _validate(run)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        run.epoch_start = run.sampler.get_state()
        entry = {
            "epoch": progress.epoch,
            "epochs": training.epochs,
            "seconds": time.monotonic() - began,
            "learning_rate": run.optimizer.param_groups[0]["lr"],
            "train": _named(run, run.sums),
            "validation": losses,
            "sigma": run.criterion.sigma(),
            "share": run.criterion.share(),
            "gradient_share": progress.gradient_share,
            "scores": scores,
        }
        progress.history.append(entry)
        _note_best(run, entry)
        run.report("epoch", entry)
        is_due = progress.epoch % training.checkpoint_epochs == 0
        is_due = is_due or progress.epoch == training.epochs
        if is_due:
            _note_snapshot(run)
        if is_due or time.monotonic() - saved_at > 60 * training.checkpoint_minutes:
            write_checkpoint(run)
            saved_at = time.monotonic()
    if run.average is not None:
        run.model.load_state_dict(run.average.model.state_dict())
    fit_type_head(run.model, run.train, run.recipe)


def train_epoch(run: Run) -> None:
    """One pass over the training windows, or what is left of it.

    Raises:
        NonFiniteLossError: as `fit`.
        Stopped: as `fit`.
    """
    training, progress = run.recipe.training, run.progress
    run.model.train()
    if training.optimizer == "lbfgs":
        _whole_epoch(run)
        return
    run.sampler.set_state(run.epoch_start)
    # the shape is now (B,) each; drawn on the CPU, so that every device trains in the same order
    order = torch.randperm(len(run.train), generator=run.sampler).to(run.device)
    mirrored = torch.rand(len(run.train), generator=run.sampler).to(run.device) < 0.5
    size = training.batch_size
    batches = list(zip(order.split(size), mirrored.split(size), strict=True))
    if progress.batch == 0:
        run.sums.zero_()
    for rows, chosen in batches[progress.batch :]:
        if run.is_stopping():
            write_checkpoint(run)
            raise Stopped
        batch = run.train.take(rows)
        refine = run.recipe.ensemble.refine
        if batch.bars is not None and refine is not None and refine.crop is not None:
            batch = close_up(batch, chosen, refine.crop)
        else:
            batch = batch.mirror(chosen)
        if training.reflection == "spans":
            batch = batch.untyped(chosen)
        if training.stretch or training.jitter:
            batch = stretch(batch, training.stretch, training.jitter)
        rate = learning_rate(training, progress.epoch, progress.batch, len(batches))
        set_rate(run.optimizer, rate)
        outputs = run.model(batch.features, batch.candidates)
        judged = run.criterion(outputs, batch)
        _require_finite(run, judged)
        if progress.batch == 0:
            progress.gradient_share = run.criterion.gradient_share(judged, outputs)
        descend(run.optimizer, run.model, judged.total, training.clip_norm)
        if run.average is not None:
            step = progress.epoch * len(batches) + progress.batch + 1
            run.average.update(step)
        _add(run.sums, judged, len(rows) / len(run.train))
        progress.batch += 1


def _whole_epoch(run: Run) -> None:
    """Do steps of L-BFGS on all windows at once (Liu & Nocedal 1989), restarted each epoch.

    Tasks share no weight here, so that the log-sigmas have nothing to weigh and stay 0.
    """
    if run.is_stopping():
        write_checkpoint(run)
        raise Stopped
    optimizer = LBFGS(
        run.model.column_parameters(),
        max_iter=STEPS,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        judged = run.criterion(run.model(run.train.features, run.train.candidates), run.train)
        _require_finite(run, judged)
        run.sums.zero_()
        _add(run.sums, judged, 1.0)
        optimizer.zero_grad()
        judged.total.backward()
        return judged.total

    optimizer.step(closure)


@torch.no_grad()
def evaluate(run: Run, windows: WindowTensors) -> tuple[dict[str, float], Predictions]:
    """Total and raw losses by the formula of training, means over windows; and the answers."""
    model = run.answering.eval()
    sums = torch.zeros_like(run.sums)
    answers = []
    for rows in torch.arange(len(windows), device=run.device).split(EVALUATION_BATCH):
        batch = windows.take(rows)
        outputs = forward_outputs(model, batch)
        _add(sums, run.criterion(outputs, batch), len(rows) / len(windows))
        answers.append(merge_answers(model, outputs, batch))
    return _named(run, sums), gather(model, answers)


def _add(sums: Tensor, judged: Judged, share: float) -> None:
    part = torch.cat([judged.total.detach()[None], judged.raw.detach()])
    sums += share * part.to(device="cpu", dtype=torch.float64)


def _named(run: Run, sums: Tensor) -> dict[str, float]:
    return dict(zip(("total", *run.criterion.tasks), sums.tolist(), strict=True))


def _require_finite(run: Run, judged: Judged) -> None:
    if torch.isfinite(judged.total):
        return
    where = f"epoch {run.progress.epoch + 1}, batch {run.progress.batch + 1}"
    values = dict(zip(run.criterion.tasks, judged.raw.tolist(), strict=True))
    bad = [task for task, value in values.items() if not math.isfinite(value)] or ["the sigmas"]
    value = values.get(bad[0], float(judged.total.detach()))
    raise NonFiniteLossError(
        f"{where}: the loss of {', '.join(bad)} is {value}, expected a finite number;"
        " lower training.learning_rate or set training.clip_norm"
    )


def _validate(run: Run) -> tuple[dict[str, float], dict[str, float]]:
    """Losses and scores on validation; nothing where all windows train."""
    if run.validation is None or run.truth is None:
        return {}, {}
    losses, predictions = evaluate(run, run.validation)
    decoded = decode(predictions, run.recipe.decoder)
    scores = point_scores(decoded, predictions, run.truth)
    return losses, {name: scores[name] for name in EPOCH_SCORES}


def _note_snapshot(run: Run) -> None:
    wanted = run.recipe.ensemble.checkpoints
    if wanted > 1:
        taken = {k: v.clone() for k, v in run.model.state_dict().items()}
        run.progress.snapshots = [*run.progress.snapshots, taken][-wanted:]


def _note_best(run: Run, entry: dict[str, Any]) -> None:
    if not entry["validation"]:
        return
    by_total = run.recipe.training.best_by == "total"
    value = entry["validation"]["total"] if by_total else -entry["scores"]["f1"]
    if value < run.progress.best_value:
        run.progress.best_value, run.progress.best_epoch = value, entry["epoch"]
        run.progress.best = {k: v.clone() for k, v in run.answering.state_dict().items()}
