"""A worker of a sweep: what it starts when nothing is left of the budget, and a full disk."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

import pytest

from moola_remote.errors import LimitError
from moola_remote.follow.whole_run import WholeRun
from moola_remote.pods.pod import Pod
from moola_remote.protocol.state import read_state
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.runner import Runner, Station
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Attempt, Job, Trial
from tests.remote.sweep.test_coordinator import Heard
from tests.remote.sweep.test_study import plan_of


def runner_of(tmp_path: Path, deployed: Any = None) -> tuple[Runner, Job]:
    """A worker with a budget of nothing, and the first trial that it would do."""
    plan, watcher = plan_of(), Heard()
    study = Study(tmp_path / "study.journal", plan, is_writing=True)
    coordinator = Coordinator(study, plan, watcher)
    coordinator.join("local")
    job = coordinator.take("local")
    assert job is not None
    station = Station("local", deployed)
    return Runner(Pod("local"), station, plan, coordinator, watcher, left_usd=lambda: 0.0), job


def test_a_trial_is_not_begun_again_when_nothing_is_left(tmp_path: Path) -> None:
    runner, job = runner_of(tmp_path)
    with pytest.raises(LimitError, match=f"{job.attempt.run_id} is not started"):
        runner._start([job])


@pytest.mark.parametrize("is_unknown", [False, True])
def test_a_run_that_was_started_before_is_followed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_unknown: bool
) -> None:
    runner, job = runner_of(tmp_path)
    noted = Job(job.trial, Attempt(job.attempt.run_id, "local"), None, is_new=False)
    started: list[object] = []
    monkeypatch.setattr(WholeRun, "is_unknown", lambda *_: is_unknown)
    monkeypatch.setattr(WholeRun, "start", lambda *words: started.append(words))
    if is_unknown:
        with pytest.raises(LimitError):
            runner._start([noted])
    else:
        runner._start([noted])
    assert bool(started) is not is_unknown


def test_no_other_worker_of_a_pod_whose_disk_is_full_takes_the_trial_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, job = runner_of(tmp_path)
    reason = "exit code 1; not even 16 MB can be written on the pod, No space left on device"
    state = read_state({"run_id": job.attempt.run_id, "state": "FAILED", "reason": reason})
    for name, answer in (("_start", None), ("_follow", state), ("_fetch", None)):
        monkeypatch.setattr(Runner, name, lambda *_, answer=answer: answer)
    taken: list[Future[Job | None]] = []
    with ThreadPoolExecutor() as threads:

        def on_trial(trial: Trial, what: str) -> None:
            if what.startswith("lost"):  # another worker wakes before this one goes on
                taken.append(threads.submit(runner.coordinator.poll, "local"))
                wait_for(taken, 0.3)

        monkeypatch.setattr(runner.coordinator._watcher, "on_trial", on_trial)
        with pytest.raises(LimitError, match="not even 16 MB"):
            runner._do([job])
    assert [one.result() for one in taken] == [None]
    runner.coordinator.join("other")
    again = runner.coordinator.poll("other")
    assert again
    assert (again.trial.number, again.is_new) == (job.trial.number, True)
