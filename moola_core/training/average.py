"""A running mean of a model's weights: a little better than the last ones, at no step more.

Polyak & Juditsky (1992), Acceleration of stochastic approximation by averaging; decaying, as
Tarvainen & Valpola (2017), Mean teachers.
"""

from __future__ import annotations

import copy

import torch

from moola_core.model.make import Model

EARLY = 10  # steps: the first weights are soon forgotten


class RunningMean:
    """The mean weights of `model`, also of what its norms have seen, as a model of their own.

    Args:
        model: as it is before the first step.
        kept: the share of itself that the mean keeps at each step, once there were many.
    """

    def __init__(self, model: Model, kept: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.kept = kept

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Add the weights of `model` after step number `step`, from 1."""
        share = 1.0 - min(self.kept, (1 + step) / (EARLY + step))
        own, new = self.model.state_dict(), model.state_dict()
        names = [name for name, tensor in own.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([own[name] for name in names], [new[name] for name in names], share)
