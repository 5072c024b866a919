"""Ray on rented pods with a network (the double of RunPod, with OpenSSH), and on another's."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.test_runpod import POD, double
from tests.scale.scene import begun, processes_of, ray_project
from tests.support.lanes import HANGS_S
from tests.support.pods import AgentPod, wait_until
from tests.support.projects import PROGRAM
from tests.support.runpod_double import GPU, IMAGE, KEY, Double
from tests.support.servers import SSHD
from tests.support.sweeps import SweepProject

__all__ = ["double"]  # a fixture
pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make scale"),
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
]
PODS = ("rented", "other.2")
END_S = 500
PORT, STARTS = 31_500, 8


@pytest.fixture
def project(tmp_path: Path) -> Iterator[SweepProject]:
    with ray_project(tmp_path / "sweep") as found:
        (found.marks / "go").touch()
        yield found


def sweep(project: SweepProject, *more: str) -> str:
    """Run a sweep of three trials to its end; what it said."""
    asked = ("sweep", "--engine", "ray", "--trials", "3", "--try", "job.x=0.0..0.6")
    job = ("--env", f"MARKS={project.marks}", "--set", "job.seconds=1")
    errors = project.state / "stderr"
    with (
        errors.open("w") as file,
        project.running(PROGRAM, *asked, *job, *more, stderr=file) as process,
    ):
        assert process.wait(timeout=END_S) == 0, errors.read_text()
    assert [one["state"] for one in project.trials()] == ["complete"] * 3
    assert len(begun(project)) == 3
    return errors.read_text()


def test_rented_pods_become_a_cluster_and_are_stopped(
    project: SweepProject, double: Double, tmp_path: Path
) -> None:
    for name in PODS:
        volume = tmp_path / f"volume-{name}"
        volume.mkdir()
        text = POD.format(volume=volume, python=sys.executable, gpu=GPU, image=IMAGE)
        file = f"configs/pods/{name.partition('.')[0]}.yaml"
        project.write(file, f"{text}  global_networking: true\n")
    project.env.update(RUNPOD_API_KEY=KEY, MOOLA_RUNPOD_API=double.url)
    try:
        said = sweep(project, "--pods", ",".join(PODS), "--max-cost", "2", "--then", "stop")
        guards = [tmp_path / f"volume-{name}" / "moola" / "guard.json" for name in PODS]
        assert all(json.loads(path.read_text())["stop_at"] for path in guards)
    finally:
        for name in PODS:
            AgentPod(tmp_path / f"volume-{name}" / "moola").clear()
    pods = list(double.pods.values())
    assert [pod.body["globalNetworking"] for pod in pods] == [True, True]
    assert [pod.status for pod in pods] == ["EXITED", "EXITED"]
    specs = [json.loads(path.read_text()) for path in project.specs()]
    assert len(specs) == 3
    for spec in specs:
        assert 0 < spec["limits"]["max_cost_usd"] <= 2
        assert spec["secret_names"] == ["RAY_AUTH_TOKEN"]
        assert spec["env"]["RAY_ADDRESS"].startswith("127.0.5.10:")
    for name in PODS:
        assert f"pod {name}: stopped" in said


@contextmanager
def running_head(project: SweepProject, log: Path) -> Iterator[str]:
    """A cluster of somebody's, its address; begun again where Ray gives up on a busy machine."""
    start = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={PORT}"),
        *("--num-cpus=1", "--include-dashboard=false", "--object-store-memory=100000000"),
        *("--disable-usage-stats", "--block", f"--temp-dir=/tmp/moola-ray-{PORT}"),
    ]
    for _ in range(STARTS):
        with (
            log.open("w") as file,
            project.running(*start, stdout=file, stderr=file) as head,
        ):
            while head.poll() is None:
                found = re.search(r"ray start --address='([^']+)'", log.read_text())
                if found:
                    yield found[1]
                    head.terminate()
                    head.wait(timeout=HANGS_S)
                    shutil.rmtree(f"/tmp/moola-ray-{PORT}", ignore_errors=True)
                    return
                time.sleep(0.2)
    pytest.fail(log.read_text())


def test_a_cluster_that_runs_already_gets_a_driver_alone(
    project: SweepProject, tmp_path: Path
) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "c" * 64}
    project.env.update(token, RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S="0")
    with running_head(project, tmp_path / "head") as address:
        sweep(project, "--address", address, "--secret", "RAY_AUTH_TOKEN")
    (spec,) = (json.loads(path.read_text()) for path in project.specs())
    assert spec["argv"][2] == "jobs.many_ray"
    wait_until(lambda: processes_of(project) == [])
