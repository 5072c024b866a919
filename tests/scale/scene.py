"""A project whose sweeps run on a Ray cluster of embedded pods; a trial imports nothing heavy."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.servers import MARK
from tests.support.sweeps import ROOT, SweepProject, make_recipe_project

# Five epochs with a checkpoint each, from which it resumes; says where each attempt ran. Without a
# file `go` none gets beyond its first epoch.
TRAIN = """\
import argparse, json, os, sys, time
from pathlib import Path

def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args(argv)
    given = dict(word.split("=") for word in asked.set)
    run_dir, marks = Path(os.environ["MOOLA_RUN_DIR"]), Path(os.environ["MARKS"])
    x, seconds = float(given.get("job.x", 0)), float(given.get("job.seconds", 0))
    number = run_dir.name
    source = os.environ.get("MOOLA_RESUME_DIR")
    done = len(list(Path(source, "checkpoints").glob("epoch-*"))) if source else 0
    here = {"pid": os.getpid(), "raylet": os.getppid(), "run": os.environ["MOOLA_RUN_ID"]}
    here["resumed_after"] = done
    mark = marks / f"{number}-{time.time():.3f}.json"
    mark.with_suffix(".aside").write_text(json.dumps(here))
    mark.with_suffix(".aside").rename(mark)
    print(f"x {x}", flush=True)
    for epoch in range(done + 1, 6):
        while epoch > 1 and not (marks / "go").exists():
            time.sleep(0.05)
        time.sleep(seconds / 5)
        folder = run_dir / "checkpoints" / f"epoch-{epoch:04d}"
        folder.mkdir(parents=True)
        (folder / "SHA256SUMS").write_text("")
    if x == 0.7:
        raise ValueError("x is 0.7")
    scores = {"validation": {"f1": {"value": 1 - (x - 0.3) ** 2, "low": 0.1, "high": 1.0}}}
    (run_dir / "result.json").write_text(json.dumps({"scores": scores, **here}))
    return 0

if __name__ == "__main__":
    sys.exit(main())
"""
RAY_JOBS = (
    *("jobs/many_ray.py", "jobs/ray_node.py"),
    *("jobs/common/ray_asked.py", "jobs/common/ray_tuning.py"),
)


def make_ray_project(project: SweepProject) -> None:
    """Give it the jobs of a Ray cluster, and the training above."""
    make_recipe_project(project)
    for name in RAY_JOBS:
        project.write(name, (ROOT / name).read_text(encoding="utf-8"))
    project.write("jobs/train.py", TRAIN)
    project.git("add", ".")
    project.git("commit", "--quiet", "--message=ray")


def begun(project: SweepProject) -> list[dict[str, Any]]:
    """What each attempt of a trial said at its beginning, by time; with its number."""
    paths = sorted(project.marks.glob("*-*.json"), key=lambda path: path.name.split("-")[1])
    return [
        {**json.loads(path.read_bytes()), "number": int(path.name.split("-")[0])} for path in paths
    ]


def result(project: SweepProject, trial: dict[str, Any]) -> dict[str, Any]:
    """What a trial left as its result."""
    run = project.folder / "results" / trial["runs"][-1]["run_id"]
    path: Path = run / "trials" / str(trial["trial"]) / "result.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def processes_of(project: SweepProject) -> list[str]:
    """The command lines of what lives of this project's pods, but for their SSH servers."""
    mark = f"{MARK}={project.env[MARK]}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(words)
    return [words for words in found if "providers.local.sshd" not in words]
