"""A project whose sweeps run on embedded pods of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moola_remote.providers.local.provider import LocalProvider
from moola_remote.providers.local.state import LocalPodFolder
from tests.support.pods import AgentPod
from tests.support.prepared import prepare
from tests.support.projects import Project
from tests.support.servers import MARK, end_marked

ROOT = Path(__file__).parents[2]

# Says where it is in a file outside of every run: so that two at once, or one twice, are seen.
JOB = """\
import fcntl, json, os, sys, time
from pathlib import Path
x, seconds = float(sys.argv[1]), float(sys.argv[2])
marks = Path(os.environ["MARKS"])
trial = json.loads(Path(os.environ["MOOLA_RUN_DIR"], "spec.json").read_text())["trial"]
mine = marks / f"{trial}-{os.environ['MOOLA_RUN_ID']}"
mine.with_suffix(".begun").touch()
lock = open(marks / f"{trial}.lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    mine.with_suffix(".twice").touch()
print(f"x {x}", flush=True)
time.sleep(seconds)
Path("result.json").write_text(json.dumps({"loss": (x - 0.3) ** 2}))
mine.with_suffix(".ended").touch()
"""
# Ends once there is a file `go` beside the marks.
JOB_THAT_WAITS = JOB.replace(
    "time.sleep(seconds)", 'while not (marks / "go").exists(): time.sleep(0.02)'
)


class SweepProject(Project):
    """A project with a job of its own, and any number of embedded pods."""

    @property
    def marks(self) -> Path:
        """Where jobs leave their marks."""
        return self.state / "marks"

    def pod(self, number: int) -> AgentPod:
        """The folder of a pod, counted from 1, and its agent."""
        name = "local-pod" if number == 1 else f"local-pod.{number}"
        return AgentPod(self.state / name / "root")

    def words(self, *more: str, seconds: float = 0.05) -> tuple[str, ...]:
        """The command line of a sweep over x."""
        command = ("--", "python", "job.py", "{x}", f"{seconds:g}")
        env = ("--env", f"MARKS={self.marks}")
        return ("sweep", "--goal", "loss:min", "--try", "x=0.0..1", *env, *more, *command)

    def trials(self) -> list[dict[str, Any]]:
        """What `sweep show` says of the latest sweep."""
        return self.json("sweep", "show")

    def begun(self, trial: int | None = None) -> list[str]:
        """The runs whose job was begun; of one trial, if given.

        A pod is given two at once, by two workers: which of them is first there is not settled.
        """
        which = "*" if trial is None else trial
        return sorted(path.name for path in self.marks.glob(f"{which}-*.begun"))

    def ended(self, trial: int) -> list[str]:
        """The runs of a trial whose job reached its end."""
        return sorted(path.name for path in self.marks.glob(f"{trial}-*.ended"))

    def specs(self) -> list[Path]:
        """The specs of all fetched runs."""
        return sorted((self.folder / "results").glob("*/spec.json"))

    def journal(self) -> Path:
        """The study of the latest sweep."""
        return max((self.folder / "results" / "sweeps").glob("*/study.journal"))


@contextmanager
def sweep_project(
    folder: Path, factory: pytest.TempPathFactory | None = None
) -> Iterator[SweepProject]:
    """A project in `folder`; its pods, and all that they started, end with it.

    With a `factory` its first three pods are not new (prepared.py).
    """
    project = SweepProject(folder / "project", folder / "state")
    if factory:
        for number in (1, 2, 3):
            prepare(project.pod(number).root, factory)
    project.folder.mkdir(parents=True)
    project.marks.mkdir(parents=True)
    project.env[MARK] = str(folder)
    project.write("pyproject.toml", "[tool.moola-remote]\n")
    project.write("job.py", JOB)
    project.write(".gitignore", "results/\n")
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("add", ".")
    project.git("commit", "--quiet", "--message=all")
    try:
        yield project
    finally:
        for path in project.state.glob("local-pod*"):
            LocalProvider("local", LocalPodFolder(path)).stop()
        end_marked(folder)


def states_of(pod: AgentPod) -> list[dict[str, Any]]:
    """How every run of a pod stands, as stored: nobody is woken by that."""
    paths = pod.root.glob("runs/[!.]*/state.json")
    return [json.loads(path.read_bytes()) for path in sorted(paths)]


# A training that takes no time, beside the job that does several of them.
TRAIN = """\
import argparse, fcntl, json, os, signal, sys, time
from pathlib import Path

def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args(argv)
    given = dict(word.split("=") for word in asked.set)
    run_dir, marks = Path(os.environ["MOOLA_RUN_DIR"]), Path(os.environ["MARKS"])
    number, run_id = run_dir.name, os.environ["MOOLA_RUN_ID"]
    (marks / f"{number}-{run_id}.begun").touch()
    lock = open(marks / f"{number}.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        (marks / f"{number}-{run_id}.twice").touch()
    x = float(given.get("job.x", 0))
    print(f"x {x}", flush=True)
    time.sleep(float(given.get("job.seconds", 0)))
    if x == 0.5 and not list(marks.glob("killed-*")):
        (marks / f"killed-{number}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 0.7:
        raise ValueError("x is 0.7")
    scores = {"validation": {"f1": {"value": 1 - (x - 0.3) ** 2, "low": 0.1, "high": 1.0}}}
    (run_dir / "result.json").write_text(json.dumps({"scores": scores, "pid": os.getpid()}))
    (marks / f"{number}-{run_id}.ended").touch()
    return 0

if __name__ == "__main__":
    sys.exit(main())
"""
PACKED = (
    *("jobs/__init__.py", "jobs/many.py", "jobs/common/__init__.py", "jobs/common/entry.py"),
    *("jobs/common/memory.py", "jobs/common/signals.py", "jobs/common/trial.py"),
    *("moola_core/__init__.py", "moola_core/errors.py"),
    *(f"moola_core/io/{name}.py" for name in ("__init__", "atomic", "json_file")),
)


def make_recipe_project(project: SweepProject) -> None:
    """Give it a recipe, whose training takes no time, and the job that does several trials."""
    for name in PACKED:
        project.write(name, (ROOT / name).read_text(encoding="utf-8"))
    project.write("jobs/train.py", TRAIN)
    project.write("configs/train/quick.yaml", "job:\n  x: 0\n  seconds: 0\n")
    project.write("pyproject.toml", '[tool.moola-remote]\njob = "jobs.train"\nrecipe = "quick"\n')
    project.git("add", ".")
    project.git("commit", "--quiet", "--message=recipe")
