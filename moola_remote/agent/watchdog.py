"""``guard`` and ``idle``: a rented pod stops itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from moola_remote.agent.activity import END_RUNS_S, Activity, running_clock, seconds
from moola_remote.agent.constants import API_TIMEOUT_S, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import append, read_json, write_json
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import subprocess
from moola_remote.agent.locks import is_locked, lock
from moola_remote.agent.processes import boot
from moola_remote.agent.restart_guard import spawn_guard
from moola_remote.agent.runpod_api import (
    Answer,
    Ask,
    ask_by_curl,
    ask_by_python,
    call_api,
    opener,
    pod_variables,
)

GUARD_TICK_S = 10.0
GUARD_FRESH_S = 60.0
GUARD_START_S = 5.0
# How often the API is asked for its time.
CHECK_CLOCK_S = 900.0
# A pod that was started again has so long to be given new settings before an old deadline counts.
NEW_START_S = 300.0
LOG_PATIENCE_S = 5.0
CONFLICT = 409  # what a pod answers that has stopped already
MEANS: Tuple[Tuple[str, Ask], ...] = (("python", ask_by_python), ("curl", ask_by_curl))


class Guard:
    """Stops this very pod through RunPod's API, with the laptop off: idle, or its time is over.

    Ending the container would not end the bill: it is started again. The pod is stopped, never
    removed: what is on its volume may have no copy.

    This thread has the clock and the API alone: no file, no process. Whatever touches the disk or
    forks is done by a second thread, which may fail or hang; the stop waits for it, but not long.
    """

    def __init__(self, pod: Pod, settings: Json) -> None:
        self.pod = pod
        self.settings = settings
        self.log = pod.root / "guard.log"
        self.activity = Activity(pod)
        self.me: Dict[str, str] = {}
        self.boot = boot()
        self.born = running_clock()
        self.clock_offset_s: Optional[float] = None  # the API's time less the running clock
        self.next_check = self.born
        self.ending: Optional[str] = None
        self.has_ended_runs = threading.Event()
        self.wake = threading.Event()
        self.is_over = False
        self.worker: Optional[threading.Thread] = None
        self.lines: List[str] = []

    def live(self) -> None:
        """Watch until the API says that this pod has stopped."""
        prepare_imports()
        while True:
            try:
                self.have_worker()
                if self.is_stopped():
                    break
            except Exception as err:  # noqa: BLE001 - nothing may end the guard but the stop
                self.record("guard", False, f"{type(err).__name__}: {err}")
            time.sleep(self.tick_s())
        self.is_over = True
        self.wake.set()
        if self.worker is not None:
            self.worker.join(LOG_PATIENCE_S)

    def tick_s(self) -> float:
        return min(max(seconds(self.settings.get("tick_s")) or GUARD_TICK_S, 0.01), 60.0)

    def is_stopped(self) -> bool:
        """Stop the pod if it should stop now; whether it has."""
        if running_clock() >= self.next_check:
            self.check_clock()
        left_s = self.left_s()
        if left_s is not None and left_s <= 0 and self.clock_offset_s is None:
            self.check_clock()  # before the pod's own clock is believed
            left_s = self.left_s()
        is_late = left_s is not None and left_s <= 0
        why = "the pod's time is over" if is_late else self.activity.why
        if why is None:
            return False
        self.end_runs(why)
        return self.stop(why)

    def left_s(self) -> Optional[float]:
        """Seconds until the deadline, by the API's time as the running clock carries it on."""
        stop_at, now = seconds(self.settings.get("stop_at")), running_clock()
        if stop_at is None:
            return None
        is_earlier_start = self.settings.get("boot") not in (None, self.boot)
        offset_s = self.clock_offset_s
        if offset_s is None and not is_earlier_start:
            offset_s = seconds(self.settings.get("clock_offset_s"))
        left_s = stop_at - (time.time() if offset_s is None else now + offset_s)
        return max(left_s, NEW_START_S - (now - self.born)) if is_earlier_start else left_s

    def check_clock(self) -> None:
        """Take the API's time over."""
        self.next_check = running_clock() + CHECK_CLOCK_S
        self.me.update(pod_variables())
        found = offset_of(call_api(ask_by_python, self.settings, self.me))
        self.clock_offset_s = self.clock_offset_s if found is None else found

    def end_runs(self, why: str) -> None:
        """Have the other thread end the runs; what hangs there is not waited for."""
        if self.worker is None or not self.worker.is_alive():
            return
        self.has_ended_runs.clear()
        self.ending = why
        self.wake.set()
        self.has_ended_runs.wait(END_RUNS_S)

    def stop(self, why: str) -> bool:
        """Ask for the stop by each means in turn; whether the API says that we have stopped."""
        self.record("stopping", True, why)
        with contextlib.suppress(Exception):
            self.me.update(pod_variables())
        for name, ask in MEANS:
            status, said, _ = call_api(ask, self.settings, self.me, "stop")
            is_done = status == CONFLICT or 200 <= status < 300
            self.record(name, is_done, str(status) if is_done else f"{status} {said}")
            if is_done:
                status, said, _ = call_api(ask, self.settings, self.me)
                if status == 200 and '"EXITED"' in said:
                    return True
        self.stop_by_runpodctl()
        return False  # where it has worked, we are no more

    def stop_by_runpodctl(self) -> None:
        argv = ["runpodctl", "stop", "pod", str(self.me.get("RUNPOD_POD_ID"))]
        env = {**os.environ, "RUNPOD_API_KEY": self.me.get("RUNPOD_API_KEY", "")}
        try:
            done = subprocess.run(
                argv, env=env, capture_output=True, timeout=2 * API_TIMEOUT_S, check=False
            )
            said = (done.stderr or done.stdout).decode("utf-8", "replace")[-200:]
            self.record("runpodctl", done.returncode == 0, said)
        except Exception as err:  # noqa: BLE001 - all is tried again
            self.record("runpodctl", False, str(err))

    def record(self, means: str, is_ok: bool, said: str) -> None:
        """Have a line written to ``guard.log``."""
        line = {"t": time.time(), "means": means, "ok": is_ok, "said": said[:500]}
        self.lines = [*self.lines[-100:], json.dumps(line) + "\n"]
        self.wake.set()

    # ---- the thread that touches files and processes ----

    def have_worker(self) -> None:
        """Start the second thread; where the pod has no room for it, the next tick tries again."""
        if self.worker is None or not self.worker.is_alive():
            worker = threading.Thread(target=self.work, daemon=True)
            with contextlib.suppress(RuntimeError):
                worker.start()
                self.worker = worker

    def work(self) -> None:
        """Read the settings, look at the runs, end them when it is time, and write the log."""
        next_look = 0.0
        while not self.is_over:
            if self.ending is not None:
                with contextlib.suppress(Exception):
                    self.activity.end_runs(self.ending)
                self.ending = None
                self.has_ended_runs.set()
            if running_clock() >= next_look:
                with contextlib.suppress(Exception):
                    self.settings = read_settings(self.pod) or self.settings
                with contextlib.suppress(Exception):
                    self.activity.look(self.settings, self.left_s())
                next_look = running_clock() + self.tick_s()
            self.write_log()
            self.wake.wait(self.tick_s())
            self.wake.clear()
        self.write_log()

    def write_log(self) -> None:
        lines, self.lines = self.lines, []
        with contextlib.suppress(Exception):
            for line in lines:
                append(self.log, line)


