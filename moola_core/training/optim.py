"""One step of gradient descent, and what of it a checkpoint has to hold.

Shared by `moola_core.training` and `moola_core.pretraining`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from moola_core.config.sections import TrainingConfig
from moola_core.model.make import Model
from moola_core.model.span_net import SpanNet
from moola_core.training.optimizers import AdamW
from moola_core.training.team import ALONE, Team

RISE, LOWEST = 0.3, 1 / 25


def learning_rate(training: TrainingConfig, epoch: int, batch: int, num_batches: int) -> float:
    """Return the rate of one step: constant, or falling to 0 over all epochs as a half cosine.

    Loshchilov & Hutter (2017), SGDR, eq. 5, without restarts. ``one_cycle`` first rises from 1/25
    of the rate by another half cosine, over `RISE` of the steps (Smith & Topin 2019,
    Super-Convergence; theirs is piecewise linear).
    """
    if training.schedule == "constant":
        return training.learning_rate
    done = (epoch + batch / num_batches) / training.epochs
    if training.schedule == "one_cycle":
        if done < RISE:
            risen = 0.5 * (1.0 - math.cos(math.pi * done / RISE))
            return training.learning_rate * (LOWEST + (1.0 - LOWEST) * risen)
        done = (done - RISE) / (1.0 - RISE)
    return training.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """`rate` for the next step, times the ``scale`` of each group that has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def descend(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    loss: Tensor,
    clip_norm: float | None,
    team: Team = ALONE,
) -> None:
    """One step down the gradient of `loss` ``()``, of at most the norm `clip_norm`.

    In a team `loss` is this process's part of it: they add up to the loss of the batch.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    team.sum_gradients(model)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()


def below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return those whose name begins with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def state_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, sampler: Tensor, device: torch.device
) -> dict[str, Tensor]:
    """By name: weights, the optimizer's moments, the sampler's state and the generators'.

    Weights and moments have their parameter's shape; states of generators are bytes ``(N,)``.
    """
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
    tensors |= {"generator.dropout": torch.get_rng_state(), "generator.sampler": sampler}
    if device.type == "cuda":
        tensors["generator.cuda"] = torch.cuda.get_rng_state(device)
    return tensors


def load_state_tensors(
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> Tensor:
    """Put back what `state_tensors` gave; returns the sampler's state."""
    model.load_state_dict(below("model.", tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in below("optimizer.", tensors).items():
        index, _, name = key.partition(".")
        moments.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    torch.set_rng_state(tensors["generator.dropout"])
    if device.type == "cuda" and "generator.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generator.cuda"], device)
    return tensors["generator.sampler"]


def make_optimizer(model: Model, training: TrainingConfig) -> AdamW:
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
    # One pass over all weights; others keep the bits that they had without it.
    fused = True if isinstance(model, SpanNet) else None
    kept = [g for g in groups if g["params"]]
    return AdamW(kept, lr=training.learning_rate, fused=fused)
