"""A worker: starts a trial's run on one pod, follows it to its end, fetches and reports.

Each step can be repeated, and is, over any number of lost connections: a run is started once for
each id, the stream continues where it was cut, and what was fetched is not fetched twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moola_remote.agent_client import verbs
from moola_remote.deploy.deploy import deploy
from moola_remote.errors import (
    ConfigError,
    LimitError,
    MoolaError,
    PodGoneError,
    UnreachableError,
    behind_pod,
)
from moola_remote.follow.follower import Listener
from moola_remote.follow.reconnect import PATIENCE_S
from moola_remote.follow.whole_run import WholeRun, fetched_state
from moola_remote.pods.pod import Pod
from moola_remote.protocol.events import EpochEvent, Event
from moola_remote.protocol.spec import Spec
from moola_remote.protocol.state import RunState
from moola_remote.runs.launch import RunRequest, new_spec
from moola_remote.runs.local_state import notes_of
from moola_remote.sweep.command import pack_argv, trial_argv
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.money import require_left
from moola_remote.sweep.objective import score_of_epoch
from moola_remote.sweep.packs import claim_packs, take_pack
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.run_end import report_end
from moola_remote.sweep.trial import Job
from moola_remote.sweep.verdict import has_no_room, judge
from moola_remote.sweep.watcher import Watcher

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed


class Quiet:
    """A deploy that is not shown."""

    def step(self, text: str) -> None:
        """Ignore it."""

    def update(self, name: str, done: int, total: int) -> None:
        """Ignore it."""

    def say(self, line: str) -> None:
        """Ignore it."""


@dataclass
class Station:
    """What the workers of one pod share: what is on it, and the lock to send it again."""

    name: str
    deployed: Deployed
    lock: threading.Lock = field(default_factory=threading.Lock)

    def deploy_again(self, pod: Pod, seen: Deployed) -> None:
        """Send code and data again after the pod lost them, unless another worker has."""
        with self.lock:
            if self.deployed is seen:
                self.deployed = deploy(pod, seen.plan, Quiet())


@dataclass
class Runner:
    """One worker, with a connection of its own.

    Attributes:
        pod: its connection is this worker's alone.
        station: shared with the other workers of the pod.
        plan: of the sweep.
        coordinator: hands out trials.
        watcher: called with notices.
        secrets: values for the jobs.
        patience_s: how long the pod may be out of reach.
        left_usd: what a run may cost at most, kept by its pod; None is no limit.
    """

    pod: Pod
    station: Station
    plan: Plan
    coordinator: Coordinator
    watcher: Watcher
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    patience_s: float = PATIENCE_S
    left_usd: Callable[[], float | None] = lambda: None

    def work(self, *, share: int, is_spare: bool) -> None:
        """Do trials until nothing is left for this pod; never raises.

        Args:
            share: of a static plan, handed to the pod's queue at once.
            is_spare: see `Coordinator.take`.
        """
        coordinator, name = self.coordinator, self.station.name
        try:
            with self.pod:
                gpus = max(1, len(self.station.deployed.facts.gpus))
                most = min(self.plan.pack, -(-share // gpus))
                for claimed in claim_packs(coordinator, name, share, most):
                    self._start(claimed)
                    for job in claimed:
                        coordinator.release(job)
                slots = gpus * len(self.plan.pods)
                pack = self.plan.pack
                while jobs := take_pack(coordinator, name, pack, slots, is_spare=is_spare):
                    self._do(jobs)
        except PodGoneError as err:
            coordinator.lose_pod(name, err, is_gone=True)
        except MoolaError as err:
            if err.is_of_pod or isinstance(err, UnreachableError):
                coordinator.lose_pod(name, err, is_gone=False)
            else:
                coordinator.fail(err)
        except BaseException as err:  # noqa: BLE001 - raised again by the caller of `drive`
            coordinator.fail(err)

    def _do(self, jobs: list[Job]) -> None:
        """Bring one run to its end, and report the trials that it does."""
        run_id, name = jobs[0].attempt.run_id, self.station.name
        folder = self.pod.project.results_folder / run_id
        state = fetched_state(folder)
        if state is None:
            seen = self.station.deployed
            try:
                self._start(jobs)
                state = self._follow(jobs)
            except ConfigError as err:
                if not self._run.is_unknown(run_id):
                    raise
                self.station.deploy_again(self.pod, seen)
                for job in jobs:
                    why = f"pod {name} does not know it any more: {behind_pod(name, err.message)}"
                    self.coordinator.again(job, why)
                return
            self._fetch(state, jobs)
        if not has_no_room(state):
            self._report(jobs, state)
            return
        full = LimitError(
            f"pod {name}: run {run_id}: {state.reason}",
            "remove runs and old code there, or make the volume or its quota larger",
        )
        full.is_of_pod = True
        with self.coordinator.quiet():  # or another worker of this pod takes what is begun again
            self._report(jobs, state)
            self.coordinator.lose_pod(name, full, is_gone=False)
        raise full

    def _report(self, jobs: list[Job], state: RunState) -> None:
        for job in jobs:
            report_end(self.coordinator, self.plan, self.pod.project.results_folder, job, state)

    def _fetch(self, state: RunState, jobs: list[Job]) -> None:
        """Fetch what a run left; what a pod that is to be stopped needs, of lost runs, too."""
        is_lost = all(judge(state, len(job.trial.attempts)).kind == "again" for job in jobs)
        if not is_lost or jobs[0].attempt.is_packed or self.plan.then:
            self._run.fetch(state, "all" if self.plan.then else "results", self.watcher.on_note)

    @property
    def _run(self) -> WholeRun:
        return WholeRun(self.pod, self.patience_s, lambda: self.coordinator.is_stopped)

    def _start(self, jobs: list[Job]) -> None:
        """Start the run, unless it was before: its id is started once.

        Raises:
            LimitError: it was not, and nothing is left of what the sweep may cost.
        """
        left, run_id = self.left_usd(), jobs[0].attempt.run_id
        if jobs[0].is_new or (left == 0 and self._run.is_unknown(run_id)):
            require_left(left, run_id)
        request = RunRequest(
            label=self.plan.label,
            recipe=self.plan.recipe,
            secrets=self.secrets,
            env=self.plan.env,
            max_time_s=self.plan.max_time_s and self.plan.max_time_s * len(jobs),
            max_cost_usd=left or None,
        )
        self._run.start(lambda: self._spec(jobs, request), request)

    def _spec(self, jobs: list[Job], request: RunRequest) -> Spec:
        """Return the spec that was noted before the run was started first, else make it."""
        job, deployed = jobs[0], self.station.deployed
        run_id, is_packed = job.attempt.run_id, job.attempt.is_packed
        if not job.is_new:
            noted = notes_of(self.pod, run_id).spec
            with suppress(OSError, ConfigError):
                return Spec.read(noted.read_bytes(), str(noted))
        return new_spec(
            self.pod,
            deployed,
            request,
            run_id,
            self._argv(jobs),
            on_finish=self.pod.project.on_finish.pod,
            parent=job.earlier.run_id if job.earlier and not is_packed else None,
            sweep=self.plan.sweep_id,
            trial=None if is_packed else job.trial.number,
        )

    def _argv(self, jobs: list[Job]) -> list[str]:
        """Return the command of the run."""
        project, plan = self.pod.project, self.plan
        if jobs[0].attempt.is_packed:
            return pack_argv(project, plan, {job.trial.number: job.trial.params for job in jobs})
        return trial_argv(project, plan, jobs[0].trial.params)

    def _follow(self, jobs: list[Job]) -> RunState:
        """Follow the run to its end; report epochs, and cancel where the study prunes."""
        job = jobs[0]
        run_id = job.attempt.run_id

        def on_event(event: Event) -> None:
            if not isinstance(event, EpochEvent) or job.attempt.is_packed:
                return
            value = score_of_epoch(event, self.plan.goal.name)
            if value is not None and self.coordinator.report(job, event.epoch, value):
                verbs.cancel(self.pod.agent, run_id)

        def on_notice(text: str) -> None:
            self.watcher.on_note(f"trial {job.trial.number}: {text}")

        def on_state(state: RunState) -> None:
            if state.trouble:
                on_notice(state.trouble)

        listener = Listener(
            on_event=on_event, on_state=on_state, on_notice=lambda notice: on_notice(notice.text)
        )
        return self._run.follow(run_id, listener)
