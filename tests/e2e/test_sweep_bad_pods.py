"""One sweep over several servers of which some are bad: the others' trials end, each once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from moola_remote.cli.error_handler import run
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import keeping
from moola_remote.sweep.drive import Crew
from tests.support.lanes import HANGS_S
from tests.support.masters import end_masters
from tests.support.pods import wait_until
from tests.support.prepared import prepare
from tests.support.projects import pod_file
from tests.support.pythons import find_python
from tests.support.servers import SSHD, running_openssh
from tests.support.small_disks import disk_or_skip
from tests.support.sweeps import SweepProject, sweep_project

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.process,
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
]
OTHER_KEY = f"SHA256:{'A' * 43}"
# Before a job: one on another pod than NAME waits until one was begun on that.
WAITS = """\
import os, time
from pathlib import Path
is_first = Path(os.environ["MARKS"], "first")
is_here = "/NAME/" in os.environ["MOOLA_RUN_DIR"]
if is_here:
    is_first.touch()
while not is_first.exists():
    time.sleep(0.02)
"""


class Scene:
    """A sweep's project, and its servers by name."""

    def __init__(
        self,
        project: SweepProject,
        folder: Path,
        stack: ExitStack,
        factory: pytest.TempPathFactory,
    ) -> None:
        self.project = project
        self.folder = folder
        self.stack = stack
        self.factory = factory

    def server(self, name: str, **changes: object) -> Endpoint:
        """Start a server, and write the file of its pod."""
        endpoint = self.stack.enter_context(running_openssh(self.folder / name))
        if not changes:
            prepare(Path(endpoint.root), self.factory)
        self.project.write(f"configs/pods/{name}.yaml", pod_file(endpoint, **changes))
        return endpoint

    def begin_on(self, name: str, more: str = "") -> None:
        """Have no trial end before one was begun on a pod, however long its deploy takes.

        `more` is code that the job runs then; `is_here` says whether it is on that pod.
        """
        job = self.project.folder / "job.py"
        job.write_text(WAITS.replace("NAME", name) + more + job.read_text())

    def small_disk(self) -> Path:
        """A disk that a deploy finds full; only root can make one."""
        return self.stack.enter_context(disk_or_skip(self.folder / "disk", megabytes=2))


@pytest.fixture
def scene(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    with ExitStack() as stack, sweep_project(tmp_path / "sweep") as project:
        monkeypatch.chdir(project.folder)
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        stack.callback(end_masters, keeping(project.state, 1))
        yield Scene(project, tmp_path, stack, tmp_path_factory)


def check_each_once(project: SweepProject, count: int) -> None:
    """Each trial is complete, by one run that reached its end."""
    trials = project.trials()
    assert [one["state"] for one in trials] == ["complete"] * count, trials
    assert [len(project.ended(number)) for number in range(count)] == [1] * count
    assert not list(project.marks.glob("*.twice"))


def test_bad_pods_are_named_and_the_good_ones_do_all(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    python = find_python("3.8")
    scene.server("good")
    disk = scene.small_disk()
    scene.server("full", root=disk / "root")
    scene.server("changed", host_key=OTHER_KEY)
    scene.server("old", **({"python": python} if python else {}))
    scene.server("ancient", python=find_python("3.6") or "/nowhere")
    names = "changed,full,ancient,old,good"
    scene.begin_on("old")
    words = scene.project.words("--trials", "8", "--pods", names, seconds=0.5)
    assert run(list(words)) == 0
    said = capsys.readouterr().err.splitlines()
    check_each_once(scene.project, 8)
    for name, reason, cure in (
        ("changed", "not its host key, expected SHA256:AAA", "then correct host_key in its file"),
        ("full", "not even 16 MB can be written below its root", "make the volume or its quota"),
    ):
        (line,) = [one for one in said if f"pod {name} is no longer used" in one]
        assert reason in line
        assert line.count(f"pod {name}") == 1
        assert cure in line
    used = {run["pod"] for one in scene.project.trials() for run in one["runs"]}
    assert {"good", "old"} <= used
    assert not used & {"changed", "full"}


def test_a_disk_that_fills_up_midway_fails_no_trial(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    fill = """\
if is_here:
    with open(Path(os.environ["MOOLA_RUN_DIR"], "checkpoint"), "wb", buffering=0) as file:
        while file.write(bytes(1 << 20)):
            pass
"""
    scene.begin_on("filling", fill)
    scene.server("good")
    disk = scene.stack.enter_context(disk_or_skip(scene.folder / "filling", megabytes=700))
    scene.server("filling-pod", root=disk / "root")
    words = scene.project.words("--trials", "8", "--pods", "filling-pod,good")
    code = run(list(words))
    said = capsys.readouterr().err
    assert code == 0, said
    check_each_once(scene.project, 8)
    (line,) = [one for one in said.splitlines() if "pod filling-pod is no longer used" in one]
    assert "exit code 1; not even 16 MB can be written on the pod, No space left" in line


@pytest.mark.parametrize("how", ["grid", "try"])
def test_a_sweep_whose_pods_are_all_bad_ends_with_the_first_reason(
    scene: Scene, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    scene.server("changed", host_key=OTHER_KEY)
    scene.server("full", root=scene.small_disk() / "root")
    words = list(scene.project.words("--pods", "full,changed"))
    if how == "grid":
        words[words.index("--try") : words.index("--try") + 2] = ["--grid", "x=0.1,0.2,0.3"]
    assert run(words) in (12, 14)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: pod ")
    assert "; then: moola-remote sweep resume " in line


@contextmanager
def patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    """A pod that is out of reach is given up sooner than after ten minutes."""
    with monkeypatch.context() as patch:
        patch.setattr("moola_remote.sweep.drive.Crew", partial(Crew, patience_s=seconds))
        yield


def test_a_server_that_dies_in_between_leaves_its_trials_to_the_next_sweep_resume(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = scene.project
    scene.server("good")
    scene.server("full", root=scene.small_disk() / "root")
    doomed, power = scene.folder / "doomed", ExitStack()
    endpoint = power.enter_context(running_openssh(doomed))
    prepare(Path(endpoint.root), scene.factory)
    project.write("configs/pods/doomed.yaml", pod_file(endpoint))
    # The first trial of the doomed server never ends; of the one in its place it does.
    stays = 'while is_here and not is_first.with_name("cut").exists():\n    time.sleep(0.02)\n'
    scene.begin_on("doomed", stays)

    def cut() -> None:
        wait_until((project.marks / "first").exists)
        power.close()

    with patience(monkeypatch, 3.0), ThreadPoolExecutor() as threads:
        cutting = threads.submit(cut)
        words = project.words("--trials", "8", "--pods", "doomed,full,good")
        code = run(list(words))
        cutting.result(HANGS_S)
    said = capsys.readouterr().err
    assert code == 11, said
    (line,) = [one for one in said.splitlines() if "pod doomed is no longer used" in one]
    assert "connection refused" in line
    states = [one["state"] for one in project.trials()]
    assert set(states) <= {"complete", "running"}
    assert states.count("running") in (1, 2)
    assert "; then: moola-remote sweep resume " in said.splitlines()[-1]

    # Another server in its place, with its disk: its dead runs are begun again.
    (project.marks / "cut").touch()
    with running_openssh(doomed) as endpoint:
        project.write("configs/pods/doomed.yaml", pod_file(endpoint))
        assert run(["sweep", "resume"]) == 0
    check_each_once(project, 8)
