"""What is happening on a rented pod: whether it is at work, and the end of its runs."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from moola_remote.agent.constants import ENDED, GRACE_S, IDLE_PERCENT, LIMIT_REACHED, TICK_S, Json
from moola_remote.agent.files import write_json
from moola_remote.agent.gpus import gpu_rows, number
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.processes import is_alive, living_members, send_signal
from moola_remote.agent.restart_guard import WATCH
from moola_remote.agent.state import is_silent, settle, settled

# After a run's own limit the pod waits so long for somebody to fetch, then stops.
AFTER_LIMIT_S = 120.0
END_RUNS_S = 120.0
NO_WORK = {b"supervise", b"idle", b"follow", os.fsencode(WATCH)}


def running_clock() -> float:
    """Seconds that no change of the pod's clock moves; they count while the machine sleeps."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except OSError:  # a sandbox without it
        return time.monotonic()


def seconds(value: Any) -> Optional[float]:
    """Return a number of the settings; None where it is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e12 else None


class Activity:
    """How long a pod is idle, and why it should stop for that.

    Every file and process that is looked at may be missing, damaged or out of reach.
    """

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.idle_since = running_clock()
        self.since = time.time()
        self.why: Optional[str] = None

    def look(self, settings: Json, left_s: Optional[float]) -> None:
        """Set `why` the pod should stop for idleness, or None; `left_s` is until its deadline.

        What can't be looked at is no work: a broken disk would keep the pod for ever.
        """
        now, is_busy = running_clock(), False
        with contextlib.suppress(Exception):
            is_busy = self.is_busy()
        if is_busy:
            self.idle_since = now
        idle_s, limit_s = now - self.idle_since, self.idle_limit_s(settings)
        rest_s = None if limit_s is None or idle_s == 0 else limit_s - idle_s
        self.why = f"idle for {idle_s:.0f} s" if rest_s is not None and rest_s <= 0 else None
        waits = [max(0.0, wait_s) for wait_s in (rest_s, left_s) if wait_s is not None]
        with contextlib.suppress(OSError):
            seen = {"idle_s": idle_s, "stops_in_s": min(waits, default=None)}
            write_json(self.pod.root / "guard.seen.json", seen, sync=False)

    def is_busy(self) -> bool:
        """Return whether a run or its on_finish is active, a GPU works, or a transfer runs."""
        for run, state in self.pod.all_runs():
            now = state if state["state"] in ENDED else settled(self.pod, run, state)
            if now is not None and now["state"] not in ENDED:
                return True
            if is_alive(state.get("supervisor")):
                return True
        uses = [number(row[0]) for row in gpu_rows("utilization.gpu") if row]
        return any(use is not None and use >= IDLE_PERCENT for use in uses) or self.is_served()

    def is_served(self) -> bool:
        """Whether a verb of ours or an rsync is at work below our root; who looks on is no work.

        A follower whose laptop sleeps may hang for hours, full of what it can't send.
        """
        root = os.fsencode(self.pod.root) + b"/"
        for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of names, not paths
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                    is_ours = any(word.startswith(root + b"agent/") for word in words)
                    is_verb = is_ours and not NO_WORK & set(words)
                    is_rsync = words[0].endswith(b"rsync") and any(root in word for word in words)
                    if is_verb or is_rsync:
                        return True
        return False

    def idle_limit_s(self, settings: Json) -> Optional[float]:
        """Return how long the pod may be idle; None is for ever."""
        limit_s = seconds(settings.get("idle_stop_s"))
        states: List[Json] = []
        # Of this start of the pod: who comes back later to fetch has all the time of an idle pod.
        with contextlib.suppress(Exception):
            states = [
                state
                for _, state in self.pod.all_runs()
                if (state.get("ended_at") or 0) > self.since
            ]
        if states and str(states[-1].get("stopping")).startswith(LIMIT_REACHED):
            after_s = seconds(settings.get("after_limit_s")) or AFTER_LIMIT_S
            return after_s if limit_s is None else min(after_s, limit_s)
        return limit_s

    def end_runs(self, why: str) -> None:
        """Have each running job end with a checkpoint, and wait for its manifest."""
        give_up = time.monotonic() + END_RUNS_S
        helpless_since: Dict[str, float] = {}
        while time.monotonic() < give_up:
            alive = [
                run
                for run, state in self.pod.all_runs()
                if state["state"] in ("PREPARING", "RUNNING")
            ]
            if not alive:
                return
            for run in alive:
                if self.is_asked_to_end(run, why):
                    helpless_since.pop(run.id, None)
                elif run.id not in helpless_since:
                    helpless_since[run.id] = time.monotonic()
                    end_job(run)
            now = time.monotonic()
            if min(now - helpless_since.get(run.id, now) for run in alive) > GRACE_S:
                return
            time.sleep(TICK_S)

    def is_asked_to_end(self, run: Run, why: str) -> bool:
        """Return whether a supervisor is there, will read that it should end, and can record it."""
        try:
            if not (run.own / ".cancel.json").exists():
                run.write(".cancel.json", {"grace_s": None, "why": why})
            settle(self.pod, run)
            if not living_members(run.id, run.job()):
                return not is_silent(run.state())
        except Exception:  # noqa: BLE001 - no disk, no process numbers
            return False
        return True


def end_job(run: Run) -> None:
    """Send SIGTERM to a job whose supervisor can't be asked: no room on the disk, or for it."""
    with contextlib.suppress(Exception):
        for member in living_members(run.id, run.job()).values():
            with contextlib.suppress(OSError):
                send_signal(member, signal.SIGTERM)
