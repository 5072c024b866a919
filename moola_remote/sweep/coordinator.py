"""Coordination of a sweep's workers: trials handed out, their ends recorded in the study.

Every method may be called from any thread. The study's journal is the record: after a crash a new
coordinator continues from it and from the states of the runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from moola_remote.errors import MoolaError
from moola_remote.protocol.spec import new_run_id
from moola_remote.sweep.assignment import Assignment, previous_on
from moola_remote.sweep.ends import Ends
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Attempt, Job, Trial
from moola_remote.sweep.watcher import Watcher


class Coordinator:
    """Hands out the trials of one sweep.

    Args:
        study: asked for trials and written here alone.
        plan: of the sweep.
        watcher: called with what happens.
        may_ask: whether one trial more may be begun; a reason not to, or None.

    Attributes:
        ends: records what comes of the trials.
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
        self._assigned = Assignment(study, plan.trials)
        self._error: BaseException | None = None
        self.ends = Ends(study, plan, watcher, self)

    def join(self, pod: str) -> None:
        """Add a pod that is ready for trials."""
        with self._changed:
            self._assigned.join(pod)

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
                job = self.poll(pod, is_spare=is_spare)
                if job is not None:
                    return job
                if self._error is not None or self._assigned.is_idle(
                    pod, has_price=self._plan.then is not None
                ):
                    return None
                self._changed.wait(1.0)

    def poll(self, pod: str, *, is_spare: bool = False) -> Job | None:
        """Return what a worker of a pod does next; None where there is nothing now."""
        with self._changed:
            job = self._assigned.running_on(pod) or self._to_begin(pod, is_spare=is_spare)
            if job is not None:
                self._assigned.watch(job)
            return job

    def take_pack(self, pod: str, slots: int, *, is_spare: bool = False) -> list[Job]:
        """Return what `take` does with the other trials of the same run; empty at the end.

        Args:
            pod: its name.
            slots: among which the trials that are left are shared out: GPUs of all pods.
            is_spare: see `take`.
        """
        with self._changed:
            first = self.take(pod, is_spare=is_spare)
            if first is None:
                return []
            if self._plan.pack == 1:
                return [first]
            run_id, fair = first.attempt.run_id, -(-(self._assigned.left() + 1) // slots)
            if not first.is_new:
                return [first, *self._assigned.running_in(run_id)]
            jobs = [first]
            while len(jobs) < min(self._plan.pack, fair):
                job = self._to_begin(pod, is_spare=is_spare, run_id=run_id)
                if job is None:
                    break
                self._assigned.watch(job)
                jobs.append(job)
            return jobs

    def claim(self, pod: str, count: int, most: int = 1) -> list[list[Job]]:
        """Begin up to `count` trials of a static plan for a pod, up to `most` a run.

        `release` each once its run is started.
        """
        with self._changed:
            packs: list[list[Job]] = []
            for number in range(count):
                if self._assigned.left() <= 0 or self.is_stopped or self._refusal() is not None:
                    break
                pack = [] if number % most == 0 else packs[-1]
                run_id = pack[0].attempt.run_id if pack else None
                pack.append(self._begin(self._study.ask(), pod, run_id))
                self._assigned.watch(pack[-1])
                packs += [pack] if len(pack) == 1 else []
            return packs

    def _to_begin(self, pod: str, *, is_spare: bool, run_id: str | None = None) -> Job | None:
        if self._error is not None:
            return None
        again = self._assigned.next_again()
        if again is not None:
            return self._begin(again, pod, run_id)
        cut_off = self._assigned.without_run()
        if cut_off is not None:
            return self._begin(self._study.complete_params(cut_off.number), pod, run_id)
        if self._assigned.left() <= (self._assigned.num_pods if is_spare else 0):
            return None
        return None if self._refusal() else self._begin(self._study.ask(), pod, run_id)

    def _refusal(self) -> MoolaError | None:
        refusal = self._may_ask()
        if refusal is not None and self._error is None:
            self._error = refusal
            self._watcher.on_note(f"no further trial is begun: {refusal.message}")
            self._changed.notify_all()
        return refusal

    def _begin(self, trial: Trial, pod: str, run_id: str | None = None) -> Job:
        """Note the run that is about to be started: only then it may be."""
        run_id = run_id or new_run_id(f"{self._plan.label}-t{trial.number}")
        attempt = Attempt(run_id, pod, is_packed=self._plan.pack > 1)
        earlier = previous_on((*trial.attempts, attempt), pod)
        self._study.note_attempt(trial.number, attempt)
        trial = self._study.trial(trial.number)
        self._watcher.on_trial(trial, "again" if len(trial.attempts) > 1 else "begun")
        return Job(trial, attempt, earlier, is_new=True)

    def lost(self, pod: str) -> MoolaError | None:
        """Return why a pod takes no part any more; None where it does, or has ended its part."""
        return self._assigned.why_away(pod)

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended."""
        return self._assigned.is_over()

    def release(self, job: Job) -> None:
        """Let go of a run, which keeps running unwatched."""
        with self._changed:
            self._assigned.release(job.trial.number)
            self._changed.notify_all()

    def lose_pod(self, pod: str, err: MoolaError, *, is_gone: bool) -> None:
        """Drop a pod: its runs are lost where it is gone, else out of sight."""
        with self._changed:
            if not self._assigned.lose(pod, err, is_gone=is_gone):
                return
            self._watcher.on_note(f"pod {pod} takes no part any more: {err}")
            self._changed.notify_all()

    def check_end(self) -> None:
        """Raise what ended the sweep, where that was not its last trial.

        Raises:
            MoolaError: of a limit, of failed trials, or of a pod that is out of reach.
        """
        with self._changed:
            if self._error is not None:
                raise self._error
            away = self._assigned.away()
            if away and not self.is_over:
                raise away[0]

    def fail(self, err: BaseException) -> None:
        """End the sweep for now: no further trial is begun, and active runs are left alone."""
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

    def settle(self, number: int, *, is_repeated: bool = False) -> None:
        """Note that a trial has ended, or is to be started again, and wake the workers."""
        (self._assigned.repeat if is_repeated else self._assigned.release)(number)
        self._changed.notify_all()

    def quiet(self) -> threading.Condition:
        """Return the lock under which nothing is written to the journal."""
        return self._changed
