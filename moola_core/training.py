"""The loop, in the order in which it happens.

Bit-identical on the CPU for a seed: also when it is killed at any moment and resumed, since a
checkpoint holds weights, optimizer, generators, the sums of the epoch so far and the history.
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
from torch import Tensor

from moola_core.checkpoint import (
    Checkpoint,
    as_checkpoint_error,
    checkpoint_name,
    save_checkpoint,
)
from moola_core.config import Recipe, TrainingConfig
from moola_core.criterion import Criterion, Judged
from moola_core.dataset import Inputs, WindowTensors
from moola_core.decoding import Predictions, decode, log_odds
from moola_core.errors import NonFiniteLossError
from moola_core.metrics import Truth, point_scores
from moola_core.model import JadeCompact, Outputs
from moola_core.span_grid import coverage, label_posterior
from moola_core.stepping import (
    below,
    descend,
    learning_rate,
    load_state_tensors,
    set_rate,
    state_tensors,
)

EPOCH_SCORES = ("f1", "precision", "recall", "iou", "in_span", "out_span")
EVALUATION_BATCH = 512
STEPS, MEMORY = 20, 20  # of L-BFGS an epoch
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
    """

    recipe: Recipe
    model: JadeCompact
    train: WindowTensors
    validation: WindowTensors | None
    truth: Truth | None
    device: torch.device
    report: Report = field(default=_report_nothing)
    is_stopping: Callable[[], bool] = field(default=_go_on)
    checkpoints: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        training = self.recipe.training
        self.criterion = Criterion(self.model, self.recipe.model.tasks, self.recipe.loss)
        if self.model.standardise is not None and self.train.candidates is not None:
            self.model.standardise.fit(self.train.candidates.features)
        self.optimizer = make_optimizer(self.model, training)
        self.sampler = torch.Generator().manual_seed(training.seed)
        self.progress = Progress(best={k: v.clone() for k, v in self.model.state_dict().items()})
        # float64, so that a sum over batches adds no error of its own; rows: total, then tasks.
        self.sums = torch.zeros(len(self.recipe.model.tasks) + 1, dtype=torch.float64)
        self.epoch_start = self.sampler.get_state()


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


def make_optimizer(model: JadeCompact, training: TrainingConfig) -> torch.optim.AdamW:
    """AdamW; what looks at candidates' columns has a rate and a decay of its own.

    A group's ``scale`` is its rate over ``training.learning_rate``, which the schedule moves.
    """
    columns = model.column_parameters()
    known = {id(p) for p in columns}
    groups = [
        {
            "params": [p for p in model.parameters() if id(p) not in known],
            "weight_decay": training.weight_decay,
            "scale": 1.0,
        },
        {
            "params": columns,
            "weight_decay": training.choice_weight_decay,
            "scale": training.choice_learning_rate / training.learning_rate,
        },
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=training.learning_rate)


def seed_everything(training: TrainingConfig) -> None:
    """Fix threads and the generator of weights and dropout; what can't be repeated is refused."""
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    # What use_deterministic_algorithms(True) does, without importing the compiler (1.5 s).
    torch.set_deterministic_debug_mode("error")
    # Else deterministic mode fills fresh memory with NaN before an op writes it: 18% of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


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


def train_epoch(run: Run) -> None:
    """One pass over the training windows, or what is left of it."""
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
        batch = run.train.take(rows).mirror(chosen)
        rate = learning_rate(training, progress.epoch, progress.batch, len(batches))
        set_rate(run.optimizer, rate)
        outputs = run.model(batch.features, batch.candidates)
        judged = run.criterion(outputs, batch)
        _require_finite(run, judged)
        if progress.batch == 0:
            progress.gradient_share = run.criterion.gradient_share(judged, outputs)
        descend(run.optimizer, run.model, judged.total, training.clip_norm)
        _add(run.sums, judged, len(rows) / len(run.train))
        progress.batch += 1


