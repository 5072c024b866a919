"""Ray on rented pods with a network (the double of RunPod, with OpenSSH), and on another's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.test_runpod import POD, double
from tests.scale.scene import begun, make_ray_project, processes_of
from tests.support.pods import AgentPod
from tests.support.projects import PROGRAM
from tests.support.runpod_double import GPU, IMAGE, KEY, Double
from tests.support.servers import SSHD
from tests.support.sweeps import SweepProject, sweep_project

__all__ = ["double"]  # a fixture
pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make scale"),
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
]
PODS = ("rented", "other.2")
END_S = 500
PORT = 31_500


@pytest.fixture
def project(tmp_path: Path) -> Iterator[SweepProject]:
    with sweep_project(tmp_path / "sweep") as found:
        make_ray_project(found)
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


def test_a_cluster_that_runs_already_gets_a_driver_alone(
    project: SweepProject, tmp_path: Path
) -> None:
    token = "c" * 64
    project.env.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
    start = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={PORT}"),
        *("--num-cpus=1", "--include-dashboard=false", "--object-store-memory=100000000"),
        *("--disable-usage-stats", "--block", f"--temp-dir=/tmp/moola-ray-{PORT}"),
    ]
    log = tmp_path / "head"
    with log.open("w") as file, project.running(*start, stdout=file, stderr=file) as head:
        address = ""
        while not address:
            assert head.poll() is None, log.read_text()
            found = re.search(r"ray start --address='([^']+)'", log.read_text())
            address = found[1] if found else ""
        sweep(project, "--address", address, "--secret", "RAY_AUTH_TOKEN")
        head.terminate()
        try:
            head.wait(timeout=60)
        except subprocess.TimeoutExpired:
            head.kill()
    (spec,) = (json.loads(path.read_text()) for path in project.specs())
    assert spec["argv"][2] == "jobs.many_ray"
    assert processes_of(project) == []
