"""Sweeps on embedded pods: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet

from moola_remote.providers.local.state import LocalPodFolder
from tests.faults.sweep import place, torment
from tests.support.lanes import HANGS_S
from tests.support.pods import wait_until
from tests.support.projects import PROGRAM
from tests.support.sweeps import JOB_THAT_WAITS, SweepProject, states_of, sweep_project

pytestmark = [pytest.mark.e2e, pytest.mark.process]


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SweepProject]:
    with sweep_project(tmp_path, tmp_path_factory) as found:
        yield found


def check_each_once(project: SweepProject, count: int) -> None:
    """Each trial is complete, by one run that reached its end."""
    trials = project.trials()
    assert [one["state"] for one in trials] == ["complete"] * count
    assert [len(project.ended(number)) for number in range(count)] == [1] * count
    run_ids = [run["run_id"] for one in trials for run in one["runs"]]
    assert len(run_ids) == len(set(run_ids))


def test_a_command_over_two_pods(project: SweepProject) -> None:
    project.ok("deploy")
    project.ok("--pod", "local.2", "deploy")
    done = project.run(*project.words("--trials", "6", "--pods", "2", seconds=1))
    assert done.returncode == 0, done.stderr
    assert "6 done" in done.stderr
    check_each_once(project, 6)
    trials = project.trials()
    assert {run["pod"] for one in trials for run in one["runs"]} == {"local", "local.2"}
    for one in trials:
        assert one["value"] == pytest.approx((one["params"]["x"] - 0.3) ** 2)
        folder = project.folder / "results" / one["runs"][0]["run_id"]
        assert (folder / "manifest.json").is_file()
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    storage = JournalStorage(JournalFileBackend(str(project.journal())))
    study = optuna.load_study(study_name=None, storage=storage)
    assert study.best_value == min(one["value"] for one in trials)
    assert (project.journal().parent / "report.html").is_file()
    assert "local.2              local    up" in project.ok("pods")
    table = parquet.read_table(project.journal().parent / "trials.parquet").to_pylist()
    assert [row["value"] for row in table] == [one["value"] for one in trials]
    assert [row["param/x"] for row in table] == [one["params"]["x"] for one in trials]
    assert "best" in project.ok("sweep", "show").splitlines()[1]


def test_a_killed_laptop_goes_on_where_it_was(project: SweepProject) -> None:
    words = project.words("--trials", "4", "--pods", "2", seconds=2)
    with project.running(PROGRAM, *words) as process:
        wait_until(lambda: len(project.begun()) >= 2)
        process.kill()
        process.wait()
    # What was begun goes on with the code that it was begun with.
    project.write("job.py", "raise SystemExit('not this code')\n")
    assert "another" not in project.ok("sweep", "resume")
    check_each_once(project, 4)
    assert [len(project.begun(number)) for number in range(4)] == [1] * 4
    assert "4 done" in project.run("sweep", "resume").stderr


def test_a_killed_job_is_begun_again(project: SweepProject) -> None:
    project.write("job.py", JOB_THAT_WAITS)
    with project.running(PROGRAM, *project.words("--trials", "2")) as process:
        wait_until(project.begun)
        (state,) = [one for one in states_of(project.pod(1)) if one["state"] == "RUNNING"]
        os.kill(state["job"]["pid"], signal.SIGKILL)
        (project.marks / "go").touch()
        assert process.wait(timeout=HANGS_S) == 0
    check_each_once(project, 2)
    assert sorted(len(one["runs"]) for one in project.trials()) == [1, 2]


def test_ctrl_c_leaves_the_runs_and_a_second_process_is_refused(project: SweepProject) -> None:
    project.write("job.py", JOB_THAT_WAITS)
    with project.running(PROGRAM, *project.words("--trials", "2")) as process:
        wait_until(project.begun)
        assert "another moola-remote is working on it" in project.refused(10, "sweep", "resume")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS_S)
        assert process.returncode == 130, err
        assert "sweep resume" in err.splitlines()[-1]
    (project.marks / "go").touch()
    project.ok("sweep", "resume")
    check_each_once(project, 2)
    assert [len(project.begun(number)) for number in range(2)] == [1, 1]


def test_every_combination_is_given_out_at_once_cancelled_and_resumed(
    project: SweepProject,
) -> None:
    project.write("configs/pods/local.yaml", "provider: local\n")
    project.write("job.py", JOB_THAT_WAITS)
    words = (
        "sweep",
        "--goal",
        "loss:min",
        "--grid",
        "x=0.1,0.2,0.3",
        "--env",
        f"MARKS={project.marks}",
    )
    with project.running(PROGRAM, *words, "--", "python", "job.py", "{x}", "0") as process:
        wait_until(lambda: len(states_of(project.pod(1))) == 3)
        wait_until(project.begun)
        said = project.run("sweep", "cancel").stderr
        assert said.count("CANCELLED") == 3
        assert process.wait(timeout=HANGS_S) == 21
    assert [one["what"] for one in project.trials()] == ["cancelled"] * 3
    assert all(one["state"] == "CANCELLED" for one in states_of(project.pod(1)))
    assert len(project.begun()) == 1
    (project.marks / "go").touch()
    assert "3 done, 3 begun again" in project.run("sweep", "resume").stderr
    check_each_once(project, 3)


def test_a_sweep_that_nobody_drives_is_cancelled_and_resumed(project: SweepProject) -> None:
    project.write("job.py", JOB_THAT_WAITS)
    with project.running(PROGRAM, *project.words("--trials", "3")) as process:
        wait_until(project.begun)
        wait_until(lambda: len(states_of(project.pod(1))) == 2)
        process.kill()
        process.wait()
    assert "is begun again" in project.ok("sweep", "cancel")
    assert [one["what"] for one in project.trials()] == ["cancelled"] * 2
    (project.marks / "go").touch()
    assert "3 done, 2 begun again" in project.run("sweep", "resume").stderr
    check_each_once(project, 3)


def test_what_fails_at_once_ends_the_sweep(project: SweepProject) -> None:
    project.write("job.py", "raise SystemExit(3)\n")
    said = project.refused(20, *project.words("--trials", "9"))
    assert "3 of 3 trials failed, the last: exit code 3" in said


def test_a_limit_of_money_ends_it_and_the_pod_is_stopped(project: SweepProject) -> None:
    project.write("configs/pods/local.yaml", "provider: local\nprice_per_hour: 360\n")
    project.ok("deploy")
    words = project.words("--trials", "900", "--max-cost", "2.5", "--then", "stop", seconds=1)
    done = project.run(*words)
    assert done.returncode == 14, done.stderr
    assert "--max-cost: $" in done.stderr
    assert "pod local: stopped" in done.stderr
    assert LocalPodFolder(project.state / "local-pod").running() is None
    trials = project.trials()
    assert trials
    assert all(one["state"] == "complete" for one in trials)
    spent = re.search(r"spent \$(\d+\.\d+) of \$2.50", done.stderr)
    assert spent
    assert float(spent[1]) < 5
    limits = [json.loads(path.read_bytes())["limits"] for path in project.specs()]
    assert all(0 < one["max_cost_usd"] <= 2.5 for one in limits)


def test_runs_are_chosen_by_their_sweep(project: SweepProject) -> None:
    project.ok(*project.words("--trials", "2"))
    (row,) = project.json("runs", "--where", f"sweep={project.journal().parent.name[-4:]}",
                          "--where", "trial=1")  # fmt: skip
    assert row["run_id"] == project.trials()[1]["runs"][0]["run_id"]
    assert "trial 1\n" in project.ok("runs", "show", row["run_id"])


def test_random_kills_lose_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with place(tmp_path / "faults", seed=5, trials=8, factory=tmp_path_factory) as scene:
        found = torment(scene, 5, lambda _: None)
    assert found.lost == []
    assert scene.kills.total() == 5


def test_a_dry_run_begins_nothing(project: SweepProject) -> None:
    said = project.ok(*project.words("--trials", "9", "--dry-run"))
    assert "9 trials" in said
    assert "command: python job.py 0.0 0.05" in said
    assert not (project.folder / "results").exists()
    assert LocalPodFolder(project.state / "local-pod").running() is None
    assert [path.name for path in (project.state / "local-pod").iterdir()] == ["root"]
    assert sorted(path.name for path in project.pod(1).root.iterdir()) == ["agent", "env"]
