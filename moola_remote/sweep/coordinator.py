"""Assignment of a sweep's trials: handed to pods, their ends recorded in the study.

Every method may be called from any thread. What counts is in the study's journal: after a crash a
new coordinator goes on from it, and from how the runs themselves stand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from moola_remote.errors import JobFailedError, MoolaError
from moola_remote.protocol.spec import new_run_id
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import SETTLED, Attempt, Job, Score, Trial
from moola_remote.sweep.watcher import Watcher

# A sweep is stopped when so many trials failed and none succeeded, or more than half of so many.
FIRST_FAILED = 3
MIN_JUDGED = 6
# Of the 95% interval of a score in 0..1; with 100 windows it is about 0.1.
WIDE = 0.2


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
        self._watched: set[int] = set()
        self._again: dict[int, str] = {}
        self._pods: set[str] = set()
        self._away: dict[str, MoolaError] = {}
        self._error: BaseException | None = None

    def join(self, pod: str) -> None:
        """Add a pod that is ready for trials."""
        with self._changed:
            self._pods.add(pod)
            self._away.pop(pod, None)

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
                if self._error is not None or self._is_idle(pod):
                    return None
                self._changed.wait(1.0)

    def poll(self, pod: str, *, is_spare: bool = False) -> Job | None:
        """Return what a worker of a pod does next; None where there is nothing now."""
        with self._changed:
            job = self._going_on(pod) or self._to_begin(pod, is_spare=is_spare)
            if job is not None:
                self._watched.add(job.trial.number)
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
            jobs = [first] if first is not None else []
            if first is None or self._plan.pack == 1:
                return jobs
            run_id, fair = first.attempt.run_id, -(-(self._left() + 1) // slots)
            while first.is_new and len(jobs) < min(self._plan.pack, fair):
                job = self._to_begin(pod, is_spare=is_spare, run_id=run_id)
                if job is None:
                    break
                self._watched.add(job.trial.number)
                jobs.append(job)
            if not first.is_new:
                jobs += self._going_on_in(run_id)
            return jobs

    def claim(self, pod: str, count: int, most: int = 1) -> list[list[Job]]:
        """Begin up to `count` trials of a static plan for a pod, up to `most` a run.

        `release` each once its run is started.
        """
        with self._changed:
            packs: list[list[Job]] = []
            for number in range(count):
                if self._left() <= 0 or self.is_stopped or self._refusal() is not None:
                    break
                pack = [] if number % most == 0 else packs[-1]
                run_id = pack[0].attempt.run_id if pack else None
                pack.append(self._begin(self._study.ask(), pod, run_id))
                self._watched.add(pack[-1].trial.number)
                packs += [pack] if len(pack) == 1 else []
            return packs

    def _going_on_in(self, run_id: str) -> list[Job]:
        """Return the other trials of a packed run that goes on; they are watched from now on."""
        jobs = []
        for trial in self._running():
            attempt = trial.attempt
            if attempt and attempt.run_id == run_id and trial.number not in self._again:
                self._watched.add(trial.number)
                jobs.append(Job(trial, attempt, None, is_new=False))
        return jobs

    def _going_on(self, pod: str) -> Job | None:
        """Return an unwatched run of this pod: of before a crash, or of a static plan."""
        for trial in self._running():
            attempt = trial.attempt
            if attempt and attempt.pod == pod and trial.number not in self._again:
                return Job(trial, attempt, _earlier(trial.attempts, pod), is_new=False)
        return None

    def _to_begin(self, pod: str, *, is_spare: bool, run_id: str | None = None) -> Job | None:
        if self._error is not None:
            return None
        for number in list(self._again):
            trial = self._study.trial(number)
            del self._again[number]
            return self._begin(trial, pod, run_id)
        for trial in self._running():
            if trial.attempt is None:  # its asking was cut off
                return self._begin(self._study.complete_params(trial.number), pod, run_id)
        if self._left() <= (len(self._pods) if is_spare else 0):
            return None
        refusal = self._refusal()
        if refusal is not None:
            return None
        return self._begin(self._study.ask(), pod, run_id)

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
        earlier = _earlier((*trial.attempts, attempt), pod)
        self._study.note_attempt(trial.number, attempt)
        trial = self._study.trial(trial.number)
        self._watcher.on_trial(trial, "again" if len(trial.attempts) > 1 else "begun")
        return Job(trial, attempt, earlier, is_new=True)

    def _running(self) -> list[Trial]:
        trials = self._study.trials()
        return [one for one in trials if one.state == "running" and one.number not in self._watched]

    def _left(self) -> int:
        """Return how many trials were not asked yet."""
        return self._plan.trials - sum(one.state != "waiting" for one in self._study.trials())

    def _is_idle(self, pod: str) -> bool:
        """Return whether nothing more can come for a pod, or others are there for what may come."""
        if self._left() > 0 or self._again:
            return False
        attempts = [one.attempt for one in self._study.trials() if one.state == "running"]
        busy = {attempt.pod if attempt else pod for attempt in attempts} - set(self._away)
        # With `--then` it would cost something to wait for what the others may lose.
        return not busy or (self._plan.then is not None and pod not in busy)

    def lost(self, pod: str) -> MoolaError | None:
        """Return why a pod takes no part any more; None where it does, or has ended its part."""
        return self._away.get(pod)

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended."""
        trials = self._study.trials()
        return self._left() <= 0 and all(one.state in SETTLED for one in trials)

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
            self._tell(job, "complete", score=score, seconds=seconds)
            is_first = sum(one.state == "complete" for one in self._study.trials()) == 1
            if is_first and score.low is not None and score.high is not None:
                self._warn_of_noise(score.high - score.low)

    def _warn_of_noise(self, width: float) -> None:
        """Say where trials will be ranked by noise."""
        if width > WIDE:
            self._watcher.on_note(
                f"the interval of {self._plan.goal.name} is {width:.2f} wide: trials that differ "
                "by less can't be ranked by so few windows; judge the best few by cross-validation "
                "(jobs.crossval), or validate on more"
            )

    def cancelled(self, job: Job, why: str, seconds: float) -> None:
        """Record that a run was cancelled: by us, which prunes its trial, or by the user."""
        with self._changed:
            noted = self._study.trial(job.trial.number).why
            if noted.startswith("pruned"):
                self._tell(job, "pruned", why=noted, seconds=seconds)
            else:
                self._tell(job, "failed", why=why, seconds=seconds)

    def failed(self, job: Job, why: str, seconds: float) -> None:
        """Record that a trial failed by itself; its parameters are not tried again."""
        self._tell(job, "failed", why=why, seconds=seconds)
        with self._changed:
            trials = [one for one in self._study.trials() if one.state in SETTLED]
            num_failed = sum(one.state == "failed" for one in trials)
            is_hopeless = num_failed == len(trials) >= FIRST_FAILED
            if is_hopeless or (len(trials) >= MIN_JUDGED and 2 * num_failed > len(trials)):
                self.fail(
                    JobFailedError(
                        f"sweep {self._plan.sweep_id}: {num_failed} of {len(trials)} trials "
                        f"failed, the last: {why}",
                        f"moola-remote logs {job.attempt.run_id}",
                    )
                )

    def again(self, job: Job, why: str) -> None:
        """Start a trial again, whose run the machine ended, on whichever pod is free."""
        with self._changed:
            self._watched.discard(job.trial.number)
            self._again[job.trial.number] = why
            self._watcher.on_trial(self._study.trial(job.trial.number), f"lost, {why}")
            self._changed.notify_all()

    def release(self, job: Job) -> None:
        """Let go of a run, which keeps running unwatched."""
        with self._changed:
            self._watched.discard(job.trial.number)
            self._changed.notify_all()

    def _tell(
        self,
        job: Job,
        state: str,
        *,
        score: Score | None = None,
        why: str = "",
        seconds: float = 0.0,
    ) -> None:
        with self._changed:
            number = job.trial.number
            self._study.note(number, "seconds", self._study.trial(number).seconds + seconds)
            self._study.tell(number, state, score, why)  # type: ignore[arg-type]
            self._watched.discard(number)
            self._watcher.on_trial(self._study.trial(number), state)
            self._changed.notify_all()

    def lose_pod(self, pod: str, err: MoolaError, *, is_gone: bool) -> None:
        """Drop a pod: its runs are lost where it is gone, else out of sight."""
        with self._changed:
            if pod in self._away:
                return
            self._pods.discard(pod)
            self._away[pod] = err
            for trial in self._study.trials():
                attempt = trial.attempt
                if trial.state != "running" or attempt is None or attempt.pod != pod:
                    continue
                self._watched.discard(trial.number)
                if is_gone and trial.number not in self._again:
                    self._again[trial.number] = err.message
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
            if not self.is_over and self._away:
                raise next(iter(self._away.values()))

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


def _earlier(attempts: Sequence[Attempt], pod: str) -> Attempt | None:
    """Return the run before the newest one, where it was on the same pod."""
    before = attempts[-2] if len(attempts) > 1 else None
    return before if before and before.pod == pod else None