def _whole_epoch(run: Run) -> None:
    """Some steps of L-BFGS on all windows at once (Liu & Nocedal 1989), begun anew each epoch.

    Tasks share no weight here, so that the log-sigmas have nothing to weigh and stay 0.
    """
    if run.is_stopping():
        write_checkpoint(run)
        raise Stopped
    optimizer = torch.optim.LBFGS(
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
    """Total and raw losses by the formula of training, and the model's answers."""
    run.model.eval()
    sums = torch.zeros_like(run.sums)
    answers = []
    for rows in torch.arange(len(windows), device=run.device).split(EVALUATION_BATCH):
        batch = windows.take(rows)
        outputs = _outputs(run.model, batch)
        _add(sums, run.criterion(outputs, batch), len(rows) / len(windows))
        answers.append(_answers(run.model, outputs, batch))
    return _named(run, sums), _gather(run.model, answers)


@torch.no_grad()
def predict(model: JadeCompact, inputs: Inputs) -> Predictions:
    """What the model says of windows, brought to the host."""
    model.eval()
    rows = torch.arange(len(inputs), device=inputs.features.device)
    parts = [inputs.take(some) for some in rows.split(EVALUATION_BATCH)]
    return _gather(model, [_answers(model, _outputs(model, part), part) for part in parts])


def _outputs(model: JadeCompact, inputs: Inputs) -> Outputs:
    """The model's outputs; of a symmetric one the mean over the market and its mirror image."""
    outputs = model(inputs.features, inputs.candidates)
    if not model.symmetric:
        return outputs
    if inputs.reflected is None:
        raise ValueError("expected reflected features for a symmetric model")
    mirrored = model(inputs.reflected, inputs.candidates)
    return {name: (output + mirrored[name]) / 2 for name, output in outputs.items()}


def _answers(model: JadeCompact, outputs: Outputs, inputs: Inputs) -> dict[str, Tensor]:
    """The fields of `Predictions` that the model has heads for, less what follows from others."""
    none = torch.zeros(inputs.features.shape[:2])
    answers = {"start_logp": none, "stop_logp": none}
    if "span_logits" in outputs or model.crf is not None:
        answers["span_logits"] = model.span_logits(outputs)
    if "start_logits" in outputs:
        answers["start_logp"] = torch.log_softmax(outputs["start_logits"], dim=1)
        answers["stop_logp"] = torch.log_softmax(outputs["stop_logits"], dim=1)
    if "type_logits" in outputs:
        answers["type_probs"] = torch.softmax(outputs["type_logits"], dim=1)
    if model.crf is not None:
        answers["viterbi"] = model.crf.best_path(outputs["emissions"])
    if "choice_logits" in outputs and inputs.candidates is not None:
        answers["choice_probs"] = torch.softmax(outputs["choice_logits"].double(), dim=1)
        answers["choice_spans"] = inputs.candidates.spans
    if "context_logits" in outputs:
        # the shape is now (B, C): the mean over candidates
        each = torch.softmax(outputs["context_logits"].double(), dim=2)
        answers["type_probs"] = (answers["choice_probs"][..., None] * each).sum(dim=1)
    return answers


def _gather(model: JadeCompact, parts: list[dict[str, Tensor]]) -> Predictions:
    tensors = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    viterbi, spans = tensors.pop("viterbi", None), tensors.pop("choice_spans", None)
    arrays = {name: tensor.numpy().astype(np.float64) for name, tensor in tensors.items()}
    if spans is not None:
        num_bars = arrays["start_logp"].shape[1]
        probs = arrays.pop("choice_probs")
        posterior = label_posterior(probs, spans.numpy(), num_bars, model.end_noise)
        arrays["span_posterior"] = posterior
        arrays.setdefault("span_logits", log_odds(coverage(posterior, num_bars)))
    return Predictions(**arrays, viterbi=None if viterbi is None else viterbi.numpy().astype(bool))


def write_checkpoint(run: Run) -> None:
    """Save everything that `restore` needs, and report it."""
    if run.checkpoints is None:
        return
    progress = run.progress
    tensors = state_tensors(run.model, run.optimizer, run.epoch_start, run.device)
    tensors |= {f"best.{k}": v for k, v in progress.best.items()}
    for i, snapshot in enumerate(progress.snapshots):
        tensors |= {f"snapshot.{i}.{k}": v for k, v in snapshot.items()}
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
    name = checkpoint_name(progress.epoch, progress.batch)
    path = save_checkpoint(run.checkpoints, Checkpoint(name, tensors, state))
    is_best = progress.best_epoch == progress.epoch and progress.batch == 0
    relative = f"{run.checkpoints.name}/{path.name}"
    run.report("checkpoint", {"epoch": progress.epoch, "path": relative, "best": is_best})


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
        run.progress.best = {k: v.clone() for k, v in run.model.state_dict().items()}
