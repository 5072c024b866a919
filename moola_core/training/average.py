"""A running mean of a model's weights: a little better than the last ones, at no step more.

Polyak & Juditsky (1992), Acceleration of stochastic approximation by averaging; decaying, as
Tarvainen & Valpola (2017), Mean teachers.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from moola_core.model.make import Model

EARLY = 10  # steps: the first weights are soon forgotten


class RunningMean:
    """The mean weights of `model`, also of what its norms have seen, as a model of their own.

    Args:
        model: as it is before the first step, where it stays: its tensors are looked up once.
        kept: the share of itself that the mean keeps at each step, once there were many.
    """

    def __init__(self, model: Model, kept: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.kept = kept
        self._own, self._new = _averaged(self.model), _averaged(model)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights of the model after step number `step`, from 1."""
        share = 1.0 - min(self.kept, (1 + step) / (EARLY + step))
        torch._foreach_lerp_(self._own, self._new, share)


def _averaged(model: Model) -> list[Tensor]:
    """Return the tensors of `model` that have a mean: not the steps that its norms count."""
    return [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
