"""A sweep over a Ray cluster of embedded pods, with real Ray processes on the loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.scale.scene import begun, marked, processes_of, ray_project, result
from tests.support.pods import is_gone, wait_until
from tests.support.projects import PROGRAM, pod_file
from tests.support.servers import SSHD, running_openssh
from tests.support.sweeps import SweepProject, states_of

pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make scale"),
]
START_S, END_S = 400, 400
NUM_TRIALS = 6
CONNECT = """
import ray
try:
    ray.init(address="{address}", _node_ip_address="{host}", log_to_driver=False)
except Exception as err:
    print("refused:", type(err).__name__, str(err).splitlines()[0])
else:
    print("connected", len(ray.nodes()))
"""


def words(project: SweepProject, *more: str, seconds: float = 2) -> tuple[str, ...]:
    """The command line of a sweep over a cluster."""
    job = ("--env", f"MARKS={project.marks}", "--set", f"job.seconds={seconds:g}")
    return ("sweep", "--engine", "ray", "--try", "job.x=0.0..0.6", *job, *more)


@dataclass
class Swept:
    """A sweep over two pods in which a trial's process and a node were killed."""

    project: SweepProject
    killed: list[dict[str, Any]] = field(default_factory=list)
    wrong_token: str = ""
    no_token: str = ""
    code: int | None = None
    said: str = ""
    left: list[str] = field(default_factory=list)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[SweepProject]:
    with ray_project(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    with ray_project(tmp_path_factory.mktemp("swept")) as project:
        scene = Swept(project)
        asked = words(project, "--pods", "2", "--trials", str(NUM_TRIALS))
        errors = project.state / "stderr"
        with errors.open("w") as file, project.running(PROGRAM, *asked, stderr=file) as process:
            worker = wait_until(lambda: on_worker(project), timeout_s=START_S)
            scene.wrong_token = connect(project, "f" * 64)
            scene.no_token = connect(project, None)
            kill_trial(scene, worker)
            again = wait_until(lambda: on_worker(project, after=2), timeout_s=START_S)
            scene.killed.append({**again, "what": "node"})
            os.kill(again["raylet"], signal.SIGKILL)
            (project.marks / "go").touch()
            scene.code = process.wait(timeout=END_S)
        scene.said = errors.read_text()
        scene.left = processes_of(project)
        yield scene


def on_worker(project: SweepProject, after: int = 0) -> dict[str, Any] | None:
    """The newest attempt of a trial on the worker's node, of those after the first `after`."""
    found = [one for one in begun(project)[after:] if "-worker-" in one["run"]]
    return found[-1] if found else None


def kill_trial(scene: Swept, attempt: dict[str, Any]) -> None:
    """Kill the process of a trial in its middle, once the driver has a checkpoint of it."""
    trial = driver_of(scene.project) / "trials" / str(attempt["number"])
    wait_until(lambda: list(trial.glob("checkpoints/*/SHA256SUMS")))
    scene.killed.append({**attempt, "what": "process"})
    os.kill(attempt["pid"], signal.SIGKILL)


def driver_of(project: SweepProject) -> Path:
    """The folder of the driver's run, on the head's pod."""
    (state,) = (one for one in states_of(project.pod(1)) if "-driver-" in one["run_id"])
    return project.pod(1).folder(state["run_id"])


def connect(project: SweepProject, token: str | None) -> str:
    """What Ray says to somebody with this token, on the head's machine."""
    env = json.loads((driver_of(project) / "spec.json").read_text())["env"]
    address = env["RAY_ADDRESS"]
    code = CONNECT.format(address=address, host=address.partition(":")[0])
    given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **given},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_no_trial_is_lost_when_a_process_and_a_node_are_killed(swept: Swept) -> None:
    assert swept.code == 0, swept.said
    trials = swept.project.trials()
    assert [one["state"] for one in trials] == ["complete"] * NUM_TRIALS
    for trial in trials:
        assert trial["value"] == pytest.approx(1 - (trial["params"]["job.x"] - 0.3) ** 2)
    for killed in swept.killed:
        assert len(trials[killed["number"]]["runs"]) > 1, killed
    assert "begun again" in swept.said


def test_a_trial_resumes_from_the_checkpoint_that_was_handed_over(swept: Swept) -> None:
    killed = next(one for one in swept.killed if one["what"] == "process")
    trial = swept.project.trials()[killed["number"]]
    assert result(swept.project, trial)["resumed_after"] >= 1


def test_both_nodes_did_trials_in_warm_processes(swept: Swept) -> None:
    found = begun(swept.project)
    assert {word for one in found for word in ("head", "worker") if word in one["run"]} == {
        "head",
        "worker",
    }
    assert len({one["pid"] for one in found}) < len(found)


def test_who_has_not_the_token_is_refused(swept: Swept) -> None:
    assert "refused" in swept.wrong_token
    assert "connected" not in swept.wrong_token
    assert "refused" in swept.no_token
    assert "connected" not in swept.no_token


def test_nothing_is_left_running(swept: Swept) -> None:
    assert swept.left == []
    assert not list(Path("/tmp").glob(f"moola-ray-{port_of(swept)}*"))


def port_of(swept: Swept) -> str:
    """The head's port, as it was passed to its run."""
    env = json.loads((driver_of(swept.project) / "spec.json").read_text())["env"]
    return str(env["RAY_ADDRESS"].rpartition(":")[2])


