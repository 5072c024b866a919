"""Following a run, leaving it, coming back, ending it: what is reported, how commands end."""

from __future__ import annotations

import os
import pty
import signal
import time
from pathlib import Path

import pytest

from tests.support.lanes import HANGS_S, slowdown
from tests.support.pods import AgentPod
from tests.support.projects import PROGRAM, Project, read_to_end

pytestmark = [pytest.mark.e2e, pytest.mark.process]
HANG = ("--set", "end=hang", "--epochs", "1")


def pod_of(project: Project) -> AgentPod:
    """The embedded pod's folder, which is on this machine."""
    return AgentPod(project.state / "local-pod" / "root")


def state_of(project: Project, run_id: str) -> str:
    """How a run stands."""
    return str({run["run_id"]: run["state"] for run in project.json("runs")}[run_id])


def detached(project: Project, *words: str) -> str:
    """Start a run; its id."""
    return project.ok("train", "--detach", *words).strip()


def test_ctrl_c_leaves_the_run_going_and_says_how_to_return(project: Project) -> None:
    with project.running(PROGRAM, "train", *HANG) as following:
        assert following.stdout
        lines = iter(following.stdout)
        assert next(line for line in lines if line == "epoch 1/1\n")
        following.send_signal(signal.SIGINT)
        left_at = time.monotonic()
        _, talk = following.communicate(timeout=HANGS_S)
        took_s = time.monotonic() - left_at
        assert took_s < 3 * slowdown()  # 1 s is asked for; a loaded CI gets room
    assert following.returncode == 130
    run_id = talk.partition(" keeps running on the pod")[0].rpartition("run ")[2]
    assert f"moola-remote attach {run_id}\n" in talk
    assert "Traceback" not in talk
    with project.running(PROGRAM, "attach", run_id) as again:
        assert again.stdout
        assert next(line for line in again.stdout if line == "epoch 1/1\n")
        assert "CANCELLED" in project.ok("cancel", "--grace", "0")
        _, talk = again.communicate(timeout=HANGS_S)
    assert again.returncode == 21
    assert talk.splitlines()[-1].startswith(f"error: run {run_id}: cancelled")
    assert "had ended already" in project.ok("cancel")


def test_ctrl_c_on_a_terminal_gives_the_screen_back(local_project: Project) -> None:
    run_id = detached(local_project, *HANG)
    local_project.env.update(TERM="xterm", COLUMNS="80", LINES="24")
    ours, theirs = pty.openpty()
    terminal = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    with local_project.running(PROGRAM, "attach", run_id, **terminal) as following:
        os.close(theirs)
        shown = b""
        while b"RUNNING" not in shown:
            shown += os.read(ours, 65536)
        following.send_signal(signal.SIGINT)
        after = read_to_end(ours).partition(b"\x1b[?1049l")[2]
        assert following.wait(timeout=HANGS_S) == 130
    assert f"moola-remote attach {run_id}".encode() in after
    assert b"Traceback" not in after
    local_project.ok("cancel", run_id, "--grace", "0")


def test_who_reads_no_more_is_followed_no_more(local_project: Project) -> None:
    steady = ("sh", "-c", "while echo line; do sleep 0.1; done")
    run_id = local_project.ok("run", "--detach", "--", *steady).strip()
    script = f"{PROGRAM} logs -f {run_id} | head -1; exit ${{PIPESTATUS[0]}}"
    with local_project.running("bash", "-c", script) as piped:
        out, talk = piped.communicate(timeout=HANGS_S)
    assert (out, talk, piped.returncode) == ("line\n", "", 141)
    assert state_of(local_project, run_id) == "RUNNING"
    local_project.ok("cancel", run_id, "--grace", "0")


def test_a_failure_is_reported_with_the_logs_last_line_and_can_be_fetched(
    local_project: Project,
) -> None:
    line = local_project.refused(20, "train", "--set", "end=fail")
    run_id = local_project.json("runs")[-1]["run_id"]
    assert line == (
        f"error: run {run_id}: failed, exit code 3: error: numbers/one.txt: no such luck; "
        f"moola-remote logs {run_id}"
    )
    folder = Path(local_project.ok("fetch", "results").splitlines()[0])
    assert (folder / "log").read_text().endswith("no such luck\n")
    assert not (folder / "result.json").exists()
    assert "no fetched runs" in local_project.refused(10, "compare")


def test_a_run_whose_processes_are_gone_is_lost(local_project: Project) -> None:
    run_id = detached(local_project, *HANG)
    pod = pod_of(local_project)
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor", "keeper", "job")
    assert f"run {run_id}: lost" in local_project.refused(22, "attach")
    assert state_of(local_project, run_id) == "LOST"


def test_two_runs_take_their_turn_and_only_what_has_ended_is_fetched(
    local_project: Project,
) -> None:
    first = detached(local_project, "--set", "end=late")
    second = detached(local_project)
    pod = pod_of(local_project)
    pod.wait(first, "RUNNING")
    states = {run["run_id"]: run for run in local_project.json("runs")}
    assert states[second]["state"] == "QUEUED"
    assert states[second]["queue_position"] == 1
    line = local_project.refused(15, "fetch", "results", first)
    assert "still RUNNING" in line
    assert f"moola-remote attach {first}" in line
    assert list((local_project.folder / "results").iterdir()) == []
    (pod.folder(first) / "enough").touch()
    assert local_project.ok("attach", second).endswith("epoch 3/3\n")
    assert state_of(local_project, first) == "SUCCEEDED"


def test_a_gpu_can_be_asked_for_and_one_that_is_not_there_is_reported(
    local_project: Project,
) -> None:
    line = local_project.refused(20, "run", "--gpu", "3", "--", "true")
    assert "GPU 3 was asked for, the pod has no GPU" in line


def test_a_log_can_be_read_whole_or_its_end_or_as_it_grows(local_project: Project) -> None:
    run_id = detached(local_project, "--set", "end=late", "--epochs", "5")
    pod = pod_of(local_project)
    pod.wait_for_log(run_id, "epoch 5/5")
    whole = local_project.ok("logs")
    assert whole.splitlines() == ["recipe calm, data 1", *(f"epoch {n}/5" for n in range(1, 6))]
    assert local_project.ok("logs", run_id[:20], "--tail", "2") == "epoch 4/5\nepoch 5/5\n"
    with local_project.running(PROGRAM, "logs", "-f", "--tail", "1") as following:
        assert following.stdout
        assert following.stdout.readline() == "epoch 5/5\n"
        (pod.folder(run_id) / "enough").touch()
        _, talk = following.communicate(timeout=HANGS_S)
    assert following.returncode == 0, talk
    with local_project.running("bash", "-c", f"{PROGRAM} logs | head -1") as piped:
        assert piped.communicate(timeout=HANGS_S) == (
            "recipe calm, data 1\n",
            f"latest run: {run_id}\n",
        )
