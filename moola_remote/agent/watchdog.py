"""``guard`` and ``idle``: a rented pod stops itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Dict, Optional, Tuple

from moola_remote.agent.constants import (
    API_TIMEOUT_S,
    ENDED,
    IDLE_PERCENT,
    LIMIT_REACHED,
    TICK_S,
    Json,
)
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import read_json, write_json
from moola_remote.agent.gpus import gpu_rows, number
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import subprocess
from moola_remote.agent.locks import is_locked, lock
from moola_remote.agent.processes import is_alive
from moola_remote.agent.runpod_api import Ask, ask_by_curl, ask_by_python, call_api, pod_variables
from moola_remote.agent.state import settle

GUARD_TICK_S = 10.0
GUARD_FRESH_S = 60.0
# After a run's own limit the pod waits so long for somebody to fetch, then stops.
AFTER_LIMIT_S = 120.0
END_RUNS_S = 120.0
CONFLICT = 409  # what a pod answers that has stopped already


class Guard:
    """Stops this very pod through RunPod's API, with the laptop off: idle, or its time is over.

    Ending the container would not end the bill: it is started again. The pod is stopped, never
    removed: what is on its volume may have no copy.
    """

    def __init__(self, pod: Pod, settings: Json) -> None:
        self.pod = pod
        self.settings = settings
        self.log = pod.root / "guard.log"
        self.idle_since = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.since = time.time()

    def live(self) -> None:
        while True:
            self.settings = read_json(self.pod.root / "guard.json") or self.settings
            why = self.look()
            if why is not None:
                self.end_runs(why)
                if self.stop(why):
                    return
            time.sleep(self.settings.get("tick_s") or GUARD_TICK_S)

    def look(self) -> Optional[str]:
        """Why the pod should stop now, or None."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self.is_busy():
            self.idle_since = now
        stop_at, limit_s = self.settings.get("stop_at"), self.idle_limit_s()
        idle_s = now - self.idle_since
        rest_s = None if limit_s is None or idle_s == 0 else limit_s - idle_s
        left_s = None if stop_at is None else stop_at - time.time()
        waits = [max(0.0, wait_s) for wait_s in (rest_s, left_s) if wait_s is not None]
        with contextlib.suppress(OSError):
            seen = {"idle_s": idle_s, "stops_in_s": min(waits, default=None)}
            write_json(self.pod.root / "guard.seen.json", seen, sync=False)
        if left_s is not None and left_s <= 0:
            return "the pod's time is over"
        if rest_s is not None and rest_s <= 0:
            return f"idle for {idle_s:.0f} s"
        return None

    def is_busy(self) -> bool:
        """Whether a run or its on_finish goes on, a GPU works, or somebody sends or fetches."""
        for run, state in self.pod.all_runs():
            if state["state"] not in ENDED and settle(self.pod, run)["state"] not in ENDED:
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
                    is_verb = is_ours and not {b"supervise", b"idle", b"follow"} & set(words)
                    is_rsync = words[0].endswith(b"rsync") and any(root in word for word in words)
                    if is_verb or is_rsync:
                        return True
        return False

    def idle_limit_s(self) -> Optional[float]:
        limit_s = self.settings.get("idle_stop_s")
        # Of this start of the pod: who comes back later to fetch has all the time of an idle pod.
        states = [
            state for _, state in self.pod.all_runs() if (state.get("ended_at") or 0) > self.since
        ]
        if states and str(states[-1].get("stopping")).startswith(LIMIT_REACHED):
            after_s = self.settings.get("after_limit_s") or AFTER_LIMIT_S
            return float(after_s if limit_s is None else min(after_s, limit_s))
        return limit_s

    def end_runs(self, why: str) -> None:
        """Have each running job end with a checkpoint, and wait for its manifest."""
        give_up = time.monotonic() + END_RUNS_S
        while time.monotonic() < give_up:
            alive = [
                run
                for run, state in self.pod.all_runs()
                if state["state"] in ("PREPARING", "RUNNING")
            ]
            if not alive:
                return
            for run in alive:
                if not (run.own / ".cancel.json").exists():
                    run.write(".cancel.json", {"grace_s": None, "why": why})
                settle(self.pod, run)
            time.sleep(TICK_S)

    def stop(self, why: str) -> bool:
        """Ask for the stop by each means in turn; whether the API says that we have stopped."""
        self.record("stopping", True, why)
        me = pod_variables()
        for name, ask in MEANS:
            status, said = call_api(ask, self.settings, me, "stop")
            is_done = status == CONFLICT or 200 <= status < 300
            self.record(name, is_done, str(status) if is_done else f"{status} {said}")
            if is_done:
                status, said = call_api(ask, self.settings, me)
                if status == 200 and '"EXITED"' in said:
                    return True
        return self.stop_by_runpodctl(me)

    def stop_by_runpodctl(self, me: Dict[str, str]) -> bool:
        argv = ["runpodctl", "stop", "pod", str(me.get("RUNPOD_POD_ID"))]
        env = {**os.environ, "RUNPOD_API_KEY": me.get("RUNPOD_API_KEY", "")}
        try:
            done = subprocess.run(
                argv, env=env, capture_output=True, timeout=2 * API_TIMEOUT_S, check=False
            )
            said = (done.stderr or done.stdout).decode("utf-8", "replace")[-200:]
            self.record("runpodctl", done.returncode == 0, said)
        except (OSError, subprocess.SubprocessError) as err:
            self.record("runpodctl", False, str(err))
        return False  # where it has worked, we are no more

    def record(self, means: str, is_ok: bool, said: str) -> None:
        line = json.dumps({"t": time.time(), "means": means, "ok": is_ok, "said": said[:500]})
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


