"""What ``--dry-run`` expects of time and money: trials x seconds x price, with the uncertainty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from moola_remote.config.settings import Project
from moola_remote.sweep.estimate import Estimate, estimate
from tests.remote.sweep.test_study import plan_of


def fetched(results: Path, name: str, seconds: float, **spec: object) -> Path:
    """A run that succeeded and took so long."""
    folder = results / name
    folder.mkdir(parents=True)
    asked = {"run_id": name, "argv": ["python", "train.py"], **spec}
    (folder / "spec.json").write_text(json.dumps(asked))
    state = {"run_id": name, "state": "SUCCEEDED", "started_at": 100.0, "ended_at": 100.0 + seconds}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def test_trials_times_seconds_times_price() -> None:
    plan = structs.replace(plan_of(trials=60), pods=["a", "b"])
    words = Estimate(5, 30.0, 60.0, 120.0).words(plan, 0.5)
    assert words == (
        "about 30m 00s (15m 00s to 1h 00m): 60 trials x 1m 00s, as in 5 earlier ones, on 2 pods; "
        "$0.50 ($0.25 to $1.00) at $0.50/h a pod"
    )
    assert "$" not in Estimate(5, 30.0, 60.0, 120.0).words(plan, None)


def test_earlier_runs_count_and_a_packed_one_by_its_trials(tmp_path: Path) -> None:
    project = Project(folder=tmp_path, results=Path("results"))
    plan = structs.replace(plan_of(), recipe="quick")
    assert estimate(project, plan) is None
    fetched(tmp_path / "results", "a", 40.0, recipe="quick")
    fetched(tmp_path / "results", "b", 900.0, recipe="other")
    packed = fetched(tmp_path / "results", "c", 100.0, recipe="quick")
    for number, end in enumerate(
        ({"exit_code": 0, "seconds": 8.0}, {"exit_code": 1, "seconds": 1.0})
    ):
        (packed / "trials" / str(number)).mkdir(parents=True)
        (packed / "trials" / str(number) / "end.json").write_text(json.dumps(end))
    found = estimate(project, plan)
    assert found is not None
    assert (found.num_runs, found.low_s, found.high_s) == (2, 8.0, 40.0)
    assert found.median_s == pytest.approx(24.0)


def test_without_a_recipe_runs_of_the_same_script_count_whatever_it_was_given(
    tmp_path: Path,
) -> None:
    project = Project(folder=tmp_path, results=Path("results"))
    plan = structs.replace(plan_of(), recipe=None, command=["python", "train.py", "{x}"])
    fetched(tmp_path / "results", "a", 40.0, argv=["python", "train.py", "0.1"])
    fetched(tmp_path / "results", "b", 900.0, argv=["python", "other.py", "0.1"])
    fetched(tmp_path / "results", "c", 900.0, argv=["python", "train.py"], recipe="quick")
    assert estimate(project, plan) == Estimate(1, 40.0, 40.0, 40.0)
