"""A worker of a sweep: what it starts when nothing is left of the budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moola_remote.errors import LimitError
from moola_remote.follow.whole_run import WholeRun
from moola_remote.pods.pod import Pod
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.runner import Runner, Station
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Attempt, Job
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
