"""Drive a sweep: workers a pod, all in this process, until nothing is left to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moola_remote.errors import (
    JobCancelledError,
    MoolaError,
    PodGoneError,
    UnreachableError,
    behind_pod,
)
from moola_remote.follow.reconnect import PATIENCE_S, persist
from moola_remote.pods.pod import Pod
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.money import Budget
from moola_remote.sweep.plan import Plan, SweepFolder
from moola_remote.sweep.runner import Runner, Station
from moola_remote.sweep.study import Study
from moola_remote.sweep.watcher import Watcher

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed

# Runs given to a GPU at once: one runs, one waits, so that no GPU waits for the laptop.
DEPTH = 2
POLL_S = 0.5
# How long a pod is tried for that is out of reach at the very beginning.
DEPLOY_S = 60.0
# The laptop's line is one: so many pods are sent code and data at once.
DEPLOYS = threading.BoundedSemaphore(4)


@dataclass(frozen=True)
class Crew:
    """What a sweep works with.

    Attributes:
        deploy: has code and data on the pod of this name; called from its own thread.
        watcher: called with what happens.
        bring_up: has the pod of this name up.
        share: the pods of these names are up, and no other will be: their shares of the budget.
        release: the pod of this name has nothing left to do; called from its own thread.
        lose: the pod of this name is gone for good; likewise.
        budget: what may be spent.
        secrets: values for the jobs.
        patience_s: how long a pod may be out of reach.
    """

    deploy: Callable[[str], Deployed]
    watcher: Watcher
    bring_up: Callable[[str], None] = lambda _: None
    share: Callable[[Sequence[str]], None] = lambda _: None
    release: Callable[[str], None] = lambda _: None
    lose: Callable[[str], None] = lambda _: None
    budget: Budget | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    patience_s: float = PATIENCE_S


def drive(folder: SweepFolder, plan: Plan, crew: Crew) -> Coordinator:
    """Do what is left of a sweep; the caller holds its folder.

    Args:
        folder: of the sweep.
        plan: of the sweep.
        crew: what it works with.

    Returns:
        The coordinator, once no worker is left; `check_end` says how it ended.

    Raises:
        MoolaError: the sweep can't be driven on; runs that were started keep running.
    """
    study = Study(folder.journal, plan, is_writing=True)

    cancelled = JobCancelledError(f"sweep {plan.sweep_id}: cancelled")

    def may_ask() -> MoolaError | None:
        if folder.cancelled.exists():
            return cancelled
        return crew.budget.refusal(coordinator.trials()) if crew.budget else None

    coordinator = Coordinator(study, plan, crew.watcher, may_ask=may_ask)
    crew.watcher.on_begin(coordinator.trials())
    if coordinator.is_over:
        return coordinator
    num_waiting = sum(one.state == "waiting" for one in coordinator.trials())
    try:
        chiefs: list[threading.Thread] = []
        for index, name in enumerate(plan.pods):
            try:
                crew.bring_up(name)
            except MoolaError as err:
                coordinator.lose_pod(name, err, is_gone=False)
                continue
            share = num_waiting // len(plan.pods) + (index < num_waiting % len(plan.pods))
            team = Team(name, plan, coordinator, crew, share if plan.is_static else 0)
            chiefs.append(threading.Thread(target=team.work, name=name, daemon=True))
            chiefs[-1].start()
        crew.share([chief.name for chief in chiefs])
        for chief in chiefs:
            while chief.is_alive():
                chief.join(POLL_S)  # in pieces: Ctrl-C is noticed between them
        if folder.cancelled.exists():
            coordinator.fail(cancelled)  # its last trials may have been cancelled, too
    except BaseException as err:
        coordinator.fail(err)
        coordinator.quiet().acquire()  # held to the end: no half line in the journal
        raise
    return coordinator


@dataclass(frozen=True)
class Team:
    """The workers of one pod: `DEPTH` a GPU.

    Attributes:
        name: of the pod.
        plan: of the sweep.
        coordinator: hands out trials.
        crew: what it works with.
        share: how many trials of a static plan go to the pod's queue at once.
    """

    name: str
    plan: Plan
    coordinator: Coordinator
    crew: Crew
    share: int

    def work(self) -> None:
        """Have the pod ready, do trials until nothing is left for it, release it; never raises."""
        try:
            self._work()
        except BaseException as err:  # noqa: BLE001 - raised again by the caller of `drive`
            self.coordinator.fail(err)

    def _work(self) -> None:
        coordinator = self.coordinator
        try:
            with DEPLOYS:
                deployed = persist(lambda: self.crew.deploy(self.name), self._lost, DEPLOY_S)
        except MoolaError as err:  # what is wrong with one pod is not with the others
            coordinator.lose_pod(self.name, err, is_gone=False)
            if isinstance(err, UnreachableError) and not isinstance(err, PodGoneError):
                return
        else:
            coordinator.join(self.name)
            for worker in self._start(Station(self.name, deployed)):
                worker.join()
        if isinstance(coordinator.assigned.lost(self.name), PodGoneError):
            self.crew.lose(self.name)
        else:
            self.crew.release(self.name)

    def _lost(self, err: UnreachableError) -> None:
        with self.coordinator.quiet():
            if self.coordinator.is_stopped or self.coordinator.is_over:
                raise err
        said = behind_pod(self.name, err.message)
        self.crew.watcher.on_note(f"pod {self.name}: {said}; trying again")

    def _start(self, station: Station) -> list[threading.Thread]:
        threads = []
        num_gpus = max(1, len(station.deployed.facts.gpus))
        for index in range(DEPTH * num_gpus):
            runner = Runner(
                Pod(self.name),
                station,
                self.plan,
                self.coordinator,
                self.crew.watcher,
                dict(self.crew.secrets),
                self.crew.patience_s,
                self.crew.budget.left if self.crew.budget else lambda: None,
            )
            words = {"share": 0 if index else self.share, "is_spare": index >= num_gpus}
            name = f"{self.name}-{index}"
            threads.append(
                threading.Thread(target=runner.work, kwargs=words, name=name, daemon=True)
            )
        for thread in threads:
            thread.start()
        return threads
