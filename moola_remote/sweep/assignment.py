"""Assignment of a sweep's trials to pods, without locks and without an end of its own."""

from __future__ import annotations

from collections.abc import Sequence

from moola_remote.errors import MoolaError
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import SETTLED, Attempt, Job, Trial


class Assignment:
    """Which pods take part, and which trials no worker watches; the caller holds a lock.

    Args:
        study: read here, never written.
        num_trials: of the whole sweep.
    """

    def __init__(self, study: Study, num_trials: int) -> None:
        self._study = study
        self._num_trials = num_trials
        self._watched: set[int] = set()
        self._again: list[int] = []
        self._pods: set[str] = set()
        self._away: dict[str, MoolaError] = {}

    @property
    def num_pods(self) -> int:
        """How many pods are ready for trials."""
        return len(self._pods)

    def join(self, pod: str) -> None:
        """Add a pod that is ready for trials."""
        self._pods.add(pod)
        self._away.pop(pod, None)

    def lose(self, pod: str, err: MoolaError, *, is_gone: bool) -> bool:
        """Drop a pod; return False where it was dropped before.

        Args:
            pod: its name.
            err: why it is no longer used.
            is_gone: whether its runs are lost and their trials are to be repeated.
        """
        if pod in self._away:
            return False
        self._pods.discard(pod)
        self._away[pod] = err
        for trial in self._study.trials():
            if trial.state == "running" and trial.attempt and trial.attempt.pod == pod:
                self._watched.discard(trial.number)
                if is_gone and trial.number not in self._again:
                    self._again.append(trial.number)
        return True

    def away(self) -> list[MoolaError]:
        """Return why pods were dropped: those first that trials wait for, in order."""
        running = [one.attempt for one in self._study.trials() if one.state == "running"]
        waited_for = {attempt.pod for attempt in running if attempt}
        return [
            self._away[pod] for pod in sorted(self._away, key=lambda pod: pod not in waited_for)
        ]

    def watch(self, job: Job) -> None:
        """Note that a worker watches the run of this trial."""
        self._watched.add(job.trial.number)

    def release(self, number: int) -> None:
        """Note that no worker watches the run of this trial."""
        self._watched.discard(number)

    def repeat(self, number: int) -> None:
        """Have a trial started again, on whichever pod is free."""
        self._watched.discard(number)
        if number not in self._again:
            self._again.append(number)

    def next_again(self) -> Trial | None:
        """Return the next trial that is to be started again; it is returned once."""
        return self._study.trial(self._again.pop(0)) if self._again else None

    def lost(self, pod: str) -> MoolaError | None:
        """Return why a pod was dropped; None where it was not."""
        return self._away.get(pod)

    def running_on(self, pod: str, run_id: str | None = None) -> Job | None:
        """Return an unwatched run of this pod: of before a crash, or of a static plan.

        Args:
            pod: its name.
            run_id: the only run that counts; None is any.
        """
        for trial in self._unwatched():
            attempt = trial.attempt
            if not attempt or run_id not in (None, attempt.run_id):
                continue
            if attempt.pod == pod and trial.number not in self._again:
                return Job(trial, attempt, previous_on(trial.attempts, pod), is_new=False)
        return None

    def without_run(self) -> Trial | None:
        """Return a trial that was cut off before a run was noted for it."""
        return next((trial for trial in self._unwatched() if trial.attempt is None), None)

    def left(self) -> int:
        """Return how many trials were not asked yet."""
        return self._num_trials - sum(one.state != "waiting" for one in self._study.trials())

    def is_idle(self, pod: str, *, is_left: bool) -> bool:
        """Return whether a pod can get no other trial.

        Args:
            pod: its name.
            is_left: what others are at, and may lose, is left to them: to wait would cost money.
        """
        if pod in self._away:
            return True
        if self.left() > 0 or self._again:
            return False
        running = [one.attempt for one in self._study.trials() if one.state == "running"]
        busy = {attempt.pod if attempt else pod for attempt in running} - set(self._away)
        return not busy or (is_left and pod not in busy)

    def is_over(self) -> bool:
        """Return whether every trial has ended."""
        return self.left() <= 0 and all(one.state in SETTLED for one in self._study.trials())

    def _unwatched(self) -> list[Trial]:
        trials = self._study.trials()
        return [one for one in trials if one.state == "running" and one.number not in self._watched]


def previous_on(attempts: Sequence[Attempt], pod: str) -> Attempt | None:
    """Return the run before the newest one, where it was on the same pod."""
    before = attempts[-2] if len(attempts) > 1 else None
    return before if before and before.pod == pod else None
