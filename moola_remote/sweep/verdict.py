"""What the end of a run means for its trial, and the ends of trials for their sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from moola_remote.errors import JobFailedError
from moola_remote.protocol.state import RunState
from moola_remote.sweep.trial import SETTLED, Job, Score, Trial

# Runs of one trial, where those before were ended by the machine and not by the job.
MAX_ATTEMPTS = 6
# Of memory or disk: it may be the trial that takes so much.
MAX_OUT_OF_ROOM = 2
# A sweep is stopped when so many trials failed and none succeeded, or more than half of so many.
FIRST_FAILED = 3
MIN_JUDGED = 6
# Of the 95% interval of a score in 0..1; with 100 windows it is about 0.1.
WIDE = 0.2
# What a run that reached a limit of its own gives as its reason.
_OWN_LIMITS = ("max_time_s", "max_cost_usd")
# What the agent adds to the reason of a run that failed on a full disk.
_NO_ROOM = "; not even 16 MB can be written on the pod, "


@dataclass(frozen=True)
class Verdict:
    """`again` is a run that the machine ended: it says nothing of the parameters."""

    kind: Literal["succeeded", "again", "failed", "cancelled"]
    why: str = ""


def is_own_time_limit(state: RunState) -> bool:
    """Return whether a run ended by the longest time that it was given."""
    return state.state != "SUCCEEDED" and (state.reason or "").startswith(_OWN_LIMITS[0])


def is_own_limit(state: RunState) -> bool:
    """Return whether a run ended by a limit of its own."""
    return state.state != "SUCCEEDED" and (state.reason or "").startswith(_OWN_LIMITS)


def has_no_room(state: RunState) -> bool:
    """Return whether a run failed on a pod whose disk was full at its end."""
    return state.state == "FAILED" and _NO_ROOM in (state.reason or "")


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
    if state.state == "FAILED" and not is_killed and not has_no_room(state):
        return Verdict("failed", why)
    if is_own_limit(state):
        return Verdict("failed", f"reached its limit, {why}")
    most = MAX_OUT_OF_ROOM if state.oom_killed or has_no_room(state) else MAX_ATTEMPTS
    if num_attempts >= most:
        return Verdict("failed", f"{why}, {num_attempts} times")
    return Verdict("again", why)


def failure_of(sweep_id: str, trials: Sequence[Trial], job: Job, why: str) -> JobFailedError | None:
    """Return what ends a sweep whose trials fail, or None where it may continue.

    Args:
        sweep_id: names the sweep in the error.
        trials: all of the sweep.
        job: the one that failed last.
        why: it failed.
    """
    settled = [one for one in trials if one.state in SETTLED]
    num_failed = sum(one.state == "failed" for one in settled)
    is_none_good = num_failed == len(settled) >= FIRST_FAILED
    if not is_none_good and (len(settled) < MIN_JUDGED or 2 * num_failed <= len(settled)):
        return None
    return JobFailedError(
        f"sweep {sweep_id}: {num_failed} of {len(settled)} trials failed, the last: {why}",
        f"moola-remote logs {job.attempt.run_id}",
    )


def noise_note(score: Score, name: str) -> str:
    """Return a warning where the interval of a score is too wide to rank trials, else ""."""
    if score.low is None or score.high is None or score.high - score.low <= WIDE:
        return ""
    return (
        f"the interval of {name} is {score.high - score.low:.2f} wide: trials that differ "
        "by less can't be ranked by so few windows; judge the best few by cross-validation "
        "(jobs.crossval), or validate on more"
    )
