"""``sweep --pack``: several trials a run, in one warm process, and each is judged by itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lanes import HANGS_S
from tests.support.pods import wait_until
from tests.support.projects import PROGRAM
from tests.support.sweeps import SweepProject, make_recipe_project, states_of, sweep_project

pytestmark = [pytest.mark.e2e, pytest.mark.process]


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SweepProject]:
    with sweep_project(tmp_path, tmp_path_factory) as found:
        make_recipe_project(found)
        yield found


def words(project: SweepProject, *more: str, seconds: float = 0) -> tuple[str, ...]:
    """The command line of a packed sweep."""
    env = ("--env", f"MARKS={project.marks}", "--set", f"job.seconds={seconds:g}")
    return ("sweep", *env, *more)


def result(project: SweepProject, trial: dict[str, Any]) -> dict[str, Any]:
    """Return what a trial's last run left of it."""
    run = project.folder / "results" / trial["runs"][-1]["run_id"]
    found: dict[str, Any] = json.loads(
        (run / "trials" / str(trial["trial"]) / "result.json").read_text()
    )
    return found


def check_each_once(project: SweepProject, numbers: list[int]) -> None:
    """Each of these trials reached its end once, and is complete."""
    trials = project.trials()
    for number in numbers:
        assert trials[number]["state"] == "complete", trials[number]
        assert len(project.ended(number)) == 1


def test_trials_share_a_process_and_one_that_dies_costs_no_other(project: SweepProject) -> None:
    done = project.run(*words(project, "--pack", "4", "--grid", "job.x=0.1,0.3,0.5,0.7,0.9"))
    assert done.returncode == 0, done.stderr
    trials = project.trials()
    check_each_once(project, [0, 1, 2, 4])
    assert trials[3]["state"] == "failed"
    assert "exit code 1, ValueError: x is 0.7" in trials[3]["why"]
    assert [len(trial["runs"]) for trial in trials] == [1, 1, 2, 1, 1]
    assert len({trial["runs"][0]["run_id"] for trial in trials[:4]}) == 1
    first, second = (result(project, trial) for trial in trials[:2])
    assert first["pid"] == second["pid"]
    assert result(project, trials[2])["pid"] != first["pid"]
    for trial in (trials[number] for number in (0, 1, 2, 4)):
        assert trial["value"] == pytest.approx(1 - (trial["params"]["job.x"] - 0.3) ** 2)
    assert (project.journal().parent / "report.html").is_file()


def test_a_killed_laptop_goes_on_with_the_run_that_goes_on(project: SweepProject) -> None:
    asked = words(project, "--pack", "3", "--trials", "5", "--try", "job.x=0.0..0.4", seconds=1)
    with project.running(PROGRAM, *asked) as process:
        wait_until(lambda: len(project.begun()) >= 2)
        process.kill()
        process.wait()
    project.ok("sweep", "resume")
    check_each_once(project, list(range(5)))
    assert [len(project.begun(number)) for number in range(5)] == [1] * 5
    assert all(len(trial["runs"]) == 1 for trial in project.trials())


def test_of_a_killed_run_only_what_had_not_ended_is_done_again(project: SweepProject) -> None:
    asked = words(project, "--pack", "3", "--grid", "job.x=0.1,0.2,0.3", seconds=2)
    with project.running(PROGRAM, *asked) as process:
        wait_until(lambda: project.begun(1))
        (state,) = [one for one in states_of(project.pod(1)) if one["state"] == "RUNNING"]
        os.kill(state["job"]["pid"], signal.SIGKILL)
        assert process.wait(timeout=HANGS_S) == 0
    check_each_once(project, [0, 1, 2])
    trials = project.trials()
    assert [len(trial["runs"]) for trial in trials] == [1, 2, 2]
    assert [len(project.begun(number)) for number in range(3)] == [1, 2, 1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--early", "asha", "--try", "job.x=0..1"), "with --pack a run is several trials"),
        (("--try", "training.threads=1,2"), "training.threads: is fixed when a process starts"),
    ],
)
def test_what_a_warm_process_can_not_do_is_refused(
    project: SweepProject, more: tuple[str, ...], said: str
) -> None:
    assert said in project.refused(10, *words(project, "--pack", "2", *more))


def test_a_command_is_not_packed(project: SweepProject) -> None:
    said = project.refused(10, *project.words("--pack", "2"))
    assert "--pack: a command is a process of its own each time" in said
