"""Random kills under a sweep over three pods: no trial is lost, none is done twice.

python -m tests.faults.sweep [KILLS] [SEED] [PACK]
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.providers.local.state import LocalPodFolder
from moola_remote.sweep.verdict import MAX_ATTEMPTS
from tests.faults.scene import Findings, check_fetched
from tests.support.lines import Line
from tests.support.pods import AgentPod
from tests.support.projects import PROGRAM, pod_file
from tests.support.servers import running_local_pod
from tests.support.sweeps import SweepProject, make_recipe_project, states_of, sweep_project

if TYPE_CHECKING:
    import pytest
PODS = "local,local.2,wire"
TRIALS = 24
JOB_S = 1.0
SWEEP_S = 900.0
PIECE_S = 0.05
# For a job to be there that can be killed.
PATIENCE_S = 5.0
say = partial(print, flush=True)


@dataclass
class Place:
    """Three embedded pods, one of them behind a line that can be reset, and a sweep over them.

    `pack` is how many trials a run does; `given_up` counts trials that were killed too often.
    """

    project: SweepProject
    line: Line
    dice: random.Random
    trials: int = TRIALS
    pack: int = 1
    given_up: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    process: subprocess.Popen[str] | None = None

    def pods(self) -> list[AgentPod]:
        """The pods' folders, in an order of chance."""
        pods = [self.project.pod(number) for number in (1, 2, 3)]
        self.dice.shuffle(pods)
        return pods

    def laptop(self) -> bool:
        """Kill ``moola-remote sweep`` itself; the caller starts it again."""
        assert self.process
        self.process.kill()
        self.process.wait()
        return True

    def job(self) -> bool:
        """Kill a job."""
        return self._kill_of_run("job")

    def supervisor(self) -> bool:
        """Kill the process that watches over a run."""
        return self._kill_of_run("supervisor")

    def server(self) -> bool:
        """Kill a pod's SSH server and every connection with it; what it started lives on."""
        record = LocalPodFolder(self.project.state / self.dice.choice(LOCAL)).running()
        return record is not None and _kill(record.pid)

    def pod(self) -> bool:
        """Kill all that runs on a pod, as when its container ends."""
        name = self.dice.choice(LOCAL)
        pod = AgentPod(self.project.state / name / "root")
        record = LocalPodFolder(pod.root.parent).running()
        pids = [record.pid] if record else []
        for state in states_of(pod):
            if state["state"] in ("RUNNING", "PREPARING", "QUEUED"):
                found = [state[who]["pid"] for who in ("supervisor", "job") if state.get(who)]
                if state.get("job"):
                    found.append(_parent(state["job"]["pid"]))
                    found += _of_run(state["run_id"])  # of a pack the process that does trials
                pids += [pid for pid in found if pid > 1]
        return sum(map(_kill, pids)) > 0

    def connection(self) -> bool:
        """Reset every connection to the pod behind the line."""
        before = self.line.num_connections
        self.line.drop()
        return before > 0

    def _kill_of_run(self, who: str) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for pod in self.pods():
                for state in states_of(pod):
                    if state["state"] == "RUNNING" and state.get(who):
                        return _kill(state[who]["pid"])
            time.sleep(PIECE_S)
        return False


LOCAL = ("local-pod", "local-pod.2")
KINDS: tuple[Callable[[Place], bool], ...] = (
    *(Place.laptop, Place.job, Place.supervisor, Place.server, Place.pod, Place.connection),
)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _of_run(run_id: str) -> list[int]:
    """The processes that bear a run's mark."""
    mark, found = f"MOOLA_RUN_ID={run_id}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@contextlib.contextmanager
def place(
    folder: Path,
    seed: int,
    trials: int = TRIALS,
    pack: int = 1,
    factory: pytest.TempPathFactory | None = None,
) -> Iterator[Place]:
    """Three pods, new ones without a `factory`, and a project; all that they started ends too."""
    with (
        sweep_project(folder, factory) as project,
        running_local_pod(project.state / "local-pod.3") as far,
    ):
        if pack > 1:
            make_recipe_project(project)
        line = Line(far.port)
        try:
            wire = replace(far, port=line.port)
            project.write("configs/pods/wire.yaml", pod_file(wire))
            yield Place(project, line, random.Random(seed), trials, pack)
        finally:
            line.cut()


def torment(place: Place, kills: int, say: Callable[[str], None]) -> Findings:
    """Sweep again and again while things are killed at random, and count what is lost."""
    found = Findings(kills)
    sweep = 0
    while place.kills.total() < kills:
        sweep += 1
        began = time.monotonic()
        _one_sweep(place, kills, found)
        _check(place, found)
        place.project.marks.rename(place.project.marks.with_name(f"marks-{sweep}"))
        place.project.marks.mkdir()
        took_s = time.monotonic() - began
        say(f"sweep {sweep}: {took_s:.0f} s, {dict(place.kills)}, lost {len(found.lost)}")
    return found


