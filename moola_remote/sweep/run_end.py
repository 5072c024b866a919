"""The end of a run, reported to the coordinator as the end or the loss of its trials."""

from __future__ import annotations

from pathlib import Path

from moola_remote.protocol.state import RunState
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.objective import read_score
from moola_remote.sweep.packed import judge_trial, num_tries
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.trial import Job
from moola_remote.sweep.verdict import judge


def report_end(
    coordinator: Coordinator, plan: Plan, results: Path, job: Job, state: RunState
) -> None:
    """Report what the end of its run means for a trial.

    Args:
        coordinator: of the sweep.
        plan: of the sweep.
        results: where fetched runs lie, this one too.
        job: the run, for this trial.
        state: of the run, which has ended.
    """
    folder = job.trial.folder(results)
    assert folder is not None
    if job.attempt.is_packed:
        verdict, seconds = judge_trial(state, folder, num_tries(job.trial, results))
    else:
        verdict, seconds = judge(state, len(job.trial.attempts)), state.took_s or 0.0
    if verdict.kind == "cancelled":
        coordinator.cancelled(job, verdict.why, seconds)
    elif verdict.kind == "again" and plan.engine == "pods":
        coordinator.again(job, verdict.why)
    elif verdict.kind != "succeeded":
        coordinator.failed(job, verdict.why, seconds)
    elif (score := read_score(folder, plan.score_key, plan.metric)) is not None:
        coordinator.complete(job, score, seconds)
    else:
        where = "line of its log" if plan.metric else "result.json or event"
        coordinator.failed(job, f"no {where} has a finite {plan.goal.name}", seconds)
