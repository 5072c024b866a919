"""Going on with a run that ended too early, here or on another pod, as a user does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from moola_remote.ssh.endpoint import Endpoint
from tests.support.pods import AgentPod
from tests.support.projects import Project, make_project
from tests.support.servers import running_openssh

pytestmark = [pytest.mark.e2e, pytest.mark.process]
HANG = ("--set", "end=hang", "--epochs", "2", "--detach")


def interrupted(project: Project, pod: AgentPod, *words: str) -> str:
    """A run that was cancelled after two epochs of three; its id."""
    run_id = project.ok(*words, "train", *HANG).strip()
    pod.wait_for_log(run_id, "epoch 2/2")
    project.ok(*words, "cancel", run_id, "--grace", "0")
    return run_id


def test_the_latest_run_goes_on_where_it_was(project: Project) -> None:
    run_id = project.ok("train", *HANG).strip()
    assert f"run {run_id}: " in project.refused(10, "resume")
    project.ok("cancel", "--grace", "0")
    done = project.run("resume")
    assert done.returncode == 0, done.stderr
    assert "going on after epoch " in done.stdout
    folder = Path(project.ok("fetch", "results").splitlines()[0])
    spec = json.loads((folder / "spec.json").read_text())
    assert spec["parent"] == run_id
    assert "has succeeded, there is nothing to resume" in project.refused(10, "resume")


@pytest.fixture
def two_pods(
    local_state: Path, local_pod: Endpoint, openssh_server: Endpoint, tmp_path: Path
) -> Project:
    """A project with the embedded pod, the default, and an OpenSSH server, `host`."""
    project = make_project(tmp_path / "project", local_state, openssh_server)
    project.write("tiny/tool.sh", "#!/bin/sh\n").chmod(0o755)
    (project.folder / "tiny" / "link").symlink_to("tool.sh")
    (project.folder / "tiny" / "empty").mkdir()
    return project


def test_a_run_goes_on_on_another_pod_with_the_code_it_was_begun_with(
    two_pods: Project, openssh_server: Endpoint
) -> None:
    local = AgentPod(two_pods.state / "local-pod" / "root")
    run_id = interrupted(two_pods, local)
    two_pods.write("tiny/train.py", "raise SystemExit('the code of another day')\n")
    two_pods.write("data/numbers/one.txt", "2\n")
    # As on a laptop that did not start it, but has seen it.
    shutil.rmtree(two_pods.state / "snapshots")
    (two_pods.state / "journals" / "local" / run_id / "spec.json").unlink()
    done = two_pods.run("--pod", "host", "resume", run_id[:-2])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "recipe calm, data 1\ngoing on after epoch 2\n"
    there = AgentPod(Path(openssh_server.root))
    child = there.ask("list")["runs"][-1]["run_id"]
    spec, before = (
        json.loads((pod.folder(name) / "spec.json").read_bytes())
        for pod, name in ((there, child), (local, run_id))
    )
    assert spec["parent"] == run_id
    for key in ("code", "data", "argv", "recipe", "source"):
        assert spec[key] == before[key], key
    code = there.root / "code" / spec["code"] / "tiny"
    assert (code / "link").readlink() == Path("tool.sh")
    assert (code / "tool.sh").stat().st_mode & 0o100
    assert (code / "empty").is_dir()
    assert not list((two_pods.state / "relay").glob("*"))


def test_a_run_whose_pod_is_gone_goes_on_from_what_was_fetched(
    local_state: Path, local_pod: Endpoint, tmp_path: Path
) -> None:
    with running_openssh(tmp_path / "sshd") as host:
        two_pods = make_project(tmp_path / "project", local_state, host)
        run_id = interrupted(two_pods, AgentPod(Path(host.root)), "--pod", "host")
        two_pods.ok("--pod", "host", "fetch", "all", run_id)
    job = two_pods.folder / "tiny" / "train.py"
    job.write_bytes(b"raise SystemExit('the code of another day')\n")
    (two_pods.state / "snapshots").rename(tmp_path / "snapshots")
    line = two_pods.refused(10, "resume", run_id)
    assert "its code " in line
    assert "git checkout " in line
    (tmp_path / "snapshots").rename(two_pods.state / "snapshots")
    checkpoints = two_pods.folder / "results" / run_id / "checkpoints"
    checkpoints.rename(two_pods.folder / "results" / ".aside")
    assert "no checkpoint to resume from" in two_pods.refused(10, "resume", run_id)
    (two_pods.folder / "results" / ".aside").rename(checkpoints)
    assert two_pods.ok("resume", run_id).endswith("going on after epoch 2\n")