def test_the_report_and_the_table_have_the_trials(swept: Swept) -> None:
    folder = swept.project.journal().parent
    assert (folder / "report.html").is_file()
    assert (folder / "trials.parquet").is_file()
    assert not (folder / "cluster.json").exists()
    states = {
        one["run_id"]: one["state"] for pod in (1, 2) for one in states_of(swept.project.pod(pod))
    }
    for run_id, state in states.items():  # the killed node may still be on its way back
        assert state == "SUCCEEDED" or ("-worker-" in run_id and state == "CANCELLED")


def test_cancel_ends_driver_workers_and_head(project: SweepProject) -> None:
    asked = words(project, "--pods", "2", "--trials", "20", seconds=10)
    with project.running(PROGRAM, *asked) as process:
        wait_until(lambda: begun(project), timeout_s=START_S)
        pid = begun(project)[-1]["pid"]
        said = project.run("sweep", "cancel").stderr
        for role in ("driver", "worker", "head"):
            assert f"{role} on local" in said
        assert process.wait(timeout=END_S) != 0
    wait_until(lambda: is_gone(pid))
    assert processes_of(project) == []
    assert {one["state"] for one in project.trials()} <= {"complete", "failed"}


def test_a_head_that_dies_costs_no_trial_as_resume_does_what_was_running(
    project: SweepProject,
) -> None:
    asked = words(project, "--trials", "3", seconds=1)
    errors = project.state / "stderr"
    with errors.open("w") as file, project.running(PROGRAM, *asked, stderr=file) as process:
        wait_until(lambda: begun(project), timeout_s=START_S)
        os.kill(gcs_of(project), signal.SIGKILL)
        assert process.wait(timeout=END_S) == 20, errors.read_text()
    assert processes_of(project) == []
    assert project.trials() == []
    assert "trial 0: lost with the driver, to be done again" in errors.read_text()
    (project.marks / "go").touch()
    with project.running(PROGRAM, "sweep", "resume", stderr=subprocess.DEVNULL) as process:
        assert process.wait(timeout=START_S + END_S) == 0
    assert [one["state"] for one in project.trials()] == ["complete"] * 3


@pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here")
def test_pods_that_are_bad_take_no_part(project: SweepProject, tmp_path: Path) -> None:
    (project.marks / "go").touch()
    with running_openssh(tmp_path / "changed") as endpoint:
        other_key = f"SHA256:{'A' * 43}"
        project.write(
            "configs/pods/changed.yaml",
            pod_file(endpoint, host_key=other_key, private_host="127.0.0.1"),
        )
        asked = words(project, "--pods", "changed,local", "--trials", "2", seconds=1)
        errors = project.state / "stderr"
        with errors.open("w") as file, project.running(PROGRAM, *asked, stderr=file) as process:
            assert process.wait(timeout=START_S + END_S) == 0, errors.read_text()
    assert [one["state"] for one in project.trials()] == ["complete"] * 2
    assert "pod changed is no longer used: not its host key" in errors.read_text()


def gcs_of(project: SweepProject) -> int:
    """The process of a project's head that knows the cluster."""
    (pid,) = (
        pid for pid, words in marked(project) if words.partition(" ")[0].endswith("/gcs_server")
    )
    return pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nodes_end_with_a_driver_that_is_killed_while_the_laptop_sleeps(
    project: SweepProject, number: signal.Signals
) -> None:
    asked = words(project, "--pods", "2", "--trials", "20", seconds=10)
    with project.running(PROGRAM, *asked) as process:
        wait_until(lambda: begun(project), timeout_s=START_S)
        process.kill()
        process.wait()
    guard, child = guard_and_child(project)
    os.kill(guard if number == signal.SIGTERM else child, number)
    runs = [(pod, one["run_id"]) for pod in (1, 2) for one in states_of(project.pod(pod))]
    states = [project.pod(pod).wait(run_id, timeout_s=END_S) for pod, run_id in runs]
    wait_until(lambda: processes_of(project) == [])
    assert {one["returncode"] for one in states if "-driver-" in one["run_id"]} == {128 + number}
    assert {one["state"] for one in states if "-driver-" not in one["run_id"]} == {"SUCCEEDED"}


def guard_and_child(project: SweepProject) -> tuple[int, int]:
    """The two processes of a driver: that which ends the nodes, and that which does the work."""
    parents = {
        pid: int(Path(f"/proc/{pid}/stat").read_text().split()[3])
        for pid, words in marked(project)
        if "-m jobs.many_ray " in words
    }
    ((child, guard),) = ((pid, parent) for pid, parent in parents.items() if parent in parents)
    return guard, child


def test_a_laptop_that_was_killed_finds_what_the_driver_did(project: SweepProject) -> None:
    asked = words(project, "--trials", "3", seconds=3)
    with project.running(PROGRAM, *asked) as process:
        wait_until(lambda: begun(project), timeout_s=START_S)
        process.kill()
        process.wait()
    (project.marks / "go").touch()
    project.pod(1).wait(driver_of(project).name, timeout_s=END_S)
    project.ok("sweep", "resume")
    assert [one["state"] for one in project.trials()] == ["complete"] * 3
    assert len(begun(project)) == 3
    assert processes_of(project) == []
