"""A sweep over rented pods: the double of RunPod, and OpenSSH behind it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_runpod import POD, double
from tests.support.lanes import HANGS_S
from tests.support.pods import AgentPod, wait_until
from tests.support.prepared import prepare
from tests.support.projects import PROGRAM
from tests.support.runpod_double import GPU, IMAGE, KEY, NO_CAPACITY, Double
from tests.support.servers import SSHD
from tests.support.sweeps import SweepProject, sweep_project

__all__ = ["double"]  # a fixture
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.process,
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
]
PODS = ("rented", "other.2")


@pytest.fixture
def project(
    double: Double, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SweepProject]:
    """A project with the files of two pods, not rented yet; of one the second pod is meant."""
    with sweep_project(tmp_path / "sweep") as found:
        for name in PODS:
            volume = tmp_path / f"volume-{name}"
            prepare(volume / "moola", tmp_path_factory)
            text = POD.format(volume=volume, python=sys.executable, gpu=GPU, image=IMAGE)
            found.write(f"configs/pods/{name.partition('.')[0]}.yaml", text)
        found.env.update(RUNPOD_API_KEY=KEY, MOOLA_RUNPOD_API=double.url)
        yield found
        for name in PODS:
            AgentPod(tmp_path / f"volume-{name}" / "moola").clear()


def sweep(project: SweepProject, *more: str) -> tuple[str, ...]:
    money = ("--max-cost", "2", "--then", "stop")
    return project.words("--trials", "4", "--pods", ",".join(PODS), *money, *more, seconds=1)


def test_each_pod_has_its_share_and_is_stopped(
    project: SweepProject, double: Double, tmp_path: Path
) -> None:
    began = time.time()
    done = project.run(*sweep(project))
    assert done.returncode == 0, done.stderr
    assert [one["state"] for one in project.trials()] == ["complete"] * 4
    assert [pod.status for pod in double.pods.values()] == ["EXITED", "EXITED"]
    for name in PODS:
        assert f"pod {name}: stopped" in done.stderr
    guards = [tmp_path / f"volume-{name}" / "moola" / "guard.json" for name in PODS]
    first, last = sorted(json.loads(path.read_text())["stop_at"] - began for path in guards)
    # A dollar a pod at $0.75 an hour, less two minutes; what the first leaves goes to the other.
    assert 3600 / 0.75 - 120 - 110 < first < 3600 / 0.75
    assert first <= last < 2 * 3600 / 0.75
    listed = project.ok("pods")
    assert "other.2              runpod   stopped" in listed
    meter = json.loads((project.journal().parent / "money.json").read_text())["spans"]
    assert sorted(span["pod"] for span in meter) == sorted(PODS)
    assert all(span["is_rented"] and span["until"] for span in meter)


def test_a_refused_pod_costs_the_sweep_nothing(
    project: SweepProject, double: Double, tmp_path: Path
) -> None:
    double.refuse = lambda _: (400, NO_CAPACITY) if double.pods else None
    done = project.run(*sweep(project))
    assert done.returncode == 0, done.stderr
    assert "pod other.2 is no longer used" in done.stderr
    assert [one["state"] for one in project.trials()] == ["complete"] * 4
    (pod,) = double.pods.values()
    assert pod.status == "EXITED"
    guard = json.loads((tmp_path / "volume-rented" / "moola" / "guard.json").read_text())
    assert guard["stop_at"] - time.time() > 3600 / 0.75  # the other's share, too


def test_a_pod_that_vanishes_leaves_its_share_to_the_other(
    project: SweepProject, double: Double, tmp_path: Path
) -> None:
    guards = [tmp_path / f"volume-{name}" / "moola" / "guard.json" for name in PODS]
    words = project.words("--trials", "6", "--pods", ",".join(PODS), seconds=4)
    began = time.time()
    with project.running(PROGRAM, *words[:1], "--max-cost", "2", "--then", "stop", *words[1:]) as (
        process
    ):
        wait_until(lambda: all(path.exists() for path in guards))
        wait_until(lambda: len({path.stem for path in project.marks.glob("*.begun")}) >= 2)
        gone = list(double.pods)[1]
        double.pods.pop(gone).machine.stop()
        _, said = process.communicate(timeout=HANGS_S)
        assert process.returncode == 0, said
    assert [one["state"] for one in project.trials()] == ["complete"] * 6
    assert "pod other.2 is no longer used" in said
    assert json.loads(guards[0].read_text())["stop_at"] - began > 3600 / 0.75
    meter = json.loads((project.journal().parent / "money.json").read_text())["spans"]
    assert all(span["until"] for span in meter)
