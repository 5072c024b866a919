"""The supervisor: one process a run, from the queue to the recorded end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Any, Optional, Set, Tuple

from moola_remote.agent.constants import (
    ENDED,
    GRACE_S,
    LIMIT_REACHED,
    NO_ROOM,
    POD_STOP_GRACE_S,
    ROOM_BYTES,
    STRAGGLER_GRACE_S,
    Json,
)
from moola_remote.agent.errors import report
from moola_remote.agent.files import last_lines, put_aside, read_json, write_error
from moola_remote.agent.job import JobProcess
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.lazy import subprocess
from moola_remote.agent.live_state import LiveState
from moola_remote.agent.locks import lock
from moola_remote.agent.manifest import make_manifest
from moola_remote.agent.outcome import outcome, seconds_since, time_limit
from moola_remote.agent.processes import adopt_orphans, identity
from moola_remote.agent.queue import GpuQueue
from moola_remote.agent.redaction import report_errors, wipe_secrets
from moola_remote.agent.start import discard
from moola_remote.agent.waiting import open_program
from moola_remote.agent.workdir import spoiled


class Supervisor:
    """Takes one run from its current state to its end; holds ``.lock`` all the while."""

    def __init__(self, pod: Pod, run: Run, lock_fd: int) -> None:
        self.pod = pod
        self.run = run
        self.lock_fd = lock_fd
        self.spec = run.spec()
        self.live = LiveState(pod, run)
        self.queue = GpuQueue(pod, self.live, lock_fd)
        self.job = JobProcess(pod, self.live, self.spec)
        self.is_pod_stopping = False

    def supervise(self) -> None:
        """Queue, start, watch and end the run, as far as that is still to be done."""
        adopt_orphans()
        signal.signal(signal.SIGTERM, self.hear_sigterm)
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        # Before the job has begun a power cut leaves nothing to be known: no disk is waited for.
        self.live.save(sync=self.job.has_begun(), supervisor=identity(os.getpid()))
        # The spawning process is released once the run is ours; if it is over already, once the
        # end is stored.
        if self.job.has_ended_unseen():
            self.conclude(self.watch())
            return
        acknowledge()
        if not self.job.has_begun():
            may_start, end = self.queue.wait(
                self.spec.get("gpu"), self.spec.get("gpus"), lambda: self.is_pod_stopping
            )
            if may_start:
                end = self.job.launch(self.queue.gpu_count or 0, self.lock_fd)
            if end is not None:
                self.conclude(end)
            if end is not None or not may_start:
                return
        self.conclude(self.watch())

    def hear_sigterm(self, *_: Any) -> None:
        """Note that the pod is being stopped."""
        self.is_pod_stopping = True

    def watch(self) -> Json:
        """Wait for the end; obey a cancellation, the limits and the stop of the pod."""
        self.queue.take_again()
        while True:
            end = self.job.end()
            if end is not None:
                return end
            if self.live.values["state"] != "RUNNING" and self.run.job() is not None:
                self.job.note_running()
            why, grace_s = self.stop_request()
            if why is not None:
                self.live.values["killed"] += self.job.stop(why, grace_s)
            self.live.pause()

    def stop_request(self) -> Tuple[Optional[str], float]:
        """Return why the job should stop (None: it should not), and its grace in seconds."""
        grace_s = float(self.spec.get("grace_s") or GRACE_S)
        if (self.run.own / ".cancel.json").exists():
            cancel = read_json(self.run.own / ".cancel.json") or {}
            asked = cancel.get("grace_s")
            why = str(cancel.get("why") or "cancel")
            return why, grace_s if asked is None else float(asked)
        if self.is_pod_stopping:
            return "the pod is being stopped", min(grace_s, POD_STOP_GRACE_S)
        limit_s, name = time_limit(self.spec)
        job = self.run.job()
        if limit_s is not None and job and seconds_since(job) >= limit_s:
            return f"{LIMIT_REACHED}: {name}", grace_s
        return None, grace_s

    def conclude(self, end: Json) -> None:
        """Store the end with everything that belongs to it, in one step."""
        left_behind = self.job.stop(None, STRAGGLER_GRACE_S)
        if left_behind:
            self.live.values["killed"] += left_behind
            processes = "process" if left_behind == 1 else "processes"
            self.run.add_event("note", text=f"{left_behind} {processes} left behind, ended")
        self.live.values.update(outcome(end, self.live.values.get("stopping"), self.run.job()))
        self.live.values.update(ended_at=end.get("ended_at") or time.time())
        if self.live.values["state"] == "FAILED" and self.live.values["signal"] is None:
            # Neither an exit code nor a failed start says enough of why: a full disk is named.
            error = write_error(self.pod.root, ROOM_BYTES)
            if error is not None:
                self.live.values["reason"] += f"; {NO_ROOM}, {error}"
        wipe_secrets(self.run)
        self.live.values.update(last_lines=last_lines(self.run.log))
        self.check_code()
        with report_errors("no manifest"):
            self.live.values["manifest_sha256"] = make_manifest(self.run, self.live.beat)
        self.live.save()
        while not self.live.is_saved and self.run.path.is_dir():
            time.sleep(1.0)
            self.live.save()
        acknowledge()
        self.finish()

    def check_code(self) -> None:
        """Report sealed code that was changed, and remove it; the next deploy sends it again."""
        code = self.spec.get("code")
        if not code:
            return
        tree = self.pod.root / "code" / code
        with report_errors("sealed code not checked"):
            wrong = spoiled(tree, read_json(tree.with_name(f"{code}.json")) or {})
            if wrong:
                self.run.add_event(
                    "note",
                    text=f"the sealed code {code} was changed while this run lasted: {wrong[0]}"
                    + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""),
                )
                discard(put_aside(tree))

    def finish(self) -> None:
        """Free the GPU, then run ``on_finish``."""
        self.queue.release()
        command = self.spec.get("on_finish")
        if not command:
            return
        env = {key: value for key, value in os.environ.items() if key != "MOOLA_RUN_ID"}
        env.update(MOOLA_RUN_DIR=str(self.run.path), MOOLA_STATE=self.live.values["state"])
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.run.path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            check=False,
        )
        report(f"on_finish: exit code {done.returncode}")
        changes: Json = {"on_finish": done.returncode}
        with report_errors("no manifest of what on_finish wrote"):
            changes["manifest_sha256"] = make_manifest(self.run, self.live.beat)
        self.live.save(**changes)


def acknowledge() -> None:
    """Release the process that spawned us: the run has its supervisor."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def supervise(pod: Pod, run: Run, held: Optional[int] = None) -> None:
    """Supervise a run; a second supervisor of the same run leaves at once.

    Args:
        pod: where it is.
        run: the run.
        held: the descriptor that holds its lock, of a supervisor that waited as a sleeper.
    """
    if held is None and os.fork():
        os._exit(0)
    close_but({held, open_program()})  # what the caller left open
    os.chdir("/")
    lock_fd = lock(run.lock, patience_s=1.0) if held is None else held
    if lock_fd is None or run.state()["state"] in ENDED:
        return
    Supervisor(pod, run, lock_fd).supervise()


def close_but(kept: Set[Optional[int]]) -> None:
    """Close every descriptor but the standard ones and those that are kept, for ourselves alone."""
    for fd in range(3, 256):
        with contextlib.suppress(OSError):
            if fd in kept:
                os.set_inheritable(fd, False)
            else:
                os.close(fd)
