"""``cancel``: end a run, and answer once that is verified."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Optional

from moola_remote.agent.constants import ENDED, GRACE_S, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.processes import living_members, send_signal
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
            if not _end_processes(run, grace, give_up):
                raise
            why = f"its processes were ended, which can't be recorded: {err.strerror}"
            raise OSError(err.errno, why, f"run {run.id}") from err
    while state["state"] not in ENDED and time.monotonic() < give_up:
        time.sleep(0.05)
        state = settle(pod, run)
    left = sorted(living_members(run.id, None))
    if state["state"] not in ENDED or left:
        pids = ", ".join(map(str, left)) or "none"
        message = f"run {run.id}: not ended after {grace:g} s and more, processes left: {pids}"
        raise AgentError("not_ended", message, state=view(pod, state), pids=left)
    return {"state": view(pod, state), "killed": state.get("killed") or 0}


def _end_processes(run: Run, grace_s: float, give_up: float) -> bool:
    """End a run's processes by SIGTERM, then SIGKILL; whether there were any, and none is left."""
    kill_at = time.monotonic() + grace_s
    has_any = bool(living_members(run.id, run.job()))
    signal_job(run, signal.SIGTERM)
    while living_members(run.id, run.job()):
        if time.monotonic() > give_up:
            return False
        if time.monotonic() > kill_at:
            signal_job(run, signal.SIGKILL)
        time.sleep(0.05)
    return has_any


def signal_job(run: Run, number: int) -> None:
    """Send a signal to a job whose supervisor can't be asked: no room on the disk, or for it."""
    with contextlib.suppress(Exception):
        for member in living_members(run.id, run.job()).values():
            with contextlib.suppress(OSError):
                send_signal(member, number)