def _one_sweep(place: Place, kills: int, found: Findings) -> None:
    asked = ("--trials", str(place.trials), "--pods", PODS)
    words = place.project.words(*asked, seconds=JOB_S)
    if place.pack > 1:
        job = ("--env", f"MARKS={place.project.marks}", "--set", f"job.seconds={JOB_S:g}")
        words = ("sweep", "--pack", str(place.pack), "--try", "job.x=0.0..0.4", *asked, *job)
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        with (place.project.folder.parent / "said").open("a") as said:
            streams = {"stdout": said, "stderr": said}
            with place.project.running(PROGRAM, *words, **streams) as process:
                place.process = process
                _kill_while(place, process, kills, deadline)
                if process.poll() == 0:
                    return
        has_begun = any(place.project.folder.glob("results/sweeps/*/study.journal"))
        words = ("sweep", "resume") if has_begun else words
    found.expect(False, f"the sweep did not end in {SWEEP_S:.0f} s")


def _kill_while(place: Place, process: subprocess.Popen[str], kills: int, deadline: float) -> None:
    """Kill at random moments until the process ends; it is let alone once that is enough."""
    while process.poll() is None and time.monotonic() < deadline:
        wait_s = place.dice.uniform(0.2, 3.0)
        until = time.monotonic() + wait_s
        while process.poll() is None and time.monotonic() < until:
            time.sleep(PIECE_S)
        if process.poll() is None and place.kills.total() < kills:
            kind = place.dice.choice(KINDS)
            place.kills[kind.__name__] += kind(place)


def _check(place: Place, found: Findings) -> None:
    """Each trial has one result, of one run that succeeded, and what was fetched is what it is."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    project = place.project
    journal = project.journal()
    study = optuna.load_study(
        study_name=None, storage=JournalStorage(JournalFileBackend(str(journal)))
    )
    states = [state for number in (1, 2, 3) for state in states_of(project.pod(number))]
    by_id = {state["run_id"]: state for state in states}
    seen: set[str] = set()
    found.expect(len(study.trials) == place.trials, f"{len(study.trials)} trials of {place.trials}")
    for trial in study.trials:
        name = f"trial {trial.number}"
        run_ids = [pair[0] for pair in trial.user_attrs.get("runs", [])]
        is_shared = place.pack == 1 and seen & set(run_ids)
        found.expect(not is_shared, f"{name}: a run of another trial")
        seen |= set(run_ids)
        if trial.state.name == "FAIL" and _num_begun(place, run_ids, trial.number) >= MAX_ATTEMPTS:
            place.given_up += 1  # as docs/scale.md has it
            continue
        found.expect(trial.state.name == "COMPLETE", f"{name}: {trial.state.name}, {_why(trial)}")
        done = [one for one in run_ids if by_id.get(one, {}).get("state") == "SUCCEEDED"]
        if place.pack > 1:  # a run that was killed may have brought it to its end
            done = [one for one in run_ids if _has_ended(project, one, trial.number)]
        found.expect(len(done) == 1, f"{name}: done {len(done)} times")
        found.expect(
            not list(project.marks.glob(f"{trial.number}-*.twice")), f"{name}: two at once"
        )
        for run_id in done:
            _check_run(place, found, run_id, trial)
    begun = {
        path.name.partition("-")[2].removesuffix(".begun") for path in project.marks.glob("*.begun")
    }
    found.expect(begun <= seen, f"runs of no trial: {sorted(begun - seen)[:3]}")


def _check_run(place: Place, found: Findings, run_id: str, trial: Any) -> None:
    near = place.project.folder / "results" / run_id
    for number in (1, 2, 3):
        far = place.project.pod(number).folder(run_id)
        if far.is_dir():
            check_fetched(found, far, near)
    if place.pack > 1:
        result = json.loads((near / "trials" / str(trial.number) / "result.json").read_text())
        score = result["scores"]["validation"]["f1"]["value"]
        wanted = 1 - (trial.params["job.x"] - 0.3) ** 2
    else:
        score = json.loads((near / "workdir" / "result.json").read_text())["loss"]
        wanted = (trial.params["x"] - 0.3) ** 2
    found.expect(score == trial.value, f"trial {trial.number}: another run's score")
    found.expect(abs(score - wanted) < 1e-12, f"{run_id}: of other parameters")


def _num_begun(place: Place, run_ids: list[str], trial: int) -> int:
    """In how many of its runs a trial was begun, by what they left on their pods."""
    pods = [place.project.pod(number) for number in (1, 2, 3)]
    inside = f"trials/{trial}/log" if place.pack > 1 else "log"
    return sum(any((pod.folder(one) / inside).exists() for pod in pods) for one in run_ids)


def _has_ended(project: SweepProject, run_id: str, trial: int) -> bool:
    """Whether a trial has ended in a run, on whichever pod that was."""
    folders = [project.pod(number).folder(run_id) for number in (1, 2, 3)]
    return any((folder / "trials" / str(trial) / "end.json").exists() for folder in folders)


def _why(trial: Any) -> str:
    return str(trial.user_attrs.get("why", ""))


def main() -> int:
    """Kill, and print what came of it; 1 if anything was lost."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 17
    pack = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="moola-sweep-faults-") as folder:
        os.environ["HOME"] = folder
        with place(Path(folder), seed, pack=pack) as scene:
            found = torment(scene, kills, partial(say, file=sys.stderr))
            say(f"kills: {scene.kills.total()}, {dict(sorted(scene.kills.items()))}")
            say(f"given up after {MAX_ATTEMPTS} kills: {scene.given_up}")
            say("\n  ".join([f"lost or done twice: {len(found.lost)}", *found.lost]))
    return 1 if found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
