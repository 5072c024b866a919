"""Which worker of xdist gets which file of units."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class FromBothEnds(LoadFileScheduling):  # type: ignore[misc]
    """Gives files in order of their path: every other worker takes them from the end.

    Neighbours need the same libraries and kernels, which only one of two workers loads then, and
    both still end at the same time.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        if self.nodes.index(node) % 2:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
