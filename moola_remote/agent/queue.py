"""The queue: one job a GPU, first in, first out."""

from __future__ import annotations

import os
from typing import Callable, List, Optional, Set, Tuple

from moola_remote.agent.constants import ENDED, NO_GPU, Json
from moola_remote.agent.gpus import count_gpus
from moola_remote.agent.layout import Pod, Run, stored_state
from moola_remote.agent.live_state import LiveState
from moola_remote.agent.locks import is_locked, lock, locked
from moola_remote.agent.processes import is_alive
from moola_remote.agent.state import is_before


class GpuQueue:
    """Waits for the GPU of one run, and holds its lock until `release`."""

    def __init__(self, pod: Pod, live: LiveState) -> None:
        self.pod = pod
        self.run = live.run
        self.live = live
        self.gpu_count: Optional[int] = None
        self.fd: Optional[int] = None
        self.ended_runs: Set[str] = set()

    def wait(
        self, wanted: Optional[int], is_stopping: Callable[[], bool]
    ) -> Tuple[bool, Optional[Json]]:
        """Wait for a GPU.

        Args:
            wanted: an index, None for the first free one, or `NO_GPU`.
            is_stopping: whether the pod is being stopped; the run then stays queued.

        Returns:
            Whether the job may start; if not, the end of the run, or None while it stays queued.
        """
        if wanted == NO_GPU:
            return True, None
        self.gpu_count = count_gpus()
        if wanted is not None and wanted not in range(self.gpu_count):
            here = f"{self.gpu_count} GPUs" if self.gpu_count else "no GPU"
            return False, {"error": f"GPU {wanted} was asked for, the pod has {here}"}
        wants = list(range(max(1, self.gpu_count))) if wanted is None else [wanted]
        self.live.save(wants=wants)
        while self.fd is None:
            if (self.run.own / ".cancel.json").exists():
                self.live.values["stopping"] = "cancel"
                return False, {"cancelled": True}
            if is_stopping():
                return False, None
            if not self.take(wants):
                self.live.pause()
        return True, None

    def take(self, wants: List[int]) -> bool:
        """Take a free GPU if no run that waits in front could; return whether one was taken."""
        with locked(self.pod.queue_lock):
            others = self.others()
            busy = {state["gpu_lock"] for state in others if state.get("gpu_lock") is not None}
            free = [
                gpu for gpu in wants if gpu not in busy and not is_locked(self.pod.gpu_lock(gpu))
            ]
            ahead = [state for state in others if is_before(state, self.live.values)]
            if not free or any(set(state.get("wants") or free) & set(free) for state in ahead):
                return False
            self.fd = lock(self.pod.gpu_lock(free[0]), patience_s=1.0)
            if self.fd is None:
                return False
            gpu = free[0] if self.gpu_count else None
            self.live.save(sync=False, state="PREPARING", gpu=gpu, gpu_lock=free[0])
            return True

    def take_again(self) -> None:
        """Hold the lock of a GPU that an earlier supervisor of this run had taken."""
        gpu = self.live.values.get("gpu_lock")
        if self.fd is None and gpu is not None:
            self.fd = lock(self.pod.gpu_lock(gpu), patience_s=0.0)

    def release(self) -> None:
        """Free the GPU."""
        if self.fd is not None:
            os.close(self.fd)

    def others(self) -> List[Json]:
        """Return the states of other runs that wait or run; an ended one is never read twice."""
        found = []
        for path in self.pod.runs.iterdir():
            if path.name in self.ended_runs or path.name.startswith(".") or path == self.run.path:
                continue
            run, state = Run(path), stored_state(path)
            if state is None or state["state"] in ENDED:
                self.ended_runs.add(path.name)
            elif is_locked(run.lock) or is_locked(run.job_lock) or is_alive(run.job()):
                found.append(state)
        return found
