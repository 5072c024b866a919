"""torch's AdamW and L-BFGS without torch.compile.

torch wraps the methods of its optimizers so that `torch.compile` passes over them, and the wrapper
imports torch._dynamo at its first call: about 900 modules, seconds of CPU for each job. Nothing is
compiled here. The methods are torch's own, taken out of their wrappers, so that every step has the
same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap

import torch


class _Plain(torch.optim.Optimizer):
    """The methods of every optimizer, without their wrappers."""

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)


class AdamW(_Plain, torch.optim.AdamW):
    """Loshchilov & Hutter (2019), Decoupled Weight Decay Regularization; see torch.optim.AdamW."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Do one step; returns what `closure` returned."""
        loss: float | None = unwrap(torch.optim.AdamW.step)(self, closure)
        return loss


class LBFGS(_Plain, torch.optim.LBFGS):
    """Liu & Nocedal (1989), On the limited memory BFGS method; see torch.optim.LBFGS."""

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor]) -> torch.Tensor:  # type: ignore[override]
        """Do one step of several evaluations; returns the loss before it."""
        loss: torch.Tensor = unwrap(torch.optim.LBFGS.step)(self, closure)
        return loss
