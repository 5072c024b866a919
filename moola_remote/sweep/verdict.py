"""What the end of a run means for its trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from moola_remote.protocol.state import RunState

# Runs of one trial, where those before were ended by the machine and not by the job.
MAX_ATTEMPTS = 6
MAX_OUT_OF_MEMORY = 2
# What a run that reached a limit of its own gives as its reason.
_OWN_LIMITS = ("max_time_s", "max_cost_usd")


@dataclass(frozen=True)
class Verdict:
    """`again` is a run that the machine ended: it says nothing of the parameters."""

    kind: Literal["succeeded", "again", "failed", "cancelled"]
    why: str = ""


def is_own_time_limit(state: RunState) -> bool:
    """Return whether a run ended by the longest time that it was given."""
    return state.state != "SUCCEEDED" and (state.reason or "").startswith(_OWN_LIMITS[0])


def judge(state: RunState, num_attempts: int) -> Verdict:
    """Return what an ended run means.

    Args:
        state: of a run that has ended.
        num_attempts: runs of this trial so far, with this one.
    """
    why = state.reason or state.state.lower()
    if state.state == "SUCCEEDED":
        return Verdict("succeeded")
    if state.state == "CANCELLED":
        return Verdict("cancelled", why)
    is_killed = state.signal == "SIGKILL" or state.returncode == 137
    if state.state == "FAILED" and not is_killed:
        return Verdict("failed", why)
    if why.startswith(_OWN_LIMITS):
        return Verdict("failed", f"reached its limit, {why}")
    most = MAX_OUT_OF_MEMORY if state.oom_killed else MAX_ATTEMPTS
    if num_attempts >= most:
        return Verdict("failed", f"{why}, {num_attempts} times")
    return Verdict("again", why)
