"""Coming back to a run: from a time on, from a second laptop, and what happened meanwhile."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from moola_remote.ssh.endpoint import Endpoint
from tests.support.lanes import HANGS_S
from tests.support.pods import AgentPod, wait_until
from tests.support.projects import PROGRAM, Project, make_project, pod_file

pytestmark = [pytest.mark.e2e, pytest.mark.process]


@pytest.fixture
def pod(local_state: Path) -> AgentPod:
    """The embedded pod's folder, which is on this machine."""
    return AgentPod(local_state / "local-pod" / "root")


def test_a_part_of_a_log_is_read_without_the_rest(local_project: Project, pod: AgentPod) -> None:
    run_id = local_project.ok("train", "--detach", "--epochs", "5", "--set", "end=late").strip()
    pod.wait_for_log(run_id, "epoch 5/5")
    times = pod.folder(run_id) / ".moola" / ".times"
    wait_until(times.exists)
    kept = local_project.state / "journals" / "local" / run_id / "log"
    assert local_project.ok("logs", "--tail", "1") == "epoch 5/5\n"
    assert local_project.ok("logs", "--since", "1d", "--tail", "2") == "epoch 4/5\nepoch 5/5\n"
    assert kept.stat().st_size == 0
    whole = local_project.ok("logs", "--since", "1h")
    assert whole.splitlines() == ["recipe calm, data 1", *(f"epoch {n}/5" for n in range(1, 6))]
    times.write_text(f"{time.time() - 60:.3f} {len(whole)}\n")
    done = local_project.run("logs", "--since", "30s")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"run {run_id} is RUNNING, nothing was written since then" in done.stderr
    with local_project.running(PROGRAM, "logs", "-f", "--since", "30s") as following:
        assert following.stdout
        with (pod.folder(run_id) / "log").open("ab") as log:
            log.write(b"more\n")
        assert following.stdout.readline() == "more\n"
        (pod.folder(run_id) / "enough").touch()
        assert following.wait(timeout=HANGS_S) == 0
    assert local_project.ok("logs", "--tail", "1") == "more\n"


@pytest.mark.parametrize("when", ["soon", "10", "2026-13-01", "-5m"])
def test_a_time_that_is_none_is_refused(local_project: Project, when: str) -> None:
    assert "expected 90s, 10m, 2h, 1d or 2026" in local_project.refused(2, "logs", "--since", when)


def test_two_laptops_see_a_run_at_the_same_time(
    local_project: Project, local_pod: Endpoint, pod: AgentPod, tmp_path: Path
) -> None:
    run_id = local_project.ok("train", "--detach", "--set", "end=late").strip()
    other = make_project(tmp_path / "other", tmp_path / "its state", local_pod, "host")
    with (
        local_project.running(PROGRAM, "attach", run_id) as one,
        other.running(PROGRAM, "attach") as two,
    ):
        for following in (one, two):
            assert following.stdout
            assert next(line for line in following.stdout if line == "epoch 3/3\n")
        (pod.folder(run_id) / "enough").touch()
        for following in (one, two):
            _, talk = following.communicate(timeout=HANGS_S)
            assert following.returncode == 0, talk
    for project, name in ((local_project, "local"), (other, "host")):
        kept = project.state / "journals" / name / run_id / "log"
        assert kept.read_bytes() == (pod.folder(run_id) / "log").read_bytes()


def test_a_run_that_is_on_another_pod_is_said_to_be_there(
    local_project: Project, local_pod: Endpoint, tmp_path: Path
) -> None:
    run_id = local_project.ok("run", "--detach", "--", "true").strip()
    local_project.write("configs/pods/far.yaml", pod_file(local_pod, root=tmp_path / "far"))
    for words in (("logs",), ("attach",), ("cancel",), ("fetch", "all")):
        line = local_project.refused(10, "--pod", "far", *words, run_id)
        assert line.endswith("; it is on pod local: begin with moola-remote"), line
    line = local_project.refused(10, "--pod", "far", "logs", "20200101-000000")
    assert line.endswith("; see them with: moola-remote --pod far runs")
    local_project.write("pyproject.toml", pyproject(local_project).replace('"local"', '"far"'))
    line = local_project.refused(10, "logs", run_id)
    assert line.endswith("; it is on pod local: begin with moola-remote --pod local")


def test_what_happened_meanwhile_is_reported_and_the_command_for_the_end_runs_once(
    local_project: Project, pod: AgentPod
) -> None:
    words = ("--on-finish", 'echo "$MOOLA_RUN_ID $MOOLA_STATE" >>finished', "--on-finish-pod")
    local_project.write("pyproject.toml", PROJECT_WITH_HOOK + pyproject(local_project))
    run_id = local_project.ok("train", "--detach", *words, "exit 7").strip()
    pod.wait(run_id)
    wait_until(lambda: pod.stored(run_id)["on_finish"] == 7)
    assert not (local_project.folder / "finished").exists()
    notes = local_project.state / "journals" / "local" / run_id / "seen.json"
    notes.write_text(json.dumps({"at": time.time() - 7500, "state": "QUEUED"}))
    done = local_project.run("runs")
    assert done.returncode == 0, done.stderr
    news = "QUEUED → SUCCEEDED; 3 epochs, now 3/3; best f1 so far 0.750, at epoch 3"
    assert f"{run_id}: while you were away (2h 05m): {news}\n" in done.stderr
    assert "on_finish: exit code 7" in done.stdout
    assert "while you were away" not in local_project.run("runs").stderr
    again = local_project.run("attach")
    assert "on_finish on the pod: exit code 7" in again.stderr
    assert (local_project.folder / "finished").read_text() == f"{run_id} SUCCEEDED\n"


PROJECT_WITH_HOOK = """\
[tool.moola-remote.on_finish]
laptop = "exit 1"

"""


def pyproject(project: Project) -> str:
    return (project.folder / "pyproject.toml").read_text(encoding="utf-8")


def test_the_projects_own_command_runs_where_none_is_given_and_its_failure_is_reported(
    local_project: Project,
) -> None:
    local_project.write("pyproject.toml", PROJECT_WITH_HOOK + pyproject(local_project))
    done = local_project.run("train", "--epochs", "1")
    assert done.returncode == 0
    assert "on_finish: exit code 1, the run is SUCCEEDED all the same\n" in done.stderr


def test_journals_are_kept_below_their_limit(local_project: Project) -> None:
    first = local_project.ok("train", "--detach").strip()
    assert local_project.ok("attach", first).endswith("epoch 3/3\n")
    journal = local_project.state / "journals" / "local" / first
    with (journal / "log").open("ab") as log:
        log.truncate(3_000_000)
    text = pyproject(local_project).replace(
        "[tool.moola-remote]", "[tool.moola-remote]\njournals_mb = 2", 1
    )
    local_project.write("pyproject.toml", text)
    done = local_project.run("train", "--epochs", "1")
    assert done.returncode == 0
    assert "journals had more than 2 MB: dropped those of the " in done.stderr
    assert sorted(path.name for path in journal.iterdir()) == ["seen.json", "spec.json"]
    assert local_project.ok("logs", first).endswith("epoch 3/3\n")
