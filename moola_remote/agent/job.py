"""The job of a run as its supervisor sees it: started behind a keeper, watched, ended."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Dict, Optional

from moola_remote.agent.constants import RESERVE_BYTES, Json
from moola_remote.agent.errors import AgentError, report
from moola_remote.agent.files import read_json
from moola_remote.agent.keeper import Launch, keep, prepare, record_end
from moola_remote.agent.layout import Pod
from moola_remote.agent.live_state import LiveState
from moola_remote.agent.locks import is_locked, lock
from moola_remote.agent.processes import Process, boot, end_all, is_alive, living_members, oom_kills


class JobProcess:
    """The processes of one run, from the keeper's start to the last one's end."""

    def __init__(self, pod: Pod, live: LiveState, spec: Json) -> None:
        self.pod = pod
        self.run = live.run
        self.live = live
        self.spec = spec
        self.reaped: Dict[int, int] = {}
        self.keeper: Optional[int] = None

    def has_begun(self) -> bool:
        """Return whether a keeper lives, or a job was recorded."""
        return is_locked(self.run.job_lock) or self.run.job() is not None

    def has_ended_unseen(self) -> bool:
        """Return whether the job ended while no supervisor lived."""
        job = self.run.job()
        return job is not None and not is_locked(self.run.job_lock) and not is_alive(job)

    def note_running(self) -> None:
        """Save that the job runs, once it is recorded which process it is."""
        job = self.run.job()
        found = {key: job[key] for key in ("pid", "start_ticks", "boot")} if job else None
        self.live.save(state="RUNNING", started_at=time.time(), job=found)

    def launch(self, gpu_count: int, lock_fd: int) -> Optional[Json]:
        """Start the keeper with its job; return the end if that failed.

        Args:
            gpu_count: of the pod; CUDA is shown those that were taken.
            lock_fd: the supervisor's lock, which the keeper must not hold.
        """
        with contextlib.suppress(OSError):
            (self.run.own / ".reserve").write_bytes(bytes(RESERVE_BYTES))
        try:
            launch = prepare(self.pod, self.run, self.spec)
        except AgentError as err:
            return {"error": str(err)}
        several = self.live.values.get("gpus")
        if several or (gpu_count > 1 and self.live.values["gpu"] is not None):
            launch.env.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
            shown = several or [self.live.values["gpu"]]
            launch.env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, shown))
        if several:
            launch.env["MOOLA_GPUS"] = str(len(several))
        job_fd = lock(self.run.job_lock, patience_s=5.0)
        if job_fd is None:
            return None  # a keeper lives after all; it is watched as any other
        read_end, write_end = os.pipe()
        self.keeper = os.fork()
        if self.keeper == 0:
            self.become_keeper(launch, write_end, lock_fd)
        os.close(write_end)
        os.close(job_fd)
        is_running = os.read(read_end, 16) != b""
        self.live.keeper_pipe = read_end
        if is_running:
            self.note_running()
            return None
        if self.run.job() is None and read_json(self.run.own / ".exit.json") is None:
            return {"error": "its keeper ended before it; see .supervisor.log"}
        return None

    def become_keeper(self, launch: Launch, pipe: int, lock_fd: int) -> None:
        """Run the keeper in this forked process; never return."""
        code = 1
        try:
            os.setsid()
            os.close(lock_fd)
            os.dup2(pipe, 1)
            os.close(pipe)
            code = keep(self.run, launch)
        except OSError as err:
            report(f"keeper: {err}")
        finally:
            os._exit(code)

    def end(self) -> Optional[Json]:
        """Return how the job ended, or None while it may still be recorded.

        The order matters: liveness is checked first, so that a record written meanwhile is found.
        """
        is_kept = is_locked(self.run.job_lock)
        job = self.run.job()
        lives = is_alive(job)
        self.reap()
        record = read_json(self.run.own / ".exit.json")
        if record is not None or is_kept or lives:
            return record
        status = self.reaped.get(job["pid"]) if job else None
        if status is not None:  # the keeper was killed, and the job came to us
            record = {"status": status, "oom_kills": oom_kills(), "ended_at": time.time()}
            record_end(self.run, record)
            return record
        if job is None:
            return {"error": "its keeper ended before it; see .supervisor.log"}
        if job["boot"] != boot():
            return {"lost": "the pod was restarted while it ran"}
        return {"lost": "it and its keeper are gone, and no exit code was recorded"}

    def reap(self) -> None:
        """Collect the exit statuses of children, orphans of the job among them."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.reaped[pid] = status

    def stop(self, why: Optional[str], grace_s: float) -> int:
        """End every process of the run by SIGTERM, then SIGKILL; see `end_all`.

        Args:
            why: what the state gives as the reason; None saves none.
            grace_s: between SIGTERM and SIGKILL, seconds.

        Returns:
            How many processes ended by it.
        """
        if why is not None:
            self.live.save(stopping=why)

        def look() -> Dict[int, Process]:
            spared = frozenset(filter(None, (self.keeper, self.live.telemetry.pid)))
            return living_members(self.run.id, self.run.job(), os.getpid(), spared)

        def pause() -> None:
            self.live.pause(0.05)
            self.reap()

        ended, left = end_all(look, pause, grace_s)
        return ended - left
