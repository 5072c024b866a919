"""A worker: starts a trial's run on one pod, follows it to its end, fetches and tells.

Each step can be repeated, and is, over any number of lost connections: a run is started once for
each id, the stream goes on where it was cut, and what was fetched is not fetched twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic_core import from_json

from moola_remote.agent_client import verbs
from moola_remote.deploy.deploy import deploy
from moola_remote.errors import (
    ConfigError,
    MoolaError,
    NoCheckpointError,
    PodGoneError,
    TransferError,
    UnreachableError,
)
from moola_remote.follow.follower import Listener, follow
from moola_remote.follow.journal import Journal
from moola_remote.follow.reconnect import BACKOFF_S, Link, Outage
from moola_remote.pods.pod import Pod
from moola_remote.protocol.events import EpochEvent, Event
from moola_remote.protocol.manifest import STATE
from moola_remote.protocol.spec import Spec
from moola_remote.protocol.state import RunState, read_state
from moola_remote.results.fetch import What, fetch_run
from moola_remote.runs.hooks import run_hook
from moola_remote.runs.launch import RunRequest, environment_of, limits_of, submit
from moola_remote.runs.local_state import notes_of
from moola_remote.sweep.command import trial_argv
from moola_remote.sweep.coordinator import Coordinator, Watcher
from moola_remote.sweep.objective import read_score, score_of_epoch
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.trial import Job
from moola_remote.sweep.verdict import judge

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed

Answer = TypeVar("Answer")
# A pod may be out of reach for so long before its worker gives up.
PATIENCE_S = 600.0


@dataclass(frozen=True)
class _Patience:
    """See `reconnect.Patience`."""

    give_up_s: float | None
    backoff_s: Sequence[float] = BACKOFF_S


def persist(
    call: Callable[[], Answer], on_lost: Callable[[UnreachableError], None], patience_s: float
) -> Answer:
    """Repeat `call` over lost connections.

    Args:
        call: can be repeated.
        on_lost: called after each failure; may raise it.
        patience_s: of being out of reach, before it is given up.

    Raises:
        UnreachableError: the pod is gone, or was out of reach for too long.
    """
    outage = Outage(_Patience(patience_s))
    while True:
        try:
            return call()
        except UnreachableError as err:
            outage.add(err)
            on_lost(err)
        time.sleep(outage.wait_s())


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
        watcher: told notices.
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
                for claimed in coordinator.claim(name, share):
                    self._persist(partial(self._start, claimed))
                    coordinator.release(claimed)
                while (job := coordinator.take(name, is_spare=is_spare)) is not None:
                    self._do(job)
        except PodGoneError as err:
            coordinator.lose_pod(name, err, is_gone=True)
        except UnreachableError as err:
            coordinator.lose_pod(name, err, is_gone=False)
        except BaseException as err:  # noqa: BLE001 - raised again by who waits for the end
            coordinator.fail(err)

    def _do(self, job: Job) -> None:
        """Bring one run to its end, and tell it."""
        run_id, name = job.attempt.run_id, self.station.name
        state = self._fetched_state(run_id)
        if state is None:
            seen = self.station.deployed
            try:
                self._persist(lambda: self._start(job))
                state = self._follow(job)
            except ConfigError as err:
                if not self._is_unknown(run_id):
                    raise
                self.station.deploy_again(self.pod, seen)
                self.coordinator.again(job, f"pod {name} does not know it any more: {err.message}")
                return
        verdict = judge(state, len(job.trial.attempts))
        if verdict.kind == "again":
            self.coordinator.again(job, verdict.why)
            return
        folder = self._fetch(state)
        self._finish(state)
        seconds = state.took_s or 0.0
        if verdict.kind == "succeeded":
            self._judge_score(job, folder, seconds)
        elif verdict.kind == "cancelled":
            self.coordinator.cancelled(job, verdict.why, seconds)
        else:
            self.coordinator.failed(job, verdict.why, seconds)

    def _judge_score(self, job: Job, folder: Path, seconds: float) -> None:
        score = read_score(folder, self.plan.goal.name, self.plan.metric)
        if score is not None:
            self.coordinator.complete(job, score, seconds)
            return
        where = "line of its log" if self.plan.metric else "result.json or event"
        self.coordinator.failed(job, f"no {where} has a finite {self.plan.goal.name}", seconds)

    def _start(self, job: Job) -> RunState:
        """Start the run, or learn how it stands: its id is started once."""
        request = RunRequest(
            label=self.plan.label,
            recipe=self.plan.recipe,
            secrets=self.secrets,
            env=self.plan.env,
            max_time_s=self.plan.max_time_s,
            max_cost_usd=self.left_usd() or None,
        )
        spec = self._spec(job, request)
        try:
            return submit(self.pod, spec, request)
        except NoCheckpointError:
            return submit(self.pod, spec.changed(parent=None), request)

    def _spec(self, job: Job, request: RunRequest) -> Spec:
        """Return the spec that was noted before the run was started first, else make it."""
        run_id, deployed = job.attempt.run_id, self.station.deployed
        if not job.is_new:
            noted = notes_of(self.pod, run_id).spec
            with suppress(OSError, ConfigError):
                return Spec.read(noted.read_bytes(), str(noted))
        return Spec.new(
            run_id,
            trial_argv(self.pod.project, self.plan, job.trial.params),
            trees=deployed.trees,
            recipe=request.recipe,
            parent=job.earlier.run_id if job.earlier else None,
            source=deployed.plan.source,
            machine=deployed.machine,
            price_per_hour=self.pod.endpoint.price_per_hour,
            limits=limits_of(self.pod, request),
            env=environment_of(deployed, request),
            packages=deployed.environment.packages,
            on_finish=self.pod.project.on_finish.pod,
            sweep=self.plan.sweep_id,
            trial=job.trial.number,
        )

    def _follow(self, job: Job) -> RunState:
        """Follow the run to its end; report epochs, and cancel where the study prunes."""
        run_id = job.attempt.run_id

        def on_event(event: Event) -> None:
            if not isinstance(event, EpochEvent):
                return
            value = score_of_epoch(event, self.plan.goal.name)
            if value is not None and self.coordinator.report(job, event.epoch, value):
                verbs.cancel(self.pod.agent, run_id)

        def on_notice(text: str) -> None:
            self.watcher.on_note(f"trial {job.trial.number}: {text}")

        listener = Listener(on_event=on_event, on_notice=lambda notice: on_notice(notice.text))
        agent = self._persist(lambda: self.pod.agent)
        link = Link(agent, self.pod.reach, give_up_s=self.patience_s)
        with Journal(self.pod.laptop.journal(self.pod.name, run_id)) as journal:
            return follow(link, run_id, journal, listener, replay=True)

    def _fetch(self, state: RunState) -> Path:
        """Fetch what an ended run left, verified; of one that did not succeed, what there is."""
        results = self.pod.project.results_folder
        what: What = "all" if self.plan.then else "results"

        def fetch() -> None:
            fetch_run(self.pod.transport, self.pod.agent, state.run_id, results, what=what)

        try:
            self._persist(fetch)
        except TransferError:
            if state.state == "SUCCEEDED":
                raise
        return results / state.run_id

    def _fetched_state(self, run_id: str) -> RunState | None:
        """Return how a run ended that is here already, as before a crash."""
        folder = self.pod.project.results_folder / run_id
        with suppress(OSError, ValueError, MoolaError):
            state = read_state(from_json((folder / STATE).read_bytes()))
            return state if state.state == "SUCCEEDED" and state.run_id == run_id else None
        return None

    def _is_unknown(self, run_id: str) -> bool:
        known = self._persist(lambda: verbs.list_runs(self.pod.agent))
        return all(state.run_id != run_id for state in known)

    def _finish(self, state: RunState) -> None:
        notes = notes_of(self.pod, state.run_id)
        notes.keep_state(state)
        run_hook(notes, state, self.watcher.on_note)

    def _persist(self, call: Callable[[], Answer]) -> Answer:
        """Repeat `call` over lost connections, see `persist`."""

        def on_lost(err: UnreachableError) -> None:
            if self.coordinator.is_stopped:
                raise err
            self.pod.forget()

        return persist(call, on_lost, self.patience_s)
