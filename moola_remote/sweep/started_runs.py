"""The runs that a sweep has started, from this laptop's notes: the first spec, and cancelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from moola_remote.agent_client import verbs
from moola_remote.config.paths import LaptopPaths
from moola_remote.errors import ConfigError, MoolaError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.spec import Spec
from moola_remote.sweep.cluster import read_cluster
from moola_remote.sweep.plan import Plan, SweepFolder
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Trial


def first_spec(laptop: LaptopPaths, folder: SweepFolder, plan: Plan) -> Spec | None:
    """Return the spec of the first run of a sweep; None where none was begun."""
    if not folder.journal.exists():
        return None
    if cluster := read_cluster(folder):
        return _noted(laptop, cluster.driver.pod, cluster.driver.run_id)
    for trial in Study(folder.journal, plan, is_writing=False).trials():
        for attempt in trial.attempts:
            if spec := _noted(laptop, attempt.pod, attempt.run_id):
                return spec
    return None


def _noted(laptop: LaptopPaths, pod: str, run_id: str) -> Spec | None:
    path = laptop.journal(pod, run_id) / "spec.json"
    with suppress(OSError, ConfigError):
        return Spec.read(path.read_bytes(), str(path))
    return None


def cancel_runs(pod: Pod, trials: Sequence[Trial]) -> Iterator[str]:
    """Cancel the runs of trials that have not ended, the newest first; yield a line about each.

    Those that wait in a pod's queue would be started in the place of those before them.

    Args:
        pod: any pod of the project.
        trials: of the sweep.
    """
    going_on = [one for one in reversed(trials) if one.state == "running" and one.attempt]
    for name in dict.fromkeys(trial.attempt.pod for trial in going_on if trial.attempt):
        with pod.other(name) as other:
            for trial in going_on:
                if trial.attempt and trial.attempt.pod == name:
                    yield f"trial {trial.number} on {name}: {_cancel(other, trial.attempt.run_id)}"


def _cancel(pod: Pod, run_id: str) -> str:
    try:
        return verbs.cancel(pod.agent, run_id).state.state
    except MoolaError as err:
        return f"not cancelled, {err}"
