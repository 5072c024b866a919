"""Prediction over files on embedded pods; the job is a small one, the real one has its own test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.made import make_run
from tests.support.pods import wait_until
from tests.support.projects import PROGRAM
from tests.support.sweeps import SweepProject, states_of, sweep_project

pytestmark = [pytest.mark.e2e, pytest.mark.process]
JOB = """\
import argparse, json, os, signal, sys, time
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("bars", nargs="+")
for name in ("--run", "--out", "--processes", "--stride"):
    parser.add_argument(name)
asked = parser.parse_args()
out, data = Path(os.environ["MOOLA_RUN_DIR"], asked.out), Path(os.environ["MOOLA_DATA_DIR"])
out.mkdir()
assert (data / asked.run / "model.json").is_file()
failed = {}
for bars in map(Path, asked.bars):
    word, _, marker = (data / bars).read_text().partition(" ")
    if word == "die" and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "wait":
        time.sleep(float(marker))
    if word == "bad":
        failed[bars.stem] = "no bars"
        continue
    (out / f"{bars.stem}.parquet").write_text(f"{word.upper()} {asked.stride}")
    print(f"{bars.name}: done\x1b[31m", flush=True)
if failed:
    (out / "failed.json").write_text(json.dumps({"failed": failed}))
sys.exit(3 if failed else 0)
"""


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SweepProject]:
    with sweep_project(tmp_path, tmp_path_factory) as found:
        found.write("jobs/predict_files.py", JOB)
        found.write("jobs/__init__.py", "")
        make_run(found.folder / "results" / "20260101-000000-jade-abcd", num_windows=2)
        for name in ("a", "b", "c", "d"):
            found.write(f"data/{name}.parquet", f"text{name}")
        yield found


def words(*more: str) -> tuple[str, ...]:
    return ("predict", "--bars", "data/*.parquet", "--out", "spans", *more)


def spans(project: SweepProject) -> dict[str, str]:
    found = (project.folder / "spans").glob("*.parquet")
    return {path.stem: path.read_text().partition(" ")[0] for path in sorted(found)}


def count_runs(project: SweepProject) -> int:
    return sum(len(states_of(project.pod(number))) for number in (1, 2))


def test_files_over_two_pods_and_what_is_there_is_not_done_again(project: SweepProject) -> None:
    said = project.run(*words("--pods", "2", "--stride", "20")).stderr
    progress = [line.partition(": ") for line in said.splitlines() if line.endswith(": done")]
    assert {name for _, _, name in progress} == {f"{name}.parquet: done" for name in "abcd"}
    assert {pod for pod, _, _ in progress} == {"pod local", "pod local.2"}
    assert spans(project) == {name: f"TEXT{name.upper()}" for name in "abcd"}
    assert [len(states_of(project.pod(number))) for number in (1, 2)] == [1, 1]
    assert "4 series, 4 already done" in project.run(*words("--stride", "20")).stderr
    assert count_runs(project) == 2
    # Neither the index, which both pods' threads write, nor results go along as code.
    code = [*project.state.glob("local-pod*/root/code/*/*/*")]
    assert {path.parent.name for path in code} == {"data", "jobs"}
    # Other bars, another result, other options: each is done again, and it alone.
    project.write("data/a.parquet", "other")
    project.write("spans/b.parquet", "damaged")
    assert "4 series, 2 already done" in project.run(*words("--stride", "20")).stderr
    assert spans(project)["a"] == "OTHER"
    assert spans(project)["b"] == "TEXTB"
    assert "4 series, 0 already done" in project.run(*words("--stride", "30")).stderr


def test_what_a_killed_job_did_not_reach_is_asked_again(project: SweepProject) -> None:
    project.write("data/c.parquet", f"die {project.marks / 'died'}")
    project.ok(*words())
    assert spans(project)["c"] == "DIE"
    assert len(spans(project)) == 4
    assert count_runs(project) == 2


def test_a_series_that_can_not_be_read_costs_no_other(project: SweepProject) -> None:
    project.write("data/b.parquet", "bad")
    said = project.run(*words())
    assert said.returncode == 20
    assert "not done, data/b.parquet: no bars" in said.stderr
    assert "1 of 4 series are not done" in said.stderr
    assert sorted(spans(project)) == ["a", "c", "d"]
    project.write("data/b.parquet", "good")
    project.ok(*words())
    assert spans(project)["b"] == "GOOD"


def test_typed_again_after_a_crash_it_goes_on(project: SweepProject) -> None:
    project.write("data/d.parquet", "wait 3")
    with project.running(PROGRAM, *words()) as process:
        wait_until(lambda: count_runs(project) == 1)
        process.kill()
        process.wait()
    project.ok(*words())
    assert len(spans(project)) == 4
    assert count_runs(project) == 1
    index = json.loads((project.folder / "spans" / "index.json").read_bytes())
    assert index["begun"] == []
    assert sorted(index["done"]) == ["a", "b", "c", "d"]
