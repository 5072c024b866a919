"""Data sets of pyproject.toml that are not here: they stop what reads them, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_runpod import double, rented
from tests.support.projects import Project
from tests.support.runpod_double import Double
from tests.support.servers import SSHD
from tests.support.sweeps import SweepProject, make_recipe_project, sweep_project

__all__ = ["double", "rented"]  # fixtures
pytestmark = [pytest.mark.e2e, pytest.mark.process]
NEEDS_SSHD = pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here")
SCHEMA = {"type": "object", "x-data-paths": ["data.labelled", "data.test"]}
BARS = "data of pyproject.toml that is not here: bars"


def add_bars(project: Project) -> Project:
    """Name a data set that is not here, and a recipe that does not read it."""
    text = (project.folder / "pyproject.toml").read_text()
    project.write("pyproject.toml", f'{text}bars = ["gone"]\n')
    project.write("recipes/schema.json", json.dumps(SCHEMA))
    project.write("recipes/calm.yaml", "epochs: 1\ndata:\n  labelled: numbers/one.txt\n")
    return project


def forget(project: Project, kind: str, digest: str) -> None:
    """Remove a tree from the local pod, as if the pod were another."""
    root = project.state / "local-pod" / "root"
    shutil.rmtree(root / kind / digest)
    (root / kind / f"{digest}.json").unlink()


def test_a_recipe_needs_the_data_sets_that_it_reads_and_no_other(alone: Project) -> None:
    add_bars(alone)
    done = alone.run("doctor")
    assert done.returncode == 0, done.stdout
    assert "not here, and not read by recipe calm: bars" in " ".join(done.stdout.split())
    done = alone.run("train", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert BARS in done.stderr
    (spec,) = [one["spec"] for one in alone.json("runs", "show")]

    # Where the pod lacks its data, a replay takes those that are here.
    forget(alone, "data", spec["data"])
    done = alone.run("train", "--replay", spec["run_id"])
    assert done.returncode == 0, done.stderr
    assert BARS in done.stderr
    assert "not as it was" not in done.stderr

    (alone.folder / "data").rename(alone.folder / "moved")
    assert alone.ok("train", "--replay", spec["run_id"], "--dry-run")  # the pod has them
    forget(alone, "data", spec["data"])
    line = alone.refused(10, "train", "--replay", spec["run_id"])
    assert "reads data 'numbers', which is neither on pod local nor here" in line
    assert "--data" not in line  # which a replay does not take
    assert "data 'numbers': no such file or folder, tried" in alone.refused(10, "train")
    assert alone.run("doctor").returncode == 1


def test_a_command_may_read_any_data_set(alone: Project) -> None:
    add_bars(alone)
    line = alone.refused(10, "run", "--", "true")
    assert "data 'bars': no such file or folder, tried" in line
    assert "name another with --data bars=PATH" in line


def test_a_replay_of_a_command_needs_what_there_is_of_its_data(alone: Project) -> None:
    add_bars(alone)
    alone.ok("run", "--data", "numbers=data/numbers", "--", "true")
    (spec,) = [one["spec"] for one in alone.json("runs", "show")]
    forget(alone, "data", spec["data"])
    done = alone.run("train", "--replay", spec["run_id"])
    assert done.returncode == 0, done.stderr
    assert BARS in done.stderr
    forget(alone, "data", spec["data"])
    (alone.folder / "data").rename(alone.folder / "moved")
    line = alone.refused(10, "train", "--replay", spec["run_id"])
    assert f"its data {spec['data']} is not on pod local, and none of the project's is here" in line


@NEEDS_SSHD
def test_a_pod_is_rented_without_the_data_that_its_run_does_not_need(
    rented: Project, double: Double
) -> None:
    add_bars(rented)
    done = rented.run("train", "--data", "numbers=data/numbers", "--detach")
    assert done.returncode == 0, done.stderr
    (rented.folder / "data").rename(rented.folder / "moved")
    (run_id,) = done.stdout.split()
    assert rented.run("attach", run_id).returncode == 0
    done = rented.run("train", "--replay", run_id)  # the pod has its data
    assert done.returncode == 0, done.stderr
    rented.ok("fetch", "all", run_id)
    for one in rented.json("runs"):
        rented.ok("fetch", "all", one["run_id"])
    rented.ok("stop")
    done = rented.run("up")
    assert done.returncode == 0, done.stderr
    assert "note: data 'numbers': no such file or folder" in done.stderr
    assert len(double.pods) == 1


@pytest.fixture
def sweeping(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SweepProject]:
    with sweep_project(tmp_path / "sweep", tmp_path_factory) as project:
        make_recipe_project(project)
        table = '[tool.moola-remote]\njob = "jobs.train"\nrecipe = "quick"\n'
        names = 'labelled = ["labelled"]\nbars = ["gone"]\n'
        project.write("pyproject.toml", f"{table}[tool.moola-remote.data]\n{names}")
        project.write("configs/train/schema.json", json.dumps(SCHEMA))
        recipe = "job:\n  x: 0\n  seconds: 0\ndata:\n  labelled: labelled/mine.parquet\n"
        project.write("configs/train/quick.yaml", recipe)
        project.write("labelled/mine.parquet", "")
        project.env["MARKS"] = str(project.marks)
        yield project


def test_a_sweep_checks_the_files_of_each_trial_before_anything_is_sent(
    sweeping: SweepProject,
) -> None:
    words = ("sweep", "--env", f"MARKS={sweeping.marks}", "--grid", "job.x=0.1,0.2")
    said = "the recipe's data.labelled is labelled/gone.parquet, expected a file of the data"
    for more in (["--dry-run"], []):
        line = sweeping.refused(10, *words, "--set", "data.labelled=labelled/gone.parquet", *more)
        assert said in line
        assert "; --set data.labelled=labelled/mine.parquet" in line
        tried = ("--grid", "data.labelled=labelled/mine.parquet,labelled/gone.parquet")
        line = sweeping.refused(10, *words, *tried, *more)
        assert said in line
        assert "--grid data.labelled" in line
    assert not (sweeping.folder / "results").exists()
    assert not (sweeping.state / "local-pod" / "root" / "runs").exists()
    done = sweeping.run(*words)
    assert done.returncode == 0, done.stderr
    assert BARS in done.stderr
