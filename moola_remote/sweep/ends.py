"""What comes of a sweep's trials: values on the way, scores, failures, cancellations."""

from __future__ import annotations

import threading
from typing import Protocol

from moola_remote.sweep.plan import Plan
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Job, Score, State
from moola_remote.sweep.verdict import failure_of, noise_note
from moola_remote.sweep.watcher import Watcher


class Workers(Protocol):
    """Who is called when a trial has ended: the coordinator."""

    def quiet(self) -> threading.Condition:
        """Return the lock under which the study is written."""
        ...

    def settle(self, number: int, *, is_repeated: bool = False) -> None:
        """Note that a trial has ended, or is to be started again."""
        ...

    def fail(self, err: BaseException) -> None:
        """End the sweep."""
        ...


class Ends:
    """Records the ends of trials in the study; from any thread.

    Args:
        study: written here.
        plan: of the sweep.
        watcher: called with what happens.
        workers: called when a trial has ended, and when the sweep is not worth continuing.
    """

    def __init__(self, study: Study, plan: Plan, watcher: Watcher, workers: Workers) -> None:
        self._study = study
        self._plan = plan
        self._watcher = watcher
        self._workers = workers

    def report(self, job: Job, step: int, value: float) -> bool:
        """Take an intermediate value; return whether the run is to be cancelled."""
        with self._workers.quiet():
            number = job.trial.number
            is_pruned = self._study.report(number, step, value)
            self._watcher.on_step(job.trial, step, value)
            if is_pruned:
                self._study.note(number, "why", f"pruned at {step}")
            return is_pruned

    def complete(self, job: Job, score: Score, seconds: float) -> None:
        """Record the score of a trial."""
        with self._workers.quiet():
            self._tell(job, "complete", seconds, score)
            is_first = sum(one.state == "complete" for one in self._study.trials()) == 1
            if is_first and (note := noise_note(score, self._plan.goal.name)):
                self._watcher.on_note(note)

    def cancelled(self, job: Job, why: str, seconds: float) -> None:
        """Record that a run was cancelled: by us, which prunes its trial, or by the user."""
        with self._workers.quiet():
            noted = self._study.trial(job.trial.number).why
            state: State = "pruned" if noted.startswith("pruned") else "failed"
            self._tell(job, state, seconds, why=noted if state == "pruned" else why)

    def failed(self, job: Job, why: str, seconds: float) -> None:
        """Record that a trial failed by itself; its parameters are not tried again."""
        self._tell(job, "failed", seconds, why=why)
        with self._workers.quiet():
            if err := failure_of(self._plan.sweep_id, self._study.trials(), job, why):
                self._workers.fail(err)

    def again(self, job: Job, why: str) -> None:
        """Start a trial again, whose run the machine ended, on whichever pod is free."""
        with self._workers.quiet():
            self._watcher.on_trial(self._study.trial(job.trial.number), f"lost, {why}")
            self._workers.settle(job.trial.number, is_repeated=True)

    def _tell(
        self, job: Job, state: State, seconds: float, score: Score | None = None, why: str = ""
    ) -> None:
        with self._workers.quiet():
            number = job.trial.number
            self._study.note(number, "seconds", self._study.trial(number).seconds + seconds)
            self._study.tell(number, state, score, why)
            self._watcher.on_trial(self._study.trial(number), state)
            self._workers.settle(number)
