"""The queue: one job a GPU, or several GPUs for one job, all or none; first in, first out.

While nothing happens a waiting run does nothing: the run in front of it, or the lock of its GPU,
wakes it (waiting.py).
"""

from __future__ import annotations

import contextlib
import os
from typing import Callable, List, Optional, Tuple

from moola_remote.agent.constants import NO_GPU, Json
from moola_remote.agent.files import head
from moola_remote.agent.gpus import count_gpus
from moola_remote.agent.layout import Pod, Run, stored_state
from moola_remote.agent.live_state import LiveState
from moola_remote.agent.locks import is_locked, lock, locked
from moola_remote.agent.processes import is_alive
from moola_remote.agent.state import is_before
from moola_remote.agent.unfinished import unfinished
from moola_remote.agent.waiting import Waiting

# A state that waits has one or two thousand.
STATE_BYTES = 1 << 14


class GpuQueue:
    """Waits for the GPUs of one run, and holds their locks until `release`."""

    def __init__(self, pod: Pod, live: LiveState, lock_fd: int) -> None:
        self.pod = pod
        self.run = live.run
        self.live = live
        self.lock_fd = lock_fd
        self.gpu_count: Optional[int] = None
        self.fds: List[int] = []
        # Another run without whose start or end nothing changes for us, once that was looked for.
        self.front: Optional[str] = None
        self.has_looked = False

    def wait(
        self, wanted: Optional[int], count: Optional[int], is_stopping: Callable[[], bool]
    ) -> Tuple[bool, Optional[Json]]:
        """Wait for a GPU, or for several.

        Args:
            wanted: an index, None for the first free one, or `NO_GPU`.
            count: how many, where the number was asked for; they are taken all or none.
            is_stopping: whether the pod is being stopped; the run then stays queued.

        Returns:
            Whether the job may start; if not, the end of the run, or None while it stays queued.
        """
        if wanted == NO_GPU:
            return True, None
        self.gpu_count = count_gpus()
        here = f"{self.gpu_count} GPUs" if self.gpu_count > 1 else f"{self.gpu_count or 'no'} GPU"
        if wanted is not None and wanted not in range(self.gpu_count):
            return False, {"error": f"GPU {wanted} was asked for, the pod has {here}"}
        if count is not None and count > self.gpu_count:
            asked = "1 GPU was" if count == 1 else f"{count} GPUs were"
            return False, {"error": f"{asked} asked for, the pod has {here}"}
        wants = list(range(max(1, self.gpu_count))) if wanted is None else [wanted]
        self.live.save(sync=False, wants=wants)
        waiting = None
        try:
            while not self.fds:
                if (self.run.own / ".cancel.json").exists():
                    self.live.values["stopping"] = "cancel"
                    return False, {"cancelled": True}
                if is_stopping():
                    return False, None
                is_held_up = self.is_held_up(wants)
                if not is_held_up and self.take(wants, count):
                    break
                is_new = waiting is None
                waiting = waiting or Waiting(self.pod, self.live, wants, self.lock_fd)
                # What happened before the watch is not heard of: it takes one look more.
                if not waiting.follow(self.front) and not is_new:
                    self.sleep_behind(waiting, wants)
                    waiting.rest(is_held_up)
        finally:
            if waiting is not None:
                waiting.close()
        return True, None

    def sleep_behind(self, waiting: Waiting, wants: List[int]) -> None:
        """Leave this Python for a small one while another run stands in front of us."""
        if self.front is None:
            return
        seen = b""
        with contextlib.suppress(OSError):
            seen = head(self.pod.runs / self.front / "state.json", STATE_BYTES)
        if seen and len(seen) < STATE_BYTES and self.is_held_up(wants) and self.front is not None:
            waiting.become_sleeper(seen)

    def is_held_up(self, wants: List[int]) -> bool:
        """Return whether the run in front still waits, or each GPU that we want is still taken."""
        if self.front is not None:
            run = self.pod.runs / self.front
            state = stored_state(run)
            if state is not None and self.holds_up(state) and is_locked(Run(run).lock):
                return True
            self.front, self.has_looked = None, False
        return self.has_looked and all(is_locked(self.pod.gpu_lock(gpu)) for gpu in wants)

    def holds_up(self, other: Json) -> bool:
        """Return whether another run waits in front for at least all that we want."""
        theirs, ours = other.get("wants"), self.live.values["wants"]
        return is_before(other, self.live.values) and (theirs is None or set(ours) <= set(theirs))

    def take(self, wants: List[int], count: Optional[int] = None) -> bool:
        """Take what is free if no run that waits in front could; return whether it was enough."""
        with locked(self.pod.queue_lock):
            others = self.others()
            ahead = [state for state in others if is_before(state, self.live.values)]
            in_front = [state for state in ahead if self.holds_up(state)]
            self.has_looked = True
            if in_front:
                self.front = max(in_front, key=lambda state: state.get("ticket") or 0)["run_id"]
                return False
            busy = {gpu for state in others for gpu in held_by(state)}
            free = [
                gpu for gpu in wants if gpu not in busy and not is_locked(self.pod.gpu_lock(gpu))
            ]
            if not free or any(set(state.get("wants") or free) & set(free) for state in ahead):
                return False
            taken = free[: count or 1]
            if len(taken) < (count or 1) or not self.hold(taken, patience_s=1.0):
                return False
            held: Json = {"gpu": taken[0] if self.gpu_count else None, "gpu_lock": taken[0]}
            if count is not None:
                held.update(gpus=taken, gpu_locks=taken)
            self.live.save(sync=False, state="PREPARING", **held)
            return True

    def hold(self, gpus: List[int], patience_s: float) -> bool:
        """Take the locks of all these GPUs, or of none."""
        for gpu in gpus:
            fd = lock(self.pod.gpu_lock(gpu), patience_s=patience_s)
            if fd is None:
                self.release()
                return False
            self.fds.append(fd)
        return True

    def take_again(self) -> None:
        """Hold the locks of the GPUs that an earlier supervisor of this run had taken."""
        if not self.fds:
            self.hold(held_by(self.live.values), patience_s=0.0)

    def release(self) -> None:
        """Free the GPUs."""
        while self.fds:
            os.close(self.fds.pop())

    def others(self) -> List[Json]:
        """Return the states of other runs that wait or run."""
        return [
            state
            for run, state in unfinished(self.pod)
            if run.id != self.run.id
            and (is_locked(run.lock) or is_locked(run.job_lock) or is_alive(run.job()))
        ]


def held_by(state: Json) -> List[int]:
    """Return the GPUs whose locks a run has taken."""
    several = state.get("gpu_locks") or [state.get("gpu_lock")]
    return [gpu for gpu in several if isinstance(gpu, int)]
