"""The processes that share one training: each takes a part of every batch.

Gradients are summed by hand, in one call and one fixed order: `DistributedDataParallel` orders them
anew after its first step, so that a run that was resumed would add them up in another order than
one that was not. What decides (stop, a late checkpoint, a loss that is no number) is agreed on, as
a process that left alone would hold up the others (gloo: 30 minutes).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from moola_core.errors import ProcessesError


@dataclass(frozen=True)
class Team:
    """This process's place among `size`; alone everything is as without a team.

    Attributes:
        rank: 0 is the one that reports, writes and judges.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Return which of the `count` rows of a batch are this process's."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def any(self, flag: bool) -> bool:
        """Return whether one of the processes says yes; each has to ask.

        Raises:
            ProcessesError: one of them has ended, here as in each call that waits for the others.
        """
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)])
        with _together():
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags.item())

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes; `values` themselves where there is one."""
        if self.size > 1:
            values = values.detach().clone()
            with _together():
                dist.all_reduce(values)
        return values

    def sum_gradients(self, model: nn.Module) -> None:
        """Give each parameter the gradient of the whole batch, from those of its parts."""
        if self.size == 1:
            return
        gradients = [one.grad for one in model.parameters() if one.grad is not None]
        whole = self.sum(torch.cat([one.flatten() for one in gradients]))
        parts = whole.split([one.numel() for one in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def gather(self, values: Tensor) -> list[Tensor]:
        """Return the `values` of each process, by rank; of one shape, on the CPU."""
        if self.size == 1:
            return [values]
        places = [torch.empty_like(values) for _ in range(self.size)]
        with _together():
            dist.all_gather(places, values)
        return places

    def wait(self) -> None:
        """Return when each process is here."""
        self.any(False)


ALONE = Team()


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Raise a ProcessesError where the others can't be reached: one of them has ended."""
    try:
        yield
    except RuntimeError as err:
        reason = " ".join(str(err).split())[:200]
        raise ProcessesError(
            f"rank {dist.get_rank()}: another process of this training is gone, {reason};"
            " see ranks/, then resume from the last checkpoint"
        ) from err
