"""Drive a sweep over a Ray cluster: start its nodes and driver as runs, follow, fetch, end them.

The driver is an ordinary run on the head's pod: once it is started, no laptop is needed until its
results are fetched. It does what a run of several trials does, in ``trials/NUMBER`` of its folder.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.errors import (
    JobCancelledError,
    JobFailedError,
    MoolaError,
    PodGoneError,
    UnreachableError,
)
from moola_remote.follow.follower import Listener
from moola_remote.follow.whole_run import WholeRun
from moola_remote.pods.pod import Pod
from moola_remote.protocol.state import RunState
from moola_remote.results.selection import What
from moola_remote.runs.launch import RunRequest, new_spec
from moola_remote.sweep.cluster import (
    TOKEN,
    Cluster,
    Member,
    asked_of,
    new_cluster,
    read_cluster,
    write_cluster,
)
from moola_remote.sweep.command import node_argv, ray_argv
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.drive import Crew
from moola_remote.sweep.money import require_left
from moola_remote.sweep.packed import read_all_begun
from moola_remote.sweep.plan import Plan, SweepFolder
from moola_remote.sweep.ray_nodes import NODE_END_S, end_node
from moola_remote.sweep.run_end import report_end
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import SETTLED, Attempt, Job
from moola_remote.sweep.verdict import MAX_ATTEMPTS
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed

NO_GPU = -1


def drive_ray(folder: SweepFolder, plan: Plan, crew: Crew) -> Coordinator:
    """Do what is left of a sweep; the caller holds its folder.

    Args:
        folder: of the sweep.
        plan: of the sweep.
        crew: what it works with.

    Returns:
        The coordinator; `check_end` says how it ended.

    Raises:
        MoolaError: it can't be driven on; runs that were started keep running.
    """
    study = Study(folder.journal, plan, is_writing=True)
    coordinator = Coordinator(study, plan, crew.watcher)
    crew.watcher.on_begin(coordinator.trials())
    driving = Driving(folder, plan, crew, study, coordinator)
    cluster = read_cluster(folder)
    try:
        if cluster is not None and driving.is_unknown(cluster.driver):
            driving.end_nodes(cluster, patience_s=0.0)  # it was to be started last
            cluster = None
        if cluster is None and not coordinator.is_over:
            cluster = driving.begin()
        if cluster is not None:
            driving.finish(cluster)
    except PodGoneError as err:
        if cluster is None:
            raise
        driving.give_up(cluster, err)
    return coordinator


@dataclass
class Driving:
    """One laptop's work at the cluster of a sweep.

    Attributes:
        folder: of the sweep.
        plan: of the sweep.
        crew: what it works with.
        study: takes the trials once the driver has ended.
        coordinator: likewise.
    """

    folder: SweepFolder
    plan: Plan
    crew: Crew
    study: Study
    coordinator: Coordinator
    _deployed: dict[str, Deployed] = field(default_factory=dict)

    def begin(self) -> Cluster | None:
        """Bring pods up, send code and data, start head, workers and driver.

        A pod that can't be used takes no part; the coordinator knows why. Where a run can't be
        started there, the cluster is begun again without it.

        Returns:
            None where no pod is left.

        Raises:
            MoolaError: a run can't be started, whatever the pod.
        """
        hosts = self._hosts()
        while hosts:
            cluster = new_cluster(self.plan, len(self.study.trials()), hosts)
            bad = self._start_all(cluster)
            if bad is None:
                return cluster
            hosts = [one for one in hosts if one[0] != bad]
        return None

    def _start_all(self, cluster: Cluster) -> str | None:
        """Start the runs of a cluster; return the pod that can't, once the others have ended."""
        write_cluster(self.folder, cluster)
        token = secrets.token_hex(32)
        for member in cluster.members:
            try:
                self._start(cluster, member, token)
            except MoolaError as err:
                self.end_nodes(cluster, patience_s=0.0)
                self.folder.cluster.unlink(missing_ok=True)
                if not (err.is_of_pod or isinstance(err, UnreachableError)):
                    raise
                self._drop(member.pod, err)
                return member.pod
            self.crew.watcher.on_note(f"{member.role} on {member.pod}: run {member.run_id}")
        return None

    def _hosts(self) -> list[tuple[str, str]]:
        """Return the pods that are up and have code and data, and what others reach each by."""
        found = [(name, self._bring_up(name)) for name in self.plan.pods]
        hosts = [(name, host) for name, host in found if host is not None]
        self.crew.share([name for name, _ in hosts])
        return [(name, host) for name, host in hosts if self._has_code(name)]

    def _has_code(self, name: str) -> bool:
        """Send a pod code and data; return whether it has them."""
        try:
            self._deployed[name] = self.crew.deploy(name)
        except MoolaError as err:
            self._drop(name, err)
            return False
        return True

    def _drop(self, name: str, err: MoolaError) -> None:
        """Leave a pod out that was brought up, and release it where it can be."""
        self.coordinator.lose_pod(name, err, is_gone=False)
        if isinstance(err, PodGoneError):
            self.crew.lose(name)
        elif not isinstance(err, UnreachableError):
            self.crew.release(name)

    def _bring_up(self, name: str) -> str | None:
        """Return what other pods reach a pod by; None of one that takes no part."""
        try:
            self.crew.bring_up(name)
            with Pod(name) as pod:
                host = pod.endpoint.private_host or ""
            if not host and self.plan.address is None:
                raise UnreachableError(f"pod {name}: has no address for other pods")
        except MoolaError as err:
            self.coordinator.lose_pod(name, err, is_gone=False)
            return None
        return host

    def _start(self, cluster: Cluster, member: Member, token: str) -> None:
        deployed, is_driver = self._deployed[member.pod], member.role == "driver"
        left = self.crew.budget.left() if self.crew.budget else None
        require_left(left, member.run_id)
        max_time_s = self.plan.max_time_s if is_driver else None
        request = RunRequest(
            label=self.plan.label,
            recipe=self.plan.recipe,
            secrets=self._secrets(token),
            env={**self.plan.env, **self._environment(cluster)},
            max_time_s=max_time_s and max_time_s * (self.plan.trials - cluster.first),
            max_cost_usd=left,
        )
        with Pod(member.pod) as pod:
            if is_driver:
                argv = ray_argv(pod.project, self.plan, asked_of(self.plan, cluster))
            else:
                head = None if member.role == "head" else cluster.address
                argv = node_argv(pod.project, member.host, member.port, head)
            more = {"sweep": self.plan.sweep_id, "gpu": NO_GPU if is_driver else None}

            def spec() -> Any:
                on_finish = pod.project.on_finish.pod
                return new_spec(
                    pod, deployed, request, member.run_id, argv, on_finish=on_finish, **more
                )

            WholeRun(pod, self.crew.patience_s).start(spec, request)

    def _secrets(self, token: str) -> dict[str, str]:
        """Return the values for the runs; the token of somebody else's cluster is the user's."""
        own = {} if self.plan.address is not None else {TOKEN: token}
        return {**self.crew.secrets, **own}

    def _environment(self, cluster: Cluster) -> dict[str, str]:
        """Return how Ray's parts find and trust each other."""
        found = {"RAY_ADDRESS": cluster.address, "RAY_USAGE_STATS_ENABLED": "0"}
        if cluster.nodes:
            found["MOOLA_RAY_HOST"] = cluster.nodes[0].host
        if self.plan.address is None or TOKEN in self.crew.secrets:
            found["RAY_AUTH_MODE"] = "token"
        return found

    def is_unknown(self, member: Member) -> bool:
        """Return whether a run was never started."""
        with Pod(member.pod) as pod:
            return WholeRun(pod, self.crew.patience_s).is_unknown(member.run_id)

    def finish(self, cluster: Cluster) -> None:
        """Follow the driver to its end, fetch, take over its trials, end the nodes."""
        driver = cluster.driver
        what: What = "all" if self.plan.then else "results"
        with Pod(driver.pod) as pod:
            run = WholeRun(pod, self.crew.patience_s)
            listener = Listener(on_notice=lambda notice: self.crew.watcher.on_note(notice.text))
            state = run.follow(driver.run_id, listener)
            results = run.fetch(state, what, self.crew.watcher.on_note).parent
        self._take_over(cluster, state, results)
        self.end_nodes(cluster)
        self.folder.cluster.unlink(missing_ok=True)
        for name in dict.fromkeys(member.pod for member in cluster.members):
            self.crew.release(name)
        if state.state != "SUCCEEDED" and not self.coordinator.is_stopped:
            kind = JobCancelledError if state.state == "CANCELLED" else JobFailedError
            why = safe(state.reason or state.state.lower())
            self.coordinator.fail(kind(f"the driver on {driver.pod} ended: {why}"))

    def give_up(self, cluster: Cluster, err: PodGoneError) -> None:
        """End the nodes of a driver whose pod is gone; what a stopped one has can be fetched yet.

        Args:
            cluster: of the driver.
            err: why it is gone.
        """
        self.end_nodes(cluster, patience_s=0.0)
        if err.is_removed:
            self.folder.cluster.unlink(missing_ok=True)
        head = cluster.driver.pod
        for name in dict.fromkeys(node.pod for node in cluster.nodes if node.pod != head):
            self.crew.release(name)
        self.crew.lose(head)
        self.coordinator.fail(err)

    def _take_over(self, cluster: Cluster, state: RunState, results: Path) -> None:
        """Write the driver's trials into the study, each once.

        The newest that were lost with it are left to the next driver, which begins with them.
        """
        driver, first = cluster.driver, len(self.study.trials())
        folder = results / driver.run_id / "trials"
        begun, lost = read_all_begun(folder, range(first, self.plan.trials), state)
        for number in lost:
            self.crew.watcher.on_note(f"trial {number}: lost with the driver, to be done again")
        for one in begun:
            attempt = Attempt(driver.run_id, driver.pod, is_packed=True)
            self.study.adopt(one.params, [attempt] * min(len(one.nodes), MAX_ATTEMPTS))
        for trial in self.study.trials():
            if trial.state not in SETTLED and trial.attempt is not None:
                job = Job(trial, trial.attempt, None, is_new=False)
                report_end(self.coordinator, self.plan, results, job, state)

    def end_nodes(self, cluster: Cluster, patience_s: float = NODE_END_S) -> None:
        """See the nodes end, or cancel them, workers before the head; fetch what they printed."""
        deadline = time.monotonic() + patience_s
        for node in cluster.backwards[1:]:
            end_node(node, deadline, self.plan, self.crew)