MEANS: Tuple[Tuple[str, Ask], ...] = (("python", ask_by_python), ("curl", ask_by_curl))


def guard(pod: Pod, settings: Json) -> Json:
    """Keep the settings, prove that this pod may end itself, and see that a guard is on watch."""
    if not isinstance(settings.get("api"), str):
        raise AgentError("bad_request", "guard: api: expected the address of the API")
    pod.make()
    me = pod_variables()
    answers = {name: call_api(ask, settings, me) for name, ask in MEANS}
    write_json(pod.root / "guard.json", settings)
    if not is_locked(pod.root / "guard.lock"):
        spawn_guard(pod)
    refusals = [f"{name}: {status} {said[:200]}" for name, (status, said) in answers.items()]
    mine = json.dumps(me.get("RUNPOD_POD_ID"))  # a proxy may answer anything with 200
    proved = [name for name, (status, said) in answers.items() if status == 200 and mine in said]
    why = "" if proved else "; ".join(refusals)
    return {"proved": proved, "why": why, "now": time.time()}


def idleness_of_pod(pod: Pod) -> Json:
    """How the guard found the pod at its last look; nulls where none is on watch."""
    path = pod.root / "guard.seen.json"
    with contextlib.suppress(OSError):
        is_fresh = time.time() - path.stat().st_mtime < GUARD_FRESH_S
        if is_fresh and is_locked(pod.root / "guard.lock"):
            return read_json(path) or {}
    return {"idle_s": None, "stops_in_s": None}


def spawn_guard(pod: Pod) -> None:
    """A process of its own, which holds ``guard.lock``; a second one leaves at once."""
    if os.fork():
        return
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(nothing, target)
        os.closerange(3, 256)
        os.chdir("/")
        if lock(pod.root / "guard.lock", patience_s=0.0) is not None and os.fork() == 0:
            for number_ in (signal.SIGHUP, signal.SIGINT):
                signal.signal(number_, signal.SIG_IGN)
            Guard(pod, read_json(pod.root / "guard.json") or {}).live()
    finally:
        os._exit(0)
