"""How a run ended: from exit status and circumstances to a state and its reason."""

from __future__ import annotations

import os
import signal
import time
from typing import Optional, Tuple

from moola_remote.agent.constants import PREEMPTED_CODE, Json
from moola_remote.agent.processes import boot


def seconds_since(job: Json) -> float:
    """Return how long ago a job was started, asleep or awake; the clock is the boot's."""
    is_of_this_boot = job["boot"] == boot()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - job["since"] if is_of_this_boot else 0.0


def time_limit(spec: Json) -> Tuple[Optional[float], str]:
    """Seconds that a job may run, and the name of the limit that says so."""
    limits = spec.get("limits") or {}
    found = []
    if limits.get("max_time_s"):
        found.append((float(limits["max_time_s"]), f"max_time_s {limits['max_time_s']:g}"))
    if limits.get("max_cost_usd") and spec.get("price_per_hour"):
        seconds = 3600 * float(limits["max_cost_usd"]) / float(spec["price_per_hour"])
        found.append((seconds, f"max_cost_usd {limits['max_cost_usd']:g}"))
    return min(found) if found else (None, "")


def outcome(end: Json, stopping: Optional[str], job: Optional[Json]) -> Json:
    """Return what is said of an end: the state, the reason, exit code or signal."""
    ended: Json = {"returncode": None, "signal": None, "oom_killed": False}
    if "cancelled" in end:
        return {**ended, "state": "CANCELLED", "reason": "cancelled before it started"}
    if "error" in end:
        return {**ended, "state": "FAILED", "reason": f"could not be started: {end['error']}"}
    if "lost" in end:
        if stopping == "cancel":
            return {
                **ended,
                "state": "CANCELLED",
                "reason": "cancelled; its exit code is not known",
            }
        return {**ended, "state": "LOST", "reason": end["lost"]}
    status = end["status"]
    if os.WIFSIGNALED(status):
        ended["signal"] = signal.Signals(os.WTERMSIG(status)).name
        reason = f"killed by {ended['signal']}"
    else:
        ended["returncode"] = os.WEXITSTATUS(status)
        reason = f"exit code {ended['returncode']}"
    # 137 is how a shell reports that its child was killed by SIGKILL.
    if (ended["signal"] == "SIGKILL" or ended["returncode"] == 137) and not stopping:
        ended["oom_killed"] = end.get("oom_kills", 0) > (job or end).get("oom_kills", 0)
        reason += ": out of memory" if ended["oom_killed"] else ""
    return {**ended, **verdict(ended, reason, stopping)}


def verdict(ended: Json, reason: str, stopping: Optional[str]) -> Json:
    if stopping == "cancel":
        return {"state": "CANCELLED", "reason": f"cancelled ({reason})"}
    if ended["returncode"] == 0:
        return {"state": "SUCCEEDED", "reason": None}
    if stopping:
        return {"state": "PREEMPTED", "reason": f"{stopping} ({reason})"}
    if ended["returncode"] == PREEMPTED_CODE:
        return {"state": "PREEMPTED", "reason": f"it was asked to stop by SIGTERM ({reason})"}
    return {"state": "FAILED", "reason": reason}