def prepare_imports() -> None:
    """Import now what the stop will need: later there may be no disk, or no room on it."""
    import selectors  # noqa: F401

    with contextlib.suppress(Exception):
        opener()
        _ = subprocess.run


def read_settings(pod: Pod) -> Optional[Json]:
    """``guard.json``; None where it is not there, or damaged."""
    settings = read_json(pod.root / "guard.json")
    return settings if settings is not None and fault_of(settings) is None else None


def fault_of(settings: Json) -> Optional[str]:
    """Return what is wrong with settings; None: nothing."""
    if not isinstance(settings.get("api"), str):
        return "api: expected the address of the API"
    for name in ("idle_stop_s", "stop_at"):
        if settings.get(name) is not None and seconds(settings[name]) is None:
            return f"{name}: expected seconds, or null for never"
    return None


def offset_of(answer: Answer) -> Optional[float]:
    """Return the API's time less the running clock; None where the API doesn't give it."""
    return None if answer.date is None or answer.status != 200 else answer.date - running_clock()


def guard(pod: Pod, settings: Json) -> Json:
    """Keep the settings, prove that this pod may end itself, and see that a guard is on watch."""
    fault = fault_of(settings)
    if fault is not None:
        raise AgentError("bad_request", f"guard: {fault}")
    pod.make()
    me = pod_variables()
    answers = {name: call_api(ask, settings, me) for name, ask in MEANS}
    offset_s = next(filter(None, map(offset_of, answers.values())), None)
    earlier = read_settings(pod) or {}
    if offset_s is None and earlier.get("boot") == boot():  # the running clock is still the same
        offset_s = seconds(earlier.get("clock_offset_s"))
    kept = {**settings, "boot": boot(), "clock_offset_s": offset_s}
    try:
        write_json(pod.root / "guard.json", kept)
    finally:
        # With a full disk the earlier settings hold.
        if (pod.root / "guard.json").exists() and not is_locked(pod.root / "guard.lock"):
            spawn_guard(pod)
            wait_for_guard(pod)
    refusals = [f"{name}: {one.status} {one.said[:200]}" for name, one in answers.items()]
    mine = json.dumps(me.get("RUNPOD_POD_ID"))  # a proxy may answer anything with 200
    proved = [name for name, one in answers.items() if one.status == 200 and mine in one.said]
    now = time.time() if offset_s is None else running_clock() + offset_s
    return {"proved": proved, "why": "" if proved else "; ".join(refusals), "now": now}


def wait_for_guard(pod: Pod) -> None:
    """Wait until the guard is on watch: it has read all of this program, which may go then."""
    deadline = time.monotonic() + GUARD_START_S
    while not is_locked(pod.root / "guard.lock") and time.monotonic() < deadline:
        time.sleep(0.01)


def watch(pod: Pod) -> None:
    """Be the guard, if there is none."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if take_guard_lock(pod.root / "guard.lock"):
        Guard(pod, read_settings(pod) or {}).live()


def take_guard_lock(path: Path) -> bool:
    """Return whether no other guard is on watch; a disk that can't be written is no hindrance."""
    try:
        # A process that asks whether there is a guard holds the lock for a moment.
        return lock(path, patience_s=0.2) is not None
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True


def idleness_of_pod(pod: Pod) -> Json:
    """Return how the guard found the pod at its last look; nulls where none is on watch."""
    path = pod.root / "guard.seen.json"
    with contextlib.suppress(OSError):
        is_fresh = time.time() - path.stat().st_mtime < GUARD_FRESH_S
        if is_fresh and is_locked(pod.root / "guard.lock"):
            return read_json(path) or {}
    return {"idle_s": None, "stops_in_s": None}
