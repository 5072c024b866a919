"""Coordination of a sweep's workers: trials handed out, their ends recorded in the study.

Every method may be called from any thread. The study's journal is the record: after a crash a new
coordinator continues from it and from the states of the runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from moola_remote.errors import JobCancelledError, MoolaError, behind_pod
from moola_remote.protocol.spec import new_run_id
from moola_remote.sweep.assignment import Assignment, previous_on
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import WITH_SWEEP, Attempt, Job, Score, State, Trial
from moola_remote.sweep.verdict import failure_of, noise_note
from moola_remote.sweep.watcher import Watcher


class Coordinator:
    """Hands out the trials of one sweep.

    Args:
        study: asked for trials and written here alone.
        plan: of the sweep.
        watcher: called with what happens.
        may_ask: whether one trial more may be begun; a reason not to, or None.
    """

    def __init__(
        self,
        study: Study,
        plan: Plan,
        watcher: Watcher,
        *,
        may_ask: Callable[[], MoolaError | None] = lambda: None,
    ) -> None:
        self._study = study
        self._plan = plan
        self._watcher = watcher
        self._may_ask = may_ask
        self._changed = threading.Condition(threading.RLock())
        self.assigned = Assignment(study, plan.trials)  # others read it under `quiet`
        self._error: BaseException | None = None

    def join(self, pod: str) -> None:
        """Add a pod that is ready for trials."""
        with self._changed:
            self.assigned.join(pod)

    def take(self, pod: str, *, is_spare: bool = False) -> Job | None:
        """Return what a worker of a pod does next; wait for it if need be.

        Args:
            pod: its name.
            is_spare: what is begun only waits in the pod's queue, so that no GPU waits for us.

        Returns:
            None where nothing is left for it.
        """
        with self._changed:
            while True:
                if (job := self.poll(pod, is_spare=is_spare)) is not None:
                    return job
                if self._error or self.assigned.is_idle(pod, is_left=self._plan.then is not None):
                    return None
                self._changed.wait(1.0)

    def poll(self, pod: str, *, is_spare: bool = False) -> Job | None:
        """Return what a worker of a pod does next; None where there is nothing now."""
        with self._changed:
            is_lost = self.assigned.lost(pod) is not None  # as another worker of it found out
            return None if is_lost else self.going_on(pod) or self.begin(pod, is_spare=is_spare)

    def going_on(self, pod: str, run_id: str | None = None) -> Job | None:
        """Return a trial that is running unwatched on a pod; only of `run_id`, if given."""
        with self._changed:
            if (job := self.assigned.running_on(pod, run_id)) is not None:
                self.assigned.watch(job)
            return job

    def begin(self, pod: str, *, is_spare: bool, run_id: str | None = None) -> Job | None:
        """Return a trial that is to be begun, in a new run or in `run_id`; `quiet` is held."""
        if self._error is not None:
            return None
        if (again := self.assigned.next_again()) is not None:
            return self._begin(again, pod, run_id)
        if (cut_off := self.assigned.without_run()) is not None:
            return self._begin(self._study.complete_params(cut_off.number), pod, run_id)
        if self.assigned.left() <= (self.assigned.num_pods if is_spare else 0):
            return None
        return None if self._refusal() else self._begin(self._study.ask(), pod, run_id)

    def _refusal(self) -> MoolaError | None:
        if (refusal := self._may_ask()) is not None and self._error is None:
            self._watcher.on_note(f"no further trial is begun: {refusal.message}")
            self.fail(refusal)
        return refusal

    def _begin(self, trial: Trial, pod: str, run_id: str | None) -> Job:
        """Note the run that is about to be started: only then it may be."""
        run_id = run_id or new_run_id(f"{self._plan.label}-t{trial.number}")
        attempt = Attempt(run_id, pod, is_packed=self._plan.is_packed)
        earlier = previous_on((*trial.attempts, attempt), pod)
        self._study.note_attempt(trial.number, attempt)
        trial = self._study.trial(trial.number)
        self._watcher.on_trial(trial, "again" if len(trial.attempts) > 1 else "begun")
        job = Job(trial, attempt, earlier, is_new=True)
        self.assigned.watch(job)
        return job

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended."""
        return self.assigned.is_over()

    def report(self, job: Job, step: int, value: float) -> bool:
        """Take an intermediate value; return whether the run is to be cancelled."""
        with self._changed:
            number = job.trial.number
            is_pruned = self._study.report(number, step, value)
            self._watcher.on_step(job.trial, step, value)
            if is_pruned:
                self._study.note(number, "why", f"pruned at {step}")
            return is_pruned

    def complete(self, job: Job, score: Score, seconds: float) -> None:
        """Record the score of a trial."""
        with self._changed:
            self._report(job, "complete", seconds, score)
            is_first = sum(one.state == "complete" for one in self._study.trials()) == 1
            if is_first and (note := noise_note(score, self._plan.goal.name)):
                self._watcher.on_note(note)

    def cancelled(self, job: Job, why: str, seconds: float) -> None:
        """Record a cancelled run: by us, which prunes its trial, with the sweep, or by the user."""
        with self._changed:
            noted, over = self._study.trial(job.trial.number).why, self._may_ask()
            if noted.startswith("pruned"):
                self._report(job, "pruned", seconds, why=noted)
            elif isinstance(over, JobCancelledError):
                self.fail(over)
                self._study.note(job.trial.number, "why", WITH_SWEEP)
                self.again(job, WITH_SWEEP)
            elif noted == WITH_SWEEP:
                self.again(job, noted)
            else:
                self._report(job, "failed", seconds, why=why)

    def failed(self, job: Job, why: str, seconds: float) -> None:
        """Record that a trial failed by itself; its parameters are not tried again."""
        self._report(job, "failed", seconds, why=why)
        with self._changed:
            if err := failure_of(self._plan.sweep_id, self._study.trials(), job, why):
                self.fail(err)

    def again(self, job: Job, why: str) -> None:
        """Start a trial again, whose run the machine ended, on whichever pod is free."""
        with self._changed:
            self.assigned.repeat(job.trial.number)
            what = why if why == WITH_SWEEP else f"lost, {why}"
            self._watcher.on_trial(self._study.trial(job.trial.number), what)
            self._changed.notify_all()

    def release(self, job: Job) -> None:
        """Let go of a run, which keeps running unwatched."""
        with self._changed:
            self.assigned.release(job.trial.number)
            self._changed.notify_all()

    def _report(
        self, job: Job, state: State, seconds: float, score: Score | None = None, why: str = ""
    ) -> None:
        with self._changed:
            number = job.trial.number
            self._study.note(number, "seconds", self._study.trial(number).seconds + seconds)
            self._study.tell(number, state, score, why)
            self.assigned.release(number)
            self._watcher.on_trial(self._study.trial(number), state)
            self._changed.notify_all()

    def lose_pod(self, pod: str, err: MoolaError, *, is_gone: bool) -> None:
        """Drop a pod: its runs are lost where it is gone, else out of sight."""
        with self._changed:
            if self.assigned.lose(pod, err, is_gone=is_gone):
                self._watcher.on_note(f"pod {pod} is no longer used: {behind_pod(pod, str(err))}")
                self._changed.notify_all()

    def check_end(self) -> None:
        """Raise what ended the sweep, where that was not its last trial.

        Raises:
            MoolaError: of a limit, of failed trials, or of a pod that is out of reach.
        """
        with self._changed:
            if self._error is not None:
                raise self._error
            if (away := self.assigned.away()) and not self.is_over:
                raise away[0]

    def fail(self, err: BaseException) -> None:
        """End the sweep for now: no further trial is begun, and runs that go on are left alone."""
        with self._changed:
            self._error = self._error or err
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether no further trial is begun."""
        return self._error is not None

    def trials(self) -> list[Trial]:
        """Return every trial, by number."""
        with self._changed:
            return self._study.trials()

    def quiet(self) -> threading.Condition:
        """Return the lock under which nothing is written to the journal."""
        return self._changed
