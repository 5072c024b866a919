"""Cancelling: polite first, then to the last process of a run."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.support.lanes import slowdown
from tests.support.pods import AgentPod, is_alive, wait_until

pytestmark = pytest.mark.process


IGNORES_SIGTERM = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


LEAVES_ITS_SESSION = """
import os, subprocess, sys, time
code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print(f"{child.pid} grandchild", flush=True)
time.sleep(600)
"""


def test_cancel_is_polite_first(pod: AgentPod) -> None:
    run_id = pod.shell("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    pod.wait_for_log(run_id, "ready")
    answer = pod.ask("cancel", run_id)
    assert answer["state"]["state"] == "CANCELLED"
    assert answer["state"]["reason"] == "cancelled (exit code 0)"
    assert answer["state"]["last_lines"][-1] == "saved"
    assert answer["killed"] >= 1


def test_cancel_kills_who_does_not_listen_after_the_grace(pod: AgentPod) -> None:
    run_id = pod.shell(IGNORES_SIGTERM)
    pod.wait_for_log(run_id, "ready")
    job = pod.process(run_id, "job")
    began = time.monotonic()
    answer = pod.ask("cancel", run_id, "--grace", "0.5")
    took_s = time.monotonic() - began
    assert 0.5 < took_s < 10 * slowdown()
    assert (answer["state"]["state"], answer["state"]["signal"]) == ("CANCELLED", "SIGKILL")
    assert not answer["state"]["oom_killed"]
    assert not is_alive(job)


def grandchild(pod: AgentPod, run_id: str) -> int:
    pod.wait_for_log(run_id, "grandchild")
    return int((pod.folder(run_id) / "log").read_text().split()[0])


def test_cancel_finds_who_has_left_the_session(pod: AgentPod) -> None:
    run_id = pod.start(sys.executable, "-c", LEAVES_ITS_SESSION)
    child = grandchild(pod, run_id)
    answer = pod.ask("cancel", run_id, "--grace", "0.5")
    assert answer["state"]["state"] == "CANCELLED"
    assert answer["killed"] == 2
    assert not is_alive(child)


def test_cancel_ends_what_a_dead_job_has_left(pod: AgentPod) -> None:
    run_id = pod.start(sys.executable, "-c", LEAVES_ITS_SESSION)
    child = grandchild(pod, run_id)
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor", "keeper", "job")
    answer = pod.ask("cancel", run_id, "--grace", "0")
    assert answer["ok"]
    assert not is_alive(child)


def test_what_a_job_leaves_behind_is_ended_and_noted(pod: AgentPod) -> None:
    run_id = pod.shell("setsid sleep 600 & echo left")
    state = pod.wait(run_id)
    assert (state["state"], state["killed"]) == ("SUCCEEDED", 1)
    assert "1 process left behind, ended" in (pod.folder(run_id) / "events.jsonl").read_text()


def test_a_cancel_whose_supervisor_is_killed_is_carried_out_by_the_next(pod: AgentPod) -> None:
    run_id = pod.shell(IGNORES_SIGTERM)
    pod.wait_for_log(run_id, "ready")
    (pod.folder(run_id) / ".moola" / ".cancel.json").write_text('{"grace_s": 0.5}')
    wait_until(lambda: pod.stored(run_id)["stopping"] == "cancel")
    pod.kill(run_id, "supervisor")
    answer = pod.ask("cancel", run_id, "--grace", "0.5")
    assert (answer["state"]["state"], answer["state"]["signal"]) == ("CANCELLED", "SIGKILL")


def test_cancelling_an_ended_run_changes_nothing(pod: AgentPod) -> None:
    run_id = pod.shell("exit 0")
    before = pod.wait(run_id)
    answer = pod.ask("cancel", run_id)
    assert (answer["state"]["state"], answer["killed"]) == ("SUCCEEDED", 0)
    assert pod.stored(run_id) == before


def test_a_stalled_supervisor_makes_cancel_say_that_it_is_not_verified(
    pod: AgentPod,
) -> None:
    run_id = pod.start("sleep", "600")
    pod.wait(run_id, "RUNNING")
    supervisor = pod.process(run_id, "supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        answer = pod.ask("cancel", run_id, "--grace", "0", "--patience", "0.5")
        assert (answer["ok"], answer["error"]) == (False, "not_ended")
        assert answer["pids"] == [pod.process(run_id, "job")]
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert pod.wait(run_id)["state"] == "CANCELLED"
