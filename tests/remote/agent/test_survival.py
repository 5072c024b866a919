"""Whoever is killed: the job lives, its end is known or said to be unknown, no other is hurt."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent import processes
from tests.support.pods import AGENT, AgentPod, is_alive, old_agent, wait_until

pytestmark = pytest.mark.process

WAITS = 'echo ready; while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done; echo done; exit 7'


def go(pod: AgentPod, run_id: str) -> None:
    (pod.folder(run_id) / ".go").touch()


@pytest.mark.parametrize(
    "whom", [("supervisor",), ("keeper",), ("supervisor", "supervisor"), ("supervisor", "keeper")]
)
def test_whoever_is_killed_the_job_lives_on_and_is_watched(
    pod: AgentPod, whom: tuple[str, ...]
) -> None:
    run_id = pod.shell(WAITS)
    pod.wait_for_log(run_id, "ready")
    pod.wait(run_id, "RUNNING")
    job = pod.process(run_id, "job")
    for who in whom:
        pod.kill(run_id, who)
        assert pod.state(run_id)["state"] == "RUNNING"
    assert is_alive(job)
    go(pod, run_id)
    state = pod.wait(run_id)
    assert state["last_lines"][-1] == "done"
    if whom == ("supervisor", "keeper"):
        # The second supervisor is no parent of the job, and the keeper died under it.
        assert (state["state"], state["returncode"]) == ("LOST", None)
        assert state["reason"] == "it and its keeper are gone, and no exit code was recorded"
    else:
        assert (state["state"], state["returncode"]) == ("FAILED", 7)


def test_a_job_that_ends_while_nobody_supervises_is_known_to_the_next_caller(pod: AgentPod) -> None:
    run_id = pod.shell(WAITS)
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor")
    go(pod, run_id)
    wait_until((pod.folder(run_id) / ".moola" / ".exit.json").exists)
    assert pod.stored(run_id)["state"] == "RUNNING"
    state = pod.state(run_id)
    assert (state["state"], state["returncode"]) == ("FAILED", 7)
    assert state["manifest_sha256"]


def test_a_supervisor_that_dies_before_the_start_is_replaced_and_the_job_runs_once(
    pod: AgentPod,
) -> None:
    first = pod.shell(WAITS)
    pod.wait(first, "RUNNING")
    second = pod.shell("echo ran")
    pod.kill(second, "supervisor")
    assert pod.state(second)["queue_position"] == 1
    go(pod, first)
    pod.wait(second)
    assert (pod.folder(second) / "log").read_text() == "ran\n"


def test_all_killed_is_lost_with_the_reason(pod: AgentPod) -> None:
    run_id = pod.shell("echo ready; sleep 600")
    pod.wait_for_log(run_id, "ready")
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor", "keeper", "job")
    state = pod.state(run_id)
    assert state["state"] == "LOST"
    assert "no exit code was recorded" in state["reason"]
    assert state["last_lines"] == ["ready"]
    assert state["manifest_sha256"]


def stranger() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


@pytest.mark.parametrize("why", ["reused pid", "another boot"])
def test_an_innocent_process_with_the_jobs_number_is_never_signalled(
    pod: AgentPod, why: str
) -> None:
    run_id = pod.shell("sleep 600")
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor", "keeper", "job")
    innocent = stranger()
    try:
        noted: dict[str, Any] = {"pid": innocent.pid}
        if why == "another boot":
            noted = {**processes.identity(innocent.pid), "boot": "another"}
            pod.edit(run_id, "state.json", supervisor=noted, heartbeat_at=time.time() - 60)
        pod.edit(run_id, ".moola/.job.json", **noted)
        answer = pod.ask("cancel", run_id, "--grace", "0")
        assert answer["state"]["state"] == "LOST"
        reason = "restarted" if why == "another boot" else "no exit code"
        assert reason in answer["state"]["reason"]
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_a_supervisors_number_that_was_reused_is_no_supervisor(pod: AgentPod) -> None:
    run_id = pod.shell(WAITS)
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor")
    pod.edit(run_id, "state.json", supervisor=processes.identity(os.getpid()))
    go(pod, run_id)
    wait_until(lambda: pod.state(run_id)["returncode"] == 7)


def test_a_run_of_another_machine_on_a_shared_volume_is_left_alone_while_its_heart_beats(
    pod: AgentPod,
) -> None:
    run_id = pod.shell("sleep 600")
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor", "keeper", "job")
    other = {**processes.identity(os.getpid()), "boot": "another"}
    pod.edit(run_id, ".moola/.job.json", boot="another")
    pod.edit(run_id, "state.json", supervisor=other, heartbeat_at=time.time())
    assert pod.state(run_id)["state"] == "RUNNING"
    pod.edit(run_id, "state.json", heartbeat_at=time.time() - 60)
    state = pod.state(run_id)
    assert (state["state"], state["reason"]) == ("LOST", "the pod was restarted while it ran")


@pytest.mark.parametrize("hours", [-1000, 1000])
def test_a_clock_that_jumps_changes_no_verdict(pod: AgentPod, hours: int) -> None:
    """The times of day in the files are as a clock would have left them that was moved since."""
    run_id = pod.shell(WAITS, limits={"max_time_s": 600})
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor")
    moved = time.time() + 3600 * hours
    pod.edit(run_id, "state.json", heartbeat_at=moved, started_at=moved, queued_at=moved)
    assert pod.state(run_id)["state"] == "RUNNING"
    go(pod, run_id)
    state = pod.wait(run_id)
    assert (state["state"], state["returncode"]) == ("FAILED", 7)


def test_a_stalled_supervisor_shows_by_its_heartbeat(pod: AgentPod) -> None:
    run_id = pod.shell(WAITS)
    pod.wait(run_id, "RUNNING")
    supervisor = pod.process(run_id, "supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        pod.edit(run_id, "state.json", heartbeat_at=time.time() - 100)
        state = pod.state(run_id)
        assert state["state"] == "RUNNING"
        assert state["now"] - state["heartbeat_at"] > 99
    finally:
        os.kill(supervisor, signal.SIGCONT)
    go(pod, run_id)
    assert pod.wait(run_id)["returncode"] == 7


BREAKS = {
    "half": "printf '{' >state.json",
    "deep": "head -c 100000 /dev/zero | tr '\\0' '[' >state.json",
    "a folder": "rm state.json; mkdir state.json",
    "a pipe": "rm state.json; mkfifo state.json",
    "no end": "ln -sf /dev/zero state.json",
    "a gigabyte": "truncate -s 1G state.json",
    "another's": "sed -i s/run_id.:.test-/'&x'/ state.json",
    "a word for a time": 'sed -i \'s/queued_at.:/&"then","x":/\' state.json',
    "a list for a process": "sed -i 's/supervisor.:/&[1],\"x\":/' state.json",
    "no number of a process": "sed -i 's/job.:/&{},\"x\":/' state.json",
    "no state of ours": "sed -i s/SUCCEEDED/FINE/ state.json",
}


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)
def test_a_broken_state_file_is_an_error_and_hides_no_other_run(script: str, pod: AgentPod) -> None:
    broken, whole = pod.shell("true"), pod.shell("true")
    pod.wait(broken)
    pod.wait(whole)
    subprocess.run(["sh", "-c", script], cwd=pod.folder(broken), check=True)
    (pod.root / "runs" / "Somebody's own").mkdir()
    assert pod.ask("state", broken)["error"] == "bad_run"
    reported = {run["run_id"]: run["state"] for run in pod.ask("list")["runs"]}
    assert reported == {broken: "LOST", whole: "SUCCEEDED"}


SPOILS = {
    "pipes": "for n in log events.jsonl spec.json config.yaml; do mkfifo x; mv -f x $n; done",
    "devices": "for n in log events.jsonl config.yaml result.json; do ln -sf /dev/zero $n; done",
    "folders": "rm log; mkdir log config.yaml result.json manifest.json",
    "deep": "head -c 100000 /dev/zero | tr '\\0' '[' | tee result.json spec.json >events.jsonl",
}


@pytest.mark.parametrize("script", SPOILS.values(), ids=SPOILS)
def test_a_job_that_spoils_its_own_files_ends_and_holds_nobody_up(
    script: str, pod: AgentPod
) -> None:
    run_id = pod.shell(f"cd $MOOLA_RUN_DIR; {script}")
    assert pod.wait(run_id)["state"] == "SUCCEEDED"
    assert pod.ask("show", run_id)["state"]["run_id"] == run_id
    assert [run["run_id"] for run in pod.ask("list", "--facts")["runs"]] == [run_id]
    pod.ask("locate", run_id, "--tail", "3", "--since", "1")
    argv = pod.argv("follow", run_id)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as follower:
        assert follower.stdout
        assert b"}E " in follower.stdout.read(10_000_000)
    assert f"runs/{run_id}" in {
        f"{one['kind']}/{one['name']}"
        for one in pod.ask("clean", stdin={"runs": [run_id]})["removed"]
    }


@pytest.mark.parametrize("name", ["old.pyz", "old.py"])
def test_a_new_agent_takes_over_what_an_old_one_started(pod: AgentPod, name: str) -> None:
    """Under a running job the agent's file may go: nothing of it is read again."""
    old = pod.root / "agent" / name
    old.parent.mkdir(parents=True)
    old.write_bytes(AGENT.read_bytes() if name.endswith(".pyz") else old_agent())
    run_id = "test-upgrade"
    waits = 'while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done'
    script = f'echo one; touch "$MOOLA_RUN_DIR/made"; {waits}; exit 7'
    spec = json.dumps({"run_id": run_id, "argv": ["sh", "-c", script]})
    argv = [pod.python, "-ISB", str(old), "--root", str(pod.root), "start"]
    subprocess.run(argv, input=spec.encode(), check=True, capture_output=True)
    old.unlink()
    assert pod.state(run_id)["state"] in ("PREPARING", "QUEUED", "RUNNING")
    assert [state["run_id"] for state in pod.ask("list")["runs"]] == [run_id]
    go(pod, run_id)
    assert pod.wait(run_id)["returncode"] == 7
    assert (pod.folder(run_id) / "log").read_text() == "one\n"
    manifest = json.loads((pod.folder(run_id) / "manifest.json").read_bytes())
    assert "made" in {file["path"] for file in manifest["files"]}


def test_a_new_agent_cancels_what_an_old_one_started(pod: AgentPod) -> None:
    old = pod.root / "agent" / "old.py"
    old.parent.mkdir(parents=True)
    old.write_bytes(old_agent())
    spec = json.dumps({"run_id": "test-upgrade", "argv": ["sleep", "600"]})
    argv = [pod.python, "-ISB", str(old), "--root", str(pod.root), "start"]
    subprocess.run(argv, input=spec.encode(), check=True, capture_output=True)
    pod.wait("test-upgrade", "RUNNING")
    assert pod.ask("cancel", "test-upgrade", "--grace", "1")["state"]["state"] == "CANCELLED"


def test_a_run_whose_folder_is_removed_leaves_no_process(pod: AgentPod) -> None:
    run_id = pod.shell("exec sleep 600")
    pod.wait(run_id, "RUNNING")
    supervisor, job = pod.process(run_id, "supervisor"), pod.process(run_id, "job")

    def remove() -> bool:  # who watches over it may be writing there
        shutil.rmtree(pod.folder(run_id), ignore_errors=True)
        return not pod.folder(run_id).exists()

    wait_until(remove)
    os.kill(job, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{supervisor}").exists())
