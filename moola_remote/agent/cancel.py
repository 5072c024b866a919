"""``cancel``: end a run, and answer once that is verified."""

from __future__ import annotations

import time
from functools import partial
from typing import Dict, Optional

from moola_remote.agent.constants import ENDED, GRACE_S, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.processes import Process, end_all, living_members
from moola_remote.agent.state import settle, view


def cancel(pod: Pod, run: Run, grace_s: Optional[float], patience_s: float) -> Json:
    """Have a run ended, and answer when that is verified.

    Raises:
        AgentError: it is not over, or processes of it live, after the grace and some patience.
    """
    state = settle(pod, run)
    grace = float(run.spec().get("grace_s") or GRACE_S) if grace_s is None else grace_s
    give_up = time.monotonic() + grace + patience_s
    if state["state"] not in ENDED:
        try:
            run.write(".cancel.json", {"grace_s": grace_s})
        except OSError as err:  # its supervisor, which can't record an end either, hears nothing
            if _end_processes(run, grace, patience_s):
                done = "its processes were ended, which can't be recorded"
            elif state["state"] == "QUEUED":
                done = "stays queued, a cancellation can't be recorded"
            else:
                raise
            raise OSError(err.errno, f"{done}: {err.strerror}", f"run {run.id}") from err
    while state["state"] not in ENDED and time.monotonic() < give_up:
        time.sleep(0.05)
        state = settle(pod, run)
    left = sorted(living_members(run.id, None))
    if state["state"] not in ENDED or left:
        pids = ", ".join(map(str, left)) or "none"
        message = f"run {run.id}: not ended after {grace:g} s and more, processes left: {pids}"
        raise AgentError("not_ended", message, state=view(pod, state), pids=left)
    return {"state": view(pod, state), "killed": state.get("killed") or 0}


def _end_processes(run: Run, grace_s: float, patience_s: float) -> bool:
    """End a run's processes; return whether there were any, and none is left."""

    def look() -> Dict[int, Process]:
        return living_members(run.id, run.job())

    ended, left = end_all(look, partial(time.sleep, 0.05), grace_s, patience_s)
    return ended > 0 and left == 0
